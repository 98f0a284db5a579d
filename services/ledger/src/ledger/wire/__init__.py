"""Between the messages of ledger.proto and the ledger's own values; this is the door."""

from ledger.wire.operations import answer_message, read_operations
from ledger.wire.reads import (
    account_message,
    asset_message,
    performance_message,
    read_marks,
    read_past,
    trade_message,
)

__all__ = (
    "account_message",
    "answer_message",
    "asset_message",
    "performance_message",
    "read_marks",
    "read_operations",
    "read_past",
    "trade_message",
)
