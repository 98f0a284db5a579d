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
TURNS = Counter(
    "purser_pricing_turns",
    "Steps of the exchanges by how this replica got its prices: asked (it was its turn), adopted "
    "(another replica asked), missed (another's turn, nothing came), alone (Redis is away).",
    ["outcome"],
)
EXCHANGE_CALLS = Counter(
    "purser_pricing_exchange_calls",
    "Calls to exchanges: answered, away, throttled, garbled, unlisted (a pair it does not trade); "
    "and calls that were not made: breaker_open, over_budget, nothing_listed.",
    ["exchange", "outcome"],
)
BREAKER = Gauge(
    "purser_pricing_exchange_breaker",
    "The circuit breaker of an exchange: 0 closed, 1 half-open, 2 open.",
    ["exchange"],
)
PRICES_DROPPED = Counter(
    "purser_pricing_prices_dropped",
    "Prices of an exchange that did not count: outlier, or no_price (not a price at all).",
    ["exchange", "reason"],
)
DISAGREEMENTS = Counter(
    "purser_pricing_disagreements",
    "Symbols of a step without a fresh quote because exchanges disagree or too few state one.",
)
CANDLES = Counter(
    "purser_pricing_candles",
    "Finished candles: kept, dropped because the database was away for too long, filled in from a "
    "source's past, or forgotten by age.",
    ["outcome"],
)
WATCHES = Gauge("purser_pricing_watches", "Streams of quotes being served.")
VENUE_ORDERS = Counter(
    "purser_venue_orders",
    "Orders the paper venue answered: filled, tombstoned, or the reason of a refusal when this "
    "call made it so; repeated when the id had an outcome before.",
    ["outcome"],
)
