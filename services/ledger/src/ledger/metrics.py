"""The names of the ledger's own figures; calls and their times are counted by the chassis."""

from prometheus_client import Counter, Gauge, Histogram

ACCOUNTS_MADE = Counter("purser_ledger_accounts_made", "Accounts made for users.")
OPERATIONS = Counter(
    "purser_ledger_operations_total", "Operations by their answer", ["outcome", "replayed"]
)
BATCH_OPERATIONS = Histogram(
    "purser_ledger_batch_operations",
    "Operations per transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
BATCHES_OVERTAKEN = Counter(
    "purser_ledger_batches_overtaken_total",
    "Batches begun anew because another ledger made the same rows",
)
REQUESTS_REFUSED = Counter(
    "purser_ledger_requests_refused_total",
    "Requests whose data the database refused: the decision did not foresee it",
)
REPLICA_READS = Counter(
    "purser_ledger_replica_reads_total",
    "Reads that may be old: answered by the replica; or by the primary, because the replica was "
    "away, too_old, or was left_alone after one of these",
    ["outcome"],
)
REPLICA_AGE_SECONDS = Gauge(
    "purser_ledger_replica_age_seconds", "How old the replica was at most when it was last asked"
)
HOLDS_EXPIRED = Counter("purser_ledger_holds_expired_total", "Holds the sweep gave back")
ROLLED_UP_SECONDS = Gauge(
    "purser_ledger_rolled_up_to_seconds", "Unix time up to which system accounts are rolled up"
)
