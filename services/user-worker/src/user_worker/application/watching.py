"""The prices orders and alerts wait for, watched by the owner of their shards.

    quote ──► what it meets (`domain.triggers`) ──► stop, take-profit, alert: acted upon
                                                └─► limit: the venue is asked first

A quote is judged in the moment it is heard, for all shards, so that a price that was met and left
again counts. What it meets is a candidate from then on, and is acted upon in one fenced transaction
per shard and batch. The condition stands in that transaction ("it still waits"), so it does not
matter how often a candidate is tried, or by how many owners: it triggers once.

A candidate stays one until the database says what became of it:

- the venue is asked about a limit order, in a lane of its own that keeps no others waiting; when it
  would not execute it within its limit (the spread!) it is asked again after a while, and when the
  price is met no longer, the order waits for it anew;
- an order that finds no room beside those under way is tried again after a while;
- an answer that was lost is asked for again, and meets the order that was made.

Of quotes too old to trade on nothing is judged. A new owner reads its shards' watches in pages and
judges them by the latest quotes; a price that was met and left while nobody owned the shard has
triggered nothing. A shard that is read again is watched for what was found and no more: what a
freeze has cancelled, all at once, is watched no longer.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chassis.telemetry import get_logger
from kernel.money import FRACTION_DIGITS_MAX
from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.recurring import Rhythm, again_and_again
from user_worker.domain.orders import Draft, Refusal
from user_worker.domain.resting_terms import is_within_limit, look_question
from user_worker.domain.sizing import Asset
from user_worker.domain.triggers import Purpose, Triggers, Watch
from user_worker.errors import ClaimLost, DependencyDown, RequestRefused
from user_worker.resting_ports import QuoteFeed, Reached, Waiting
from user_worker.trading_ports import StatedQuote, Venue

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchingPace:
    """How prices are watched."""

    stale_quote_seconds: float
    """An older quote triggers nothing."""
    look_again_seconds: float
    """Between two looks at a candidate."""
    batch_max: int
    """What one transaction acts upon."""
    previews_at_once_max: int
    shards_at_once_max: int
    """Transactions at the same moment."""
    page_rows: int
    looking: Rhythm
    expiring: Rhythm


@dataclass(slots=True)
class _Candidate:
    """A watch whose price was met."""

    watch: Watch
    quote: StatedQuote
    """What met it."""
    heard_at: float
    """On the monotonic clock, as the next."""
    due_at: float
    is_ready: bool
    """Whether it may trigger: a limit order once the venue would execute it."""
    draft: Draft | None = None
    """A limit order's, once it was read."""

    @property
    def watch_id(self) -> UUID:
        """The watch's."""
        return self.watch.watch_id


@dataclass(slots=True)
class _Shard:
    """What is watched under one claim."""

    triggers: Triggers = field(default_factory=Triggers)
    candidates: dict[UUID, _Candidate] = field(default_factory=dict)
    must_read: bool = True

    def __len__(self) -> int:
        return len(self.triggers) + len(self.candidates)

    def watched(self) -> set[UUID]:
        """The ids of all that is watched."""
        return {*self.triggers.ids(), *self.candidates}

    def drop(self, watch_id: UUID) -> None:
        """Watch one no longer that waits no longer.

        One that may trigger stays: it may have done so, and then the answer is still to be had.
        """
        self.triggers.remove(watch_id)
        candidate = self.candidates.get(watch_id)
        if candidate is not None and not candidate.is_ready:
            del self.candidates[watch_id]


class Watcher:
    """Watches the prices of this worker's shards. The real resting_ports.Watching."""

    def __init__(
        self,
        waiting: Waiting,
        feed: QuoteFeed,
        venue: Venue,
        carrying_out: CarryingOut,
        pace: WatchingPace,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._waiting = waiting
        self._feed = feed
        self._venue = venue
        self._carrying_out = carrying_out
        self._pace = pace
        self._now = now
        self._shards: dict[Claim, _Shard] = {}
        self._previews = asyncio.Semaphore(pace.previews_at_once_max)
        self._transactions = asyncio.Semaphore(pace.shards_at_once_max)
        self._met = asyncio.Event()
        self._met_limits = asyncio.Event()
        self._unread = asyncio.Event()
        feed.listen(self.hear)

    async def run(self) -> None:
        """Watch until cancelled."""
        await asyncio.gather(
            again_and_again(self.read, "watch-read", self._unread, self._pace.looking),
            again_and_again(self.act, "trigger", self._met, self._pace.looking),
            again_and_again(self.look, "limit", self._met_limits, self._pace.looking),
            again_and_again(self.expire, "expire", asyncio.Event(), self._pace.expiring),
        )

    def add(self, claim: Claim, watch: Watch) -> None:
        """Watch from now on; one that is watched already is no error."""
        shard = self._shards.get(claim)
        # A shard that is not known yet will be read, and this with it.
        if shard is not None:
            self._add(shard, [watch])
            self._count()

    def remove(self, claim: Claim, watch_id: UUID) -> None:
        """Watch it no longer; an unknown one is no error."""
        shard = self._shards.get(claim)
        if shard is not None:
            shard.triggers.remove(watch_id)
            shard.candidates.pop(watch_id, None)
            self._count()

    def read_again(self, claim: Claim) -> None:
        """Read what waits in a shard anew: it is not known one by one what has changed."""
        shard = self._shards.get(claim)
        if shard is not None:
            shard.must_read = True
            self._unread.set()

    def hear(self, quotes: Iterable[StatedQuote]) -> None:
        """Judge what waits by quotes."""
        for quote in quotes:
            for shard in self._shards.values():
                self._judge(shard, quote)

    async def read(self) -> bool:
        """Read the shards that were not read yet, and let go of those that are no longer owned."""
        claims = set(self._carrying_out.claims())
        for claim in self._shards.keys() - claims:
            del self._shards[claim]
        for claim in claims - self._shards.keys():
            self._shards[claim] = _Shard()
        self._count()
        for claim, shard in list(self._shards.items()):
            if shard.must_read:
                await self._read(claim, shard)
        return False

    async def act(self) -> bool:
        """Act upon the candidates whose time has come; says whether there are more already."""
        claims = set(self._carrying_out.claims())
        shards = [(claim, shard) for claim, shard in self._shards.items() if claim in claims]
        results = await asyncio.gather(
            *(self._act_in(claim, shard) for claim, shard in shards if shard.candidates),
            return_exceptions=True,
        )
        self._count()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return any(result is True for result in results)

    async def look(self) -> bool:
        """Ask the venue about limit orders whose price is met; says whether there are more."""
        due = [
            (shard, candidate)
            for shard in self._shards.values()
            for candidate in self._due(shard, is_ready=False)
        ]
        batch = due[: self._pace.batch_max]
        self._put_off(candidate for _, candidate in batch)
        unread = [candidate.watch_id for _, candidate in batch if candidate.draft is None]
        if unread:
            drafts = {one.order_id: one.draft for one in await self._waiting.resting(unread)}
            for _, candidate in batch:
                candidate.draft = candidate.draft or drafts.get(candidate.watch_id)
        await asyncio.gather(*(self._look_at(shard, candidate) for shard, candidate in batch))
        return len(due) > len(batch)

    async def expire(self) -> bool:
        """End what has waited in vain; says whether there is more of it."""
        claims = self._carrying_out.claims()
        has_more = False
        for claim in await self._waiting.expired(claims) if claims else ():
            try:
                ended = await self._waiting.expire(claim, self._pace.batch_max)
            except ClaimLost:
                self._carrying_out.lost(claim)
                continue
            for watch_id in ended:
                self.remove(claim, watch_id)
            has_more |= len(ended) >= self._pace.batch_max
            if ended:
                self._carrying_out.ended_untold.set()
        return has_more

    def _add(self, shard: _Shard, watches: Sequence[Watch]) -> None:
        for watch in watches:
            if watch.watch_id not in shard.candidates:
                shard.triggers.add(watch)
        for symbol in {watch.symbol for watch in watches}:
            quote = self._feed.latest(symbol)
            if quote is not None:
                self._judge(shard, quote)

    def _judge(self, shard: _Shard, quote: StatedQuote) -> None:
        if not self._is_fresh(quote):
            return
        now = asyncio.get_running_loop().time()
        for watch in shard.triggers.crossed(quote.symbol, quote.price):
            is_ready = watch.purpose is not Purpose.LIMIT
            shard.candidates[watch.watch_id] = _Candidate(watch, quote, now, now, is_ready)
            (self._met if is_ready else self._met_limits).set()

    def _is_fresh(self, quote: StatedQuote) -> bool:
        return self._now() - quote.stated_at <= self._pace.stale_quote_seconds

    def _count(self) -> None:
        metrics.WATCHES.set(sum(map(len, self._shards.values())))

    async def _read(self, claim: Claim, shard: _Shard) -> None:
        # Before it is read: what becomes unknown meanwhile is read once more.
        shard.must_read, after, is_first = False, None, True
        # What is watched later than this may have begun to wait behind the page that was read.
        unseen = shard.watched()
        try:
            while is_first or after is not None:
                watches, after = await self._waiting.page(claim, after, self._pace.page_rows)
                is_first = False
                if self._shards.get(claim) is not shard:
                    return
                self._add(shard, watches)
                unseen.difference_update(watch.watch_id for watch in watches)
        except BaseException:
            shard.must_read = True
            raise
        for watch_id in unseen:
            shard.drop(watch_id)
        self._count()

    def _due(self, shard: _Shard, *, is_ready: bool) -> list[_Candidate]:
        now = asyncio.get_running_loop().time()
        candidates = shard.candidates.values()
        return [one for one in candidates if one.is_ready is is_ready and one.due_at <= now]

    def _put_off(self, candidates: Iterable[_Candidate]) -> None:
        later = asyncio.get_running_loop().time() + self._pace.look_again_seconds
        for candidate in candidates:
            candidate.due_at = later

    async def _act_in(self, claim: Claim, shard: _Shard) -> bool:
        due = self._due(shard, is_ready=True)
        batch = due[: self._pace.batch_max]
        self._put_off(batch)
        alerts = [one for one in batch if one.watch.purpose is Purpose.ALERT]
        orders = [one for one in batch if one.watch.purpose is not Purpose.ALERT]
        try:
            async with self._transactions:
                if orders:
                    await self._trigger(claim, shard, orders)
                if alerts:
                    await self._reach(claim, shard, alerts)
        except ClaimLost:
            self._carrying_out.lost(claim)
        return len(due) > len(batch)

    async def _reach(self, claim: Claim, shard: _Shard, alerts: Sequence[_Candidate]) -> None:
        await self._waiting.reach(claim, [Reached(one.watch_id, one.quote) for one in alerts])
        for candidate in alerts:
            self._acted(shard, candidate)
        self._carrying_out.ended_untold.set()

    async def _trigger(self, claim: Claim, shard: _Shard, orders: Sequence[_Candidate]) -> None:
        found = await self._waiting.trigger(claim, [one.watch_id for one in orders])
        for candidate in orders:
            seen = found.get(candidate.watch_id)
            if seen is not None:
                self._acted(shard, candidate)
                if not seen.order.state.is_final:
                    self._carrying_out.start(claim, seen)
            elif candidate.watch_id in found:
                # No room. By the time there is, a limit order's price may have gone.
                candidate.is_ready = candidate.watch.purpose is not Purpose.LIMIT
            else:
                shard.candidates.pop(candidate.watch_id, None)

    def _acted(self, shard: _Shard, candidate: _Candidate) -> None:
        shard.candidates.pop(candidate.watch_id, None)
        purpose = candidate.watch.purpose
        metrics.TRIGGERED.labels(purpose.value).inc()
        if purpose is not Purpose.LIMIT:
            metrics.TRIGGER_SECONDS.observe(asyncio.get_running_loop().time() - candidate.heard_at)

    async def _look_at(self, shard: _Shard, candidate: _Candidate) -> None:
        """Make a limit order ready if the venue would execute it now, or wait for it anew."""
        watch = candidate.watch
        if candidate.draft is None or await self._is_within(candidate.draft):
            # One without a draft is gone; the transaction finds that out.
            candidate.is_ready, candidate.due_at = True, asyncio.get_running_loop().time()
            self._met.set()
            return
        quote = self._feed.latest(watch.symbol)
        is_met = quote is not None and watch.direction.is_met(watch.price, quote.price)
        if not is_met and shard.candidates.pop(watch.watch_id, None) is not None:
            shard.triggers.add(watch)

    async def _is_within(self, draft: Draft) -> bool:
        # The decimals are the venue's business: the amounts are exact already.
        spent, received = (
            Asset(coins.asset_id, coins.symbol, FRACTION_DIGITS_MAX)
            for coins in (draft.spend, draft.receive)
        )
        side, symbol = draft.wish.side, draft.wish.symbol
        async with self._previews:
            try:
                preview = await self._venue.preview(
                    side, symbol, look_question(draft), spent, received
                )
            except DependencyDown as outage:
                note_outage(outage, "limit")
                return False
            except RequestRefused:
                _log.exception("limit_not_previewed", order_id=str(draft.draft_id))
                return False
        note_answer("venue", "limit")
        return not isinstance(preview, Refusal) and is_within_limit(draft, preview)
