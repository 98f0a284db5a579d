"""What the worker counts. Shards, users and jobs are never labels: there are too many."""

from prometheus_client import Counter, Gauge, Histogram

OWNED_SHARDS = Gauge("purser_worker_owned_shards", "Shards this worker works now.")
DROPPED_SHARDS = Counter(
    "purser_worker_dropped_shards", "Shards stopped at once, because somebody else owns them."
)
LEASE_LOSSES = Counter(
    "purser_worker_lease_losses", "Incarnations that ended before the worker left."
)
JOBS = Counter(
    "purser_worker_jobs", "Jobs whose work stopped: done, set-aside or unknown.", ["outcome"]
)
JOB_SECONDS = Histogram(
    "purser_worker_job_seconds",
    "From a job's turn to its end, rests included.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
JOB_FAILURES = Counter("purser_worker_job_failures", "Tries that ended in an unexpected error.")
STREAM_ENTRIES = Counter(
    "purser_worker_stream_entries", "Entries read, by what became of them.", ["verdict"]
)
GAPS = Counter("purser_worker_gaps", "Times a user's next job was missing while later ones waited.")
FETCHES = Counter("purser_worker_fetches", "FetchJobs calls answered.")
OUTAGES = Counter(
    "purser_worker_outages", "Calls a dependency did not answer in time.", ["dependency"]
)
ORDERS_UNDER_WAY = Gauge(
    "purser_worker_orders_under_way", "Orders this worker is carrying out now."
)
ORDERS_ENDED = Counter(
    "purser_worker_orders_ended", "Orders ended: filled, or why they were not.", ["how"]
)
ORDERS_RESUMED = Counter(
    "purser_worker_orders_resumed", "Orders taken up from the database, without their job."
)
ORDER_TROUBLES = Counter(
    "purser_worker_order_troubles",
    "Answers that cannot be, and mistakes of ours, while orders were carried out. Look at each.",
)
TROUBLES = Counter(
    "purser_worker_troubles", "Unexpected errors of what goes on beside the jobs.", ["purpose"]
)
RULE_RUNS = Counter(
    "purser_worker_rule_runs",
    "Runs of plans and trades to copy that were dealt with: ordered, skipped, or held back.",
    ["rule", "how"],
)
NOTICES = Counter("purser_worker_notices", "Events given to the gateway as notices.")
FORGOTTEN = Counter(
    "purser_worker_forgotten", "Rows removed, by table: what ended long ago.", ["table"]
)
WATCHES = Gauge("purser_worker_watches", "Prices this worker waits for now: orders and alerts.")
TRIGGERED = Counter(
    "purser_worker_triggered",
    "Prices met and acted upon, by purpose: limit, market (stop, take-profit) or alert.",
    ["purpose"],
)
TRIGGER_SECONDS = Histogram(
    "purser_worker_trigger_seconds",
    "From hearing the quote to the committed trigger; limit orders looked at again left out.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
QUOTES = Counter("purser_worker_quotes", "Prices given: from the local copy or asked for.", ["how"])
CANDLES = Counter(
    "purser_worker_candles", "Candles given: from what was read lately or asked for.", ["how"]
)
