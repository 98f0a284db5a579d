"""Prices close at hand: one stream from pricing keeps a copy of every quote in this worker.

A quote whose source stated it a moment ago is given from the copy, whoever asks. An older one is
asked for again, at most once at a time and once in a while per symbol: the source may have gone
quiet, or only the stream. When pricing does not answer, the copy is given with the age it has: it
is for whoever reads it to say that it is old, and the venue never trades on it.

Candles are read once for all who ask within the time in which a quote is fresh: pricing makes them
of up to a day of minutes, and every card of a price shows what the price did in a day.

The age is the present minus the time the source stated, both by wall clocks.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from chassis.telemetry import get_logger
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.single_flight import SingleFlight
from user_worker.domain.market import Candles, Instrument, Quote
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown
from user_worker.trading_ports import Assets, Listed, QuoteSource, StatedQuote

SYMBOLS_PER_STREAM_MAX = 200
"""Pricing's bound on one WatchQuotes, and on its instruments."""
CANDLES_REMEMBERED_MAX = 100
"""Answers: some 60 KB each at most."""
PAPER = "paper"
"""The world of assets that is traded in here."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QuotesPace:
    """How the copy is kept."""

    fresh_seconds: float
    """A quote younger than this is given without asking, and so are candles read so lately."""
    asked_again_seconds: float
    """How long the answer to a question for an older one is good."""
    instruments_seconds: float
    """How long the instruments are remembered."""
    after_outage: Pauses


class LocalPricing:
    """The real ports.Pricing."""

    def __init__(
        self,
        source: QuoteSource,
        assets: Assets,
        pace: QuotesPace,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._assets = assets
        self._pace = pace
        self._now = now
        self._copies: dict[str, StatedQuote] = {}
        self._answered_at: dict[str, float] = {}
        self._asking = SingleFlight[None]()
        self._listeners: list[Callable[[Sequence[StatedQuote]], None]] = []
        self._candles: dict[tuple[str, int, int], tuple[float, Candles]] = {}
        """By symbol, interval and count, with the time of reading; the latest at the end."""
        self._asking_candles = SingleFlight[Candles]()
        self._instruments: Mapping[str, Instrument] = MappingProxyType({})
        self._instruments_until = float("-inf")

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        pauses = iter(self._pace.after_outage)
        while True:
            has_begun = False
            try:
                listed = await self._source.listed()
                symbols = [one.symbol for one in listed[:SYMBOLS_PER_STREAM_MAX]]
                if symbols:
                    async with self._source.watch(symbols) as changes:
                        async for quotes in changes:
                            has_begun = True
                            pauses = iter(self._pace.after_outage)
                            note_answer("pricing", "watch")
                            self._take(quotes)
            except DependencyDown as outage:
                # One that has begun may end at any time: connections have an age, servers drain.
                if not has_begun:
                    note_outage(outage, "watch")
            except Exception:  # noqa: BLE001 (a copy that is not kept costs calls, never a worker)
                _log.exception("quotes_not_watched")
            await asyncio.sleep(next(pauses))

    def listen(self, listener: Callable[[Sequence[StatedQuote]], None]) -> None:
        """Tell of each newer quote, at once."""
        self._listeners.append(listener)

    def latest(self, symbol: str) -> StatedQuote | None:
        """Give the copy, however old."""
        return self._copies.get(symbol)

    async def instruments(self) -> Mapping[str, Instrument]:
        """Read what is traded, by symbol; remembered for a while."""
        if self._now() >= self._instruments_until:
            try:
                await self._asking.join("instruments", self._learn_instruments)
            except DependencyDown as outage:
                if not self._instruments:
                    raise
                # They change with a deployment only.
                note_outage(outage, "instruments")
        return self._instruments

    async def quote(self, symbol: str) -> Quote | None:
        """Read the latest price, however old; None when the symbol is unknown."""
        if self._is_good(symbol):
            metrics.QUOTES.labels("copy").inc()
        else:
            metrics.QUOTES.labels("asked").inc()
            try:
                await self._asking.join(("quote", symbol), lambda: self._ask(symbol))
            except DependencyDown as outage:
                if symbol not in self._copies:
                    raise
                note_outage(outage, "quote")
        copy = self._copies.get(symbol)
        return None if copy is None else copy.at(self._now())

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """Read the newest candles, the one under way included."""
        key = (symbol, interval_minutes, count_max)
        read_at, known = self._candles.get(key, (float("-inf"), None))
        if known is not None and self._is_fresh(read_at):
            metrics.CANDLES.labels("copy").inc()
            return known
        metrics.CANDLES.labels("asked").inc()
        return await self._asking_candles.join(key, lambda: self._read_candles(key))

    async def _read_candles(self, key: tuple[str, int, int]) -> Candles:
        candles = await self._source.candles(*key)
        self._candles.pop(key, None)
        for oldest, (read_at, _) in list(self._candles.items()):
            if self._is_fresh(read_at) and len(self._candles) < CANDLES_REMEMBERED_MAX:
                break
            del self._candles[oldest]
        self._candles[key] = (self._now(), candles)
        return candles

    def _is_fresh(self, at: float) -> bool:
        # A wall clock may be set back: what comes from the future is not fresh.
        return 0 <= self._now() - at < self._pace.fresh_seconds

    def _is_good(self, symbol: str) -> bool:
        copy, now = self._copies.get(symbol), self._now()
        if copy is None:
            return False
        if now - copy.stated_at < self._pace.fresh_seconds:
            return True
        return now - self._answered_at.get(symbol, 0.0) < self._pace.asked_again_seconds

    async def _ask(self, symbol: str) -> None:
        self._take(await self._source.quotes([symbol]))
        if symbol in self._copies:
            self._answered_at[symbol] = self._now()

    def _take(self, quotes: Sequence[StatedQuote]) -> None:
        newer = []
        for quote in quotes:
            copy = self._copies.get(quote.symbol)
            # The stream and an answer may overtake one another.
            if copy is None or quote.stated_at >= copy.stated_at:
                self._copies[quote.symbol] = quote
                newer.append(quote)
        for listener in self._listeners:
            listener(newer)

    async def _learn_instruments(self) -> None:
        listed, decimals = await self._source.listed(), await self._assets.decimals()
        instruments = {one.symbol: _instrument_of(one, decimals) for one in listed}
        self._instruments = MappingProxyType(
            {symbol: known for symbol, known in instruments.items() if known is not None}
        )
        self._instruments_until = self._now() + self._pace.instruments_seconds
        unknown = sorted(instruments.keys() - self._instruments.keys())
        if unknown:
            _log.warning("priced_but_not_in_the_registry", symbols=unknown)


def _instrument_of(listed: Listed, decimals: Mapping[str, int]) -> Instrument | None:
    """Join what pricing and the registry say; None for what the books do not know."""
    base, currency = f"{PAPER}:{listed.symbol}", f"{PAPER}:{listed.currency}"
    if base not in decimals or currency not in decimals:
        return None
    return Instrument(
        symbol=listed.symbol,
        currency=listed.currency,
        price_digits=listed.price_digits,
        base_asset_id=base,
        base_decimals=decimals[base],
        currency_asset_id=currency,
        currency_decimals=decimals[currency],
    )
