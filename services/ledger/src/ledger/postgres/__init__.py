"""The ledger's SQL, one module per use; this is the door."""

from ledger.postgres.accounts import Accounts
from ledger.postgres.applying import Batches
from ledger.postgres.housekeeping import Housekeeping, RolledUp
from ledger.postgres.reading import Records
from ledger.postgres.replica import Freshness, OldRecords

__all__ = (
    "Accounts",
    "Batches",
    "Freshness",
    "Housekeeping",
    "OldRecords",
    "Records",
    "RolledUp",
)
