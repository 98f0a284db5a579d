"""Pricing's use cases: follow the market, answer with the latest quotes, tell watchers of changes.

Each step one call to the source states every symbol's price, however many users ask; the answers
to callers come from memory. What the source said is offered to the cache that all replicas share,
and whoever was first for a step is believed by all whose own price is near. A cache that is away or
slow costs agreement between replicas, never an answer.

A watcher that reads slowly does not fill a queue: what it has not read yet is one quote per symbol,
the latest. Finished candles are kept by a task of their own, so that a slow database never delays a
price.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chassis.errors import TryAgain
from chassis.telemetry import get_logger
from pricing import metrics
from pricing.domain import (
    CANDLE_MINUTES_PER_CALL_MAX,
    Candle,
    Candles,
    Quote,
    Span,
    Traded,
    beginning,
    spans,
)
from pricing.errors import NoQuotes, TooManyWatches, UnknownSymbol

_log = get_logger(__name__)
_TIMER_SLACK_SECONDS = 0.002
"""A timer may fire a millisecond early, and a step taken early would be taken twice."""


class QuoteSource(Protocol):
    """Somewhere prices come from: the simulated market or the exchanges."""

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols it can state prices for."""
        ...

    @property
    def instruments(self) -> Sequence[Traded]:
        """The same with how their prices are shown."""
        ...

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State the present prices, without the unknown symbols. Raises TryAgain."""
        ...


class QuoteCache(Protocol):
    """What the replicas share."""

    async def share(self, quotes: Sequence[Quote]) -> list[Quote]:
        """Offer quotes; return those to believe, one each. Raises TryAgain when it is away."""
        ...


class CandleBook(Protocol):
    """Where finished candles are kept."""

    async def add(self, candles: Sequence[Candle]) -> None:
        """Keep candles; one that is there stays as it is. Raises TryAgain."""
        ...

    async def read(
        self, traded: Traded, interval: timedelta, begin: datetime, end: datetime
    ) -> list[Span]:
        """Read the kept minutes from `begin` to before `end` as intervals, oldest first.

        Raises TryAgain.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of what the market does; each documented in the settings."""

    step: timedelta
    share_timeout_seconds: float
    watches_max: int
    candles_pending_max: int


class _Watch:
    """One watcher: the quotes it has not read yet, at most one per symbol."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = frozenset(symbols)
        self._unread: dict[str, Quote] = {}
        self._wake = asyncio.Event()

    def tell(self, quotes: Sequence[Quote]) -> None:
        self._unread |= {q.symbol: q for q in quotes if q.symbol in self._symbols}
        if self._unread:
            self._wake.set()

    async def next(self) -> list[Quote]:
        """Wait for something to read."""
        await self._wake.wait()
        self._wake.clear()
        unread, self._unread = self._unread, {}
        return list(unread.values())


class Market:
    """The latest quotes, and who wants to hear of the next."""

    def __init__(
        self,
        source: QuoteSource,
        cache: QuoteCache,
        book: CandleBook,
        limits: Limits,
        now: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._cache = cache
        self._book = book
        self._limits = limits
        self._now = now
        self._quotes: dict[str, Quote] = {}
        self._watches: set[_Watch] = set()
        self._candles = Candles()
        self._pending: deque[Candle] = deque()
        self._candles_wait = asyncio.Event()
        self._cache_is_away = self._source_is_away = False

    def latest(self, symbols: Sequence[str]) -> list[Quote]:
        """Give the latest quotes in the order of the symbols, without the unknown ones.

        An old quote is given with its age rather than withheld. A symbol the source knows and has
        never stated a price of is missing too, so that one without a price does not silence the
        others; when there is nothing else to give, NoQuotes is raised.
        """
        quotes = [self._quotes[s] for s in symbols if s in self._quotes]
        known = frozenset(self._source.symbols)
        if not quotes and (silent := [s for s in symbols if s in known]):
            raise NoQuotes(silent)
        return quotes

    @property
    def instruments(self) -> Sequence[Traded]:
        """What has a price here, ordered by symbol."""
        return sorted(self._source.instruments, key=lambda traded: traded.symbol)

    async def candles(
        self, symbol: str, interval: timedelta, count_max: int, before: datetime | None
    ) -> tuple[Traded, list[Span]]:
        """Read the newest `count_max` candles that begin before `before`, oldest first.

        What has not been kept yet, the minute under way included, is added from memory. One call
        looks back CANDLE_MINUTES_PER_CALL_MAX at most. Raises UnknownSymbol, TryAgain.
        """
        traded = next((t for t in self._source.instruments if t.symbol == symbol), None)
        if traded is None:
            raise UnknownSymbol(symbol)
        end = self._now() + timedelta(microseconds=1) if before is None else before
        reach = min(interval * count_max, timedelta(minutes=CANDLE_MINUTES_PER_CALL_MAX))
        # Up to the present the last interval is the one under way.
        begin = beginning(end - timedelta(microseconds=1), interval) - reach + interval
        kept = await self._book.read(traded, interval, begin, end)
        later = [c for c in self._unkept(symbol) if begin <= c.minute < end]
        return traded, spans(kept, later, interval, count_max)

    def _unkept(self, symbol: str) -> Iterator[Candle]:
        yield from (candle for candle in self._pending if candle.symbol == symbol)
        if (candle := self._candles.under_way(symbol)) is not None:
            yield candle

    async def watch(self, symbols: Sequence[str]) -> AsyncGenerator[list[Quote], None]:
        """Give the latest quotes, then what changes, as fast as the watcher reads.

        Ends only when it is closed or cancelled. Raises TooManyWatches, NoQuotes.
        """
        with self._watching(symbols) as watch:
            yield self.latest(list(dict.fromkeys(symbols)))
            while True:
                yield await watch.next()

    async def step(self) -> None:
        """Ask the source once, agree with the other replicas, tell the watchers."""
        try:
            stated = await self._source.fetch(self._source.symbols, self._now())
        except TryAgain as error:
            metrics.SOURCE_CALLS.labels("failed").inc()
            if not self._source_is_away:
                _log.warning("source_away", error=str(error))
            self._source_is_away = True
            return
        self._source_is_away = False
        metrics.SOURCE_CALLS.labels("answered").inc()
        quotes = await self._share(stated)
        changed = [q for q in quotes if self._is_news(q)]
        self._quotes |= {q.symbol: q for q in changed}
        for watch in self._watches:
            watch.tell(changed)
        self._collect(changed)

    async def follow_quotes(self) -> None:
        """Take each step in time, until cancelled."""
        while True:
            seconds = self._limits.step.total_seconds()
            await asyncio.sleep(seconds - self._now().timestamp() % seconds + _TIMER_SLACK_SECONDS)
            await self.step()

    async def _share(self, quotes: list[Quote]) -> list[Quote]:
        try:
            async with asyncio.timeout(self._limits.share_timeout_seconds):
                agreed = await self._cache.share(quotes)
        except (TryAgain, TimeoutError) as error:
            metrics.SHARED_QUOTES.labels("failed").inc(len(quotes))
            if not self._cache_is_away:
                _log.warning("cache_away", error=str(error) or "it takes too long")
            self._cache_is_away = True
            return quotes
        self._cache_is_away = False
        return agreed

    def _is_news(self, quote: Quote) -> bool:
        earlier = self._quotes.get(quote.symbol)
        return earlier is None or earlier.stated_at < quote.stated_at

    def _collect(self, quotes: Sequence[Quote]) -> None:
        """Hand finished candles to the keeper; when it is far behind the oldest are given up."""
        self._pending.extend(self._candles.add(quotes))
        while len(self._pending) > self._limits.candles_pending_max:
            self._pending.popleft()
            metrics.CANDLES.labels("dropped").inc()
        if self._pending:
            self._candles_wait.set()

    async def keep_candles(self) -> None:
        """Keep finished candles, until cancelled."""
        while True:
            await self._candles_wait.wait()
            self._candles_wait.clear()
            batch = list(self._pending)
            try:
                await self._book.add(batch)
            except TryAgain as error:
                _log.warning("candles_wait", candles=len(batch), error=str(error))
                continue  # the next finished candle tries again with all of them
            for candle in batch:
                if self._pending and self._pending[0] is candle:
                    self._pending.popleft()
            metrics.CANDLES.labels("kept").inc(len(batch))

    @contextmanager
    def _watching(self, symbols: Sequence[str]) -> Iterator[_Watch]:
        if len(self._watches) >= self._limits.watches_max:
            raise TooManyWatches
        watch = _Watch(symbols)
        self._watches.add(watch)
        metrics.WATCHES.inc()
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            metrics.WATCHES.dec()
