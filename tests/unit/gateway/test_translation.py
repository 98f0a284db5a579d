"""What updates mean, whatever Telegram or anybody pretending to be Telegram sends."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.admission_rules import FirstContact
from gateway.domain import Ignored, Incoming, Malformed, Membership
from gateway.translation import translate
from gateway.utf16 import clean, utf16_units
from purser.gateway.v1 import job_pb2

USER: dict[str, Any] = {"id": 5, "is_bot": False, "first_name": "Ada", "language_code": "de"}
CHAT: dict[str, Any] = {"id": 5, "type": "private"}


def message(**fields: object) -> dict[str, Any]:
    """An update with a private message."""
    return {
        "update_id": 1,
        "message": {"message_id": 3, "date": 1700000000, "chat": CHAT, "from": USER, **fields},
    }


def press(**fields: object) -> dict[str, Any]:
    """An update with a press of a button."""
    return {
        "update_id": 1,
        "callback_query": {"id": "77", "from": USER, "chat_instance": "1", "data": "buy", **fields},
    }


def job_of(raw: object) -> job_pb2.Job:
    """The draft of the job an update becomes."""
    translated = translate(raw)
    assert isinstance(translated, Incoming), translated
    return translated.draft


@pytest.mark.parametrize(
    ("typed", "name", "arguments"),
    [
        ("/start", "start", ""),
        ("/START", "start", ""),
        ("/start@purser_bot  ref 1 ", "start", "ref 1"),
        ("/buy\n1 BTC", "buy", "1 BTC"),
        ("/x \0\u202e", "x", "\0\u202e"),
    ],
)
def test_a_command_is_a_name_in_lower_case_and_the_rest(
    typed: str, name: str, arguments: str
) -> None:
    """Slash and bot name go, white space around the arguments goes, any character stays."""
    assert (
        job_pb2.CommandInput(name=name, arguments=arguments) == job_of(message(text=typed)).command
    )


@pytest.mark.parametrize(
    "typed", ["hello", "/", "/💥", "/" + "a" * 33, " /start", "a\0b", "🙂" * 2048]
)
def test_what_is_no_command_is_text_as_typed(typed: str) -> None:
    """Also with NUL, emoji, and exactly 4096 UTF-16 units."""
    assert typed == job_of(message(text=typed)).text.text


def test_more_text_than_telegram_allows_gets_a_polite_answer() -> None:
    """One UTF-16 unit above the limit."""
    job = job_of(message(text="🙂" * 2048 + "a"))
    assert job.unsupported.kind == job_pb2.UNSUPPORTED_KIND_TOO_LONG


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (message(sticker={"anything": 1}), job_pb2.UNSUPPORTED_KIND_ATTACHMENT),
        (message(photo="not even a list"), job_pb2.UNSUPPORTED_KIND_ATTACHMENT),
        (message(invented_in_2031={}), job_pb2.UNSUPPORTED_KIND_OTHER),
        (
            {"update_id": 1, "edited_message": message(text="x")["message"]},
            job_pb2.UNSUPPORTED_KIND_EDIT,
        ),
    ],
)
def test_what_a_trading_bot_cannot_use_is_named(raw: object, kind: int) -> None:
    """Whatever an attachment's own fields hold, it is an attachment."""
    assert kind == job_of(raw).unsupported.kind


def test_a_field_nobody_reads_cannot_spoil_a_text() -> None:
    """Telegram may change or add fields any day."""
    raw = message(text="hi", entities="nonsense", reply_to_message=7, new_thing=[1])
    assert job_of(raw).text.text == "hi"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (message(text="x", chat={"id": -5, "type": "supergroup"}), "chat"),
        (message(text="x", **{"from": {**USER, "is_bot": True}}), "sender"),
        (message(pinned_message={}), "remark"),
        ({"update_id": 1, "poll": {}}, "kind"),
        ({"update_id": 1}, "kind"),
        (press(message={"message_id": 1, "date": 0, "chat": {"id": -1, "type": "group"}}), "chat"),
    ],
)
def test_what_is_not_for_this_bot_is_ignored_with_its_reason(raw: object, reason: str) -> None:
    """Groups, channels, other bots, Telegram's own remarks, kinds not asked for."""
    translated = translate(raw)
    assert isinstance(translated, Ignored)
    assert reason == translated.reason


def test_a_press_in_a_group_is_still_to_be_answered() -> None:
    """Every press is answered; the waiting sign on the button must end."""
    raw = press(message={"message_id": 1, "date": 0, "chat": {"id": -1, "type": "group"}})
    translated = translate(raw)
    assert isinstance(translated, Ignored)
    assert translated.press_id == "77"


def test_a_press_carries_its_data_its_id_and_its_message() -> None:
    """The message may be one Telegram no longer shows (date 0)."""
    translated = translate(press(message={"message_id": 9, "date": 0, "chat": CHAT}))
    assert isinstance(translated, Incoming)
    assert (translated.press_id, translated.pressed_message_id) == ("77", 9)
    assert job_pb2.PressInput(data="buy", press_id="77") == translated.draft.press


@pytest.mark.parametrize(
    ("said", "is_premium"),
    [({}, False), ({"is_premium": True}, True), ({"is_premium": False}, False)]
    + [({"is_premium": odd}, False) for odd in (1, "true", None, {"x": 1})],
)
def test_a_first_contact_is_what_telegram_plainly_says(
    said: dict[str, Any], is_premium: bool
) -> None:
    """Of Premium, of what followed /start, and of the language; odd values spoil nothing."""
    sender = USER | {"language_code": "de-AT"} | said
    for update in (message(text="/start vip", **{"from": sender}), press(**{"from": sender})):
        translated = translate(update)
        assert isinstance(translated, Incoming)
        contact = FirstContact("vip" if "message" in update else "", is_premium, "de-AT")
        assert contact == translated.contact


def test_blocking_the_bot_is_a_change_of_membership() -> None:
    """Telegram says "kicked" for blocked."""
    member = {"user": USER, "status": "member"}
    kicked = {"user": USER, "status": "kicked", "until_date": 0}
    change = {"chat": CHAT, "from": USER, "date": 1}
    raw = {
        "update_id": 4,
        "my_chat_member": {**change, "old_chat_member": member, "new_chat_member": kicked},
    }
    assert translate(raw) == Membership(4, 5, blocked=True)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"update_id": "1", "message": {}},
        {"update_id": True},
        {"update_id": 2**63, "message": {}},
        message(text=5),
        message(chat=None),
        message(text="x", **{"from": {**USER, "id": 2**70}}),
        message(text="x", **{"from": {**USER, "id": -1}}),
        press(id="x" * 65),
        {"update_id": 1, "message": "hello"},
    ],
)
def test_what_telegram_never_sends_is_malformed(raw: object) -> None:
    """It is set aside alone instead of stopping its batch."""
    assert isinstance(translate(raw), Malformed)


def test_a_malformed_update_does_not_repeat_what_was_typed() -> None:
    """The error goes to the log; people's words do not."""
    translated = translate(message(text={"secret": "words"}))
    assert isinstance(translated, Malformed)
    assert "words" not in translated.error
    assert "message.text" in translated.error


def test_lone_surrogates_become_the_replacement_character() -> None:
    """JSON can carry them and UTF-8 cannot; a pair that was torn apart is mended."""
    assert clean("a\ud800b") == "a�b"
    assert clean("\ud83d\ude42") == "🙂"
    job = job_of(message(text="\udfff", **{"from": {**USER, "first_name": "\ud800"}}))
    assert (job.text.text, job.display_name) == ("�", "�")


def test_a_display_name_is_storable_and_short() -> None:
    """PostgreSQL's text holds no NUL; the contract says 64 characters."""
    job = job_of(message(text="x", **{"from": {**USER, "first_name": "\0" + "é" * 100}}))
    assert job.display_name == "é" * 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KNOWN = st.sampled_from(
    [
        "message", "edited_message", "callback_query", "my_chat_member", "channel_post", "poll",
        "from", "chat", "text", "data", "id", "message_id", "date", "type", "is_bot", "first_name",
        "language_code", "new_chat_member", "old_chat_member", "status", "sticker", "user",
    ]
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ["private", "kicked", "/start", 0, 1, -1, 2**63, "\ud800", "\0", USER, CHAT, True]
)
PLAUSIBLE = st.recursive(
    VALUES, lambda inner: st.dictionaries(KNOWN, inner, max_size=8), max_leaves=20
)
UPDATES = st.fixed_dictionaries(
    {"update_id": st.integers(0, 2**64)},
    optional={
        "message": PLAUSIBLE,
        "edited_message": PLAUSIBLE,
        "callback_query": PLAUSIBLE,
        "my_chat_member": PLAUSIBLE,
    },
)


@settings(max_examples=300, deadline=None)
@given(raw=JSON | UPDATES | st.builds(lambda f: message(**f), st.dictionaries(KNOWN, VALUES)))
def test_any_json_has_a_known_outcome_and_never_raises(raw: object) -> None:
    """What is accepted keeps every limit of the job contract and can be written down."""
    translated = translate(raw)
    assert isinstance(translated, Incoming | Membership | Ignored | Malformed)
    if isinstance(translated, Incoming):
        assert 0 < translated.telegram_id < 2**63
        assert 0 <= translated.update_id < 2**63
        assert len(translated.draft.display_name) <= 64
        assert len(translated.draft.language_code) <= 35
        assert utf16_units(translated.draft.text.text) <= 4096
        assert translated.draft.WhichOneof("input") is not None
        assert len(translated.draft.SerializeToString()) < 65_000
