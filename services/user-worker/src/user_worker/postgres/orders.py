"""Orders: each change of state with the step that led to it, in one fenced transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import Draft, DraftState, Order, OrderState, Refused
from user_worker.postgres.answering import answering
from user_worker.postgres.freezes import is_frozen
from user_worker.postgres.trading_rows import SELECT_DRAFT, SELECT_ORDER, draft_of, seen_of
from user_worker.trading_ports import Seen, Underway

_LOOK = f"{SELECT_ORDER} WHERE o.order_id = $1"

# A confirmed draft stays where it was when its user moves.
_TAKE_DRAFT = f"""
{SELECT_DRAFT} WHERE d.draft_id = $1 AND d.user_id = $2
    AND worker.is_at_home(d.user_id, d.pool, d.shard, $3, $4)
    AND NOT EXISTS (SELECT FROM worker.resting_orders r WHERE r.order_id = d.draft_id)
FOR UPDATE OF d
"""
_UNDER_WAY_COUNTS = """
SELECT count(*) AS shard, count(*) FILTER (WHERE user_id = $3) AS user FROM (
    SELECT user_id FROM worker.orders WHERE pool = $1 AND shard = $2 AND ended_at IS NULL) AS open
"""
_ACCEPT = """
WITH accepted AS (
    INSERT INTO worker.orders (order_id, user_id, pool, shard, state, language, submit_before,
                               refused, ended_at, tell_later)
    VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7), $8,
            CASE WHEN $8::text IS NOT NULL THEN clock_timestamp() END, $10)
    RETURNING order_id)
INSERT INTO worker.order_steps (order_id, step, outcome, epoch)
SELECT order_id, 'accept', coalesce($8, 'accepted'), $9 FROM accepted
"""
# The event of an end is written by the very statement that ends it.
_RECORD = """
WITH changed AS (
    UPDATE worker.orders SET state = $5, spent = coalesce($8, spent),
        received = coalesce($9, received), fee = coalesce($10, fee),
        refused = coalesce($11, refused), ended_at = CASE WHEN $12 THEN clock_timestamp() END
    WHERE order_id = $1 AND pool = $2 AND shard = $3 AND state = $4
        AND ($5 <> 'submitted' OR submit_before > clock_timestamp())
    RETURNING order_id, pool, shard, tell_later
), told AS (
    INSERT INTO worker.events (event_id, order_id, pool, shard)
    SELECT $13, order_id, pool, shard FROM changed WHERE $12 AND (tell_later OR $14)
)
INSERT INTO worker.order_steps (order_id, step, outcome, epoch)
SELECT order_id, $6, $7, $15 FROM changed
"""
_TELL_LATER = """
UPDATE worker.orders SET tell_later = true
WHERE order_id = $1 AND pool = $2 AND shard = $3 AND ended_at IS NULL
"""
# After _TELL_LATER, in a statement of its own: it sees an end that the former waited for. An order
# that has ended stays where it was when its user moves.
_TELL_NOW = """
INSERT INTO worker.events (event_id, order_id, pool, shard)
SELECT $4, order_id, $2, $3 FROM worker.orders
WHERE order_id = $1 AND worker.is_at_home(user_id, pool, shard, $2, $3) AND user_id = $5
    AND ended_at IS NOT NULL
ON CONFLICT (order_id) DO NOTHING
"""
# Oldest first within each shard, so that no shard hides another's.
_UNDER_WAY = f"""
SELECT claims.n, open.* FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool,
    shard, n)
CROSS JOIN LATERAL (
    {SELECT_ORDER} WHERE o.pool = claims.pool AND o.shard = claims.shard AND o.ended_at IS NULL
    ORDER BY o.accepted_at LIMIT $3) AS open
"""  # noqa: S608 (columns of ours)


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """What an order, a user and a shard may take."""

    submit_within_seconds: float
    user_under_way_max: int
    shard_under_way_max: int


class PostgresOrders:
    """worker.orders and worker.order_steps, and the events of ends."""

    def __init__(self, connections: Pool, limits: OrderLimits) -> None:
        self._connections = connections
        self._limits = limits

    async def accept(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str
    ) -> Seen | Draft | None:
        """Turn an open draft into an order, or find the order it became."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            frozen = await is_frozen(connection, user_id)
            row = await connection.fetchrow(_TAKE_DRAFT, draft_id, user_id, claim.pool, claim.shard)
            if row is None:
                return None
            draft = draft_of(row)
            if draft.state is DraftState.EXPIRED:
                await _set_draft(connection, draft_id, DraftState.EXPIRED)
            if draft.state is DraftState.OPEN:
                await self._accept(connection, claim, user_id, draft_id, language, frozen=frozen)
            elif draft.state is not DraftState.CONFIRMED:
                return draft
            return await read_seen(connection, draft_id)

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        """Record a step with the change of state it led to, if the order still stands as given."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                _RECORD,
                *(order.order_id, claim.pool, claim.shard, order.state.value, change.state.value),
                *(change.step, change.outcome, change.spent, change.received, change.fee),
                *(change.refused and change.refused.value, change.state.is_final, new_uuid7()),
                *(nobody_waits, claim.epoch),
            )
            return await read_seen(connection, order.order_id)

    async def tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        """Have the order's end, if it has not come, told by an event."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_TELL_LATER, order_id, claim.pool, claim.shard)
            return await read_seen(connection, order_id)

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have the end of a user's order told by an event, come or not."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            mine = (order_id, claim.pool, claim.shard)
            await connection.execute(f"{_TELL_LATER} AND user_id = $4", *mine, user_id)
            await connection.execute(_TELL_NOW, *mine, new_uuid7(), user_id)

    async def look(self, order_id: UUID) -> Seen:
        """Read an order."""
        async with answering(self._connections) as connection:
            return await read_seen(connection, order_id)

    async def under_way(self, claims: Sequence[Claim], count_max: int) -> Sequence[Underway]:
        """Read the orders of some shards that have not ended, oldest first, at most so many of
        each.
        """
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _UNDER_WAY, [c.pool for c in claims], [c.shard for c in claims], count_max
            )
        return [Underway(claims[row["n"] - 1], seen_of(row)) for row in rows]

    async def of_receipt(self, user_id: UUID, receipt: str) -> Order | None:
        """Read a user's order by its receipt id."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(
                f"{SELECT_ORDER} WHERE d.user_id = $1 AND d.receipt = $2", user_id, receipt
            )
        return None if row is None else seen_of(row).order

    async def newest(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        """Read a user's newest orders, newest first."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                f"{SELECT_ORDER} WHERE o.user_id = $1 ORDER BY o.accepted_at DESC, o.order_id DESC"
                " LIMIT $2",
                *(user_id, count_max),
            )
        return [seen_of(row).order for row in rows]

    async def _accept(
        self,
        connection: Connection,
        claim: Claim,
        user_id: UUID,
        draft_id: UUID,
        language: str,
        *,
        frozen: bool,
    ) -> None:
        await _set_draft(connection, draft_id, DraftState.CONFIRMED)
        refused = None
        if frozen:
            refused = Refused.FROZEN
        elif not await has_room(connection, claim, user_id, self._limits):
            refused = Refused.LIMIT_EXCEEDED
        await insert_order(
            connection, claim, user_id, draft_id, language, self._limits, refused=refused
        )


async def has_room(
    connection: Connection, claim: Claim, user_id: UUID, limits: OrderLimits
) -> bool:
    """Say whether one more order of a user may be under way."""
    counts: Any = await connection.fetchrow(_UNDER_WAY_COUNTS, claim.pool, claim.shard, user_id)
    return bool(
        counts["user"] < limits.user_under_way_max and counts["shard"] < limits.shard_under_way_max
    )


async def insert_order(
    connection: Connection,
    claim: Claim,
    user_id: UUID,
    draft_id: UUID,
    language: str,
    limits: OrderLimits,
    *,
    refused: Refused | None = None,
    tell_later: bool = False,
) -> None:
    """Make a confirmed draft an order, with its first step; one that is refused ends at once.

    `tell_later`: no job asked for it, so that its end is told by an event in any case.
    """
    state = OrderState.ACCEPTED if refused is None else OrderState.REJECTED
    await connection.execute(
        _ACCEPT,
        *(draft_id, user_id, claim.pool, claim.shard, state.value, language),
        *(limits.submit_within_seconds, refused and refused.value, claim.epoch, tell_later),
    )


async def _set_draft(connection: Connection, draft_id: UUID, state: DraftState) -> None:
    await connection.execute(
        "UPDATE worker.drafts SET state = $2 WHERE draft_id = $1", draft_id, state.value
    )


async def read_seen(connection: Connection, order_id: UUID) -> Seen:
    """Read an order as it stands in this transaction."""
    row = await connection.fetchrow(_LOOK, order_id)
    if row is None:
        raise LookupError(f"there is no order {order_id}")
    return seen_of(row)
