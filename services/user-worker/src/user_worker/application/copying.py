"""Trades of leaders, copied by the owner of the follower's shard.

Every second the trades of the last moments are looked for, some shards at a time; every ten
seconds, all that are still fresh: those that had to wait, for a price, for room, or, a sale, for a
purchase under way, and those of a shard claimed just now. So a look costs by what is traded now,
not by all that was dealt with already. What was not copied in time is marked and told once a
minute.

The trades of one copy are dealt with one after another, those of a symbol in the order in which
they were executed for the leader. One that has to wait keeps later ones of its symbol waiting, in
this look and in each that follows, and no other symbol's: nothing is sold before it was bought, and
nothing bought that an earlier sale would then sell a share of. Shards that cannot be looked at keep
no others back.
"""

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial

from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.recurring import Rhythm, again_and_again, each_by_itself
from user_worker.domain.orders import Money, Refusal, Refused, Side, Units, Wish
from user_worker.domain.rules import copied_sale
from user_worker.errors import DependencyDown
from user_worker.ports import Pricing
from user_worker.rule_ports import Copies, Held, LeaderTrade, Resolver
from user_worker.trading_ports import Accounts

AT_ONCE_MAX = 8
"""Copies whose trades are being dealt with at the same moment."""
SHARDS_AT_ONCE_MAX = 4
"""Shards in one look for what is new, so that a rush of trades fits into a short transaction. All
that is fresh is forty times as much: it is looked for in one shard at a time."""
PER_COPY_MAX = 20
"""Trades read of one copy at a time, of each symbol as many; the next look brings the next ones.
More than symbols are without a price at once while others have one."""
NEW_SECONDS = 15.0
"""How far back the frequent look goes. A fill is seen a second after its time at the latest, since
no transaction of a store lasts longer; the rest is for looks that were held up."""
RETRY_SECONDS = 10.0
"""How often everything fresh is looked at."""
PASS_OVER_SECONDS = 60.0
"""How often is looked for what was not copied in time: later than that nothing is lost by it."""


class CopyRunner:
    """Copies what is fresh."""

    def __init__(
        self,
        copies: Copies,
        resolver: Resolver,
        pricing: Pricing,
        accounts: Accounts,
        carrying_out: CarryingOut,
        rhythm: Rhythm,
    ) -> None:
        self._copies = copies
        self._resolver = resolver
        self._pricing = pricing
        self._accounts = accounts
        self._carrying_out = carrying_out
        self._rhythm = rhythm
        self._looked_at_all_at = float("-inf")
        self._passed_over_at = float("-inf")

    async def run(self) -> None:
        """Copy trades until cancelled."""
        await again_and_again(self.look, "copies", asyncio.Event(), self._rhythm)

    async def look(self) -> bool:
        """Copy what is fresh now. There is never more to do at once."""
        claims = self._carrying_out.claims()
        if not claims:
            return False
        await self._pass_over(claims)
        now = asyncio.get_running_loop().time()
        back_seconds, at_once = NEW_SECONDS, SHARDS_AT_ONCE_MAX
        if now - self._looked_at_all_at >= RETRY_SECONDS:
            # Before it ends: one that cannot be done is not all that is tried from then on.
            back_seconds, at_once, self._looked_at_all_at = float("inf"), 1, now
        some = [claims[first : first + at_once] for first in range(0, len(claims), at_once)]
        await each_by_itself(some, partial(self._look_at, back_seconds), 1)
        return False

    async def _look_at(self, back_seconds: float, claims: Sequence[Claim]) -> None:
        trades = await self._copies.to_take(claims, back_seconds, PER_COPY_MAX)
        of_copies = [
            list(group) for _, group in itertools.groupby(trades, lambda t: t.copy.copy_id)
        ]
        await each_by_itself(of_copies, self._take_all, AT_ONCE_MAX)

    async def _pass_over(self, claims: Sequence[Claim]) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._passed_over_at < PASS_OVER_SECONDS:
            return
        self._passed_over_at = now
        if await self._copies.pass_over(claims):
            self._carrying_out.ended_untold.set()

    async def _take_all(self, trades: Sequence[LeaderTrade]) -> None:
        waiting: set[str] = set()
        outage: DependencyDown | None = None
        for trade in trades:
            if trade.symbol in waiting:
                continue
            try:
                is_dealt_with = await self._take(trade)
            except DependencyDown as away:
                is_dealt_with, outage = False, away
            if not is_dealt_with:
                waiting.add(trade.symbol)
        if outage is not None:
            raise outage

    async def _take(self, trade: LeaderTrade) -> bool:
        """Deal with a trade; says whether that is done."""
        wish = await self._wish(trade)
        if wish is None:
            return False
        if isinstance(wish, Refusal):
            await self._skip(
                trade, None if wish.reason is Refused.NOTHING_TO_SPEND else wish.reason
            )
            return True
        offer = await self._resolver.resolve(wish, trade.copy.slippage_basis_points)
        if isinstance(offer, Refusal):
            if offer.reason is Refused.STALE_PRICE:
                return False
            await self._skip(trade, offer.reason)
            return True
        came = await self._copies.take(trade, offer)
        if isinstance(came, Held):
            metrics.RULE_RUNS.labels("copy", came.value).inc()
            return came is not Held.NO_ROOM
        metrics.RULE_RUNS.labels("copy", "ordered").inc()
        self._carrying_out.start(trade.claim, came)
        return True

    async def _wish(self, trade: LeaderTrade) -> Wish | Refusal | None:
        """Say what copies a trade; None: that cannot be said yet."""
        if trade.side is Side.BUY:
            return Wish(Side.BUY, trade.symbol, Money(trade.copy.spend))
        instrument = (await self._pricing.instruments()).get(trade.symbol)
        if instrument is None:
            return Refusal(Refused.UNKNOWN_SYMBOL)
        stakes = await self._copies.stakes(trade)
        if stakes is None:
            return None
        amount = copied_sale(stakes, instrument.base_decimals)
        if amount:
            # He may have sold some of it himself.
            (balance,) = await self._accounts.ensure_accounts(
                trade.claim, trade.copy.user_id, [instrument.base_asset_id]
            )
            amount = min(amount, balance.available)
        if amount <= 0:
            return Refusal(Refused.NOTHING_TO_SPEND)
        return Wish(Side.SELL, trade.symbol, Units(amount))

    async def _skip(self, trade: LeaderTrade, reason: Refused | None) -> None:
        await self._copies.skip(trade, reason)
        metrics.RULE_RUNS.labels("copy", "skipped").inc()
        if reason is not None:
            self._carrying_out.ended_untold.set()
