"""What has ended and is of no use any more: removed by its age, so many rows at a time.

What became an order is never removed: the order, its steps, its draft, and what made it wait for a
price are history of money. What else waited or ordered by rule is kept for `KEPT_DAYS` after its
end, by which nothing is left that could act under its id or ask about it:

- a job that runs again, after a crash or an outage, meets what it did the first time: an alert has
  its job's id, and a resting order, a plan and a copy were offered by one. A job runs again until
  it has ended, which takes seconds, or as long as the longest outage;
- Telegram repeats an update for a day, and the gateway knows a notice by its event for a week;
- a job that was set aside can be replayed for a month; a press is replayed as it was;
- a button works as long as its message is known to the gateway, which is ninety days.

What comes later all the same finds nothing, says so, and makes nothing: no row but an alert's is
made under an id that a job brings, and what is offered anew waits to be confirmed. So the worst is
that an alert is set a second time.
"""

from collections.abc import Mapping, Sequence

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.postgres.answering import answering

KEPT_DAYS = 90

# The clock is read once, so that the indexes are searched by it.
_OLD = f"ended_at < (SELECT clock_timestamp() - interval '{KEPT_DAYS} days')"
_WITHOUT_ORDER = "state IN ('cancelled', 'expired')"

# What goes is looked up by an array of keys: a join with the rows found may read the table instead.

# With the draft that was confirmed by it; the row itself goes with that.
_FORGET_RESTING = f"""
DELETE FROM worker.drafts WHERE draft_id = ANY (ARRAY(
    SELECT order_id FROM worker.resting_orders
    WHERE pool = $1 AND shard = $2 AND {_WITHOUT_ORDER} AND {_OLD}
    ORDER BY ended_at LIMIT $3))
"""  # noqa: S608 (conditions of ours)
_FORGET_ALERTS = f"""
DELETE FROM worker.alerts WHERE alert_id = ANY (ARRAY(
    SELECT alert_id FROM worker.alerts WHERE pool = $1 AND shard = $2 AND {_OLD}
    ORDER BY ended_at LIMIT $3))
"""  # noqa: S608 (conditions of ours)
_FORGET_PLANS = f"""
DELETE FROM worker.plans WHERE plan_id = ANY (ARRAY(
    SELECT plan_id FROM worker.plans WHERE pool = $1 AND shard = $2 AND {_OLD}
    ORDER BY ended_at LIMIT $3))
"""  # noqa: S608 (conditions of ours)
# Of the oldest those that nothing names any more: marks go by their own age, copies by theirs. The
# questions are asked row by row, since NOT EXISTS may be answered by reading both tables.
_FORGET_COPIES = f"""
DELETE FROM worker.copies WHERE copy_id = ANY (ARRAY(
    SELECT copy_id FROM (
        SELECT copy_id FROM worker.copies WHERE pool = $1 AND shard = $2 AND {_OLD}
        ORDER BY ended_at LIMIT $3) AS oldest
    WHERE (SELECT true FROM worker.copied m WHERE m.copy_id = oldest.copy_id LIMIT 1) IS NULL))
"""  # noqa: S608 (conditions of ours)
_FORGET_SHARES = f"""
DELETE FROM worker.shares WHERE share_id = ANY (ARRAY(
    SELECT share_id FROM (
        SELECT share_id FROM worker.shares WHERE pool = $1 AND shard = $2 AND {_OLD}
        ORDER BY ended_at LIMIT $3) AS oldest
    WHERE (SELECT true FROM worker.copies c WHERE c.share_id = oldest.share_id LIMIT 1) IS NULL))
"""  # noqa: S608 (conditions of ours)
FORGET = {
    "resting_orders": _FORGET_RESTING,
    "alerts": _FORGET_ALERTS,
    "plans": _FORGET_PLANS,
    "copies": _FORGET_COPIES,
    "shares": _FORGET_SHARES,
}
"""What removes the old rows of each table in a shard."""

_HERE = "pool = claims.pool AND shard = claims.shard"
# Each finds the oldest by its index; EXISTS might be answered by reading all there is.
WITH_OLD = f"""
SELECT claims.n FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
WHERE (SELECT true FROM worker.resting_orders
        WHERE {_HERE} AND {_WITHOUT_ORDER} AND {_OLD} ORDER BY ended_at LIMIT 1)
    OR (SELECT true FROM worker.alerts WHERE {_HERE} AND {_OLD} ORDER BY ended_at LIMIT 1)
    OR (SELECT true FROM worker.plans WHERE {_HERE} AND {_OLD} ORDER BY ended_at LIMIT 1)
    OR (SELECT true FROM worker.copies WHERE {_HERE} AND {_OLD} ORDER BY ended_at LIMIT 1)
    OR (SELECT true FROM worker.shares WHERE {_HERE} AND {_OLD} ORDER BY ended_at LIMIT 1)
"""  # noqa: S608 (conditions of ours)
"""Shards in which some of it may go."""


class PostgresEnded:
    """What has ended in worker.resting_orders, alerts, plans, copies and shares."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def old(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say in which shards something ended long ago."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                WITH_OLD, [c.pool for c in claims], [c.shard for c in claims]
            )
        return [claims[row["n"] - 1] for row in rows]

    async def forget(self, claim: Claim, count_max: int) -> Mapping[str, int]:
        """Remove what ended long ago, at most so many of each kind; gives how many."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            return {
                table: _count(
                    await connection.execute(statement, claim.pool, claim.shard, count_max)
                )
                for table, statement in FORGET.items()
            }


def _count(status: str) -> int:
    """Read how many rows were removed, from "DELETE 3"."""
    return int(status.rpartition(" ")[2])
