"""What waits for a price in a shard, as its owner watches it: read in pages, triggered, expired.

A trigger is one statement per shard and batch: what still waits and finds room is marked and
becomes an order in it, or nothing does. Whoever asks again, after a lost answer or as a later
owner, meets the order that was made.
"""

import sys
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.domain.notes import AlertExpired, AlertReached, RestingExpired
from user_worker.domain.orders import Side
from user_worker.domain.resting import Direction, RestingOrder
from user_worker.domain.triggers import Purpose, Watch
from user_worker.postgres.answering import answering
from user_worker.postgres.events import NewNote, add_notes
from user_worker.postgres.orders import OrderLimits
from user_worker.postgres.trading_rows import SELECT_ORDER, SELECT_RESTING, resting_of, seen_of
from user_worker.resting_ports import Reached
from user_worker.trading_ports import Seen

# Job ids and draft ids never meet, so one order serves both tables.
_PAGE = """
SELECT * FROM (
    (SELECT order_id AS watch_id, CASE kind WHEN 'limit' THEN 'limit' ELSE 'market' END AS purpose,
        symbol, direction, trigger_price AS price
    FROM worker.resting_orders
    WHERE pool = $1 AND shard = $2 AND state = 'waiting' AND order_id > $3
    ORDER BY order_id LIMIT $4)
    UNION ALL
    (SELECT alert_id, 'alert', symbol, direction, price FROM worker.alerts
    WHERE pool = $1 AND shard = $2 AND state = 'waiting' AND alert_id > $3
    ORDER BY alert_id LIMIT $4)) AS waiting
ORDER BY watch_id LIMIT $4
"""
# The oldest of each user first, within what he and the shard may have under way. Rows are locked in
# one order, as a freeze locks them: a market that falls makes both come at the same time.
_TRIGGER = """
WITH under_way AS (
    SELECT user_id, count(*) AS orders FROM worker.orders
    WHERE pool = $1 AND shard = $2 AND ended_at IS NULL GROUP BY user_id
), ranked AS (
    SELECT r.order_id, r.placed_at, coalesce(u.orders, 0)
        + row_number() OVER (PARTITION BY r.user_id ORDER BY r.placed_at, r.order_id) AS nth
    FROM worker.resting_orders r LEFT JOIN under_way u USING (user_id)
    WHERE r.order_id = ANY($3) AND r.pool = $1 AND r.shard = $2 AND r.state = 'waiting'
), fitting AS (
    SELECT order_id FROM ranked WHERE nth <= $5 ORDER BY placed_at, order_id
    LIMIT greatest(0, $6::bigint - (SELECT coalesce(sum(orders), 0)::bigint FROM under_way))
), taken AS (
    SELECT order_id FROM worker.resting_orders
    WHERE order_id IN (SELECT order_id FROM fitting) AND state = 'waiting'
        AND expires_at > clock_timestamp()
    ORDER BY order_id FOR UPDATE
), triggered AS (
    UPDATE worker.resting_orders SET state = 'triggered', ended_at = clock_timestamp()
    WHERE order_id IN (SELECT order_id FROM taken)
    RETURNING order_id, user_id, language
), accepted AS (
    INSERT INTO worker.orders (order_id, user_id, pool, shard, state, language, submit_before,
        tell_later)
    SELECT order_id, user_id, $1, $2, 'accepted', language,
        clock_timestamp() + make_interval(secs => $7), true
    FROM triggered
    RETURNING order_id
)
INSERT INTO worker.order_steps (order_id, step, outcome, epoch)
SELECT order_id, 'accept', 'triggered', $4 FROM accepted
"""
_ORDERS = f"{SELECT_ORDER} WHERE o.order_id = ANY($1) AND o.pool = $2 AND o.shard = $3"
_STILL_WAITING = """
SELECT order_id FROM worker.resting_orders WHERE order_id = ANY($1) AND pool = $2 AND shard = $3
    AND state = 'waiting'
"""
_REACH = """
UPDATE worker.alerts SET state = 'reached', ended_at = clock_timestamp()
WHERE alert_id = ANY($1) AND pool = $2 AND shard = $3 AND state = 'waiting'
    AND expires_at > clock_timestamp()
RETURNING alert_id, user_id, language, symbol, direction, price
"""
# Searched by the index in each shard: the clock is read once (so below, too), and EXISTS might be
# answered by reading all that waits anywhere, as might one without an order.
_EXPIRED = """
SELECT claims.n FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
WHERE (SELECT true FROM worker.resting_orders r WHERE r.pool = claims.pool
        AND r.shard = claims.shard AND r.state = 'waiting'
        AND r.expires_at <= (SELECT clock_timestamp()) ORDER BY expires_at LIMIT 1)
    OR (SELECT true FROM worker.alerts a WHERE a.pool = claims.pool
        AND a.shard = claims.shard AND a.state = 'waiting'
        AND a.expires_at <= (SELECT clock_timestamp()) ORDER BY expires_at LIMIT 1)
"""
_EXPIRE_RESTING = """
UPDATE worker.resting_orders r SET state = 'expired', ended_at = clock_timestamp()
FROM worker.drafts d
WHERE d.draft_id = r.order_id AND r.state = 'waiting' AND r.order_id IN (
    SELECT order_id FROM worker.resting_orders WHERE pool = $1 AND shard = $2
        AND state = 'waiting' AND expires_at <= (SELECT clock_timestamp())
    ORDER BY expires_at LIMIT $3)
RETURNING r.order_id, r.user_id, r.language, r.kind, r.symbol, r.trigger_price, d.side, d.receipt,
    d.spend_symbol, d.receive_symbol
"""
_EXPIRE_ALERTS = """
UPDATE worker.alerts SET state = 'expired', ended_at = clock_timestamp()
WHERE state = 'waiting' AND alert_id IN (
    SELECT alert_id FROM worker.alerts WHERE pool = $1 AND shard = $2
        AND state = 'waiting' AND expires_at <= (SELECT clock_timestamp())
    ORDER BY expires_at LIMIT $3)
RETURNING alert_id, user_id, language, symbol, direction, price
"""
_FIRST = UUID(int=0)


class PostgresWaiting:
    """worker.resting_orders and worker.alerts, by shard."""

    def __init__(self, connections: Pool, limits: OrderLimits) -> None:
        self._connections = connections
        self._limits = limits

    async def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[Sequence[Watch], UUID | None]:
        """Read watches; gives also where the next page begins, None after the last."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _PAGE, claim.pool, claim.shard, after or _FIRST, count_max
            )
        watches = [_watch_of(row) for row in rows]
        return watches, watches[-1].watch_id if len(watches) == count_max else None

    async def resting(self, order_ids: Sequence[UUID]) -> Sequence[RestingOrder]:
        """Read resting orders by id."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                f"{SELECT_RESTING} WHERE r.order_id = ANY($1)", list(order_ids)
            )
        return [resting_of(row) for row in rows]

    async def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> Mapping[UUID, Seen | None]:
        """Turn what waits into orders, each once, within the limits of what may be under way."""
        ids, limits = list(order_ids), self._limits
        place = (claim.pool, claim.shard)
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                _TRIGGER,
                *(*place, ids, claim.epoch, limits.user_under_way_max, limits.shard_under_way_max),
                limits.submit_within_seconds,
            )
            waiting = await connection.fetch(_STILL_WAITING, ids, *place)
            orders = await connection.fetch(_ORDERS, ids, *place)
        found: dict[UUID, Seen | None] = {row["order_id"]: None for row in waiting}
        for seen in map(seen_of, orders):
            found[seen.order.order_id] = seen
        return found

    async def reach(self, claim: Claim, reached: Sequence[Reached]) -> None:
        """End alerts, each with the note that tells of it, once."""
        quotes = {one.alert_id: one.quote for one in reached}
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            rows = await connection.fetch(_REACH, list(quotes), claim.pool, claim.shard)
            notes = []
            for row in rows:
                quote = quotes[row["alert_id"]]
                note = AlertReached(
                    symbol=row["symbol"],
                    currency=quote.currency,
                    direction=row["direction"],
                    price=row["price"],
                    quoted=quote.price,
                    is_simulated=quote.is_simulated,
                )
                notes.append(NewNote(row["alert_id"], row["user_id"], row["language"], note))
            await add_notes(connection, claim, notes)

    async def expired(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say in which shards something has waited in vain."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _EXPIRED, [c.pool for c in claims], [c.shard for c in claims]
            )
        return [claims[row["n"] - 1] for row in rows]

    async def expire(self, claim: Claim, count_max: int) -> Sequence[UUID]:
        """End what has waited in vain, at most so many of each, with the notes that tell of it."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            place = (claim.pool, claim.shard, count_max)
            orders = await connection.fetch(_EXPIRE_RESTING, *place)
            alerts = await connection.fetch(_EXPIRE_ALERTS, *place)
            notes = [_expired_order(row) for row in orders]
            notes += [_expired_alert(row) for row in alerts]
            await add_notes(connection, claim, notes)
        return [note.subject_id for note in notes]


def _watch_of(row: asyncpg.Record) -> Watch:
    return Watch(
        watch_id=row["watch_id"],
        purpose=Purpose(row["purpose"]),
        symbol=sys.intern(row["symbol"]),
        direction=Direction(row["direction"]),
        price=row["price"],
    )


def _expired_order(row: asyncpg.Record) -> NewNote:
    is_buy = row["side"] == Side.BUY.value
    note = RestingExpired(
        resting=row["kind"],
        side=row["side"],
        symbol=row["symbol"],
        currency=row["spend_symbol" if is_buy else "receive_symbol"],
        trigger_price=row["trigger_price"],
        receipt=row["receipt"],
    )
    return NewNote(row["order_id"], row["user_id"], row["language"], note)


def _expired_alert(row: asyncpg.Record) -> NewNote:
    note = AlertExpired(symbol=row["symbol"], direction=row["direction"], price=row["price"])
    return NewNote(row["alert_id"], row["user_id"], row["language"], note)
