"""Drafts, with what they are to wait for. A draft is one job's; what was confirmed stays, the rest
goes after a day.
"""

from uuid import UUID

import asyncpg

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.orders import Draft, DraftState, Refusal, Refused, Rule, receipt_of
from user_worker.domain.resting import Condition
from user_worker.postgres.answering import answering
from user_worker.postgres.freezes import is_frozen
from user_worker.postgres.trading_rows import SELECT_DRAFT, draft_of, size_kind
from user_worker.trading_ports import Offer

RECEIPT_TRIES_MAX = 4
"""Two of a user's receipts are the same once in some 10^12 pairs; four in a row mean a bug."""

_KEEP = """
INSERT INTO worker.drafts (draft_id, job_id, user_id, pool, shard, receipt, side, symbol,
    size_kind, size_value, spend_asset_id, spend_symbol, spend, receive_asset_id, receive_symbol,
    receive, fee, receive_min, receive_max, price, slippage_basis_points, is_simulated, expires_at,
    state, rule, rule_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, clock_timestamp() + make_interval(secs => $23), $24, $25, $26)
ON CONFLICT (job_id) DO NOTHING
"""
_MAKE_ROOM = """
UPDATE worker.drafts SET state = 'cancelled' WHERE draft_id IN (
    SELECT draft_id FROM worker.drafts WHERE user_id = $1 AND pool = $2 AND shard = $3
        AND state = 'open'
    ORDER BY made_at DESC, draft_id DESC OFFSET $4)
"""
_FORGET_OLD = """
DELETE FROM worker.drafts WHERE user_id = $1 AND pool = $2 AND shard = $3
    AND state <> 'confirmed' AND made_at < clock_timestamp() - interval '1 day'
"""
_REST = """
INSERT INTO worker.resting_orders (order_id, user_id, pool, shard, kind, symbol, direction,
    trigger_price, lasts_seconds)
SELECT draft_id, user_id, pool, shard, $3, symbol, $4, $5, $6
FROM worker.drafts WHERE job_id = $1 AND user_id = $2
ON CONFLICT (order_id) DO NOTHING
"""
_OF_JOB = f"{SELECT_DRAFT} WHERE d.job_id = $1 AND d.user_id = $2"
_READ = f"{SELECT_DRAFT} WHERE d.draft_id = $1 AND d.user_id = $2"
_CANCEL_OPEN = """
UPDATE worker.drafts SET state = 'cancelled' WHERE user_id = $1 AND pool = $2 AND shard = $3
    AND state = 'open' AND expires_at > clock_timestamp()
"""


class PostgresDrafts:
    """worker.drafts."""

    def __init__(self, connections: Pool, lifetime_seconds: float, user_open_max: int) -> None:
        self._connections = connections
        self._lifetime_seconds = lifetime_seconds
        self._user_open_max = user_open_max

    async def of_job(self, user_id: UUID, job_id: UUID) -> Draft | None:
        """Read the draft a job made."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(_OF_JOB, job_id, user_id)
        return None if row is None else draft_of(row)

    async def keep(
        self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer
    ) -> Draft | Refusal:
        """Keep the job's draft, or find the one it made before; none while trading is frozen.

        The user's oldest open drafts beyond the limit are cancelled with it.
        """
        for tries_left in reversed(range(RECEIPT_TRIES_MAX)):
            try:
                return await self._keep(claim, job_id, user_id, offer)
            except asyncpg.UniqueViolationError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Cancel a draft if it is open; gives it as it then stands."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                f"{_CANCEL_OPEN} AND draft_id = $4", user_id, claim.pool, claim.shard, draft_id
            )
            row = await connection.fetchrow(_READ, draft_id, user_id)
        return None if row is None else draft_of(row)

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Cancel the user's open drafts; gives how many there were."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            rows = await connection.fetch(
                f"{_CANCEL_OPEN} RETURNING draft_id", user_id, claim.pool, claim.shard
            )
        return len(rows)

    async def read(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Read a user's draft; an open one that has expired is EXPIRED, recorded or not."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(_READ, draft_id, user_id)
        return None if row is None else draft_of(row)

    async def _keep(
        self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer
    ) -> Draft | Refusal:
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            if await is_frozen(connection, user_id):
                return Refusal(Refused.FROZEN)
            mine = (user_id, claim.pool, claim.shard)
            await connection.execute(_FORGET_OLD, *mine)
            await insert_draft(connection, claim, job_id, user_id, offer, self._lifetime_seconds)
            if offer.condition is not None:
                await _rest(connection, job_id, user_id, offer.condition)
            await connection.execute(_MAKE_ROOM, *mine, self._user_open_max)
            row = await connection.fetchrow(_OF_JOB, job_id, user_id)
        if row is None:
            raise ValueError(f"job {job_id} made a draft for somebody else")
        return draft_of(row)


async def insert_draft(
    connection: Connection,
    claim: Claim,
    job_id: UUID,
    user_id: UUID,
    offer: Offer,
    lifetime_seconds: float,
    ordered_by: tuple[Rule, UUID] | None = None,
) -> UUID:
    """Insert a draft: an open one, or one that a rule ordered and that is confirmed by that.

    Inserts nothing when the cause has its draft already. The transaction has asked the fence.
    """
    draft_id, wish, terms = new_uuid7(), offer.wish, offer.terms
    state = DraftState.OPEN if ordered_by is None else DraftState.CONFIRMED
    rule, rule_id = (None, None) if ordered_by is None else (ordered_by[0].value, ordered_by[1])
    await connection.execute(
        _KEEP,
        *(draft_id, job_id, user_id, claim.pool, claim.shard, receipt_of(draft_id)),
        *(wish.side.value, wish.symbol, size_kind(wish.size), wish.size.value),
        *(terms.spend.asset_id, terms.spend.symbol, terms.spend.value),
        *(terms.receive.asset_id, terms.receive.symbol, terms.receive.value),
        *(terms.fee.value, terms.receive_min, terms.receive_max, terms.price),
        *(offer.slippage_basis_points, offer.is_simulated, lifetime_seconds),
        *(state.value, rule, rule_id),
    )
    return draft_id


async def _rest(connection: Connection, job_id: UUID, user_id: UUID, condition: Condition) -> None:
    await connection.execute(
        _REST,
        *(job_id, user_id, condition.kind.value, condition.direction.value),
        *(condition.price, condition.lasts_seconds),
    )
