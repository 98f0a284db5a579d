"""Prices."""

import time

import grpc.aio

from kernel.money import parse_amount
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from user_worker.clients.asked import asked
from user_worker.domain.market import Quote


class PricingClient:
    """Prices."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = pricing_pb2_grpc.PricingServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def quote(self, symbol: str) -> Quote | None:
        """Read the latest price; None when the symbol is unknown."""
        response = await asked(
            "pricing",
            self._stub.GetQuotes(
                pricing_pb2.GetQuotesRequest(symbols=[symbol]), timeout=self._timeout_seconds
            ),
        )
        for quote in response.quotes:
            if quote.symbol == symbol:
                age = time.time() - quote.stated_at.ToNanoseconds() / 1e9
                return Quote(
                    symbol=symbol,
                    price=parse_amount(quote.price),
                    currency=quote.currency,
                    is_simulated=quote.source != pricing_pb2.QUOTE_SOURCE_EXCHANGES,
                    age_seconds=max(0.0, age),
                )
        return None
