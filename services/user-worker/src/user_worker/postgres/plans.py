"""Plans: offered, confirmed, run and ended, each in one fenced transaction.

A run locks its plan's row first and goes on only while the plan is active and stands at the run
before: of two owners, of a run and a freeze, of a run and its own repetition, one finds that the
other was first.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.amounts import size_text
from user_worker.domain.notes import Note, PlanFinished, PlanPaused, RunSkipped
from user_worker.domain.orders import Refusal, Refused, Rule, Side, Wish
from user_worker.domain.rules import (
    FUNDS_MISSING_IN_A_ROW_MAX,
    PATIENCE_SECONDS_MAX,
    Plan,
    PlanState,
    TooMany,
    cause_of_run,
)
from user_worker.postgres.answering import answering
from user_worker.postgres.events import NewNote, add_notes
from user_worker.postgres.freezes import is_frozen
from user_worker.postgres.orders import OrderLimits
from user_worker.postgres.ruled_orders import order_by_rule
from user_worker.postgres.trading_rows import size_kind, size_of
from user_worker.rule_ports import DuePlan, Held, Ruled
from user_worker.trading_ports import Offer, Seen

_COLUMNS = """
p.plan_id, p.user_id, p.symbol, p.size_kind, p.size_value, p.slippage_basis_points,
p.period_seconds, p.runs_max, p.runs, p.expires_at, p.next_at, p.language,
CASE WHEN p.state = 'offered' AND p.expires_at <= clock_timestamp() THEN 'expired' ELSE p.state
END AS state
"""
_SELECT = f"SELECT {_COLUMNS} FROM worker.plans p"  # noqa: S608 (columns of ours)
_READ = f"{_SELECT} WHERE p.plan_id = $1 AND p.user_id = $2"
_TAKE = f"{_READ} AND p.pool = $3 AND p.shard = $4 FOR UPDATE"
_OF_JOB = f"{_SELECT} WHERE p.job_id = $1 AND p.user_id = $2"
_OF_USER = f"{_SELECT} WHERE p.user_id = $1 AND p.state IN ('active', 'paused') ORDER BY p.made_at"
_FORGET_OLD = """
DELETE FROM worker.plans WHERE user_id = $1 AND pool = $2 AND shard = $3 AND next_at IS NULL
    AND made_at < clock_timestamp() - interval '1 day'
"""
_OFFER = """
INSERT INTO worker.plans (plan_id, job_id, user_id, pool, shard, symbol, size_kind, size_value,
    slippage_basis_points, period_seconds, runs_max, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    clock_timestamp() + make_interval(secs => $12))
ON CONFLICT (job_id) DO NOTHING
"""
_CONFIRM = """
UPDATE worker.plans SET state = 'active', language = $2, next_at = clock_timestamp(),
    counted_since = clock_timestamp() WHERE plan_id = $1
"""
_COUNT = "SELECT count(*) FROM worker.plans WHERE user_id = $1 AND state IN ('active', 'paused')"
_PAUSE = "UPDATE worker.plans SET state = 'paused' WHERE plan_id = $1"
_CANCEL = """
UPDATE worker.plans SET state = 'cancelled', ended_at = clock_timestamp() WHERE plan_id = $1
"""
# The first multiple of the period, counted from the first run, that is still to come.
_NEXT_AT = """
next_at + make_interval(secs => period_seconds * (1 + floor(
    greatest(0, extract(epoch FROM clock_timestamp() - next_at)) / period_seconds)))
"""
_RESUME = f"""
UPDATE worker.plans SET state = 'active', counted_since = clock_timestamp(),
    next_at = CASE WHEN next_at > clock_timestamp() THEN next_at ELSE {_NEXT_AT} END
WHERE plan_id = $1
"""  # noqa: S608 (an expression of ours)
_ADVANCE = f"""
UPDATE worker.plans SET runs = runs + 1, next_at = {_NEXT_AT},
    state = CASE WHEN runs + 1 = runs_max THEN 'finished' ELSE state END,
    ended_at = CASE WHEN runs + 1 = runs_max THEN clock_timestamp() END
WHERE plan_id = $1
"""  # noqa: S608 (an expression of ours)
# The clock is read once, so that the index is searched by it.
_DUE = f"""
SELECT claims.n, due.*, due.next_at + make_interval(
    secs => least(due.period_seconds / 2.0, {PATIENCE_SECONDS_MAX})) <= clock_timestamp()
    AS is_overdue
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
CROSS JOIN LATERAL (
    {_SELECT} WHERE p.pool = claims.pool AND p.shard = claims.shard AND p.state = 'active'
        AND p.next_at <= (SELECT clock_timestamp())
    ORDER BY p.next_at LIMIT $3) AS due
"""  # noqa: S608 (columns of ours)
_TAKE_RUN = """
SELECT counted_since FROM worker.plans
WHERE plan_id = $1 AND pool = $2 AND shard = $3 AND state = 'active' AND runs = $4 FOR UPDATE
"""
_LAST_ENDS = """
SELECT o.refused FROM worker.drafts d JOIN worker.orders o ON o.order_id = d.draft_id
WHERE d.rule_id = $1 AND o.accepted_at >= $2 ORDER BY o.accepted_at DESC LIMIT $3
"""


class PostgresPlans:
    """worker.plans, and the orders of their runs."""

    def __init__(
        self,
        connections: Pool,
        limits: OrderLimits,
        offer_lifetime_seconds: float,
        user_plans_max: int,
    ) -> None:
        self._connections = connections
        self._limits = limits
        self._offer_lifetime_seconds = offer_lifetime_seconds
        self._user_plans_max = user_plans_max

    async def of_job(self, user_id: UUID, job_id: UUID) -> Plan | None:
        """Read the plan a job offered."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(_OF_JOB, job_id, user_id)
        return None if row is None else _plan_of(row)

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        slippage_basis_points: int,
        period_seconds: int,
        runs_max: int | None,
    ) -> Plan | Refusal:
        """Keep the job's offered plan, or find it; FROZEN while trading is frozen."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            if await is_frozen(connection, user_id):
                return Refusal(Refused.FROZEN)
            await connection.execute(_FORGET_OLD, user_id, claim.pool, claim.shard)
            await connection.execute(
                _OFFER,
                *(new_uuid7(), job_id, user_id, claim.pool, claim.shard, wish.symbol),
                *(size_kind(wish.size), wish.size.value, slippage_basis_points),
                *(period_seconds, runs_max, self._offer_lifetime_seconds),
            )
            row = await connection.fetchrow(_OF_JOB, job_id, user_id)
        if row is None:
            raise ValueError(f"job {job_id} offered a plan to somebody else")
        return _plan_of(row)

    async def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        """Make an offered plan active; its first run is due at once."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            frozen = await is_frozen(connection, user_id)
            plan = await _taken(connection, claim, user_id, plan_id)
            if plan is None or plan.state is not PlanState.OFFERED:
                return plan
            if frozen:
                return Refusal(Refused.FROZEN)
            # One of the user's jobs at a time confirms, so the count stands still.
            if await connection.fetchval(_COUNT, user_id) >= self._user_plans_max:
                return TooMany(self._user_plans_max)
            await connection.execute(_CONFIRM, plan_id, language)
            return await _read(connection, user_id, plan_id)

    async def pause(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """Pause an active plan; gives it as it then stands."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            plan = await _taken(connection, claim, user_id, plan_id)
            if plan is None or plan.state is not PlanState.ACTIVE:
                return plan
            await connection.execute(_PAUSE, plan_id)
            return await _read(connection, user_id, plan_id)

    async def resume(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | Refusal | None:
        """Make a paused plan active; what it missed is not made up."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            frozen = await is_frozen(connection, user_id)
            plan = await _taken(connection, claim, user_id, plan_id)
            if plan is None or plan.state is not PlanState.PAUSED:
                return plan
            if frozen:
                return Refusal(Refused.FROZEN)
            await connection.execute(_RESUME, plan_id)
            return await _read(connection, user_id, plan_id)

    async def cancel(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """End a plan for good, whatever it does; gives it as it then stands."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            plan = await _taken(connection, claim, user_id, plan_id)
            if plan is None or plan.state in (PlanState.FINISHED, PlanState.CANCELLED):
                return plan
            await connection.execute(_CANCEL, plan_id)
            return await _read(connection, user_id, plan_id)

    async def of_user(self, user_id: UUID) -> Sequence[Plan]:
        """Read a user's active and paused plans, oldest first."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(_OF_USER, user_id)
        return [_plan_of(row) for row in rows]

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        """Read the plans of some shards whose run is due, the longest due first, at most so many
        of each.
        """
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _DUE, [c.pool for c in claims], [c.shard for c in claims], count_max
            )
        return [
            DuePlan(claims[row["n"] - 1], _plan_of(row), row["language"], row["is_overdue"])
            for row in rows
        ]

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """Accept the run's order and count the run, once."""
        claim, plan = due.claim, due.plan
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            row = await _taken_run(connection, due)
            if row is None:
                return Held.GONE
            since = row["counted_since"]
            rows = await connection.fetch(
                _LAST_ENDS, plan.plan_id, since, FUNDS_MISSING_IN_A_ROW_MAX
            )
            missing = [row["refused"] == Refused.INSUFFICIENT_FUNDS.value for row in rows]
            if len(missing) == FUNDS_MISSING_IN_A_ROW_MAX and all(missing):
                await connection.execute(_PAUSE, plan.plan_id)
                note = PlanPaused(plan.wish.symbol, size_text(plan.wish.size), len(missing))
                await _tell(connection, due, note)
                return Held.PAUSED
            ruled = Ruled(plan.user_id, _cause_of(due), due.language)
            ordered_by = (Rule.PLAN, plan.plan_id)
            seen = await order_by_rule(connection, claim, ruled, ordered_by, offer, self._limits)
            if seen is None:
                return Held.NO_ROOM
            await _advance(connection, due)
            return seen

    async def skip(self, due: DuePlan, reason: Refused | None) -> bool:
        """Count the run without an order and tell why; None: there was no price."""
        wish = due.plan.wish
        async with answering(self._connections) as connection:
            await fence(connection, due.claim)
            if await _taken_run(connection, due) is None:
                return False
            said = None if reason is None else reason.value
            await _tell(connection, due, RunSkipped(wish.symbol, size_text(wish.size), said))
            await _advance(connection, due)
        return True


def _cause_of(due: DuePlan) -> UUID:
    return cause_of_run(due.plan.plan_id, due.plan.runs + 1)


async def _taken(connection: Connection, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
    row = await connection.fetchrow(_TAKE, plan_id, user_id, claim.pool, claim.shard)
    return None if row is None else _plan_of(row)


async def _read(connection: Connection, user_id: UUID, plan_id: UUID) -> Plan:
    return _plan_of(await connection.fetchrow(_READ, plan_id, user_id))


async def _taken_run(connection: Connection, due: DuePlan) -> Any:
    claim, plan = due.claim, due.plan
    return await connection.fetchrow(_TAKE_RUN, plan.plan_id, claim.pool, claim.shard, plan.runs)


async def _advance(connection: Connection, due: DuePlan) -> None:
    plan = due.plan
    await connection.execute(_ADVANCE, plan.plan_id)
    if plan.runs + 1 == plan.runs_max:
        note = PlanFinished(plan.wish.symbol, size_text(plan.wish.size), plan.runs_max)
        await _tell(connection, due, note)


async def _tell(connection: Connection, due: DuePlan, note: Note) -> None:
    new = NewNote(_cause_of(due), due.plan.user_id, due.language, note)
    await add_notes(connection, due.claim, [new])


def _plan_of(row: Any) -> Plan:
    return Plan(
        plan_id=row["plan_id"],
        user_id=row["user_id"],
        wish=Wish(Side.BUY, row["symbol"], size_of(row["size_kind"], row["size_value"])),
        slippage_basis_points=row["slippage_basis_points"],
        period_seconds=row["period_seconds"],
        runs_max=row["runs_max"],
        runs=row["runs"],
        state=PlanState(row["state"]),
        expires_at=row["expires_at"],
        next_at=row["next_at"],
    )
