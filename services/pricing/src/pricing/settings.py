"""Every knob of pricing. Read once, in `main`, from `PRICING_…` with `PURSER_…` as fallback."""

from typing import Annotated

import msgspec

from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.redis import RedisSettings
from chassis.telemetry import TelemetrySettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Pricing's settings."""

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

    history_hours: Annotated[int, msgspec.Meta(ge=0, le=24 * 30)] = 24
    """How far back missing minutes are filled in after a start, where the source knows its past. A
    simulated day of nine symbols is 7 s of computing, spread over half a minute; 0 for none."""

    postgres: PostgresSettings
    """The database, as the role `purser_pricing`."""

    redis: RedisSettings
    """The shared cache. Pricing answers without it as well."""

    server: ServerSettings
    """Where to listen."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""
