"""Freezes: all of a user's trading is stopped in one transaction, and nothing is accepted after it.

Two kinds of transactions may be under way when a freeze comes. Those that accept something because
the user asked take the freeze's lock (`is_frozen`), so one of the two waits for the other. Those
that act on a row the freeze cancels, such as a plan, lock that row: they find it cancelled, or what
they accepted is found by the last statement here. Rows are therefore swept from what orders to what
is ordered.
"""

from collections import Counter
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.postgres import Connection, Pool, fence
from kernel.sharding import Claim
from user_worker.domain.freezing import Frozen, Stopped
from user_worker.postgres.answering import answering

_LOCK = "SELECT pg_advisory_xact_lock(worker.freeze_key($1))"
_READ = "SELECT job_id, stopped, frozen_at FROM worker.freezes WHERE user_id = $1"
_KEEP = """
INSERT INTO worker.freezes AS kept (user_id, pool, shard, job_id, stopped)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) DO UPDATE SET pool = excluded.pool, shard = excluded.shard,
    job_id = excluded.job_id, stopped = excluded.stopped
RETURNING frozen_at
"""
_THAW = """
DELETE FROM worker.freezes WHERE user_id = $1 AND pool = $2 AND shard = $3 AND job_id = $4
"""
_CANCEL_PLANS = """
UPDATE worker.plans SET state = 'cancelled', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state IN ('active', 'paused')
"""
_CANCEL_OFFERED_PLANS = """
UPDATE worker.plans SET state = 'cancelled', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'offered'
    AND expires_at > clock_timestamp()
"""
_END_COPIES = """
UPDATE worker.copies SET state = 'ended', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'active'
"""
_END_OFFERED_COPIES = """
UPDATE worker.copies SET state = 'ended', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'offered'
    AND expires_at > clock_timestamp()
"""
# Locked in the order in which a trigger locks them.
_CANCEL_RESTING = """
WITH taken AS (
    SELECT order_id FROM worker.resting_orders
    WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'waiting'
    ORDER BY order_id FOR UPDATE)
UPDATE worker.resting_orders SET state = 'cancelled', ended_at = clock_timestamp()
WHERE order_id IN (SELECT order_id FROM taken)
"""
_CANCEL_DRAFTS = """
UPDATE worker.drafts SET state = 'cancelled'
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'open'
    AND expires_at > clock_timestamp()
"""
# Too late from now on: what gives up orders that could not be submitted in time gives these up.
_GIVE_UP = """
UPDATE worker.orders SET is_frozen = true,
    submit_before = least(submit_before, clock_timestamp())
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state IN ('accepted', 'held')
    AND NOT is_frozen
"""
_SWEEPS = (
    ("plans", _CANCEL_PLANS),
    ("offers", _CANCEL_OFFERED_PLANS),
    ("copies", _END_COPIES),
    ("offers", _END_OFFERED_COPIES),
    ("resting", _CANCEL_RESTING),
    ("offers", _CANCEL_DRAFTS),
    ("orders", _GIVE_UP),
)
_SUBMITTED = """
SELECT count(*) FROM worker.orders
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state IN ('submitted', 'executed')
"""


async def is_frozen(connection: Connection, user_id: UUID) -> bool:
    """Say whether a user's trading is frozen, and keep it so until this transaction ends.

    To be asked after the fence and before any row of the user is locked.
    """
    frozen: bool = await connection.fetchval("SELECT worker.is_frozen($1)", user_id)
    return frozen


class PostgresFreezes:
    """worker.freezes."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """Stop all of a user's trading; the same job again gives the same answer."""
        mine = (user_id, claim.pool, claim.shard)
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_LOCK, user_id)
            row = await connection.fetchrow(_READ, user_id)
            if row is not None and row["job_id"] == job_id:
                return Frozen(row["frozen_at"], _stopped_of(row["stopped"]))
            counts = Counter[str]()
            for kind, sweep in _SWEEPS:
                counts[kind] += _count(await connection.execute(sweep, *mine))
            counts["submitted"] = await connection.fetchval(_SUBMITTED, *mine)
            stopped = Stopped(**counts)
            since = await connection.fetchval(
                _KEEP, *mine, job_id, msgspec.json.encode(stopped).decode()
            )
        return Frozen(since, stopped)

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        """Say since when a user's trading is frozen, if it is."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(_READ, user_id)
        return None if row is None else row["frozen_at"]

    async def standing(self, user_id: UUID) -> UUID | None:
        """Name the freeze that stands: the job that asked for it last."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(_READ, user_id)
        return None if row is None else row["job_id"]

    async def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        """End a freeze, unless another one stands by now; says whether the user may trade.

        What was stopped stays so. Safe to repeat.
        """
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_LOCK, user_id)
            await connection.execute(_THAW, user_id, claim.pool, claim.shard, freeze_id)
            return await connection.fetchrow(_READ, user_id) is None


def _count(status: str) -> int:
    """Read how many rows a statement changed, from "UPDATE 3"."""
    return int(status.rpartition(" ")[2])


def _stopped_of(stored: str) -> Stopped:
    return msgspec.json.decode(stored, type=Stopped)
