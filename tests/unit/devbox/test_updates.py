"""The waiting updates: acknowledged in order, bounded, never lost to a fault."""

import asyncio
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devbox.telegram.errors import InvalidControl, SimulatorFull
from devbox.telegram.faults import Faults, FaultSettings
from devbox.telegram.limits import Limits
from devbox.telegram.updates import Pending, Updates

FIRST = 1000


def new_updates(limits: Limits | None = None, seed: int = 0, **chances: float) -> Updates:
    """An empty list of updates with these faults."""
    faults = Faults(seed)
    faults.set(FaultSettings(**chances))  # type: ignore[arg-type]
    return Updates(limits or Limits(), faults, FIRST)


def make(updates: Updates, sender: int = 1, kind: str = "message") -> int:
    """One more update."""
    return updates.make(kind, {}, sender)


def ids(batch: list[Pending]) -> list[int]:
    """The update ids of a batch."""
    return [entry.update_id for entry in batch]


def test_an_update_stays_until_a_later_offset_confirms_it() -> None:
    """Taking acknowledges nothing; an offset acknowledges everything below it."""
    updates = new_updates()
    made = [make(updates) for _ in range(3)]

    assert made == ids(updates.take(100)) == ids(updates.take(100))
    updates.confirm(made[1])

    assert made[1:] == ids(updates.take(100))
    assert (
        updates.counts.made,
        updates.counts.delivered,
        updates.counts.acknowledged,
    ) == (3, 3, 1)


def test_a_negative_offset_keeps_only_the_last() -> None:
    """As Telegram: -2 forgets all but two."""
    updates = new_updates()
    made = [make(updates) for _ in range(4)]

    updates.keep_last(2)

    assert made[2:] == ids(updates.take(100))
    assert updates.counts.dropped == 2


def test_kinds_the_bot_does_not_want_are_not_delivered() -> None:
    """Without a wish everything but reactions and members; with one only what is wished."""
    updates = new_updates()
    assert make(updates, kind="message_reaction") == FIRST
    updates.allowed = ["callback_query"]
    make(updates, kind="message")
    wanted = make(updates, kind="callback_query")

    assert ids(updates.take(100)) == [wanted]
    assert updates.counts.unwanted == 2


def test_an_update_is_forgotten_after_a_day() -> None:
    """Telegram keeps updates for 24 hours."""
    updates = new_updates()
    now = 1_000_000.0
    updates.clock = lambda: now
    make(updates)
    now += 24 * 3600 - 1
    late = make(updates)
    now += 2

    assert ids(updates.take(100)) == [late]
    assert updates.counts.dropped == 1


def test_too_many_waiting_updates_are_refused_to_whoever_makes_them() -> None:
    """Nothing is dropped in silence: the maker is told that the bot is away."""
    updates = new_updates(Limits(pending_updates_max=2))
    make(updates)
    make(updates)

    with pytest.raises(SimulatorFull, match="the bot seems to be away"):
        make(updates)

    assert len(updates.pending) == 2


def test_a_duplicated_update_survives_one_acknowledgement() -> None:
    """It comes once more with the same id and the same body, then it is gone."""
    updates = new_updates(duplicate_updates=1.0)
    made = make(updates)
    first = updates.take(100)
    updates.confirm(made + 1)

    second = updates.take(100)
    updates.confirm(made + 1)

    assert first == second
    assert json.loads(second[0].body)["update_id"] == made
    assert updates.take(100) == []
    assert (updates.counts.acknowledged, updates.counts.redelivered) == (1, 1)


async def test_reordering_swaps_updates_of_different_users_and_loses_none() -> None:
    """The held update comes after the other user's, even behind the offset confirmed since."""
    updates = new_updates(reorder_updates=1.0)
    held = make(updates, sender=1)
    assert updates.take(100) == []
    passing = make(updates, sender=2)

    assert ids(updates.take(1)) == [passing]
    updates.confirm(passing + 1)

    assert ids(updates.take(100)) == [held]
    updates.confirm(passing + 1)
    assert updates.waiting() == 0


async def test_a_held_update_goes_by_itself_when_nobody_else_writes() -> None:
    """The hold is bounded in time."""
    updates = new_updates(Limits(reorder_hold_seconds=0.0), reorder_updates=1.0)
    arrived: list[int] = []
    updates.on_ready = lambda entry: arrived.append(entry.update_id)

    made = make(updates)
    await asyncio.sleep(0.001)

    assert arrived == [made]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=40),
    st.integers(0, 1000),
)
def test_with_every_fault_each_update_arrives_and_each_users_order_holds(
    steps: list[tuple[int, int]], seed: int
) -> None:
    """A bot that acknowledges what it took sees every update, each user's in order."""

    async def scene() -> None:
        updates = new_updates(seed=seed, duplicate_updates=0.4, reorder_updates=0.5)
        made: dict[int, list[int]] = {1: [], 2: [], 3: []}
        seen: list[int] = []
        offset = 0

        def poll(limit: int) -> None:
            nonlocal offset
            updates.confirm(offset)
            for entry in updates.take(limit):
                offset = max(offset, entry.update_id + 1)
                if entry.update_id not in seen:
                    seen.append(entry.update_id)

        for sender, limit in steps:
            made[sender].append(make(updates, sender))
            if limit:
                poll(limit)
        updates.release_held()
        while updates.waiting():
            poll(100)

        assert sorted(seen) == sorted(itertools.chain(*made.values()))
        for order in made.values():
            assert [update_id for update_id in seen if update_id in order] == order

    asyncio.run(scene())


def test_the_same_seed_gives_the_same_faults() -> None:
    """A failing test can be run again."""

    def drawn(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.set(FaultSettings(duplicate_updates=0.5))
        return [faults.duplicates() for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_chance_is_a_number_between_0_and_1() -> None:
    """A percentage by mistake is refused with a sentence."""
    with pytest.raises(InvalidControl, match="status_429 must be between 0 and 1"):
        Faults(0).set(FaultSettings(status_429=30))
