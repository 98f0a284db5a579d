"""The election, with a Lease in memory and a clock the test moves."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from chassis.reminders import TELL_AGAIN_SECONDS
from shard_operator.errors import ApiAway, ApiRefused, LeadershipLost
from shard_operator.leadership import Leadership, LeaseRecord, LeaseSettings

pytestmark = pytest.mark.virtual_time

FAST = LeaseSettings(
    lease_duration_seconds=15,
    renew_deadline_seconds=10.0,
    renew_period_seconds=0.001,
    candidate_period_seconds=0.001,
)


@dataclass
class LeaseInMemory:
    """Refuses a write whose version is not the newest, as the API server does."""

    record: LeaseRecord | None = None
    away: bool = False
    refusing: bool = False
    labelled: bool = False
    """Somebody else changes it whenever the holder sleeps."""
    writes: int = 0

    async def read(self) -> LeaseRecord | None:
        """The Lease."""
        self._answer()
        if self.labelled:
            asyncio.get_running_loop().call_soon(self._label)
        return self.record

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Make it, once."""
        self._answer()
        if self.record is not None:
            raise ApiRefused(409, "AlreadyExists", "")
        return self._write(record)

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Write it, guarded."""
        self._answer()
        if self.record is None or record.version != self.record.version:
            raise ApiRefused(409, "Conflict", "")
        return self._write(record)

    def _label(self) -> None:
        if self.record is not None:
            self.record = replace(self.record, version=f"{self.record.version} labelled")

    def _write(self, record: LeaseRecord) -> LeaseRecord:
        self.writes += 1
        self.record = written = replace(record, version=str(self.writes))
        if self.labelled:
            asyncio.get_running_loop().call_soon(self._label)
        return written

    def _answer(self) -> None:
        if self.away:
            raise ApiAway("connection refused")
        if self.refusing:
            raise ApiRefused(403, "Forbidden", "")


@dataclass
class Clock:
    """Monotonic time by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def candidate(store: LeaseInMemory, name: str, clock: Clock) -> Leadership:
    """One process."""
    return Leadership(store, name, FAST, monotonic=clock)


async def is_acquired(leadership: Leadership, seconds: float = 0.03) -> bool:
    """Whether it leads after trying for a while."""
    try:
        await asyncio.wait_for(leadership.acquire(), seconds)
    except TimeoutError:
        return False
    return True


async def test_one_of_two_candidates_leads() -> None:
    """And the other one does not, however often it looks."""
    store, clock = LeaseInMemory(), Clock()
    a, b = candidate(store, "a", clock), candidate(store, "b", clock)

    won = list(await asyncio.gather(is_acquired(a), is_acquired(b)))

    assert won == [True, False]
    assert (a.is_leading, b.is_leading) == (True, False)


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    """A clean stop costs a candidate's period, not a lease."""
    store, clock = LeaseInMemory(), Clock()
    a, b = candidate(store, "a", clock), candidate(store, "b", clock)
    await is_acquired(a)
    await is_acquired(b)

    await a.release()

    assert await is_acquired(b)
    assert not a.is_leading
    assert store.record is not None
    assert (store.record.holder, store.record.transitions) == ("b", 1)


async def test_a_silent_holder_is_replaced_after_the_duration_and_has_stopped_before() -> None:
    """The candidate measures silence by its own clock; the holder's own deadline is shorter."""
    store, clock = LeaseInMemory(), Clock()
    a, b = candidate(store, "a", clock), candidate(store, "b", clock)
    await is_acquired(a)
    await is_acquired(b)

    clock.now += 14.9
    assert not await is_acquired(b)
    assert not a.is_leading
    clock.now += 0.2
    assert await is_acquired(b)


async def test_a_candidate_trusts_no_time_written_by_another() -> None:
    """A Lease that looks years old is watched for the whole duration first."""
    record = LeaseRecord(
        "a", 15, "1999-01-01T00:00:00.000000Z", "1999-01-01T00:00:00.000000Z", 0, "7"
    )
    store, clock = LeaseInMemory(record), Clock()

    assert not await is_acquired(candidate(store, "b", clock))


async def test_a_candidate_that_learns_nothing_says_why_once_a_minute() -> None:
    """With the API away it looks every second for as long as it takes; a refusal is news."""
    store, clock = LeaseInMemory(away=True), Clock()
    a = candidate(store, "a", clock)
    with capture_logs() as lines:
        await is_acquired(a)
        clock.now += TELL_AGAIN_SECONDS
        await is_acquired(a)
        store.away, store.refusing = False, True
        await is_acquired(a)

    assert ["lease_unknown", "lease_unknown", "lease_refused"] == [line["event"] for line in lines]


async def test_a_holder_that_cannot_renew_gives_up_at_its_deadline() -> None:
    """With the API away nobody else can take over either, but nobody may assume that."""
    store, clock = LeaseInMemory(), Clock()
    a = candidate(store, "a", clock)
    await is_acquired(a)

    store.away = True
    keeping = asyncio.create_task(a.keep())
    await asyncio.sleep(0.02)
    assert not keeping.done()
    clock.now += 10.1

    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(keeping, 1)


async def test_a_holder_that_is_refused_for_a_moment_goes_on() -> None:
    """An API server that has just started knows nobody's rights yet; past the deadline it is over
    all the same.
    """
    store, clock = LeaseInMemory(), Clock()
    a = candidate(store, "a", clock)
    await is_acquired(a)
    keeping = asyncio.create_task(a.keep())

    store.refusing = True
    await asyncio.sleep(0.02)
    store.refusing, before = False, store.writes
    await asyncio.sleep(0.02)
    assert store.writes > before
    assert a.is_leading

    store.refusing = True
    await asyncio.sleep(0.02)
    clock.now += 10.1
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(keeping, 1)


async def test_a_holder_whose_lease_others_change_all_the_time_goes_on() -> None:
    """Each renewal is refused as outdated: it reads, and writes at once."""
    store, clock = LeaseInMemory(labelled=True), Clock()
    a = candidate(store, "a", clock)
    await is_acquired(a)
    keeping = asyncio.create_task(a.keep())

    for _ in range(3):
        clock.now += 9.0
        await asyncio.sleep(0.02)

    assert a.is_leading
    keeping.cancel()


async def test_a_holder_that_was_replaced_learns_it_at_once() -> None:
    """It was stopped, and wakes up after the other took over."""
    store, clock = LeaseInMemory(), Clock()
    a, b = candidate(store, "a", clock), candidate(store, "b", clock)
    await is_acquired(a)
    await is_acquired(b)
    clock.now += 15.1
    await is_acquired(b)
    clock.now -= 15.1

    with pytest.raises(LeadershipLost, match="held by b"):
        await asyncio.wait_for(a.keep(), 1)


async def test_a_lost_answer_to_a_renewal_is_no_loss_of_the_lease() -> None:
    """The write arrived, its answer did not: the version moved on, the holder is still us."""
    store, clock = LeaseInMemory(), Clock()
    a = candidate(store, "a", clock)
    await is_acquired(a)
    assert store.record is not None
    store.record = replace(store.record, version="moved on")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(a.keep(), 0.05)

    assert a.is_leading
    assert store.writes > 2


def test_times_that_let_two_lead_are_refused() -> None:
    """The deadline must end before anybody may take over."""
    with pytest.raises(ValueError, match="renew_deadline_seconds < lease_duration_seconds"):
        LeaseSettings(renew_deadline_seconds=15.0)
