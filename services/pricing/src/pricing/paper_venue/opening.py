"""The door of the package: opens the venue's own pool and gives what serves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from chassis.postgres import PostgresSettings, open_pool
from pricing.paper_venue.application import BatchLimits, Quotes, Venue
from pricing.paper_venue.domain import Terms, read_instruments
from pricing.paper_venue.postgres import PostgresOrders
from pricing.paper_venue.servicer import VenueServicer
from pricing.settings import Settings, VenueSettings


@asynccontextmanager
async def open_venue(
    settings: Settings, quotes: Quotes, now: Callable[[], datetime]
) -> AsyncIterator[VenueServicer]:
    """Open the venue; at the end what was taken in is written, then its pool closed.

    Raises CannotStart.
    """
    venue = settings.venue
    instruments = read_instruments(
        venue.venue_instruments, settings.quote_currency, venue.venue_currency_decimals
    )
    pool = await open_pool(_postgres(settings), "purser-venue")
    try:
        limits = BatchLimits(venue.venue_batch_orders_max, venue.venue_queue_orders_max)
        store = PostgresOrders(pool)
        desk = Venue(instruments, _terms(venue), quotes, store, limits, now)
        async with desk.batcher:
            yield VenueServicer(desk)
    finally:
        await pool.close()


def _postgres(settings: Settings) -> PostgresSettings:
    """Take pricing's way to the server, with the venue's role and connections."""
    return msgspec.structs.replace(
        settings.postgres,
        database_url=settings.venue.venue_database_url,
        connections_max=settings.venue.venue_connections_max,
    )


def _terms(settings: VenueSettings) -> Terms:
    return Terms(
        half_spread_basis_points=settings.venue_half_spread_basis_points,
        fee_basis_points=settings.venue_fee_basis_points,
        worth_min=Decimal(settings.venue_order_worth_min),
        worth_max=Decimal(settings.venue_order_worth_max),
        quote_age_max=timedelta(seconds=settings.venue_quote_age_seconds_max),
    )
