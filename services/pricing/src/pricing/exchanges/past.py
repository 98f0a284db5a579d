"""Past minutes, from Binance alone: `GET /api/v3/klines`, the candles of its trades.

A chart needs a past when nobody was here to collect it, and one exchange's is good enough for that:
its trades lie within hundredths of a percent of the median. Kraken tells no more than the last
twelve hours. A call weighs 2; it has a small budget of its own, so that the past never takes calls
from the present, and its caller (`pricing.history`) waits here until there is one.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pricing import metrics
from pricing.domain import Candle, Traded, round_price
from pricing.exchanges.binance import Binance
from pricing.exchanges.breaker import Breaker
from pricing.exchanges.dialect import Answer, Request, decode, price_of
from pricing.exchanges.errors import Garbled, NoAnswer, PairUnlisted, Throttled
from pricing.exchanges.line import Allowance, Asking

NAME = "binance_past"
"""What metrics and keys call it."""
CALLS_PER_MINUTE = 30
"""A day of nine symbols is some 220 calls: there within eight minutes, the newest hours first."""
LOOK_SECONDS = 1.0
"""How often a waiting call looks whether it may be made."""
KLINES_MAX = 1000
"""Binance's limit of one call."""
_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BinancePast:
    """The past minutes of Binance. `clock` is monotonic."""

    def __init__(self, transport: Asking, budget: Allowance, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._budget = budget
        self._clock = clock
        self._breaker = Breaker()

    async def minutes(self, traded: Traded, begin: datetime, end: datetime) -> list[Candle]:
        """State the minutes from `begin` to before `end`, oldest first; none of an unlisted pair.

        At most KLINES_MAX. Waits until a call may be made. Raises NoAnswer.
        """
        while not await self._may_ask():  # noqa: ASYNC110 (time and Redis say so)
            await asyncio.sleep(LOOK_SECONDS)
        try:
            candles = read_klines(traded, await self._transport.get(_request(traded, begin, end)))
        except NoAnswer as error:
            metrics.EXCHANGE_CALLS.labels(NAME, error.outcome).inc()
            if isinstance(error, PairUnlisted):
                return []
            if isinstance(error, Throttled):
                await self._budget.pause(error.delay_seconds)
            self._breaker = self._breaker.after_failure(self._clock())
            raise
        metrics.EXCHANGE_CALLS.labels(NAME, "answered").inc()
        self._breaker = self._breaker.after_success()
        return [candle for candle in candles if begin <= candle.minute < end]

    async def _may_ask(self) -> bool:
        return self._breaker.admits(self._clock()) and await self._budget.take()


def _request(traded: Traded, begin: datetime, end: datetime) -> Request:
    query = {
        "symbol": Binance().pair(traded.symbol, traded.currency),
        "interval": "1m",
        "startTime": str(_milliseconds(begin)),
        "endTime": str(_milliseconds(end) - 1),
        "limit": str(KLINES_MAX),
    }
    return Request("/api/v3/klines", query)


def read_klines(traded: Traded, answer: Answer) -> list[Candle]:
    """Read klines as minutes, without those that are none. Raises NoAnswer."""
    content = decode(answer.body)
    if answer.status != 200:
        raise Binance.refusal(answer.status, content)
    if not isinstance(content, list) or len(content) > KLINES_MAX:
        raise Garbled("the answer is no list of klines")
    return [candle for kline in content if (candle := _minute(traded, kline)) is not None]


def _minute(traded: Traded, kline: Any) -> Candle | None:
    if not isinstance(kline, list) or len(kline) < 5 or not isinstance(kline[0], int):
        return None
    prices = [price_of(each) for each in kline[1:5]]
    try:
        minute = _EPOCH + timedelta(milliseconds=kline[0])
    except OverflowError:
        return None
    if None in prices or (minute - _EPOCH) % _MINUTE:
        return None
    first, high, low, last = (round_price(p, traded.price_digits) for p in prices if p is not None)
    if not low <= min(first, last) <= max(first, last) <= high:
        return None
    return Candle(traded.symbol, traded.currency, traded.source, minute, first, high, low, last)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
