"""Moving users: what is tried again, what is left alone, and what a second run does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from chassis.errors import NotFound, TryAgain
from gateway.domain import ShardRoom, Whereabouts
from gateway.errors import MoveOvertaken, RoomsDisagree
from gateway.users_command.moving import Moved, MovePace, Moving
from kernel.sharding import ShardKey

MAIN, FAST = "default.main", "default.fast"
BOT = 1
PACE = MovePace(
    users_at_once_max=4,
    tries_max=5,
    pause_seconds=0.001,
    pause_seconds_max=0.002,
    owners_wait_seconds=0.2,
    rest_seconds=0.0,
)


@dataclass
class Town:
    """A MoveStore in memory: who is in which shard, and what goes wrong next."""

    homes: dict[int, ShardKey]
    room: int = 4
    failures: list[Exception] = field(default_factory=list)
    moves: list[tuple[int, ...]] = field(default_factory=list)
    ownerless_looks: int = 0
    looks: list[tuple[int | ShardKey, ...]] = field(default_factory=list)
    """At owners: after how many moves, of which shards."""
    is_lock_missing: bool = False
    is_answer_lost: bool = False
    """The next move is done, and nobody hears of it."""

    async def knows_pool(self, pool: str) -> bool:
        """Two pools are declared."""
        return pool in (MAIN, FAST)

    async def find(self, bot_id: int, telegram_id: int) -> Whereabouts | None:
        """One user."""
        home = self.homes.get(telegram_id)
        return None if home is None else Whereabouts(UUID(int=telegram_id), telegram_id, home)

    async def first_of(self, bot_id: int, pool: str, users_max: int) -> Sequence[Whereabouts]:
        """Of the lowest shard."""
        here = sorted((home, user) for user, home in self.homes.items() if home.pool == pool)
        lowest = [(home, user) for home, user in here if home == here[0][0]]
        return [Whereabouts(UUID(int=user), user, home) for home, user in lowest[:users_max]]

    async def find_room(self, pool: str, users: int) -> ShardRoom:
        """Shard 7, which never fills up."""
        return ShardRoom(ShardKey(pool, 7), min(users, self.room), self.room)

    async def move(self, users: Sequence[UUID], source: ShardKey, room: ShardRoom) -> None:
        """Fail as told, before anything is changed."""
        self.moves.append(tuple(user.int for user in users))
        if self.failures:
            raise self.failures.pop(0)
        for user in users:
            assert self.homes[user.int] == source
            self.homes[user.int] = room.key
        if self.is_answer_lost:
            self.is_answer_lost = False
            raise TryAgain("the connection was lost")

    def took_too_long(self, failure: TryAgain) -> bool:
        """Unless it was for want of a lock."""
        return not self.is_lock_missing

    async def are_owned(self, keys: Sequence[ShardKey]) -> bool:
        """After some looks."""
        self.looks.append((len(self.moves), *keys))
        self.ownerless_looks -= 1
        return self.ownerless_looks < 0


def town(users: int = 6, per_shard: int = 3) -> Town:
    """Users 1, 2, 3, … of the standard pool."""
    return Town({n + 1: ShardKey(MAIN, n // per_shard) for n in range(users)})


async def all_moved(store: Town, users_max: int = 100) -> list[Moved]:
    """Move the users of the standard pool to the fast one."""
    return [moved async for moved in Moving(store, BOT, PACE).move_pool(MAIN, FAST, users_max)]


async def test_a_user_is_moved_once() -> None:
    """The same command again finds them there."""
    store = town()
    moved = await Moving(store, BOT, PACE).move_user(5, FAST)
    assert moved is not None
    assert (ShardKey(MAIN, 1), ShardKey(FAST, 7)) == (moved.users[0].key, moved.target)
    assert await Moving(store, BOT, PACE).move_user(5, FAST) is None
    assert store.moves == [(5,)]


async def test_users_of_one_shard_go_together() -> None:
    """Within the bound, and never two shards' at once."""
    store = town(users=8, per_shard=5)
    await all_moved(store)
    assert store.moves == [(1, 2, 3, 4), (5,), (6, 7, 8)]
    assert {home.pool for home in store.homes.values()} == {FAST}


async def test_no_more_go_than_there_is_room_for() -> None:
    """The rest goes with the next move, which finds another shard."""
    store = town()
    store.room = 2
    await all_moved(store)
    assert store.moves == [(1, 2), (3,), (4, 5), (6,)]


async def test_a_limit_is_kept() -> None:
    """Also within a shard."""
    store = town()
    await all_moved(store, users_max=4)
    assert store.moves == [(1, 2, 3), (4,)]


async def test_a_run_that_was_cut_is_gone_on_with() -> None:
    """Those who are there already are left alone."""
    store = town()
    await all_moved(store, users_max=2)
    await all_moved(store)
    assert store.moves == [(1, 2), (3,), (4, 5, 6)]


@pytest.mark.parametrize("failure", [MoveOvertaken("gone"), TryAgain("busy")])
async def test_what_moved_nobody_is_tried_again(failure: Exception) -> None:
    """Looking anew each time."""
    store = town(users=1)
    store.failures = [failure, failure]
    await all_moved(store)
    assert store.moves == [(1,), (1,), (1,)]


async def test_a_move_that_takes_too_long_is_halved() -> None:
    """Down to one user, if need be."""
    store = town(users=4, per_shard=4)
    store.failures = [TryAgain("too slow"), TryAgain("too slow")]
    await all_moved(store)
    assert store.moves[:3] == [(1, 2, 3, 4), (1, 2), (1,)]
    assert {home.pool for home in store.homes.values()} == {FAST}


async def test_a_busy_shard_is_no_reason_to_move_fewer() -> None:
    """Half as many would wait for the same lock."""
    store = town(users=3)
    store.failures, store.is_lock_missing = [TryAgain("busy")], True
    await all_moved(store)
    assert store.moves == [(1, 2, 3), (1, 2, 3)]


async def test_a_move_whose_answer_is_lost_was_done() -> None:
    """It is told of as done, and nobody is moved twice or left out."""
    store = town(users=1)
    store.is_answer_lost = True
    moved = await Moving(store, BOT, PACE).move_user(1, FAST)
    assert moved is not None
    assert ShardKey(FAST, 7) == moved.target
    store = town(users=5)
    store.is_answer_lost = True
    told = await all_moved(store)
    assert [1, 2, 3, 4, 5] == [user.telegram_id for moved in told for user in moved.users]
    assert store.moves == [(1, 2, 3), (4, 5)]


async def test_it_gives_up_after_so_many_tries() -> None:
    """With the reason of the last one."""
    store = town(users=1)
    store.failures = [TryAgain("busy")] * PACE.tries_max
    with pytest.raises(TryAgain, match="busy"):
        await all_moved(store)
    assert len(store.moves) == PACE.tries_max


async def test_what_needs_a_person_is_not_tried_again() -> None:
    """Rooms that disagree do so the next time, too."""
    store = town(users=1)
    store.failures = [RoomsDisagree("the ledger knows better")]
    with pytest.raises(RoomsDisagree):
        await all_moved(store)
    assert len(store.moves) == 1


async def test_the_owners_are_waited_for() -> None:
    """Of a new shard before the move, of both after it, and not for ever."""
    store = town(users=1)
    store.ownerless_looks = 2
    await all_moved(store)
    home, target = ShardKey(MAIN, 0), ShardKey(FAST, 7)
    assert store.looks == [*[(0, target)] * 3, (1, home, target)]
    store = town(users=1)
    store.ownerless_looks = 1_000_000
    await all_moved(store)
    assert store.ownerless_looks > 0


async def test_nobody_and_nowhere_are_said_to_be_so() -> None:
    """A stranger, and a pool nobody has declared."""
    moving = Moving(town(), BOT, PACE)
    with pytest.raises(NotFound, match="99"):
        await moving.move_user(99, FAST)
    with pytest.raises(NotFound, match=r"default\.nowhere"):
        await moving.move_user(1, "default.nowhere")
