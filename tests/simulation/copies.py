"""Copied trades in memory, as `user_worker.postgres.copies` and `shares` keep them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from tests.simulation.ruled_orders import order_by_rule
from tests.simulation.seeding import at
from tests.simulation.trading import DAY_SECONDS, TradingTables
from tests.simulation.trading_rows import OrderRow

from kernel.identifiers import new_uuid7
from kernel.sharding import Claim, ShardKey
from user_worker.domain.notes import CopiesMissed, CopyEnded, CopySkipped
from user_worker.domain.orders import Refusal, Refused, Rule, receipt_of
from user_worker.domain.rules import (
    Copy,
    CopyProblem,
    CopyState,
    Share,
    Stakes,
    TooMany,
    cause_of_copy,
)
from user_worker.postgres.copies import PASSED_OVER_MAX
from user_worker.rule_ports import Held, LeaderTrade, Ruled
from user_worker.trading_ports import Offer, Seen

USER_COPIES_MAX = 2
FOLLOWERS_MAX = 3
WEEK_SECONDS = 7 * DAY_SECONDS


@dataclass(slots=True)
class ShareRow:
    """worker.shares"""

    share_id: UUID
    user_id: UUID
    key: ShardKey
    code: str
    shared_at: float
    is_over: bool = False


@dataclass(slots=True)
class CopyRow:
    """worker.copies"""

    copy: Copy
    key: ShardKey
    job_id: UUID
    share: ShareRow
    made_at: float
    language: str = ""
    began_at: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """worker.copied"""

    key: ShardKey
    outcome: str
    taken_at: float


@dataclass
class CopyTables:
    """worker.shares, worker.copies and worker.copied, and the orders they led to."""

    trading: TradingTables
    offer_lifetime_seconds: float
    fresh_seconds: float
    shares: dict[UUID, ShareRow] = field(default_factory=dict)
    rows: dict[UUID, CopyRow] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    active: dict[UUID, CopyRow] = field(default_factory=dict)
    """What the partial index is in the database."""
    marks: dict[tuple[UUID, UUID], Mark] = field(default_factory=dict)
    """By copy and order of the leader."""
    changed: Callable[[CopyRow, CopyState], None] = lambda *_: None
    """Called with a copy whose state has changed, and what it was before."""
    marked: Callable[[CopyRow, UUID, str], None] = lambda *_: None
    """Called with a copy that has dealt with an order of its leader, and how."""

    # Shares

    def share(self, claim: Claim, user_id: UUID) -> Share:
        """Let others copy a user's trades, or find what he shares by."""
        self.trading.placement.fence(claim)
        if self._share_of(user_id) is None:
            code, share_id = receipt_of(new_uuid7()), new_uuid7()
            now = self.trading.now()
            self.shares[share_id] = ShareRow(share_id, user_id, claim.key, code, now)
        share = self.share_of_user(user_id)
        if share is None:
            raise LookupError(f"user {user_id} shares nothing")
        return share

    def stop_sharing(self, claim: Claim, user_id: UUID) -> bool:
        """Let nobody copy him any more; says whether somebody might have."""
        self.trading.placement.fence(claim)
        row = self._share_of(user_id)
        if row is None or row.key != claim.key:
            return False
        row.is_over = True
        return True

    def share_of_user(self, user_id: UUID) -> Share | None:
        """By what a user shares, if he does."""
        row = self._share_of(user_id)
        return None if row is None else Share(row.code, at(row.shared_at), self._followers(row))

    # Copies

    def of_job(self, user_id: UUID, job_id: UUID) -> Copy | None:
        """The copy a job offered."""
        copy_id = self.of_jobs.get(job_id)
        return None if copy_id is None else self.read(user_id, copy_id)

    def read(self, user_id: UUID, copy_id: UUID) -> Copy | None:
        """A user's copy as it stands."""
        row = self.rows.get(copy_id)
        return None if row is None or row.copy.user_id != user_id else self.as_it_stands(row)

    def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        code: str,
        spend: Decimal,
        slippage_basis_points: int,
    ) -> Copy | CopyProblem | Refusal:
        """Keep the job's offered copy, or find it."""
        trading = self.trading
        trading.placement.fence(claim)
        if trading.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        share = self._open_share(code)
        if share is None:
            return CopyProblem.UNKNOWN_CODE
        if share.user_id == user_id:
            return CopyProblem.OWN_CODE
        if self._is_copied(user_id, share):
            return CopyProblem.COPIED_ALREADY
        self._forget_old_offers(claim, user_id)
        if job_id not in self.of_jobs:
            now = trading.now()
            copy = Copy(
                copy_id=new_uuid7(),
                user_id=user_id,
                leader_id=share.user_id,
                code=code,
                spend=spend,
                slippage_basis_points=slippage_basis_points,
                state=CopyState.OFFERED,
                expires_at=at(now + self.offer_lifetime_seconds),
            )
            self.rows[copy.copy_id] = CopyRow(copy, claim.key, job_id, share, now)
            self.of_jobs[job_id] = copy.copy_id
        kept = self.of_job(user_id, job_id)
        if kept is None:
            raise ValueError(f"job {job_id} offered a copy to somebody else")
        return kept

    def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        """Make an offered copy active."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, copy_id)
        if row is None:
            return None
        if self.as_it_stands(row).state is not CopyState.OFFERED:
            return self.as_it_stands(row)
        if self.trading.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        problem = self._problem(user_id, row.share)
        if problem is not None:
            return problem
        row.language, row.began_at = language, self.trading.now()
        self.change(row, CopyState.ACTIVE)
        return row.copy

    def end(self, claim: Claim, user_id: UUID, copy_id: UUID) -> Copy | None:
        """Stop copying."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, copy_id)
        if row is not None and row.copy.state is not CopyState.ENDED:
            self.change(row, CopyState.ENDED)
        return self.read(user_id, copy_id)

    def of_user(self, user_id: UUID) -> list[Copy]:
        """A user's active copies, oldest first."""
        mine = [row for row in self.active.values() if row.copy.user_id == user_id]
        return [row.copy for row in sorted(mine, key=lambda row: row.made_at)]

    def all_of(self, user_id: UUID) -> list[Copy]:
        """All there are of a user, as they stand."""
        mine = [row for row in self.rows.values() if row.copy.user_id == user_id]
        return [self.as_it_stands(row) for row in mine]

    # Trades

    def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> list[LeaderTrade]:
        """What leaders traded and was not dealt with, each symbol in the order of its trades."""
        found, now = list[LeaderTrade](), self.trading.now()
        new_after = at(now - min(back_seconds, self.fresh_seconds))
        of = {claim.key: claim for claim in claims}
        for copy_id in sorted(self.active):
            row = self.active[copy_id]
            leader_id = row.copy.leader_id
            if row.key not in of or row.share.is_over or leader_id in self.trading.frozen:
                continue
            fresh = self._undealt(row, now - self.fresh_seconds)
            if not any(ended_at(one) > new_after for one in fresh):
                continue
            turns = list[tuple[int, datetime, OrderRow]]()
            for symbol in sorted({one.order.draft.wish.symbol for one in fresh}):
                turns += self._turns_of(leader_id, symbol, fresh)
            # The first of each symbol before the second of any.
            first = sorted(turns, key=lambda turn: turn[:2])[:count_max]
            for _, _, one in sorted(first, key=lambda turn: (turn[1], turn[2].trade_number)):
                wish = one.order.draft.wish
                trade = (row.language, one.order.order_id, wish.side, wish.symbol)
                found.append(LeaderTrade(of[row.key], row.copy, *trade))
        return found

    def stakes(self, trade: LeaderTrade) -> Stakes | None:
        """What a leader's sale is measured by; None: that cannot be said yet."""
        trading, copy_id = self.trading, trade.copy.copy_id
        for one in trading.by_rule.get(copy_id, ()):
            if one.order.draft.wish.symbol == trade.symbol and not one.order.state.is_final:
                return None
        sale = trading.orders[trade.leader_order_id]
        copied = trading.holdings.get((copy_id, trade.symbol))
        held = Decimal(0) if copied is None else copied.held
        return Stakes(sale.order.spent or Decimal(0), sale.held_before, held)

    def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """Accept the order that copies a trade and mark the trade, once."""
        self.trading.placement.fence(trade.claim)
        row = self._to_take(trade)
        if row is None:
            return Held.GONE
        copy = trade.copy
        ruled = Ruled(copy.user_id, self.cause_of(trade), trade.language)
        seen = order_by_rule(self.trading, trade.claim, ruled, (Rule.COPY, copy.copy_id), offer)
        if seen is None:
            return Held.NO_ROOM
        self.mark(row, trade.leader_order_id, "ordered")
        return seen

    def skip(self, trade: LeaderTrade, reason: Refused | None) -> None:
        """Mark a trade without an order and tell why."""
        self.trading.placement.fence(trade.claim)
        row = self._to_take(trade)
        if row is None:
            return
        self.mark(row, trade.leader_order_id, "nothing" if reason is None else reason.value)
        if reason is not None:
            copy = trade.copy
            note = CopySkipped(copy.code, trade.side.value, trade.symbol, reason.value)
            cause = cause_of_copy(copy.copy_id, trade.leader_order_id)
            self.trading.add_note(trade.claim, cause, copy.user_id, trade.language, note)

    def with_copies_or_marks(self, claims: Sequence[Claim]) -> list[Claim]:
        """Shards with copies, or with old marks."""
        keys = {row.key for row in self.active.values()}
        keys |= {self.marks[mark].key for mark in self._old_marks()}
        return [claim for claim in claims if claim.key in keys]

    def pass_over(self, claim: Claim) -> int:
        """Mark and tell what was not copied in time, and end copies of those who share no more."""
        self.trading.placement.fence(claim)
        told = 0
        for row in [one for one in self.active.values() if one.key == claim.key]:
            missed = self._missed(row)
            for order in missed:
                self.mark(row, order.order.order_id, "missed")
            if missed:
                last = max(str(order.order.order_id) for order in missed)
                subject = uuid5(row.copy.copy_id, f"missed:{last}")
                note = CopiesMissed(row.copy.code, len(missed), self.fresh_seconds)
                user = (row.copy.user_id, row.language)
                self.trading.add_note(claim, subject, *user, note)
                told += 1
            if row.share.is_over:
                self.change(row, CopyState.ENDED)
                user = (row.copy.user_id, row.language)
                self.trading.add_note(claim, row.copy.copy_id, *user, CopyEnded(row.copy.code))
                told += 1
        for mark in self._old_marks():
            if self.marks[mark].key == claim.key:
                del self.marks[mark]
        return told

    def cause_of(self, trade: LeaderTrade) -> UUID:
        """The cause of the order that copies a trade."""
        return cause_of_copy(trade.copy.copy_id, trade.leader_order_id)

    def mark(self, row: CopyRow, leader_order_id: UUID, outcome: str) -> None:
        """Mark a leader's order as dealt with."""
        mark = Mark(row.key, outcome, self.trading.now())
        self.marks[row.copy.copy_id, leader_order_id] = mark
        self.marked(row, leader_order_id, outcome)

    def change(self, row: CopyRow, state: CopyState) -> None:
        """Change a copy's state."""
        before = row.copy.state
        row.copy = replace(row.copy, state=state)
        if state is CopyState.ACTIVE:
            self.active[row.copy.copy_id] = row
        else:
            self.active.pop(row.copy.copy_id, None)
        self.changed(row, before)

    def _undealt(self, row: CopyRow, since: float) -> list[OrderRow]:
        """What a copy has still to deal with of what was filled after a moment."""
        if row.began_at is None:
            return []
        after, began_at = at(since), at(row.began_at)
        return [
            one
            for one in self.trading.filled.get(row.copy.leader_id, ())
            if ended_at(one) > after
            and one.order.accepted_at >= began_at
            and one.order.draft.rule is not Rule.COPY
            and (row.copy.copy_id, one.order.order_id) not in self.marks
        ]

    def _turns_of(
        self, leader_id: UUID, symbol: str, fresh: Sequence[OrderRow]
    ) -> list[tuple[int, datetime, OrderRow]]:
        """The trades of a symbol in their order, before those that are to end yet; each with its
        place among them and the latest end so far.
        """
        executed = [
            one.trade_number
            for one in self.trading.under_way.values()
            if one.order.draft.user_id == leader_id
            and one.order.draft.wish.symbol == symbol
            and one.trade_number
        ]
        turns, latest = list[tuple[int, datetime, OrderRow]](), None
        for one in sorted(fresh, key=lambda one: one.trade_number):
            is_next = not executed or one.trade_number < min(executed)
            if one.order.draft.wish.symbol == symbol and is_next:
                latest = ended_at(one) if latest is None else max(latest, ended_at(one))
                turns.append((len(turns), latest, one))
        return turns

    def _missed(self, row: CopyRow) -> list[OrderRow]:
        now = self.trading.now()
        stale = at(now - self.fresh_seconds)
        newest = [
            one
            for one in self.trading.filled.get(row.copy.leader_id, ())
            if at(now - DAY_SECONDS) < ended_at(one) <= stale
        ][-PASSED_OVER_MAX:]
        undealt = {id(one) for one in self._undealt(row, now - DAY_SECONDS)}
        return [one for one in newest if id(one) in undealt]

    def _to_take(self, trade: LeaderTrade) -> CopyRow | None:
        row = self._taken(trade.claim, trade.copy.user_id, trade.copy.copy_id)
        if row is None or row.copy.state is not CopyState.ACTIVE:
            return None
        return None if (trade.copy.copy_id, trade.leader_order_id) in self.marks else row

    def _taken(self, claim: Claim, user_id: UUID, copy_id: UUID) -> CopyRow | None:
        row = self.rows.get(copy_id)
        is_meant = row is not None and row.copy.user_id == user_id and row.key == claim.key
        return row if is_meant else None

    def as_it_stands(self, row: CopyRow) -> Copy:
        """A copy; one that was not confirmed in time is EXPIRED."""
        is_over = row.copy.expires_at <= at(self.trading.now())
        if row.copy.state is CopyState.OFFERED and is_over:
            return replace(row.copy, state=CopyState.EXPIRED)
        return row.copy

    def _problem(self, user_id: UUID, share: ShareRow) -> CopyProblem | TooMany | None:
        if len(self.of_user(user_id)) >= USER_COPIES_MAX:
            return TooMany(USER_COPIES_MAX)
        if share.is_over:
            return CopyProblem.UNKNOWN_CODE
        if self._is_copied(user_id, share):
            return CopyProblem.COPIED_ALREADY
        return CopyProblem.FOLLOWERS_MAX if self._followers(share) >= FOLLOWERS_MAX else None

    def _share_of(self, user_id: UUID) -> ShareRow | None:
        rows = self.shares.values()
        return next((row for row in rows if row.user_id == user_id and not row.is_over), None)

    def _open_share(self, code: str) -> ShareRow | None:
        rows = self.shares.values()
        return next((row for row in rows if row.code == code and not row.is_over), None)

    def _is_copied(self, user_id: UUID, share: ShareRow) -> bool:
        rows = self.active.values()
        return any(row.copy.user_id == user_id and row.share is share for row in rows)

    def _followers(self, share: ShareRow) -> int:
        return sum(row.share is share for row in self.active.values())

    def _old_marks(self) -> list[tuple[UUID, UUID]]:
        oldest = self.trading.now() - WEEK_SECONDS
        return [about for about, mark in self.marks.items() if mark.taken_at < oldest]

    def _forget_old_offers(self, claim: Claim, user_id: UUID) -> None:
        oldest = self.trading.now() - DAY_SECONDS
        for copy_id, row in list(self.rows.items()):
            is_mine = row.copy.user_id == user_id and row.key == claim.key
            if is_mine and row.began_at is None and row.made_at < oldest:
                del self.rows[copy_id]
                del self.of_jobs[row.job_id]


def ended_at(row: OrderRow) -> datetime:
    """When an order that has ended did."""
    ended = row.order.ended_at
    if ended is None:
        raise ValueError(f"order {row.order.order_id} has not ended")
    return ended
