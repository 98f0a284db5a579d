"""Resting orders and alerts, as users handle them: offered with a draft, confirmed, cancelled."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import asyncpg

from chassis.postgres import Connection, Pool, fence
from kernel.sharding import Claim
from user_worker.domain.notes import RestingPlaced
from user_worker.domain.orders import DraftState, Refusal, Refused
from user_worker.domain.resting import (
    ALERT_SECONDS,
    Alert,
    Direction,
    RestingOrder,
    RestingState,
)
from user_worker.postgres.answering import answering
from user_worker.postgres.events import NewNote, add_notes
from user_worker.postgres.freezes import is_frozen
from user_worker.postgres.trading_rows import SELECT_RESTING, resting_of
from user_worker.resting_ports import NewAlert

_OF_JOB = f"{SELECT_RESTING} WHERE d.job_id = $1 AND d.user_id = $2"
_READ = f"{SELECT_RESTING} WHERE d.draft_id = $1 AND d.user_id = $2"
# The resting order's row alone stands for both: a trigger takes it before it touches the draft's.
# In a statement of its own: the next one sees what whoever held it has changed. One that triggered
# stays where it did when its user moves.
_TAKEN = f"{_READ} AND worker.is_at_home(r.user_id, r.pool, r.shard, $3, $4)"
_LOCK = """
SELECT FROM worker.resting_orders
WHERE order_id = $1 AND user_id = $2 AND pool = $3 AND shard = $4 FOR UPDATE
"""
_CLOSE_DRAFT = "UPDATE worker.drafts SET state = $2 WHERE draft_id = $1 AND state = 'open'"
_WAITING_COUNT = """
SELECT count(*) FROM worker.resting_orders WHERE user_id = $1 AND state = 'waiting'
"""
_WAIT = """
UPDATE worker.resting_orders SET state = 'waiting', language = $2, placed_at = now.t,
    expires_at = now.t + make_interval(secs => lasts_seconds)
FROM (SELECT clock_timestamp() AS t) AS now
WHERE order_id = $1 AND state = 'offered'
"""
_CANCEL = """
UPDATE worker.resting_orders SET state = 'cancelled', ended_at = clock_timestamp()
WHERE order_id = $1 AND state = 'waiting'
"""

_ALERT_COLUMNS = "alert_id, symbol, direction, price, expires_at"
_ALERT_COUNT = """
SELECT count(*) FROM worker.alerts WHERE user_id = $1 AND state = 'waiting' AND alert_id <> $2
"""
_SET_ALERT = """
INSERT INTO worker.alerts (alert_id, user_id, pool, shard, symbol, direction, price, language,
    expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9))
ON CONFLICT (alert_id) DO NOTHING
"""
_READ_ALERT = f"""
SELECT {_ALERT_COLUMNS} FROM worker.alerts WHERE alert_id = $1 AND user_id = $2
"""  # noqa: S608 (columns of ours)
_REMOVE_ALERT = """
UPDATE worker.alerts SET state = 'removed', ended_at = clock_timestamp()
WHERE alert_id = $1 AND user_id = $2 AND pool = $3 AND shard = $4 AND state = 'waiting'
RETURNING alert_id
"""
_WAITING_ALERTS = f"""
SELECT {_ALERT_COLUMNS} FROM worker.alerts WHERE user_id = $1 AND state = 'waiting'
ORDER BY symbol, price DESC
"""  # noqa: S608 (columns of ours)


class PostgresResting:
    """worker.resting_orders."""

    def __init__(self, connections: Pool, user_waiting_max: int) -> None:
        self._connections = connections
        self._user_waiting_max = user_waiting_max

    async def of_job(self, user_id: UUID, job_id: UUID) -> RestingOrder | None:
        """Read the resting order a job offered."""
        return await self._one(_OF_JOB, job_id, user_id)

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Read one."""
        return await self._one(_READ, order_id, user_id)

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """Read one by its receipt id."""
        return await self._one(
            f"{SELECT_RESTING} WHERE d.receipt = $1 AND d.user_id = $2", receipt, user_id
        )

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        """Read what waits, newest first; the limit of one user bounds it."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                f"{SELECT_RESTING} WHERE r.user_id = $1 AND r.state = 'waiting'"
                " ORDER BY r.placed_at DESC, r.order_id DESC",
                user_id,
            )
        return [resting_of(row) for row in rows]

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Confirm an offered one, or find what became of it; an expired offer is recorded so."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            frozen = await is_frozen(connection, user_id)
            taken = await _take(connection, claim, user_id, order_id)
            if taken is None:
                return None
            if taken.draft.state is DraftState.EXPIRED:
                await connection.execute(_CLOSE_DRAFT, order_id, DraftState.EXPIRED.value)
            if not taken.is_open:
                return taken
            if frozen:
                return Refusal(Refused.FROZEN)
            if await connection.fetchval(_WAITING_COUNT, user_id) >= self._user_waiting_max:
                return Refusal(Refused.TOO_MANY_RESTING, Decimal(self._user_waiting_max))
            await connection.execute(_CLOSE_DRAFT, order_id, DraftState.CONFIRMED.value)
            await connection.execute(_WAIT, order_id, language)
            return await _read(connection, claim, user_id, order_id)

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel what is offered or waits; gives it as it then stands."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            taken = await _take(connection, claim, user_id, order_id)
            if taken is None:
                return None
            if taken.is_open:
                await connection.execute(_CLOSE_DRAFT, order_id, DraftState.CANCELLED.value)
            elif taken.state is RestingState.WAITING:
                await connection.execute(_CANCEL, order_id)
            return await _read(connection, claim, user_id, order_id)

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have it told by a note that one waits, if it does."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            taken = await _take(connection, claim, user_id, order_id)
            if taken is not None and taken.state is RestingState.WAITING:
                note = RestingPlaced(
                    resting=taken.condition.kind.value,
                    side=taken.draft.wish.side.value,
                    symbol=taken.draft.wish.symbol,
                    receipt=taken.draft.receipt,
                )
                await add_notes(connection, claim, [NewNote(order_id, user_id, "", note)])

    async def _one(self, query: str, *arguments: object) -> RestingOrder | None:
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(query, *arguments)
        return None if row is None else resting_of(row)


async def _take(
    connection: Connection, claim: Claim, user_id: UUID, order_id: UUID
) -> RestingOrder | None:
    await connection.execute(_LOCK, order_id, user_id, claim.pool, claim.shard)
    return await _read(connection, claim, user_id, order_id)


async def _read(
    connection: Connection, claim: Claim, user_id: UUID, order_id: UUID
) -> RestingOrder | None:
    row = await connection.fetchrow(_TAKEN, order_id, user_id, claim.pool, claim.shard)
    return None if row is None else resting_of(row)


class PostgresAlerts:
    """worker.alerts."""

    def __init__(self, connections: Pool, user_waiting_max: int) -> None:
        self._connections = connections
        self._user_waiting_max = user_waiting_max

    async def set(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set an alert, or find the one the job set before."""
        place = (user_id, claim.pool, claim.shard)
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            count = await connection.fetchval(_ALERT_COUNT, user_id, new.alert_id)
            if count >= self._user_waiting_max:
                return Refusal(Refused.TOO_MANY_ALERTS, Decimal(self._user_waiting_max))
            await connection.execute(
                _SET_ALERT,
                *(new.alert_id, *place, new.symbol, new.direction.value, new.price, new.language),
                ALERT_SECONDS,
            )
            row = await connection.fetchrow(_READ_ALERT, new.alert_id, user_id)
        if row is None:
            raise ValueError(f"alert {new.alert_id} is somebody else's")
        return _alert_of(row)

    async def remove(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove one; says whether it waited."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            removed = await connection.fetchval(
                _REMOVE_ALERT, alert_id, user_id, claim.pool, claim.shard
            )
        return removed is not None

    async def waiting(self, user_id: UUID) -> Sequence[Alert]:
        """Read what waits, by symbol and price; the limit of one user bounds it."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(_WAITING_ALERTS, user_id)
        return [_alert_of(row) for row in rows]


def _alert_of(row: asyncpg.Record) -> Alert:
    return Alert(
        alert_id=row["alert_id"],
        symbol=row["symbol"],
        direction=Direction(row["direction"]),
        price=row["price"],
        expires_at=row["expires_at"],
    )
