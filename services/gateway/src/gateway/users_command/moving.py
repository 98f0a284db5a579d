"""Moving users between pools: one transaction after another, each of users of one shard.

    look who is still to be moved → find room, in a shard that is owned → move them, all or none →
    wait for the owners → rest

Where a user is says all there is to know of a move: one that is begun anew, after whatever ended
it, goes on with those who are not there yet, and a move that is done moves nobody.

A move takes both shards from their owners for a moment, so it interrupts what runs in them. Users
who leave the same shard therefore go together, and between two moves the owners get time to catch
up. A shard that is busy is left alone and tried again; when a move takes too long, the next one
is of half as many.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from chassis.errors import NotFound, TryAgain
from gateway.domain import ShardRoom, Whereabouts
from gateway.errors import MoveOvertaken
from kernel.sharding import ShardKey

OWNERS_LOOK_SECONDS = 0.05
"""Between two looks whether the shards have owners again."""


class MoveStore(Protocol):
    """Knows where users are, and moves them."""

    async def knows_pool(self, pool: str) -> bool:
        """Whether a UserShard has declared the pool. Raises TryAgain."""

    async def find(self, bot_id: int, telegram_id: int) -> Whereabouts | None:
        """Say where a user is; None: nobody knows them. Raises TryAgain."""

    async def first_of(self, bot_id: int, pool: str, users_max: int) -> Sequence[Whereabouts]:
        """Give the first users of a pool's lowest shard with users. Raises TryAgain."""

    async def find_room(self, pool: str, users: int) -> ShardRoom:
        """Find the lowest shard of a declared pool with room for at least one of so many users,
        making one if need be. Raises TryAgain.
        """

    async def move(self, users: Sequence[UUID], source: ShardKey, room: ShardRoom) -> None:
        """Move users of one shard to another one, all or none.

        Raises MoveOvertaken (look anew), RoomsDisagree, TryAgain: whether they moved is not known.
        """

    def took_too_long(self, failure: TryAgain) -> bool:
        """Whether a move failed because of how much it moved."""

    async def are_owned(self, keys: Sequence[ShardKey]) -> bool:
        """Whether all of these shards have an owner. Raises TryAgain."""


@dataclass(frozen=True, slots=True)
class MovePace:
    """The rhythm of moving."""

    users_at_once_max: int
    tries_max: int
    pause_seconds: float
    pause_seconds_max: float
    """The pause after a try that moved nobody doubles up to this."""
    owners_wait_seconds: float
    """How long to wait for shards' owners; a pool without workers has none."""
    rest_seconds: float


@dataclass(frozen=True, slots=True)
class Moved:
    """Users who were moved by one transaction."""

    users: Sequence[Whereabouts]
    """As they were before."""
    target: ShardKey


Look = Callable[[int], Awaitable[Sequence[Whereabouts]]]
"""Gives at most so many of those who are still to be moved, all of one shard."""


class Moving:
    """Moves users."""

    def __init__(self, moves: MoveStore, bot_id: int, pace: MovePace) -> None:
        self._moves = moves
        self._bot_id = bot_id
        self._pace = pace

    async def move_user(self, telegram_id: int, pool: str) -> Moved | None:
        """Move one user; None: they are in that pool already.

        Raises NotFound (no such user, no such pool), TryAgain, RoomsDisagree.
        """
        await self._require_pool(pool)
        return await self._move_some(partial(self._still_elsewhere, telegram_id, pool), pool, 1)

    async def move_pool(self, source: str, pool: str, users_max: int) -> AsyncIterator[Moved]:
        """Move the users of a pool, the lowest shard's first, at most so many; tells of each move.

        Raises NotFound (no such pool), TryAgain, RoomsDisagree: what was told stays moved.
        """
        await self._require_pool(pool)
        if source == pool:
            return
        left = users_max
        while left and (
            moved := await self._move_some(
                partial(self._moves.first_of, self._bot_id, source), pool, left
            )
        ):
            left -= len(moved.users)
            yield moved
            if left:
                await asyncio.sleep(self._pace.rest_seconds)

    async def _require_pool(self, pool: str) -> None:
        if not await self._moves.knows_pool(pool):
            raise NotFound(f"no UserShard has declared the pool {pool}")

    async def _still_elsewhere(
        self, telegram_id: int, pool: str, _users_max: int
    ) -> Sequence[Whereabouts]:
        user = await self._moves.find(self._bot_id, telegram_id)
        if user is None:
            raise NotFound(f"nobody with the Telegram id {telegram_id} has been admitted")
        return [] if user.key.pool == pool else [user]

    async def _move_some(self, look: Look, pool: str, users_max: int) -> Moved | None:
        at_once = min(users_max, self._pace.users_at_once_max)
        failure, unsure = TryAgain(), None
        for pause in self._pauses():
            users: Sequence[Whereabouts] = await look(at_once)
            if unsure is not None and unsure.users[0] not in users:
                # They were the first, and a move moves all or none: it was done, unheard.
                return unsure
            if not users:
                return None
            try:
                room = await self._moves.find_room(pool, len(users))
                # One that was made just now is soon owned; until then nobody would serve them.
                await self._until_owned(room.key)
                unsure = Moved(users[: room.users], room.key)
                await self._moves.move([u.user_id for u in unsure.users], users[0].key, room)
            except MoveOvertaken:
                failure, unsure = TryAgain("users of these shards come and go"), None
            except TryAgain as outage:
                failure = outage
                if self._moves.took_too_long(outage):
                    at_once = max(1, len(users) // 2)
            else:
                await self._until_owned(users[0].key, room.key)
                return unsure
            await asyncio.sleep(pause)
        raise failure

    async def _until_owned(self, *keys: ShardKey) -> None:
        """Wait until shards are served, or for as long as that may take."""
        now = asyncio.get_running_loop().time
        ends_at = now() + self._pace.owners_wait_seconds
        while now() < ends_at:
            with suppress(TryAgain):  # what the database says now changes nothing
                if await self._moves.are_owned(keys):
                    return
            await asyncio.sleep(OWNERS_LOOK_SECONDS)

    def _pauses(self) -> Iterator[float]:
        pause = self._pace.pause_seconds
        for _ in range(self._pace.tries_max):
            yield pause
            pause = min(2 * pause, self._pace.pause_seconds_max)
