"""What the gateway counts. Names and labels are an interface: alerts and dashboards read them."""

from prometheus_client import Counter, Gauge, Histogram

UPDATES = Counter("purser_gateway_updates_total", "Updates by what became of them", ["verdict"])
IGNORED = Counter("purser_gateway_updates_ignored_total", "Updates not for this bot", ["reason"])
BATCH_UPDATES = Histogram(
    "purser_gateway_accept_batch_updates",
    "Updates per accepting transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
ACCEPT_SECONDS = Histogram(
    "purser_gateway_accept_seconds",
    "From an update's arrival to its commit",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
UNLIMITED = Counter(
    "purser_gateway_inbound_unlimited_total",
    "Updates let in without asking for the user's limit because Redis was away",
)
WEBHOOK_ANSWERS = Counter(
    "purser_gateway_webhook_answers_total", "Answers to webhook requests", ["status"]
)
POLL_FAILURES = Counter(
    "purser_gateway_poll_failures_total", "Failed calls of getUpdates", ["failure"]
)
POLLING = Gauge("purser_gateway_polling", "1 while this process holds the lease of polling")
STREAM_APPENDS = Counter(
    "purser_gateway_stream_appends_total",
    "Jobs appended to their shard's stream, or not: workers find those in the inbox",
    ["outcome"],
)
REPLAYS = Counter("purser_gateway_replays_total", "Jobs set aside that were accepted once more")
DELIVERIES = Counter("purser_gateway_deliveries_total", "Deliver calls", ["outcome"])
NOTICES = Counter("purser_gateway_notices_total", "Notices", ["result"])
NOTICES_HELD = Gauge(
    "purser_gateway_notices_held", "1 while notices wait because users wait for answers"
)
SENT = Counter(
    "purser_gateway_sent_total", "Rows of the outbox by what became of them", ["lane", "state"]
)
SEND_DELAY_SECONDS = Histogram(
    "purser_gateway_send_delay_seconds",
    "From a row's commit to the end of its sending",
    ["lane"],
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
ROWS_IN_MEMORY = Gauge("purser_gateway_outbox_rows_in_memory", "Rows taken and not yet sent")
TELEGRAM_CALLS = Counter(
    "purser_gateway_telegram_calls_total", "Calls of the Bot API", ["method", "outcome"]
)
TELEGRAM_SECONDS = Histogram(
    "purser_gateway_telegram_seconds",
    "Duration of calls of the Bot API",
    ["method"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
PURGED = Counter("purser_gateway_purged_rows_total", "Rows forgotten by age", ["what"])
