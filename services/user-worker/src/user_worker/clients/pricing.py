"""Prices."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc.aio

from kernel.money import parse_amount
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from user_worker.clients.asked import asked
from user_worker.domain.market import Candle, Candles
from user_worker.trading_ports import Listed, StatedQuote

WATCH_TIMEOUT_SECONDS = 3600.0
"""Of one stream, which is then asked for anew: no call waits for ever."""


class PricingClient:
    """PricingService; `application.quotes` keeps the copy in front of it."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = pricing_pb2_grpc.PricingServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def listed(self) -> Sequence[Listed]:
        """Read what has a price."""
        response = await asked(
            "pricing",
            self._stub.ListInstruments(
                pricing_pb2.ListInstrumentsRequest(), timeout=self._timeout_seconds
            ),
        )
        return [Listed(i.symbol, i.currency, i.price_digits) for i in response.instruments]

    async def quotes(self, symbols: Sequence[str]) -> Sequence[StatedQuote]:
        """Read the latest quotes; unknown symbols are missing."""
        response = await asked(
            "pricing",
            self._stub.GetQuotes(
                pricing_pb2.GetQuotesRequest(symbols=symbols), timeout=self._timeout_seconds
            ),
        )
        return [_quote_of(quote) for quote in response.quotes if quote.symbol in symbols]

    @asynccontextmanager
    async def watch(
        self, symbols: Sequence[str]
    ) -> AsyncIterator[AsyncIterator[Sequence[StatedQuote]]]:
        """Read quotes as they change, the present ones first, until the stream ends."""
        call = self._stub.WatchQuotes(
            pricing_pb2.WatchQuotesRequest(symbols=symbols), timeout=WATCH_TIMEOUT_SECONDS
        )
        try:
            yield _read(aiter(call))
        finally:
            call.cancel()

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """Read the newest candles, the one under way included."""
        response = await asked(
            "pricing",
            self._stub.GetCandles(
                pricing_pb2.GetCandlesRequest(
                    symbol=symbol, interval_minutes=interval_minutes, count_max=count_max
                ),
                timeout=self._timeout_seconds,
            ),
        )
        return Candles(
            symbol=symbol,
            currency=response.currency,
            interval_minutes=interval_minutes,
            is_simulated=response.source != pricing_pb2.QUOTE_SOURCE_EXCHANGES,
            candles=tuple(
                Candle(
                    begins_at=datetime.fromtimestamp(candle.begins_at.seconds, UTC),
                    open=parse_amount(candle.open),
                    high=parse_amount(candle.high),
                    low=parse_amount(candle.low),
                    close=parse_amount(candle.close),
                )
                for candle in response.candles
            ),
        )


async def _read(
    responses: AsyncIterator[pricing_pb2.WatchQuotesResponse],
) -> AsyncIterator[Sequence[StatedQuote]]:
    while True:
        response = await asked("pricing", anext(responses, None))
        if response is None:
            return
        yield [_quote_of(quote) for quote in response.quotes]


def _quote_of(quote: pricing_pb2.Quote) -> StatedQuote:
    return StatedQuote(
        symbol=quote.symbol,
        price=parse_amount(quote.price),
        currency=quote.currency,
        is_simulated=quote.source != pricing_pb2.QUOTE_SOURCE_EXCHANGES,
        stated_at=quote.stated_at.ToNanoseconds() / 1e9,
    )
