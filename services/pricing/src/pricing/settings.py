"""Every knob of pricing. Read once, in `main`, from `PRICING_…` with `PURSER_…` as fallback."""

from typing import Annotated, Literal

import msgspec

from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.redis import RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The paper venue's settings, under pricing's prefix."""

    venue_database_url: Secret
    """The database, as the role `purser_venue`: it reaches the schema `venue` and the fence."""

    venue_connections_max: Annotated[int, msgspec.Meta(ge=1, le=200)] = 2
    """Group commit writes one batch at a time; the other connection answers inquiries."""

    venue_instruments: tuple[str, ...] = (
        "BTC:8:400000000",
        "ETH:18:200000000",
        "SOL:9:80000000",
        "BNB:18:50000000",
        "XRP:6:50000000",
        "ADA:6:20000000",
        "DOGE:8:30000000",
        "TON:9:10000000",
        "LTC:8:15000000",
    )
    """`SYMBOL:DECIMALS:DEPTH`: the decimals are those of `paper:SYMBOL` in the ledger's registry;
    an order of one percent of the depth (in quote currency) is executed one percent worse. The
    defaults order the symbols as the real markets do, at a fraction of their size, so that a large
    order of play money feels what a large order is."""

    venue_currency_decimals: Annotated[int, msgspec.Meta(ge=0, le=18)] = 6
    """Those of the quote currency's paper asset in the ledger's registry."""

    venue_half_spread_basis_points: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    """How far from the quote both sides of the market stand: some times a great exchange's, as the
    quote may be a step old."""

    venue_fee_basis_points: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    """Of what is received: what exchanges ask of small customers."""

    venue_order_worth_min: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    """The least order, in quote currency: below it the rounding would be felt."""

    venue_order_worth_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1_000_000
    """The largest order, in quote currency: a hundred times what a paper user begins with."""

    venue_quote_age_seconds_max: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    """An older quote is not traded on: ten steps of the simulated market."""

    venue_batch_orders_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    """Orders that share a transaction: far below the second its role is given."""

    venue_queue_orders_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Orders that may wait for a transaction; more are turned away, and nothing was tried."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Pricing's settings."""

    sources: Literal["simulated", "exchanges"] = "simulated"
    """Where prices come from: the simulated market, which needs nothing and nobody, or the public
    exchanges. All replicas must be given the same."""

    simulation_seed: str = "purser"
    """Prices of the simulated market follow from it. All replicas must be given the same; another
    seed is another market."""

    simulation_instruments: tuple[str, ...] = (
        "BTC:64000.00:55",
        "ETH:3100.00:70",
        "SOL:150.00:90",
        "BNB:580.00:60",
        "XRP:0.5200:80",
        "ADA:0.4500:85",
        "DOGE:0.12000:100",
        "TON:6.5000:85",
        "LTC:82.00:75",
    )
    """`SYMBOL:BASE_PRICE:PERCENT_PER_YEAR`: the price it keeps near, written with as many digits as
    its quotes shall have, and how far it moves. The defaults are the paper assets of the ledger's
    registry, with the roughness of the real ones."""

    exchange_instruments: tuple[str, ...] = (
        "BTC:2",
        "ETH:2",
        "SOL:2",
        "BNB:2",
        "XRP:4",
        "ADA:4",
        "DOGE:5",
        "TON:4",
        "LTC:2",
    )
    """`SYMBOL:DIGITS`: what the exchanges are asked for, and the digits after the point of its
    quotes. The defaults are the simulated market's symbols. One that no exchange trades has no
    price."""

    binance_url: str = "https://api.binance.com"
    """Where Binance's public API is: `https://data-api.binance.vision` serves the same market data,
    a test or an egress proxy has an address of its own."""

    binance_calls_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1200)] = 90
    """Upstream calls of all replicas together: half as many again as a step a second needs. One
    weighs 4 of the 6,000 Binance allows an address."""

    kraken_url: str = "https://api.kraken.com"
    """Where Kraken's public API is."""

    kraken_calls_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1200)] = 60
    """The same for Kraken, which asks for one call a second."""

    exchange_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 2.0
    """How long an exchange may take to answer. There is one try per step; one that is slow every
    time is left out by its breaker."""

    exchange_deviation_max_percent: Annotated[float, msgspec.Meta(gt=0, le=50)] = 0.5
    """How far an exchange's price may lie from the median of all before it is dropped. Exchanges
    differ by some hundredths of a percent, in a rush by tenths; so two may be 1 % apart."""

    exchange_statements_min: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    """How many exchanges must state a price for a fresh quote. With 1 quotes go on while one of two
    is away, and nobody contradicts the other; 2 prefers no fresh quote."""

    quote_currency: str = "USDT"
    """What prices are in: the paper venue's currency."""

    step_milliseconds: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 1000
    """How often prices change. A person does not read faster; all replicas must be given the
    same."""

    share_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.25
    """How long the shared cache may take before a step goes on without it: a quarter of a step."""

    quote_keep_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    """How long the shared cache keeps a quote nobody renews: long enough to show it with its
    age."""

    watches_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Streams of quotes per replica. A worker needs one; this is fifty times a large cluster."""

    candles_pending_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    """Finished candles that may wait for the database: 18 hours of nine symbols, about 4 MB."""

    candles_keep_days: Annotated[int, msgspec.Meta(ge=30, le=3650)] = 31
    """How long candles are kept: a call looks back 30 days at most. Nine symbols take some 2 MB a
    day."""

    candles_forget_every_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    """How often older ones are forgotten; a batch at a time, more often while there is more."""

    history_hours: Annotated[int, msgspec.Meta(ge=0, le=24 * 30)] = 24
    """How far back missing minutes are filled in after a start, where the source knows its past. A
    simulated day of nine symbols is 7 s of computing, spread over half a minute; 0 for none."""

    postgres: PostgresSettings
    """The database, as the role `purser_pricing`."""

    venue: VenueSettings
    """The paper venue, which is served beside the quotes."""

    redis: RedisSettings
    """The shared cache. Pricing answers without it as well."""

    server: ServerSettings
    """Where to listen."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""
