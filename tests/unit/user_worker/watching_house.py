"""A watcher over a feed of quotes and what waits for them, in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid4

from prometheus_client import REGISTRY
from tests.unit.user_worker.fakes import CLAIM
from tests.unit.user_worker.fakes_orders import draft_of, order_of
from tests.unit.user_worker.fakes_trading import market_of

from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.watching import Watcher, WatchingPace
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Order,
    OrderState,
    Side,
    Units,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.domain.resting import Condition, Direction, RestingKind, RestingOrder, RestingState
from user_worker.domain.triggers import Purpose, Watch
from user_worker.resting_ports import Reached
from user_worker.trading_ports import Seen, StatedQuote

SOON = Pauses(0.001, 0.002)
RHYTHM = Rhythm(0.005, SOON, SOON)
PACE = WatchingPace(
    stale_quote_seconds=10.0,
    look_again_seconds=0.01,
    batch_max=100,
    previews_at_once_max=4,
    shards_at_once_max=2,
    page_rows=2,
    looking=RHYTHM,
    expiring=RHYTHM,
)


def quote_at(price: int, *, age: float = 0.0, symbol: str = "BTC") -> StatedQuote:
    """A quote; the present is 1000."""
    return StatedQuote(symbol, Decimal(price), "USDT", is_simulated=True, stated_at=1000.0 - age)


@dataclass
class MemoryFeed:
    """Tells of quotes."""

    listeners: list[Callable[[Sequence[StatedQuote]], None]] = field(default_factory=list)
    quotes: dict[str, StatedQuote] = field(default_factory=dict)

    def listen(self, listener: Callable[[Sequence[StatedQuote]], None]) -> None:
        """Tell of each newer quote."""
        self.listeners.append(listener)

    def latest(self, symbol: str) -> StatedQuote | None:
        """Give the newest."""
        return self.quotes.get(symbol)

    def say(self, quote: StatedQuote) -> None:
        """Let the price change."""
        self.quotes[quote.symbol] = quote
        for listener in self.listeners:
            listener([quote])


@dataclass
class MemoryWaiting:
    """What waits, and what became of it."""

    rows: dict[UUID, Watch] = field(default_factory=dict)
    orders: dict[UUID, Order] = field(default_factory=dict)
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    reached: list[Reached] = field(default_factory=list)
    past: list[UUID] = field(default_factory=list)
    room: int = 1000
    failures: list[Exception] = field(default_factory=list)
    """Each comes after the effect: an answer that is lost."""
    batches: list[int] = field(default_factory=list)
    pages: int = 0
    gate: asyncio.Event | None = None

    async def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[Sequence[Watch], UUID | None]:
        """Read a page."""
        self.pages += 1
        self._fail()
        ids = sorted(one for one in self.rows if after is None or one > after)[:count_max]
        watches = [self.rows[one] for one in ids]
        if self.gate is not None:
            await self.gate.wait()
        return watches, ids[-1] if len(ids) == count_max else None

    async def resting(self, order_ids: Sequence[UUID]) -> Sequence[RestingOrder]:
        """Read resting orders."""
        condition = Condition(RestingKind.LIMIT, Direction.AT_OR_BELOW, Decimal(1), 60)
        return [
            RestingOrder(self.drafts[one], condition, RestingState.WAITING)
            for one in order_ids
            if one in self.drafts
        ]

    async def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> Mapping[UUID, Seen | None]:
        """Turn what waits into orders."""
        self.batches.append(len(order_ids))
        found: dict[UUID, Seen | None] = {}
        for order_id in order_ids:
            if order_id in self.rows:
                found[order_id] = None
                if self.room > 0:
                    self.room -= 1
                    del self.rows[order_id]
                    self.orders[order_id] = _order_of(order_id)
            if order_id in self.orders:
                found[order_id] = Seen(self.orders[order_id], is_late=False)
        self._fail()
        return found

    async def reach(self, claim: Claim, reached: Sequence[Reached]) -> None:
        """End alerts."""
        for one in reached:
            if self.rows.pop(one.alert_id, None) is not None:
                self.reached.append(one)
        self._fail()

    async def expired(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say where something has waited in vain."""
        return claims if self.past else []

    async def expire(self, claim: Claim, count_max: int) -> Sequence[UUID]:
        """End it."""
        ended, self.past = self.past, []
        for order_id in ended:
            self.rows.pop(order_id, None)
        self._fail()
        return ended

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def _order_of(order_id: UUID) -> Order:
    draft = replace(draft_of(Wish(Side.SELL, "BTC", Units(Decimal(1)))), draft_id=order_id)
    return order_of(draft, OrderState.ACCEPTED)


class House:
    """A watcher wired as in main, on memory."""

    def __init__(self, pace: WatchingPace = PACE) -> None:
        self.market = market_of(())
        self.waiting, self.feed = MemoryWaiting(), MemoryFeed()
        self.lost: list[Claim] = []
        self.carrying_out = CarryingOut(
            self.market.orders, self.market.books, self.market.venue, CarryingPace(4, SOON, SOON)
        )
        self.carrying_out.begin(CLAIM, lambda: self.lost.append(CLAIM))
        self.watcher = Watcher(
            self.waiting, self.feed, self.market.venue, self.carrying_out, pace, lambda: 1000.0
        )

    def place(
        self,
        price: int,
        purpose: Purpose = Purpose.MARKET,
        direction: Direction = Direction.AT_OR_BELOW,
        *,
        is_told: bool = False,
    ) -> UUID:
        """Let something wait in the database; `is_told`: and tell the watcher."""
        watch = Watch(uuid4(), purpose, "BTC", direction, Decimal(price))
        self.waiting.rows[watch.watch_id] = watch
        if purpose is Purpose.LIMIT:
            # The venue of the tests executes at its price: 100 USDT for one.
            draft = replace(
                draft_of(Wish(Side.BUY, "BTC", Units(Decimal(1)))),
                draft_id=watch.watch_id,
                receive_min=Decimal(100) / price,
                receive_max=None,
                state=DraftState.CONFIRMED,
            )
            self.waiting.drafts[watch.watch_id] = draft
        if is_told:
            self.watcher.add(CLAIM, watch)
        return watch.watch_id

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch."""
        task = asyncio.create_task(self.watcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.carrying_out.close()


def watches() -> float:
    """How many prices are watched, as the metric says."""
    return REGISTRY.get_sample_value("purser_worker_watches") or 0.0
