"""The line to one exchange: whether it is asked, asking it, and what its failure means.

A step asks once. Before the call stand the breaker (does it answer at all?) and the budget (may
we?), after it every way to end is counted. A failure costs this exchange's part of this step, never
the step.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from chassis.telemetry import get_logger
from pricing import metrics
from pricing.exchanges.breaker import Breaker
from pricing.exchanges.dialect import Answer, Dialect, Request
from pricing.exchanges.errors import NoAnswer, PairUnlisted, Throttled
from pricing.exchanges.listing import Listing

_log = get_logger(__name__)


class Asking(Protocol):
    """The way there."""

    async def get(self, request: Request) -> Answer:
        """Ask once. Raises NoAnswer."""
        ...


class Allowance(Protocol):
    """How often one may."""

    async def take(self) -> bool:
        """Take a call; False when there is none to take."""
        ...

    async def pause(self, seconds: float) -> None:
        """Leave the exchange alone."""
        ...


class Line:
    """The line to one exchange, for some pairs by their symbols. `clock` is monotonic."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Asking,
        budget: Allowance,
        pairs: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._dialect = dialect
        self._transport = transport
        self._budget = budget
        self._symbols = {pair: symbol for symbol, pair in pairs.items()}
        self._listing = Listing(list(pairs.values()))
        self._clock = clock
        self._breaker = Breaker()
        self._tell_breaker()

    @property
    def name(self) -> str:
        """The exchange's name."""
        return self._dialect.name

    async def ask(self) -> dict[str, Decimal]:
        """Ask for the prices of all symbols; those it did not state are missing."""
        self._tell_breaker()
        pairs = self._listing.to_ask(self._clock())
        if pairs is not None and not pairs:
            self._count("nothing_listed")
        elif not self._breaker.admits(self._clock()):
            self._count("breaker_open")
        elif not await self._budget.take():
            self._count("over_budget")
        else:
            return await self._call(self._dialect.request(pairs))
        return {}

    async def _call(self, request: Request) -> dict[str, Decimal]:
        try:
            books = self._dialect.read(await self._transport.get(request))
        except NoAnswer as error:
            await self._take_in(error)
            return {}
        if self._breaker.failures:
            _log.info("exchange_back", exchange=self.name)
        self._breaker = self._breaker.after_success()
        self._tell_breaker()
        self._listing.answered(books, self._clock())
        self._count("answered")
        return self._prices(books)

    async def _take_in(self, error: NoAnswer) -> None:
        """Do what a failure asks for; log the first of a row only."""
        now = self._clock()
        self._count(error.outcome)
        if not self._breaker.failures:
            _log.warning("exchange_fails", exchange=self.name, error=str(error))
        match error:
            case PairUnlisted():
                self._listing.refused()
                self._breaker = self._breaker.after_success()
            case Throttled(delay_seconds=seconds):
                self._breaker = self._breaker.after_throttling(now, seconds)
                await self._budget.pause(seconds)
            case _:
                self._breaker = self._breaker.after_failure(now)
        self._tell_breaker()

    def _prices(self, books: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
        prices = {}
        for pair, price in books.items():
            if (symbol := self._symbols.get(pair)) is None:
                continue
            if price is None:
                metrics.PRICES_DROPPED.labels(self.name, "no_price").inc()
            else:
                prices[symbol] = price
        return prices

    def _count(self, outcome: str) -> None:
        metrics.EXCHANGE_CALLS.labels(self.name, outcome).inc()

    def _tell_breaker(self) -> None:
        metrics.BREAKER.labels(self.name).set(self._breaker.state(self._clock()))
