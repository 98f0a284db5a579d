"""What time does to the books: holds expire, entries of system accounts are rolled up.

Both belong to no shard and act under the ledger's own identity, with no claim. Each step is one
bounded transaction; any number of ledgers may do the same at once.

A step of the sweep locks the accounts in the order of their ids before it touches a hold, like
every batch, and then looks again at what is still pending.

The roll-up reads entries in the order of their time and stops before `SAFE_SECONDS` ago: a transfer
gets its time while its transaction runs, and the role's `transaction_timeout` (1 s) bounds how much
later it becomes visible, so nothing older can still appear. All rows are rolled up to the same
time; a system account's balance is its row plus the entries after that time.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from chassis.postgres import Connection, Pool, retry_transaction, transaction
from kernel.money import AssetId

SWEEP_HOLDS_MAX = 200
"""Holds per step: some 20 ms."""
ROLL_UP_ENTRIES_MAX = 20_000
"""Transfers per step, and those that have the last one's time: some 50 ms."""
SAFE_SECONDS = 60.0
"""Far above the second a transaction may last."""

_ROLL_UP_LOCK = 0x50555253_45520002  # "PURSER", 2

_OVERDUE = """
    SELECT DISTINCT debit_account_id FROM (
        SELECT debit_account_id FROM ledger.transfers
        WHERE state = 'pending' AND expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT $1
    ) AS overdue
"""
_LOCK = """
    SELECT account_id FROM ledger.accounts WHERE account_id = ANY ($1::uuid[])
    ORDER BY account_id FOR NO KEY UPDATE
"""
_EXPIRE = """
    WITH expired AS (
        UPDATE ledger.transfers SET state = 'expired', resolved_at = clock_timestamp()
        WHERE transfer_id IN (
            SELECT transfer_id FROM ledger.transfers
            WHERE debit_account_id = ANY ($1::uuid[]) AND state = 'pending'
              AND expires_at <= clock_timestamp()
            ORDER BY expires_at LIMIT $2)
        RETURNING debit_account_id, amount
    ), freed AS (
        UPDATE ledger.accounts a SET held = a.held - e.amount
        FROM (SELECT debit_account_id, sum(amount) AS amount FROM expired GROUP BY 1) AS e
        WHERE a.account_id = e.debit_account_id
    )
    SELECT count(*) FROM expired
"""

_NEXT_STOP = """
    SELECT max(resolved_at), count(*) FROM (
        SELECT resolved_at FROM ledger.transfers
        WHERE state = 'posted'
          AND resolved_at > (
              SELECT coalesce(max(rolled_up_to), '-infinity') FROM ledger.system_rollups)
          AND resolved_at <= clock_timestamp() - make_interval(secs => $1)
        ORDER BY resolved_at LIMIT $2
    ) AS next
"""
_ROLL_UP = """
    WITH since AS (
        SELECT coalesce(max(rolled_up_to), '-infinity') AS at FROM ledger.system_rollups
    ), moved AS (
        SELECT side.system, t.asset_id, sum(side.amount) AS amount
        FROM ledger.transfers t
        CROSS JOIN LATERAL (VALUES
            (t.debit_system, -t.posted_amount), (t.credit_system, t.posted_amount)
        ) AS side (system, amount)
        WHERE t.state = 'posted' AND t.resolved_at > (SELECT at FROM since) AND t.resolved_at <= $1
          AND side.system IS NOT NULL
        GROUP BY 1, 2
    ), others AS (
        UPDATE ledger.system_rollups r SET rolled_up_to = $1
        WHERE NOT EXISTS (SELECT FROM moved m WHERE (m.system, m.asset_id) = (r.system, r.asset_id))
    )
    INSERT INTO ledger.system_rollups AS r (system, asset_id, balance, rolled_up_to)
    SELECT system, asset_id, amount, $1 FROM moved
    ON CONFLICT (system, asset_id) DO UPDATE
    SET balance = r.balance + excluded.balance, rolled_up_to = excluded.rolled_up_to
"""
_SYSTEM_BALANCE = """
    SELECT coalesce(sum(CASE $1 WHEN t.credit_system THEN t.posted_amount
                                ELSE -t.posted_amount END), 0)
        + coalesce((SELECT balance FROM ledger.system_rollups
                    WHERE system = $1 AND asset_id = $2), 0)
    FROM ledger.transfers t
    WHERE t.state = 'posted' AND t.asset_id = $2
      AND (t.debit_system = $1 OR t.credit_system = $1)
      AND t.resolved_at > (
              SELECT coalesce(max(rolled_up_to), '-infinity') FROM ledger.system_rollups)
"""


@dataclass(frozen=True, slots=True)
class RolledUp:
    """One step of the roll-up."""

    up_to: datetime
    is_full: bool
    """There may be more."""


class Housekeeping:
    """Bounded steps over the books."""

    def __init__(self, pool: Pool, safe_seconds: float = SAFE_SECONDS) -> None:
        self._pool = pool
        self._safe_seconds = safe_seconds

    async def expire_holds(self) -> int:
        """Give back some of the holds whose time is over; how many, at most SWEEP_HOLDS_MAX.

        Raises TryAgain.
        """

        async def expire(connection: Connection) -> int:
            rows = await connection.fetch(_OVERDUE, SWEEP_HOLDS_MAX)
            if not rows:
                return 0
            accounts = [row["debit_account_id"] for row in rows]
            await connection.execute(_LOCK, accounts)
            expired: int = await connection.fetchval(_EXPIRE, accounts, SWEEP_HOLDS_MAX)
            return expired

        return await retry_transaction(self._pool, expire)

    async def roll_up(self) -> RolledUp | None:
        """Add the next entries to the roll-up; None when there are none or another ledger is at it.

        Raises TryAgain.
        """
        async with transaction(self._pool) as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _ROLL_UP_LOCK):
                return None
            ((stop, entries),) = await connection.fetch(
                _NEXT_STOP, self._safe_seconds, ROLL_UP_ENTRIES_MAX
            )
            if stop is None:
                return None
            await connection.execute(_ROLL_UP, stop)
        return RolledUp(stop, is_full=entries == ROLL_UP_ENTRIES_MAX)

    async def system_balance(self, system: str, asset_id: AssetId) -> Decimal:
        """Read what a system account (faucet, venue, fees) holds of an asset; it may be negative.

        The roll-up and the entries after it, of one moment. Raises TryAgain.
        """
        async with transaction(self._pool, readonly=True) as connection:
            balance: Decimal = await connection.fetchval(_SYSTEM_BALANCE, system, asset_id)
        return balance
