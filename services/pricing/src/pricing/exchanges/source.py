"""The exchanges together as one source of quotes.

Each step all exchanges are asked at once, each once for all symbols; what they agree on becomes a
quote. The exchanges state no times, so a quote is stated at the time before anybody was asked: it
is surely no younger than it says.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from chassis.errors import TryAgain
from pricing import metrics
from pricing.domain import Candle, Quote, Source, Traded, round_price
from pricing.exchanges.agreement import agree


class Exchange(Protocol):
    """One exchange."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    async def ask(self) -> dict[str, Decimal]:
        """Ask for the prices of all symbols; those it did not state are missing. Never raises."""
        ...


class PastMinutes(Protocol):
    """Where past minutes come from."""

    async def minutes(self, traded: Traded, begin: datetime, end: datetime) -> list[Candle]:
        """State the minutes from `begin` to before `end`, oldest first. Raises TryAgain."""
        ...


class ExchangeMarket:
    """The source of quotes of exchanges."""

    def __init__(
        self,
        instruments: Sequence[Traded],
        exchanges: Sequence[Exchange],
        past: PastMinutes,
        deviation_max: Decimal,
        statements_min: int,
    ) -> None:
        self._traded = {traded.symbol: traded for traded in instruments}
        self._exchanges = tuple(exchanges)
        self._past = past
        self._deviation_max = deviation_max
        self._statements_min = statements_min

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it knows."""
        return tuple(self._traded)

    @property
    def instruments(self) -> tuple[Traded, ...]:
        """The same with how their prices are shown."""
        return tuple(self._traded.values())

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State what the exchanges agree on now. Raises TryAgain when that is nothing at all."""
        answers = await asyncio.gather(*(exchange.ask() for exchange in self._exchanges))
        quotes = []
        for traded in filter(None, map(self._traded.get, symbols)):
            stated = {
                exchange.name: answer[traded.symbol]
                for exchange, answer in zip(self._exchanges, answers, strict=True)
                if traded.symbol in answer
            }
            if (price := self._agree(stated)) is not None:
                rounded = round_price(price, traded.price_digits)
                quotes.append(Quote(traded.symbol, traded.currency, rounded, now, Source.EXCHANGES))
        if not quotes:
            raise TryAgain("no exchange states a price")
        return quotes

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """State the whole minutes from `begin` to before `end`, oldest first. Raises TryAgain."""
        traded = self._traded.get(symbol)
        return [] if traded is None else await self._past.minutes(traded, begin, end)

    def _agree(self, stated: dict[str, Decimal]) -> Decimal | None:
        agreement = agree(stated, self._deviation_max, self._statements_min)
        for name in agreement.outliers:
            metrics.PRICES_DROPPED.labels(name, "outlier").inc()
        if agreement.price is None and stated:
            metrics.DISAGREEMENTS.inc()
        return agreement.price
