"""Accepting updates, and the jobs made of them.

One transaction takes a whole batch in a few statements, however many rows: remember the update ids
(whoever else is taking the same ones makes us wait, so nobody acknowledges what is not committed),
lock the users, give each their next places, look up pressed messages, put the jobs down. Now and
then shards are looked at; newcomers cost a few statements more. A rush of one user's gets no
places, and neither does what finds too much waiting: both are answered once, in the same
transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import asyncpg

from chassis.errors import TryAgain
from chassis.postgres import Connection, Pool, retry_transaction, transaction
from chassis.telemetry import get_logger
from gateway.domain import (
    AcceptedJob,
    Incoming,
    Membership,
    OverLimit,
    Storable,
    Verdict,
    press_answer,
)
from gateway.errors import RowsRefused
from gateway.postgres.directory import Place, Raced
from gateway.postgres.places import Given, Places
from gateway.texts import TOO_MUCH_WAITING, in_language
from kernel.identifiers import new_uuid7
from purser.gateway.v1 import job_pb2, reply_pb2

RACES_MAX = 5
"""Each race lost means that another gateway admitted one of our newcomers: five in a row do not
happen.
"""

_ABOUT_THE_DATA = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    # Our own code tripping over what an update holds.
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)

_log = get_logger(__name__)

Result: TypeAlias = tuple[Verdict, AcceptedJob | None]

_REMEMBER = """
INSERT INTO gateway.updates_seen (bot_id, update_id)
SELECT $1, update_id FROM unnest($2::bigint[]) AS u (update_id) ORDER BY update_id
ON CONFLICT DO NOTHING RETURNING update_id
"""

_PRESSED = """
SELECT m.user_id, m.message_id, m.message_key
FROM unnest($1::uuid[], $2::bigint[]) AS p (user_id, message_id)
JOIN gateway.messages m USING (user_id, message_id)
"""

_PUT = """
INSERT INTO gateway.inbox
    (job_id, user_id, user_seq, pool, shard, accepted_at, payload, press_answer)
SELECT job_id, user_id, user_seq, pool, shard, accepted_at, payload, press_answer
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::integer[], $6::timestamptz[],
            $7::bytea[], $8::bytea[]) WITH ORDINALITY
    AS j (job_id, user_id, user_seq, pool, shard, accepted_at, payload, press_answer, place)
ORDER BY j.place
"""

# The rush's name is the key: one answer, however many batches and gateways refuse the rest.
_ANSWER_RUSHES = """
WITH said AS (
    INSERT INTO gateway.outbox (lane, cause, number, user_id, payload)
    SELECT 1, r.rush, 1, u.user_id, r.answer
    FROM unnest($2::bigint[], $3::uuid[], $4::bytea[]) AS r (telegram_id, rush, answer)
    JOIN gateway.users u ON u.bot_id = $1 AND u.telegram_id = r.telegram_id
    ORDER BY r.rush
    ON CONFLICT (lane, cause, number) DO NOTHING
    RETURNING user_id
)
INSERT INTO gateway.senders AS s (user_id, lane)
SELECT DISTINCT user_id, 1 FROM said ORDER BY user_id
ON CONFLICT (user_id, lane) DO UPDATE SET arrivals = s.arrivals + 1
"""

_SET_ASIDE = """
INSERT INTO gateway.rejected_updates (bot_id, update_id, raw, error, telegram_id)
VALUES ($1, $2, $3, $4, $5)
"""


class Inbox:
    """The truth about what came in."""

    def __init__(self, pool: Pool, bot_id: int, places: Places) -> None:
        self._pool = pool
        self._bot_id = bot_id
        self._places = places

    async def accept(self, updates: Sequence[Storable]) -> list[Result]:
        """Commit a batch of updates with different ids; per update, in order, what became of it.

        Raises RowsRefused when a row's data cannot be kept (nothing is), TryAgain when the
        database is away.
        """

        async def work(connection: Connection) -> list[Result]:
            return await self._accept(connection, updates)

        for _ in range(RACES_MAX):
            try:
                return await retry_transaction(self._pool, work)
            except Raced:
                continue
            except _ABOUT_THE_DATA as error:
                raise RowsRefused(type(error).__name__) from error
            except asyncpg.PostgresError as error:
                # Nothing a row could be blamed for: wrong rights, a missing table, a full disk.
                _log.error("accept_failed", exc_info=error)
                raise TryAgain("the database refuses to take updates") from error
        raise TryAgain("newcomers are being admitted elsewhere")

    async def set_aside(
        self, update_id: int | None, telegram_id: int | None, raw: bytes, error: str
    ) -> None:
        """Keep an update that nothing can be made of. Raises TryAgain."""
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SET_ASIDE, self._bot_id, update_id, raw, error[:2000], telegram_id
            )

    async def _accept(self, connection: Connection, updates: Sequence[Storable]) -> list[Result]:
        remembered = await connection.fetch(
            _REMEMBER, self._bot_id, [update.update_id for update in updates]
        )
        new_ids = {row["update_id"] for row in remembered}
        fresh = [update for update in updates if update.update_id in new_ids]
        given = await self._places.give(
            connection, [update for update in fresh if not isinstance(update, OverLimit)]
        )
        kept, refused = _admitted(fresh, given)
        places = {telegram_id: own.place for telegram_id, own in given.items()}
        jobs = await self._put(connection, kept, places) if kept else {}
        rushes = {update.rush: update for update in fresh if isinstance(update, OverLimit)}
        first_refused = {update.telegram_id: update for update in reversed(refused)}
        waits = [_waits(u) for user, u in first_refused.items() if given[user].is_new_rush]
        if rushes or waits:
            await self._answer_rushes(connection, [*rushes.values(), *waits])
        no_room = {update.update_id for update in refused}
        return [self._result(update, new_ids, jobs, no_room) for update in updates]

    @staticmethod
    def _result(
        update: Storable, new_ids: set[int], jobs: dict[int, AcceptedJob], no_room: set[int]
    ) -> Result:
        if update.update_id not in new_ids:
            return Verdict.DUPLICATE, None
        if isinstance(update, Membership):
            return Verdict.NOTED, None
        if isinstance(update, OverLimit):
            return Verdict.OVER_LIMIT, None
        if update.update_id in no_room:
            return Verdict.TOO_MUCH_WAITING, None
        job = jobs.get(update.update_id)
        return (Verdict.ACCEPTED, job) if job else (Verdict.TURNED_AWAY, None)

    async def _answer_rushes(self, connection: Connection, over: Sequence[OverLimit]) -> None:
        """See to it that each rush is answered once; strangers are not known and get no answer."""
        await connection.execute(
            _ANSWER_RUSHES,
            self._bot_id,
            [update.telegram_id for update in over],
            [update.rush for update in over],
            [update.answer.SerializeToString() for update in over],
        )

    async def _put(
        self, connection: Connection, updates: Sequence[Incoming], places: dict[int, Place]
    ) -> dict[int, AcceptedJob]:
        """Complete the drafts and put them into the inbox, in order; the jobs by update id."""
        keys = await self._pressed_keys(connection, updates, places)
        left: dict[int, int] = {}
        for update in updates:
            left[update.telegram_id] = left.get(update.telegram_id, 0) + 1
        rows = []
        job_of = {}
        for update in updates:
            place = places[update.telegram_id]
            left[update.telegram_id] -= 1
            user_seq = place.last_user_seq - left[update.telegram_id]
            job_id = new_uuid7()
            job = job_pb2.Job()
            job.CopyFrom(update.draft)
            job.job_id = str(job_id)
            job.pool = place.pool
            job.shard = place.shard
            job.user_id = str(place.user_id)
            job.user_seq = user_seq
            job.accepted_at.FromDatetime(place.at)
            if job.WhichOneof("input") == "press":
                job.press.message_key = keys.get((place.user_id, update.pressed_message_id), "")
            payload = job.SerializeToString()
            answer = press_answer(update.press_id) if update.press_id else None
            rows.append(
                (
                    job_id,
                    place.user_id,
                    user_seq,
                    place.pool,
                    place.shard,
                    place.at,
                    payload,
                    answer,
                )
            )
            job_of[update.update_id] = AcceptedJob(place.pool, place.shard, payload)
        await connection.execute(_PUT, *map(list, zip(*rows, strict=True)))
        return job_of

    @staticmethod
    async def _pressed_keys(
        connection: Connection, updates: Sequence[Incoming], places: dict[int, Place]
    ) -> dict[tuple[UUID, int], str]:
        """Find the workers' own names of the pressed messages."""
        pressed = [
            (places[update.telegram_id].user_id, update.pressed_message_id)
            for update in updates
            if update.pressed_message_id
        ]
        if not pressed:
            return {}
        rows = await connection.fetch(
            _PRESSED, [user for user, _ in pressed], [message for _, message in pressed]
        )
        return {(row["user_id"], row["message_id"]): row["message_key"] for row in rows}


def _admitted(
    updates: Iterable[Storable], given: Mapping[int, Given]
) -> tuple[list[Incoming], list[Incoming]]:
    """Tell those that become jobs, each user's first ones, from those there is no room for."""
    kept: list[Incoming] = []
    refused: list[Incoming] = []
    left = {(user, False): own.jobs for user, own in given.items()}
    left |= {(user, True): own.urgent for user, own in given.items()}
    for update in updates:
        if isinstance(update, Incoming) and update.telegram_id in given:
            kind = update.telegram_id, update.is_urgent
            left[kind] -= 1
            (kept if left[kind] >= 0 else refused).append(update)
    return kept, refused


def _waits(update: Incoming) -> OverLimit:
    """Make what tells a user once that too much of theirs is waiting."""
    text = in_language(TOO_MUCH_WAITING, update.draft.language_code)
    reply = reply_pb2.Reply(send_text=reply_pb2.SendText(text=text))
    return OverLimit(update.update_id, update.telegram_id, new_uuid7(), reply)
