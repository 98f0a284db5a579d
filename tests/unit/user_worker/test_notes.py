"""Notes: written and read back, and said in every language."""

import re
from decimal import Decimal
from uuid import uuid4

import pytest
from tests.unit.user_worker.fakes import ANN, CLAIM

from user_worker.conversation.notices import notice_of
from user_worker.conversation.texts import LANGUAGES
from user_worker.domain.notes import (
    AlertExpired,
    AlertReached,
    CopiesMissed,
    CopyEnded,
    CopySkipped,
    Note,
    PlanFinished,
    PlanPaused,
    RestingExpired,
    RunSkipped,
    UnknownNote,
    decode_note,
    encode_note,
    kind_of,
)
from user_worker.domain.orders import Refused
from user_worker.domain.replies import SendText
from user_worker.trading_ports import NoteEvent

PRICE = Decimal("12345678901.000000000000000001")
NOTES: list[Note] = [
    AlertReached(
        symbol="BTC",
        currency="USDT",
        direction=direction,
        price=PRICE,
        quoted=PRICE,
        is_simulated=True,
    )
    for direction in ("at-or-above", "at-or-below")
]
NOTES += [
    AlertExpired(symbol="BTC", direction="at-or-below", price=PRICE),
    *(
        RestingExpired(
            resting=kind,
            side=side,
            symbol="BTC",
            currency="USDT",
            trigger_price=PRICE,
            receipt="7K3M-9Q2X",
        )
        for kind in ("limit", "stop", "take-profit")
        for side in ("buy", "sell")
    ),
    RunSkipped(symbol="BTC", size="$50", reason=None),
    PlanPaused(symbol="BTC", size="0.0010", runs_in_a_row=3),
    PlanFinished(symbol="BTC", size="$50", runs=10),
    CopiesMissed(code="7K3M-9Q2X", count=2),
    CopyEnded(code="7K3M-9Q2X"),
    *(RunSkipped(symbol="BTC", size="$50", reason=reason.value) for reason in Refused),
    *(
        CopySkipped(code="7K3M-9Q2X", side=side, symbol="BTC", reason="later")
        for side in ("buy", "sell")
    ),
]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    """To the last digit."""
    assert note == decode_note(kind_of(note), encode_note(note))


@pytest.mark.parametrize(("language", "said"), [("en", "2 minutes"), ("de", "2 Minuten")])
def test_in_what_time_trades_could_not_be_copied_is_said(language: str, said: str) -> None:
    """As it was when they were missed; notes of a version that kept none mean its ten minutes."""
    note = CopiesMissed(code="7K3M-9Q2X", count=2, fresh_seconds=120.0)
    (notice,) = notice_of(NoteEvent(uuid4(), CLAIM, ANN, "", note), language)
    assert isinstance(notice, SendText)
    assert said in notice.text
    old = '{"kind": "copies-missed", "code": "7K3M-9Q2X", "count": 2}'
    assert CopiesMissed("7K3M-9Q2X", 2, 600.0) == decode_note("copies-missed", old)


@pytest.mark.parametrize(
    "details", ['{"kind": "later"}', '{"kind": "alert-expired"}', "[]", '{"kind": 7}']
)
def test_what_this_version_cannot_read_is_an_unknown_note(details: str) -> None:
    """It raises nothing where others are read beside it."""
    assert UnknownNote("later") == decode_note("later", details)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("note", NOTES)
def test_every_note_has_its_sentence(note: Note, language: str) -> None:
    """One message, under a key made of the event's id."""
    (notice,) = notice_of(NoteEvent(uuid4(), CLAIM, ANN, "", note), language)

    assert isinstance(notice, SendText)
    what = note.code if isinstance(note, CopiesMissed | CopyEnded) else note.symbol
    assert what in notice.text
    assert re.fullmatch("notice:[a-f0-9-]{36}", notice.message_key)
