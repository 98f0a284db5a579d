"""What became of orders is told until the gateway has it; one bad event keeps none back."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.unit.user_worker.fakes import ANN, CLAIM, until
from tests.unit.user_worker.trading_house import RHYTHM, House

from kernel.sharding import Claim
from user_worker.application.telling import NOTICES_AT_ONCE_MAX, Teller
from user_worker.conversation.notices import UnreadableNote, notice_of
from user_worker.domain.notes import AlertExpired, UnknownNote
from user_worker.domain.replies import Reply, SendText
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.trading_ports import EndEvent, Event, NoteEvent, Notice

pytestmark = pytest.mark.virtual_time


@dataclass
class MemoryEvents:
    """Events by shard."""

    waiting: list[Event] = field(default_factory=list)
    marked: list[UUID] = field(default_factory=list)
    is_stale: bool = False

    async def unrelayed(self, claims: Sequence[Claim], count_max: int) -> Sequence[Event]:
        """Read what is not marked."""
        return [e for e in self.waiting if e.event_id not in self.marked][:count_max]

    async def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """Mark."""
        if self.is_stale:
            raise ClaimLost(str(claim))
        self.marked += event_ids


@dataclass
class MemoryNotices:
    """The gateway's lane: takes an event once."""

    taken: dict[UUID, Notice] = field(default_factory=dict)
    calls: int = 0
    failures: int = 0

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Take notices, and perhaps fail afterwards."""
        self.calls += 1
        assert 1 <= len(notices) <= NOTICES_AT_ONCE_MAX
        for notice in notices:
            self.taken.setdefault(notice.event_id, notice)
        if self.failures:
            self.failures -= 1
            raise DependencyDown("gateway", "answer lost")


@dataclass
class Languages:
    """What users chose."""

    chosen: Mapping[UUID, str] = field(default_factory=dict)

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""
        return self.chosen.get(user_id)


def _teller(
    house: House, events: MemoryEvents, notices: MemoryNotices, chosen: Mapping[UUID, str]
) -> Teller:
    return Teller(events, notices, Languages(chosen), notice_of, house.carrying_out, RHYTHM)


async def _ended(house: House) -> EndEvent:
    order = await house.confirm(house.offer())
    return EndEvent(uuid4(), CLAIM, order, "de")


async def test_ends_are_told_in_the_users_language() -> None:
    """The chosen one; else the one he was spoken to in when he confirmed."""
    house, notices = House(), MemoryNotices()
    events = MemoryEvents([await _ended(house)])
    await _teller(house, events, notices, {}).relay()
    (german,) = notices.taken.values()
    events.waiting.append(await _ended(house))
    await _teller(house, events, notices, {ANN: "en"}).relay()
    english = list(notices.taken.values())[1]

    texts = [notice.replies[0] for notice in (german, english)]
    assert ANN == german.user_id
    first, second = events.waiting
    assert notice_of(first, "de") == german.replies
    assert notice_of(second, "en") == english.replies
    assert all(isinstance(text, SendText) for text in texts)
    assert texts[0] != texts[1]


async def test_an_event_is_told_until_it_is_marked_and_the_gateway_takes_it_once() -> None:
    """An answer that was lost, a newer claim before the mark."""
    house, notices = House(), MemoryNotices(failures=3)
    events = MemoryEvents([await _ended(house)], is_stale=True)
    teller = _teller(house, events, notices, {})
    running = asyncio.create_task(teller.run())
    try:
        await until(lambda: notices.calls >= 4)
        assert [] == events.marked
        events.is_stale = False
        house.carrying_out.ended_untold.set()
        await until(lambda: events.marked)
    finally:
        running.cancel()
    assert 1 == len(notices.taken)


async def test_more_events_than_one_call_may_tell_are_told_at_once() -> None:
    """Without waiting for the period."""
    house, notices = House(), MemoryNotices()
    event = await _ended(house)
    events = MemoryEvents([replace(event, event_id=uuid4()) for _ in range(250)])
    running = asyncio.create_task(_teller(house, events, notices, {}).run())
    try:
        await until(lambda: len(events.marked) == 250)
    finally:
        running.cancel()
    assert 3 == notices.calls


async def test_one_bad_event_keeps_no_others_back() -> None:
    """It stays to be looked at; nothing stops."""
    house, notices = House(), MemoryNotices()
    good, bad, other = [await _ended(house) for _ in range(3)]
    events = MemoryEvents([good, bad, other])

    def fussy(event: Event, language: str) -> list[Reply]:
        if event is bad:
            raise ValueError("no such message")
        return notice_of(event, language)

    teller = Teller(events, notices, Languages(), fussy, house.carrying_out, RHYTHM)
    with pytest.raises(ValueError, match="no such message"):
        await teller.relay()
    assert [good.event_id, other.event_id] == events.marked == list(notices.taken)
    running = asyncio.create_task(teller.run())
    await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()


async def test_notes_are_told_beside_ends_and_an_unknown_one_keeps_none_back() -> None:
    """It stays for the version that wrote it."""
    house, notices = House(), MemoryNotices()
    note = AlertExpired(symbol="BTC", direction="at-or-above", price=Decimal(70_000))
    unknown, known = [
        NoteEvent(uuid4(), CLAIM, ANN, "de", one) for one in (UnknownNote("later"), note)
    ]
    end = await _ended(house)
    events = MemoryEvents([unknown, end, known])
    with pytest.raises(UnreadableNote, match="later"):
        await _teller(house, events, notices, {}).relay()

    assert [end.event_id, known.event_id] == events.marked == list(notices.taken)
    assert notice_of(known, "de") == notices.taken[known.event_id].replies
