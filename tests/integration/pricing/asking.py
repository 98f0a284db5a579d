"""Short ways to ask pricing, and to wait for what it is to say."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from prometheus_client import REGISTRY
from tests.awake import awake_clock

from purser.pricing.v1.pricing_pb2 import (
    GetQuotesRequest,
    Quote,
)
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub


def figure(name: str, **labels: str) -> float:
    """A metric's value."""
    return REGISTRY.get_sample_value(f"purser_pricing_{name}", labels) or 0.0


async def get(pricing: PricingServiceStub, *symbols: str) -> dict[str, Quote]:
    """Ask once."""
    answer = await pricing.GetQuotes(GetQuotesRequest(symbols=symbols), timeout=20)
    return {quote.symbol: quote for quote in answer.quotes}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something, at most ten seconds in which the machine runs."""
    with awake_clock() as clock:
        while not await condition():
            assert clock() < 10
            await asyncio.sleep(0.05)


def age(quote: Quote) -> timedelta:
    """How old a quote is."""
    return datetime.now(UTC) - quote.stated_at.ToDatetime(tzinfo=UTC)


def answer_of(status: int, headers: dict[str, str] | None = None) -> Any:
    """What an exchange says with a status alone."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="{}")

    return answer


async def has(pricing: PricingServiceStub, symbol: str) -> bool:
    """Whether there is a price by now."""
    try:
        return symbol in await get(pricing, symbol)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
