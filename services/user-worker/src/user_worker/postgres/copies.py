"""Copies: a follower's row in his own shard, and the marks of what it has dealt with.

The leader's filled order is the event. The owner of the follower's shard reads it where it stands
and writes the follower's rows only, so a copied trade crosses shards without a second writer. Each
trade has its own mark, written with the order it led to: one that commits late is found late, and
one that was found is never taken again.

A take locks its copy's row first and goes on only while the copy is active, as a plan's run does.
"""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.notes import CopiesMissed, CopyEnded, CopySkipped, Note
from user_worker.domain.orders import Refusal, Refused, Rule, Side
from user_worker.domain.rules import (
    Copy,
    CopyProblem,
    CopyState,
    Stakes,
    TooMany,
    cause_of_copy,
)
from user_worker.errors import ClaimLost
from user_worker.postgres.answering import answering
from user_worker.postgres.copy_statements import (
    CONFIRM,
    COUNT_COPIES,
    COUNT_FOLLOWERS,
    END,
    END_OF_SHARES,
    FIND_SHARE,
    FORGET_OLD_MARKS,
    FORGET_OLD_OFFERS,
    IS_COPIED_ALREADY,
    IS_MARKED,
    LOCK_SHARE,
    MARK,
    MARK_MISSED,
    OF_JOB,
    OF_USER,
    OFFER,
    READ,
    STAKES,
    TAKE,
    TO_TAKE,
    WITH_COPIES_OR_MARKS,
)
from user_worker.postgres.events import NewNote, add_notes
from user_worker.postgres.freezes import is_frozen
from user_worker.postgres.orders import OrderLimits
from user_worker.postgres.ruled_orders import order_by_rule
from user_worker.rule_ports import Held, LeaderTrade, Ruled
from user_worker.trading_ports import Offer, Seen

PASSED_OVER_MAX = 20
"""Trades of one leader looked at for those that were not copied in time. More within one period of
that look are not copied either, and not counted.
"""


class PostgresCopies:
    """worker.copies and worker.copied, and the orders they led to."""

    def __init__(
        self,
        connections: Pool,
        limits: OrderLimits,
        *,
        offer_lifetime_seconds: float,
        user_copies_max: int,
        followers_max: int,
        fresh_seconds: float,
    ) -> None:
        """Take `fresh_seconds` as how long after it was filled a trade is still copied."""
        self._connections = connections
        self._limits = limits
        self._offer_lifetime_seconds = offer_lifetime_seconds
        self._user_copies_max = user_copies_max
        self._followers_max = followers_max
        self._fresh_seconds = fresh_seconds

    async def of_job(self, user_id: UUID, job_id: UUID) -> Copy | None:
        """Read the copy a job offered."""
        async with answering(self._connections) as connection:
            row = await connection.fetchrow(OF_JOB, job_id, user_id)
        return None if row is None else _copy_of(row)

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        code: str,
        spend: Decimal,
        slippage_basis_points: int,
    ) -> Copy | CopyProblem | Refusal:
        """Keep the job's offered copy, or find it; FROZEN while trading is frozen."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            if await is_frozen(connection, user_id):
                return Refusal(Refused.FROZEN)
            share = await connection.fetchrow(FIND_SHARE, code)
            if share is None:
                return CopyProblem.UNKNOWN_CODE
            if share["user_id"] == user_id:
                return CopyProblem.OWN_CODE
            if await connection.fetchval(IS_COPIED_ALREADY, user_id, share["share_id"]):
                return CopyProblem.COPIED_ALREADY
            await connection.execute(FORGET_OLD_OFFERS, user_id, claim.pool, claim.shard)
            await connection.execute(
                OFFER,
                *(new_uuid7(), job_id, user_id, claim.pool, claim.shard),
                *(share["share_id"], share["user_id"], spend, slippage_basis_points),
                self._offer_lifetime_seconds,
            )
            row = await connection.fetchrow(OF_JOB, job_id, user_id)
        if row is None:
            raise ValueError(f"job {job_id} offered a copy to somebody else")
        return _copy_of(row)

    async def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        """Make an offered copy active: trades the leader orders from now on are copied."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            frozen = await is_frozen(connection, user_id)
            row = await connection.fetchrow(TAKE, copy_id, user_id, claim.pool, claim.shard)
            if row is None or CopyState(row["state"]) is not CopyState.OFFERED:
                return None if row is None else _copy_of(row)
            if frozen:
                return Refusal(Refused.FROZEN)
            problem = await self._problem(connection, user_id, row["share_id"], row["code"])
            if problem is not None:
                return problem
            await connection.execute(CONFIRM, copy_id, language)
            return _copy_of(await connection.fetchrow(READ, copy_id, user_id))

    async def end(self, claim: Claim, user_id: UUID, copy_id: UUID) -> Copy | None:
        """Stop copying; gives it as it then stands."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(END, copy_id, user_id, claim.pool, claim.shard)
            row = await connection.fetchrow(READ, copy_id, user_id)
        return None if row is None else _copy_of(row)

    async def of_user(self, user_id: UUID) -> Sequence[Copy]:
        """Read a user's active copies, oldest first."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(OF_USER, user_id)
        return [_copy_of(row) for row in rows]

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        """Read what leaders of some shards' followers traded and was not dealt with."""
        places = ([c.pool for c in claims], [c.shard for c in claims])
        back = (min(back_seconds, self._fresh_seconds), self._fresh_seconds)
        async with answering(self._connections) as connection:
            rows = await connection.fetch(TO_TAKE, *places, *back, count_max)
        return [
            LeaderTrade(
                claims[row["n"] - 1],
                _copy_of(row),
                row["language"],
                row["leader_order_id"],
                Side(row["side"]),
                row["symbol"],
            )
            for row in rows
        ]

    async def stakes(self, trade: LeaderTrade) -> Stakes | None:
        """Read what a leader's sale is measured by; None while an order of this copy and symbol is
        under way.
        """
        copy = trade.copy
        async with answering(self._connections) as connection:
            row: Any = await connection.fetchrow(
                STAKES, trade.leader_order_id, trade.symbol, copy.copy_id, copy.user_id
            )
        if row["is_under_way"]:
            return None
        return Stakes(row["sold"], row["held_before"], row["copied"])

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """Accept the order that copies a trade and mark the trade, once."""
        copy = trade.copy
        async with answering(self._connections) as connection:
            await fence(connection, trade.claim)
            if not await _is_to_take(connection, trade):
                return Held.GONE
            cause = cause_of_copy(copy.copy_id, trade.leader_order_id)
            ruled = Ruled(copy.user_id, cause, trade.language)
            ordered_by = (Rule.COPY, copy.copy_id)
            seen = await order_by_rule(
                connection, trade.claim, ruled, ordered_by, offer, self._limits
            )
            if seen is None:
                return Held.NO_ROOM
            await _mark(connection, trade, "ordered")
            return seen

    async def skip(self, trade: LeaderTrade, reason: Refused | None) -> None:
        """Mark a trade without an order and tell why; None: there was nothing to sell, untold."""
        copy = trade.copy
        async with answering(self._connections) as connection:
            await fence(connection, trade.claim)
            if not await _is_to_take(connection, trade):
                return
            await _mark(connection, trade, "nothing" if reason is None else reason.value)
            if reason is not None:
                note = CopySkipped(copy.code, trade.side.value, trade.symbol, reason.value)
                cause = cause_of_copy(copy.copy_id, trade.leader_order_id)
                new = NewNote(cause, copy.user_id, trade.language, note)
                await add_notes(connection, trade.claim, [new])

    async def pass_over(self, claims: Sequence[Claim]) -> int:
        """Mark and tell what was not copied in time, and end copies of those who share no more."""
        places = ([c.pool for c in claims], [c.shard for c in claims])
        async with answering(self._connections) as connection:
            rows = await connection.fetch(WITH_COPIES_OR_MARKS, *places)
        told = 0
        for row in rows:
            # What a newer owner does now is no failure, and keeps no other shard back.
            with suppress(ClaimLost):
                told += await self._pass_over(claims[row["n"] - 1])
        return told

    async def _pass_over(self, claim: Claim) -> int:
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            mine = (claim.pool, claim.shard)
            missed = await connection.fetch(
                MARK_MISSED, *mine, self._fresh_seconds, PASSED_OVER_MAX
            )
            notes = [
                _note_about(
                    row,
                    uuid5(row["copy_id"], f"missed:{row['last_order_id']}"),
                    CopiesMissed(row["code"], row["count"], self._fresh_seconds),
                )
                for row in missed
            ]
            ended = await connection.fetch(END_OF_SHARES, *mine)
            notes += [_note_about(row, row["copy_id"], CopyEnded(row["code"])) for row in ended]
            await add_notes(connection, claim, notes)
            await connection.execute(FORGET_OLD_MARKS, *mine)
        return len(notes)

    async def _problem(
        self, connection: Connection, user_id: UUID, share_id: UUID, code: str
    ) -> CopyProblem | TooMany | None:
        # Followers of one leader live in many shards: counting and adding one is theirs in turn.
        await connection.execute(LOCK_SHARE, share_id)
        if await connection.fetchval(COUNT_COPIES, user_id) >= self._user_copies_max:
            return TooMany(self._user_copies_max)
        if await connection.fetchrow(FIND_SHARE, code) is None:
            return CopyProblem.UNKNOWN_CODE
        if await connection.fetchval(IS_COPIED_ALREADY, user_id, share_id):
            return CopyProblem.COPIED_ALREADY
        if await connection.fetchval(COUNT_FOLLOWERS, share_id) >= self._followers_max:
            return CopyProblem.FOLLOWERS_MAX
        return None


async def _is_to_take(connection: Connection, trade: LeaderTrade) -> bool:
    copy, claim = trade.copy, trade.claim
    row = await connection.fetchrow(TAKE, copy.copy_id, copy.user_id, claim.pool, claim.shard)
    if row is None or CopyState(row["state"]) is not CopyState.ACTIVE:
        return False
    return not await connection.fetchval(IS_MARKED, copy.copy_id, trade.leader_order_id)


async def _mark(connection: Connection, trade: LeaderTrade, outcome: str) -> None:
    claim = trade.claim
    await connection.execute(
        MARK, trade.copy.copy_id, trade.leader_order_id, claim.pool, claim.shard, outcome
    )


def _note_about(row: Any, subject_id: UUID, note: Note) -> NewNote:
    return NewNote(subject_id, row["user_id"], row["language"], note)


def _copy_of(row: Any) -> Copy:
    return Copy(
        copy_id=row["copy_id"],
        user_id=row["user_id"],
        leader_id=row["leader_id"],
        code=row["code"],
        spend=row["spend"],
        slippage_basis_points=row["slippage_basis_points"],
        state=CopyState(row["state"]),
        expires_at=row["expires_at"],
    )
