"""Everything the bot keeps, in one SQLite file.

Two connections: writers take turns on one, since a transaction belongs to a connection and not to a
task; readers use the other, which in WAL mode never waits for a writer. Amounts are text, because
SQLite has no decimal type and its REAL would lose digits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import aiosqlite
from tests.load.baseline.errors import InsufficientFunds, OfferClosed

CURRENCY = "USDT"
GIFT = Decimal(10_000)

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS users (
    user_id INTEGER PRIMARY KEY, address TEXT NOT NULL, sealed_key BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS balances (
    user_id INTEGER NOT NULL, asset TEXT NOT NULL, quantity TEXT NOT NULL,
    PRIMARY KEY (user_id, asset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drafts (
    draft_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, side TEXT NOT NULL,
    symbol TEXT NOT NULL, amount TEXT NOT NULL, unit TEXT NOT NULL, made_at REAL NOT NULL,
    is_open INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS trades (
    draft_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, side TEXT NOT NULL,
    symbol TEXT NOT NULL, base TEXT NOT NULL, currency TEXT NOT NULL, fee TEXT NOT NULL,
    price TEXT NOT NULL, receipt TEXT NOT NULL UNIQUE, traded_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS trades_of_user ON trades (user_id, traded_at);
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """An offer: `amount` in `unit`, which is the currency or the symbol."""

    draft_id: int
    user_id: int
    side: str
    symbol: str
    amount: Decimal
    unit: str
    made_at: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class Trade:
    """What was done: `base` of the symbol against `currency`; the fee is in what was received."""

    side: str
    symbol: str
    base: Decimal
    currency: Decimal
    fee: Decimal
    price: Decimal
    receipt: str
    traded_at: float


class Store:
    """The file. Made by `opened`."""

    def __init__(self, writing: aiosqlite.Connection, reading: aiosqlite.Connection) -> None:
        self._writing = writing
        self._reading = reading
        self._turn = asyncio.Lock()

    async def address(self, user_id: int) -> str | None:
        """Look up the address of a user's wallet; None for a stranger."""
        rows = await self._reading.execute_fetchall(
            "SELECT address FROM users WHERE user_id = ?", (user_id,)
        )
        return next((str(row[0]) for row in rows), None)

    async def sign_up(self, user_id: int, address: str, sealed_key: bytes) -> None:
        """Make a user with a wallet and the gift; nothing when there is one already."""
        async with self._transaction() as connection:
            made = await connection.execute(
                "INSERT OR IGNORE INTO users VALUES (?, ?, ?)", (user_id, address, sealed_key)
            )
            if made.rowcount:
                await self._put(user_id, CURRENCY, GIFT)

    async def balances(self, user_id: int) -> dict[str, Decimal]:
        """List what a user has, without what is zero."""
        rows = await self._reading.execute_fetchall(
            "SELECT asset, quantity FROM balances WHERE user_id = ? ORDER BY asset", (user_id,)
        )
        return {asset: value for asset, text in rows if (value := Decimal(text))}

    async def add_draft(
        self, user_id: int, side: str, symbol: str, amount: Decimal, unit: str, now: float
    ) -> int:
        """Keep an offer; its id."""
        async with self._transaction() as connection:
            cursor = await connection.execute(
                "INSERT INTO drafts (user_id, side, symbol, amount, unit, made_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (user_id, side, symbol, str(amount), unit, now),
            )
            draft_id: int | None = cursor.lastrowid
            assert draft_id is not None
            return draft_id

    async def draft(self, draft_id: int, user_id: int) -> Draft | None:
        """Look up an offer of this user."""
        rows = await self._reading.execute_fetchall(
            "SELECT * FROM drafts WHERE draft_id = ? AND user_id = ?", (draft_id, user_id)
        )
        for row in rows:
            kept, owner, side, symbol, amount, unit, made_at, is_open = row
            return Draft(
                kept, owner, side, symbol, Decimal(amount), unit, made_at, is_open=bool(is_open)
            )
        return None

    async def close_draft(self, draft_id: int) -> None:
        """Withdraw an offer."""
        async with self._transaction() as connection:
            await connection.execute(
                "UPDATE drafts SET is_open = 0 WHERE draft_id = ?", (draft_id,)
            )

    async def trade(self, draft: Draft, trade: Trade) -> Trade:
        """Carry an offer out, once. Raises OfferClosed, InsufficientFunds."""
        async with self._transaction() as connection:
            closed = await connection.execute(
                "UPDATE drafts SET is_open = 0 WHERE draft_id = ? AND is_open", (draft.draft_id,)
            )
            if not closed.rowcount:
                raise OfferClosed(draft.draft_id)
            base_change, currency_change = (
                (trade.base - trade.fee, -trade.currency)
                if draft.side == "buy"
                else (-trade.base, trade.currency - trade.fee)
            )
            await self._change(draft.user_id, CURRENCY, currency_change)
            await self._change(draft.user_id, draft.symbol, base_change)
            await connection.execute(
                "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    draft.draft_id,
                    draft.user_id,
                    trade.side,
                    trade.symbol,
                    str(trade.base),
                    str(trade.currency),
                    str(trade.fee),
                    str(trade.price),
                    trade.receipt,
                    trade.traded_at,
                ),
            )
        return trade

    async def trades(self, user_id: int, count_max: int) -> list[Trade]:
        """List a user's trades, newest first."""
        rows = await self._reading.execute_fetchall(
            "SELECT side, symbol, base, currency, fee, price, receipt, traded_at FROM trades"
            " WHERE user_id = ? ORDER BY traded_at DESC LIMIT ?",
            (user_id, count_max),
        )
        return [_trade(tuple(row)) for row in rows]

    async def trade_of(self, draft_id: int) -> Trade | None:
        """Look up what was made of an offer."""
        rows = await self._reading.execute_fetchall(
            "SELECT side, symbol, base, currency, fee, price, receipt, traded_at FROM trades"
            " WHERE draft_id = ?",
            (draft_id,),
        )
        return next((_trade(tuple(row)) for row in rows), None)

    async def _change(self, user_id: int, asset: str, change: Decimal) -> None:
        rows = await self._writing.execute_fetchall(
            "SELECT quantity FROM balances WHERE user_id = ? AND asset = ?", (user_id, asset)
        )
        value = change + next((Decimal(row[0]) for row in rows), Decimal(0))
        if value < 0:
            raise InsufficientFunds(asset)
        await self._put(user_id, asset, value)

    async def _put(self, user_id: int, asset: str, value: Decimal) -> None:
        await self._writing.execute(
            "INSERT INTO balances VALUES (?, ?, ?)"
            " ON CONFLICT (user_id, asset) DO UPDATE SET quantity = excluded.quantity",
            (user_id, asset, str(value)),
        )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._turn:
            await self._writing.execute("BEGIN IMMEDIATE")
            try:
                yield self._writing
            except BaseException:
                await self._writing.rollback()
                raise
            await self._writing.commit()


def _trade(row: tuple[str, str, str, str, str, str, str, float]) -> Trade:
    side, symbol, base, currency, fee, price, receipt, traded_at = row
    return Trade(
        side,
        symbol,
        Decimal(base),
        Decimal(currency),
        Decimal(fee),
        Decimal(price),
        receipt,
        traded_at,
    )


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    """Open the file, made at first."""
    # Transactions are begun by hand: `isolation_level=None` keeps the driver from doing it.
    async with (
        aiosqlite.connect(path, isolation_level=None) as writing,
        aiosqlite.connect(path, isolation_level=None) as reading,
    ):
        await writing.executescript(_SCHEMA)
        yield Store(writing, reading)
