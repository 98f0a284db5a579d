"""Users as people who run the service ask about them: where they are, and who is invited where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.errors import CannotStart, NotFound, Refused
from chassis.postgres import Connection, Pool, retry_transaction, transaction

_BOTS = """
SELECT min(bot_id) AS first, max(bot_id) AS last FROM gateway.users
"""

_KNOWN_POOL = "SELECT EXISTS (SELECT FROM placement.pools WHERE pool = $1)"

_COLUMNS = "user_id, telegram_id, pool, shard, last_user_seq, blocked_at, created_at"
_READ = f"""
SELECT {_COLUMNS} FROM gateway.users WHERE bot_id = $1 AND telegram_id = $2
"""  # noqa: S608 (columns of ours)
_LIST = f"""
SELECT {_COLUMNS} FROM gateway.users
WHERE bot_id = $1 AND pool = $2 AND (shard, telegram_id) > ($3, $4)
ORDER BY shard, telegram_id LIMIT $5
"""  # noqa: S608 (columns of ours)

_INVITATION = """
SELECT pool FROM gateway.invitations WHERE bot_id = $1 AND telegram_id = $2
"""

_INVITED = """
SELECT telegram_id FROM gateway.invitations WHERE bot_id = $1 AND pool = $2
ORDER BY made_at DESC, telegram_id LIMIT $3
"""

_INVITE = """
INSERT INTO gateway.invitations (bot_id, telegram_id, pool) VALUES ($1, $2, $3)
ON CONFLICT (bot_id, telegram_id) DO UPDATE SET pool = excluded.pool, made_at = clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as the directory has them."""

    user_id: UUID
    telegram_id: int
    pool: str
    shard: int
    last_user_seq: int
    """How much they have ever sent."""
    blocked_at: datetime | None
    created_at: datetime


class Users:
    """Users of one bot, and invitations."""

    def __init__(self, pool: Pool, bot_id: int) -> None:
        self._pool = pool
        self._bot_id = bot_id

    async def read(self, telegram_id: int) -> UserRow | None:
        """Read one. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            row = await connection.fetchrow(_READ, self._bot_id, telegram_id)
        return None if row is None else UserRow(*row)

    async def list(self, pool: str, users_max: int, after: tuple[int, int]) -> Sequence[UserRow]:
        """Read users of a pool by shard and Telegram id, from behind such a pair on.

        Raises TryAgain.
        """
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_LIST, self._bot_id, pool, *after, users_max)
        return [UserRow(*row) for row in rows]

    async def invitation(self, telegram_id: int) -> str | None:
        """Name the pool a stranger is invited to. Raises TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            pool: str | None = await connection.fetchval(_INVITATION, self._bot_id, telegram_id)
        return pool

    async def invited(self, pool: str, strangers_max: int) -> Sequence[int]:
        """Read who is invited to a pool and has not come, the last invited first.

        Raises TryAgain.
        """
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_INVITED, self._bot_id, pool, strangers_max)
        return [row["telegram_id"] for row in rows]

    async def invite(self, telegram_id: int, pool: str) -> None:
        """Have a stranger admitted to a pool at first contact; a later invitation replaces it.

        Raises NotFound (no such pool), Refused (is a user already), TryAgain.
        """

        async def work(connection: Connection) -> None:
            if not await connection.fetchval(_KNOWN_POOL, pool):
                raise NotFound(f"no UserShard has declared the pool {pool}")
            row = await connection.fetchrow(_READ, self._bot_id, telegram_id)
            if row is not None:
                raise Refused(f"{telegram_id} is a user of the pool {row['pool']} already")
            await connection.execute(_INVITE, self._bot_id, telegram_id, pool)

        await retry_transaction(self._pool, work)


async def only_bot(pool: Pool) -> int:
    """Find the bot whose users are in the database. Raises CannotStart unless there is just one."""
    async with transaction(pool, readonly=True) as connection:
        row = await connection.fetchrow(_BOTS)
    if row is None or row["first"] is None or row["first"] != row["last"]:
        how_many = "no" if row is None or row["first"] is None else "more than one"
        raise CannotStart(
            f"the database has users of {how_many} bot: set GATEWAY_USERS_BOT_ID to the number "
            "before the colon of the bot's token."
        )
    return int(row["first"])
