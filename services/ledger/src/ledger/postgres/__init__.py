"""The ledger's SQL, one module per use; this is the door."""

from ledger.postgres.accounts import Accounts
from ledger.postgres.applying import Batches
from ledger.postgres.housekeeping import Housekeeping, RolledUp
from ledger.postgres.reading import Records

__all__ = ("Accounts", "Batches", "Housekeeping", "Records", "RolledUp")
