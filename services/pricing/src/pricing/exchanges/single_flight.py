"""One replica asks, all others take what it got: a source shared by all replicas.

The replica whose turn it is asks the source; what it gets reaches the shared cache as every quote
does (`application.Market`). The others look there until something newer than they know appears.
When Redis is away each asks for itself, which its own budget bounds. When the asking fails, what
another replica got a while ago is still better than nothing: it is given with its age.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chassis.errors import TryAgain
from pricing import metrics
from pricing.domain import Candle, Quote, Traded
from pricing.exchanges.turns import Turn

LOOK_SECONDS = 0.05
"""How often a waiting replica looks: a call to an exchange takes a tenth of a second or more."""


class Upstream(Protocol):
    """The source that is to be asked once."""

    @property
    def instruments(self) -> Sequence[Traded]:
        """What it states prices for."""
        ...

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State the present prices. Raises TryAgain."""
        ...

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """State past minutes. Raises TryAgain."""
        ...


class SharedQuotes(Protocol):
    """Where replicas find each other's quotes."""

    async def read(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Read what is kept of some symbols. Raises TryAgain."""
        ...


class TurnTaking(Protocol):
    """Who may ask."""

    async def take(self) -> Turn | None:
        """Take the turn; None while it is another's. Raises TryAgain."""
        ...

    async def end(self, turn: Turn) -> None:
        """End it."""
        ...


class OneAsker:
    """A source of quotes of which one replica at a time asks."""

    def __init__(
        self,
        upstream: Upstream,
        cache: SharedQuotes,
        turns: TurnTaking,
        *,
        patience_seconds: float,
        look_timeout_seconds: float,
    ) -> None:
        self._upstream = upstream
        self._cache = cache
        self._turns = turns
        self._patience_seconds = patience_seconds
        self._look_timeout_seconds = look_timeout_seconds
        self._newest: datetime | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it knows."""
        return tuple(traded.symbol for traded in self._upstream.instruments)

    @property
    def instruments(self) -> Sequence[Traded]:
        """The same with how their prices are shown."""
        return self._upstream.instruments

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Ask, or wait for what another replica gets. Raises TryAgain when nothing is new."""
        try:
            turn = await self._turns.take()
        except TryAgain:
            metrics.TURNS.labels("alone").inc()
            return self._known(await self._upstream.fetch(symbols, now))
        if turn is None:
            return await self._adopt(symbols, now)
        metrics.TURNS.labels("asked").inc()
        try:
            return self._known(await self._upstream.fetch(symbols, now))
        except TryAgain:
            if not (kept := await self._look(symbols, now)):
                raise
            return self._known(kept)
        finally:
            await self._turns.end(turn)

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """State past minutes. Each replica asks for itself: for what nobody has kept, only."""
        return await self._upstream.past(symbol, begin, end)

    async def _adopt(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Look until there is something new, for as long as patience lasts."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                while not (kept := await self._look(symbols, now)):  # noqa: ASYNC110 (in Redis)
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            metrics.TURNS.labels("missed").inc()
            raise TryAgain("no other replica has a new price") from None
        metrics.TURNS.labels("adopted").inc()
        return self._known(kept)

    async def _look(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Give what is newer than all that is known; a cache that is away has nothing."""
        currencies = {(t.symbol, t.currency, t.source) for t in self._upstream.instruments}
        try:
            async with asyncio.timeout(self._look_timeout_seconds):
                kept = await self._cache.read(symbols, now)
        except (TryAgain, TimeoutError):
            return []
        return [
            quote
            for quote in kept
            if (quote.symbol, quote.currency, quote.source) in currencies
            and (self._newest is None or quote.stated_at > self._newest)
        ]

    def _known(self, quotes: list[Quote]) -> list[Quote]:
        self._newest = max((q.stated_at for q in quotes), default=self._newest)
        return quotes
