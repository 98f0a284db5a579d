"""The doors of pricing: read the message, ask the use case, write the answer."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc.aio

from pricing.application import Market
from pricing.domain import check_symbols
from pricing.wire import quote_to_message
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
