"""The names of the ledger's own figures; calls and their times are counted by the chassis."""

from prometheus_client import Counter

ACCOUNTS_MADE = Counter("purser_ledger_accounts_made", "Accounts made for users.")
