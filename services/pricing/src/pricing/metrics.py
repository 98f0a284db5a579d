"""The names of pricing's own figures; calls and their times are counted by the chassis."""

from prometheus_client import Counter, Gauge

SOURCE_CALLS = Counter(
    "purser_pricing_source_calls",
    "Calls to a source of quotes: one per step, however many users ask.",
    ["outcome"],
)
SHARED_QUOTES = Counter(
    "purser_pricing_shared_quotes",
    "Quotes offered to the shared cache: written (first of the step), adopted (another replica "
    "was first), failed (Redis is away; answers go on from this replica's own).",
    ["outcome"],
)
CANDLES = Counter(
    "purser_pricing_candles",
    "Finished candles: kept, dropped because the database was away for too long, or filled in from "
    "a source's past.",
    ["outcome"],
)
WATCHES = Gauge("purser_pricing_watches", "Streams of quotes being served.")
VENUE_ORDERS = Counter(
    "purser_venue_orders",
    "Orders the paper venue answered: filled, tombstoned, or the reason of a refusal when this "
    "call made it so; repeated when the id had an outcome before.",
    ["outcome"],
)
