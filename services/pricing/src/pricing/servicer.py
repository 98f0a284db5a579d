"""The doors of pricing: read the message, ask the use case, write the answer."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc.aio

from chassis.errors import read_field
from pricing.application import Market
from pricing.domain import check_count, check_interval, check_symbol, check_symbols
from pricing.wire import candles_to_message, instrument_to_message, quote_to_message, time_of
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc


class PricingServicer(pricing_pb2_grpc.PricingServiceServicer):
    """The PricingService."""

    def __init__(self, market: Market) -> None:
        self._market = market

    async def GetQuotes(  # noqa: N802 (gRPC's name)
        self,
        request: pricing_pb2.GetQuotesRequest,
        context: grpc.aio.ServicerContext[
            pricing_pb2.GetQuotesRequest, pricing_pb2.GetQuotesResponse
        ],
    ) -> pricing_pb2.GetQuotesResponse:
        """Give the latest quotes."""
        quotes = self._market.latest(check_symbols(request.symbols))
        return pricing_pb2.GetQuotesResponse(quotes=map(quote_to_message, quotes))

    async def WatchQuotes(  # noqa: N802 (gRPC's name)
        self,
        request: pricing_pb2.WatchQuotesRequest,
        context: grpc.aio.ServicerContext[
            pricing_pb2.WatchQuotesRequest, pricing_pb2.WatchQuotesResponse
        ],
    ) -> AsyncIterator[pricing_pb2.WatchQuotesResponse]:
        """Give the latest quotes, then what changes."""
        async with aclosing(self._market.watch(check_symbols(request.symbols))) as answers:
            async for quotes in answers:
                yield pricing_pb2.WatchQuotesResponse(quotes=map(quote_to_message, quotes))

    async def ListInstruments(  # noqa: N802 (gRPC's name)
        self,
        request: pricing_pb2.ListInstrumentsRequest,
        context: grpc.aio.ServicerContext[
            pricing_pb2.ListInstrumentsRequest, pricing_pb2.ListInstrumentsResponse
        ],
    ) -> pricing_pb2.ListInstrumentsResponse:
        """Say what has a price here."""
        return pricing_pb2.ListInstrumentsResponse(
            instruments=map(instrument_to_message, self._market.instruments)
        )

    async def GetCandles(  # noqa: N802 (gRPC's name)
        self,
        request: pricing_pb2.GetCandlesRequest,
        context: grpc.aio.ServicerContext[
            pricing_pb2.GetCandlesRequest, pricing_pb2.GetCandlesResponse
        ],
    ) -> pricing_pb2.GetCandlesResponse:
        """Give the candles of a symbol."""
        traded, candles = await self._market.candles(
            check_symbol(request.symbol),
            check_interval(request.interval_minutes),
            check_count(request.count_max),
            read_field("before", time_of, request.before) if request.HasField("before") else None,
        )
        return candles_to_message(traded, candles)
