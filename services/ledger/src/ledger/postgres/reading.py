"""Reads: the registry, trades, and what performance is computed from.

A record is read in one REPEATABLE READ transaction, so its figures belong to one moment and
reconcile with each other. Entries are added up in the database, per asset, operation and stretch
between two past times; only closing trades and deposits come one by one, because the drawdown
depends on their order. Sums read every entry of the user: some 200,000 per second.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from chassis.postgres import Connection, Pool, transaction
from kernel.money import AssetId, exact
from ledger.domain.accounts import SPOT
from ledger.domain.assets import Asset, Registry
from ledger.domain.history import Place, TradeRecord
from ledger.domain.operations import Amount, Side
from ledger.domain.performance import Flow, Holding, Record, Tally

EVENTS_PREFETCH = 1_000
"""Rows per round trip of the events that are counted one by one."""

_ASSETS = "SELECT asset_id, symbol, decimals, faucet_max FROM ledger.assets ORDER BY asset_id"
_TRADES = """
    SELECT order_id, side, spent_asset_id, spent, received_asset_id, received, fee, realised_pnl,
           posted_at
    FROM ledger.trades
    WHERE user_id = $1 AND (posted_at, order_id) < ($2, $3)
    ORDER BY posted_at DESC, order_id DESC LIMIT $4
"""
_NEWEST_TRADES = """
    SELECT order_id, side, spent_asset_id, spent, received_asset_id, received, fee, realised_pnl,
           posted_at
    FROM ledger.trades
    WHERE user_id = $1 ORDER BY posted_at DESC, order_id DESC LIMIT $2
"""
_HOLDINGS = """
    SELECT a.asset_id, a.posted, a.held, coalesce(p.cost, 0), a.opened_at
    FROM ledger.accounts a
    LEFT JOIN ledger.positions p
        ON p.user_id = a.user_id AND p.asset_id = a.asset_id AND p.currency_asset_id = $2
    WHERE a.user_id = $1 AND a.kind = $3 ORDER BY a.asset_id
"""
# The thresholds are a microsecond late: an entry posted at a time is part of that time's balance.
_FLOWS = """
    SELECT e.asset_id, e.operation,
           width_bucket(e.posted_at, $2::timestamptz[] || 'infinity'::timestamptz) AS point,
           sum(e.amount)
    FROM (
        SELECT t.asset_id, t.operation, t.resolved_at AS posted_at, -t.posted_amount AS amount
        FROM ledger.accounts a JOIN ledger.transfers t ON t.debit_account_id = a.account_id
        WHERE a.user_id = $1 AND t.state = 'posted'
        UNION ALL
        SELECT t.asset_id, t.operation, t.resolved_at, t.posted_amount
        FROM ledger.accounts a JOIN ledger.transfers t ON t.credit_account_id = a.account_id
        WHERE a.user_id = $1 AND t.state = 'posted'
    ) AS e
    GROUP BY 1, 2, 3
"""
_TRADE_COUNT = """
    SELECT count(*) FROM ledger.trades
    WHERE user_id = $1 AND CASE side WHEN 'buy' THEN spent_asset_id ELSE received_asset_id END = $2
"""
# Of one moment, deposits come first: they were there when the trade was closed.
_EVENTS = """
    SELECT 0 AS kind, t.resolved_at AS posted_at, t.transfer_id AS tie, t.posted_amount AS amount
    FROM ledger.accounts a JOIN ledger.transfers t ON t.credit_account_id = a.account_id
    WHERE a.user_id = $1 AND a.asset_id = $2 AND t.operation = 'faucet' AND t.state = 'posted'
    UNION ALL
    SELECT 1, posted_at, order_id, realised_pnl FROM ledger.trades
    WHERE user_id = $1 AND side = 'sell' AND received_asset_id = $2
    ORDER BY posted_at, kind, tie
"""


class Records:
    """Reads from PostgreSQL.

    `look_first` is asked in the transaction of a read of one user, before anything is read; what it
    raises is raised.
    """

    def __init__(
        self, pool: Pool, look_first: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        self._pool = pool
        self._look_first = look_first

    async def list_assets(self) -> Registry:
        """See application.registry.RegistryStore."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_ASSETS)
        return {AssetId(row["asset_id"]): Asset(*row) for row in rows}

    async def list_trades(
        self, user_id: UUID, before: Place | None, rows_max: int
    ) -> list[TradeRecord]:
        """See application.reading.RecordStore."""
        async with transaction(self._pool, readonly=True) as connection:
            if self._look_first is not None:
                await self._look_first(connection)
            if before is None:
                rows = await connection.fetch(_NEWEST_TRADES, user_id, rows_max)
            else:
                rows = await connection.fetch(
                    _TRADES, user_id, before.posted_at, before.order_id, rows_max
                )
        return [_trade(row) for row in rows]

    async def read_record(
        self, user_id: UUID, currency: AssetId, past: Sequence[datetime]
    ) -> Record:
        """See application.reading.RecordStore."""
        thresholds = [at + timedelta(microseconds=1) for at in past]
        async with transaction(self._pool, readonly=True) as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if self._look_first is not None:
                await self._look_first(connection)
            holdings = await connection.fetch(_HOLDINGS, user_id, currency, SPOT)
            flows = await connection.fetch(_FLOWS, user_id, thresholds)
            trades = await connection.fetchval(_TRADE_COUNT, user_id, currency)
            tally = await _tally(connection, user_id, currency)
        return Record(
            holdings=[Holding(*row) for row in holdings],
            flows=[Flow(*row) for row in flows],
            trades=trades,
            tally=tally,
        )


async def _tally(connection: Connection, user_id: UUID, currency: AssetId) -> Tally:
    tally = Tally()
    cursor = connection.cursor(_EVENTS, user_id, currency, prefetch=EVENTS_PREFETCH)
    async for row in cursor:
        # The context is the task's: it must not stay open over the cursor's waits.
        with exact():
            if row["kind"]:
                tally.close(row["amount"])
            else:
                tally.deposit(row["amount"])
    return tally


def _trade(row: asyncpg.Record) -> TradeRecord:
    return TradeRecord(
        order_id=row["order_id"],
        side=Side(row["side"]),
        spent=Amount(AssetId(row["spent_asset_id"]), row["spent"]),
        received=Amount(AssetId(row["received_asset_id"]), row["received"]),
        fee=row["fee"],
        realised_pnl=row["realised_pnl"],
        posted_at=row["posted_at"],
    )
