"""The one place where everybody of pricing is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import grpc.aio

from chassis import telemetry
from chassis.ending import end_tasks
from chassis.grpc_server import Server, serving
from chassis.migrations import folder_of, require_applied
from chassis.postgres import open_pool
from chassis.process import ready_line
from chassis.redis import Redis, open_redis
from chassis.tls import require_files
from pricing.application import Limits, Market, QuoteSource
from pricing.cache import RedisQuoteCache
from pricing.history import PastSource, fill_in
from pricing.housekeeping import forget_candles
from pricing.paper_venue.opening import open_venue
from pricing.postgres import CandleBook
from pricing.servicer import PricingServicer
from pricing.settings import Settings
from pricing.simulation import SimulatedMarket, read_instruments
from purser.pricing.v1.pricing_pb2_grpc import add_PricingServiceServicer_to_server
from purser.venue.v1.venue_pb2_grpc import add_VenueServiceServicer_to_server

MAY_CALL = {
    "purser.pricing.v1.PricingService": {"user-worker"},
    "purser.venue.v1.VenueService": {"user-worker"},
}
"""Who may call what; the README says why."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Server]:
    """Open, wire and serve; at the end drain and close in reverse. Raises CannotStart.

    The first step is taken before the door opens, so that the first caller gets a price.
    """
    step = timedelta(milliseconds=settings.step_milliseconds)
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(telemetry.start("pricing", settings.telemetry))
        require_files(settings.server.tls)
        redis = open_redis(settings.redis)
        stack.push_async_callback(redis.aclose)
        cache = RedisQuoteCache(redis, settings.quote_keep_seconds)
        source = await stack.enter_async_context(_source(settings, step, redis, cache))
        pool = await open_pool(settings.postgres, "purser-pricing")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "pricing", folder_of("pricing"))
        book = CandleBook(pool)
        market = Market(source, cache, book, _limits(settings, step), now=_now)
        # Before the first step: a room that waits for the venue's database begins again with each
        # look, and what it asks and keeps is then for nothing.
        venue = await stack.enter_async_context(open_venue(settings, market, _now))
        await market.step()
        reach = timedelta(hours=settings.history_hours)
        past = fill_in(source, book, _now(), reach)
        aging = forget_candles(
            book, timedelta(days=settings.candles_keep_days), settings.candles_forget_every_seconds
        )
        await stack.enter_async_context(
            _beside(market.follow_quotes(), market.keep_candles(), past, aging)
        )
        servicer = PricingServicer(market)

        def add_servicers(server: grpc.aio.Server) -> None:
            add_PricingServiceServicer_to_server(servicer, server)
            add_VenueServiceServicer_to_server(venue, server)

        yield await stack.enter_async_context(
            serving(settings.server, add_servicers, telling, MAY_CALL)
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with running(settings) as server:
        ready_line("pricing", address=server.address)
        await stop.wait()


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(one) for one in work}
        try:
            yield
        finally:
            await end_tasks(tasks)


def _now() -> datetime:
    return datetime.now(UTC)


class _Source(QuoteSource, PastSource, Protocol):
    """What prices come from, the present ones and the past ones."""


@asynccontextmanager
async def _source(
    settings: Settings, step: timedelta, redis: Redis, cache: RedisQuoteCache
) -> AsyncIterator[_Source]:
    """Open where prices come from. Raises CannotStart."""
    if settings.sources == "exchanges":
        # Not at the top: an HTTP client costs a simulated market memory and a quarter of a second.
        from pricing.exchanges.opening import open_exchanges

        async with open_exchanges(settings, redis, cache) as exchanges:
            yield exchanges
    else:
        instruments = read_instruments(settings.simulation_instruments)
        yield SimulatedMarket(settings.simulation_seed, settings.quote_currency, instruments, step)


def _limits(settings: Settings, step: timedelta) -> Limits:
    return Limits(
        step=step,
        share_timeout_seconds=settings.share_timeout_seconds,
        watches_max=settings.watches_max,
        candles_pending_max=settings.candles_pending_max,
    )
