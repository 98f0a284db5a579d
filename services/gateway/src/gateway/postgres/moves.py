"""Moving users between shards, as the role `purser_user_mover`: one transaction over all rooms.

Each room moves its own rows by a function of its own; this calls them one after another, so a user
is in one shard everywhere or in the other one everywhere, whatever dies. The transaction holds both
shards' locks exclusively, so it begins when no write for them is under way, and those that come
meanwhile wait. It raises the epochs of both: whatever was begun before is refused after it, and the
owners begin anew with what stands in the tables.

Locks are taken in one order: shards, users, pools, rows of the rooms. The role gives up waiting
soon and cannot take long; then nothing was changed, and it is tried again.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from chassis.errors import TryAgain
from chassis.postgres import Connection, Pool, retry_transaction, transaction
from gateway.domain import ShardRoom, Whereabouts
from gateway.errors import MoveOvertaken, RoomsDisagree
from gateway.postgres.shard_rooms import find_rooms, lock_pools
from kernel.sharding import ShardKey

_OVERTAKEN = "PM002"
_ELSEWHERE = "PM001"
_LOCK_TIMEOUT = "55P03"

_KNOWN_POOL = "SELECT EXISTS (SELECT FROM placement.pools WHERE pool = $1)"

_OF_POOL = """
SELECT user_id, telegram_id, pool, shard FROM gateway.users
WHERE pool = $1 AND bot_id = $2 ORDER BY shard, telegram_id LIMIT $3
"""

_OF_TELEGRAM_ID = """
SELECT user_id, telegram_id, pool, shard FROM gateway.users WHERE bot_id = $1 AND telegram_id = $2
"""

_LOCK = "SELECT gateway.lock_to_move($1, $2, $3, $4, $5, $6)"
_MOVE_HERE = "SELECT gateway.move_users($1, $2, $3, $4, $5)"
_MOVE_ORDERS = "SELECT worker.move_users($1, $2, $3, $4, $5)"
_MOVE_AT_VENUE = "SELECT venue.move_users($1, $2, $3, $4, $5, $6)"
_MOVE_BOOKS = "SELECT ledger.move_users($1, $2, $3, $4, $5)"
_MOVE_WALLETS = "SELECT wallet.move_users($1, $2, $3, $4, $5)"

_OWNERLESS = """
SELECT count(*) FROM unnest($1::text[], $2::integer[]) AS k (pool, shard)
JOIN placement.shards s USING (pool, shard) WHERE s.owner IS NULL
"""


class Moves:
    """Knows where users are, and moves them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def knows_pool(self, pool: str) -> bool:
        """Whether a UserShard has declared the pool. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            known: bool = await connection.fetchval(_KNOWN_POOL, pool)
        return known

    async def find(self, bot_id: int, telegram_id: int) -> Whereabouts | None:
        """Say where a user is; None: nobody knows them. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            row = await connection.fetchrow(_OF_TELEGRAM_ID, bot_id, telegram_id)
        return None if row is None else _whereabouts(row)

    async def first_of(self, bot_id: int, pool: str, users_max: int) -> list[Whereabouts]:
        """Give the first users of a pool's lowest shard with users. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_OF_POOL, pool, bot_id, users_max)
        return [user for user in map(_whereabouts, rows) if user.key.shard == rows[0]["shard"]]

    async def find_room(self, pool: str, users: int) -> ShardRoom:
        """Find the lowest shard of a declared pool with room for at least one of so many users,
        making one if need be. Raises TryAgain.
        """

        async def work(connection: Connection) -> ShardRoom:
            # The pool has its policy, so what holds without one never does.
            state = (await lock_pools(connection, {pool}, users_per_shard=1))[pool]
            shards = await find_rooms(connection, state, users)
            first = shards[0]
            return ShardRoom(ShardKey(pool, first), shards.count(first), state.users_per_shard)

        return await retry_transaction(self._pool, work)

    async def move(self, users: Sequence[UUID], source: ShardKey, room: ShardRoom) -> None:
        """Move users of one shard to another one, all or none.

        Raises MoveOvertaken (look anew), RoomsDisagree, TryAgain: whether they moved is not known.
        """

        async def work(connection: Connection) -> None:
            await _move(connection, list(users), source, room)

        try:
            await retry_transaction(self._pool, work)
        except asyncpg.PostgresError as error:
            if error.sqlstate == _OVERTAKEN:
                raise MoveOvertaken(str(error)) from error
            if error.sqlstate == _ELSEWHERE:
                raise RoomsDisagree(str(error)) from error
            raise

    def took_too_long(self, failure: TryAgain) -> bool:
        """Whether a move failed because of how much it moved: not for want of a lock."""
        return getattr(failure.__cause__, "sqlstate", None) != _LOCK_TIMEOUT

    async def are_owned(self, keys: Sequence[ShardKey]) -> bool:
        """Whether all of these shards have an owner. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            ownerless: int = await connection.fetchval(
                _OWNERLESS, [key.pool for key in keys], [key.shard for key in keys]
            )
        return not ownerless


async def _move(
    connection: Connection, users: Sequence[UUID], source: ShardKey, room: ShardRoom
) -> None:
    """Every step in the order in which the rooms' functions take their locks."""
    way = (source.pool, source.shard, room.key.pool, room.key.shard)
    await connection.execute(_LOCK, users, *way, room.users_per_shard)
    await connection.execute(_MOVE_HERE, users, *way)
    orders = await connection.fetchval(_MOVE_ORDERS, users, *way)
    await connection.execute(_MOVE_AT_VENUE, users, orders, *way)
    await connection.execute(_MOVE_BOOKS, users, *way)
    await connection.execute(_MOVE_WALLETS, users, *way)


def _whereabouts(row: asyncpg.Record) -> Whereabouts:
    return Whereabouts(row["user_id"], row["telegram_id"], ShardKey(row["pool"], row["shard"]))
