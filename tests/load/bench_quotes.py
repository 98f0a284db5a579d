"""How many quotes a worker gives from its local copy, and how many of them cost pricing a call.

Two hundred symbols are kept fresh as the stream would keep them; what is measured is what one
`/price` asks of the copy. A copy that costs a call for each quote fails.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal

from tests.load.figures import tell

from user_worker.application.quotes import LocalPricing, QuotesPace
from user_worker.domain.market import Candles
from user_worker.domain.pauses import Pauses
from user_worker.trading_ports import Listed, StatedQuote

SYMBOLS = 200
QUOTES = 200_000


class _Source:
    """Pricing that counts who asks."""

    def __init__(self) -> None:
        self.calls = 0
        self.symbols = [f"S{number}" for number in range(SYMBOLS)]

    async def listed(self) -> Sequence[Listed]:
        return [Listed(symbol, "USDT", 2) for symbol in self.symbols]

    async def quotes(self, symbols: Sequence[str]) -> Sequence[StatedQuote]:
        self.calls += 1
        stated_at = time.time() + 3600
        return [StatedQuote(symbol, Decimal(100), "USDT", True, stated_at) for symbol in symbols]

    def watch(
        self, symbols: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[StatedQuote]]]:
        raise NotImplementedError

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        raise NotImplementedError

    async def decimals(self) -> Mapping[str, int]:
        raise NotImplementedError


async def measure_quotes() -> tuple[float, int]:
    """Quotes per second, and the calls they cost."""
    source = _Source()
    pricing = LocalPricing(source, source, QuotesPace(3.0, 1.0, 300.0, Pauses(1.0, 1.0)))
    began = time.perf_counter()
    for number in range(QUOTES):
        await pricing.quote(source.symbols[number % SYMBOLS])
    return QUOTES / (time.perf_counter() - began), source.calls


async def bench(_asked: object) -> bool:
    """Measure and tell; False when quotes cost more than the first call of each symbol."""
    per_second, calls = await measure_quotes()
    tell(
        "quotes from the local copy", per_second, "1/s", symbols=SYMBOLS, quotes=QUOTES, calls=calls
    )
    return calls == SYMBOLS
