"""A dump taken while people trade, restored to another server with an empty Redis.

The dump knows its snapshot and nothing after it. So the judge is shown everything that was sent
but what the old house acknowledged to Telegram and the dump does not hold. Messages stay in the
chats whatever a database forgot; only receipts of orders that the dump holds as still open are
judged by what was said after the restore.
"""

import asyncio
import contextlib
import secrets
import time
from base64 import b64encode
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import MARKET, PLANS, beside
from tests.chaos.settling import settle, stack_traces
from tests.chaos.telegram import Telegram, patient_http
from tests.e2e.live_run import LiveRun, running
from tests.e2e.restoring import dump, fresh_postgres, restore, talking_to, telegram_beside, verb
from tests.history.books import Books
from tests.history.checker import judge
from tests.history.reading_books import read_books
from tests.history.records import Heard, HistoryFile, Pressed, Record, Said

from devbox.data_folder import DataFolder
from devbox.database import ensure_logins
from devbox.keyring import ensure_secret
from devbox.roles import ROLES, Database
from devbox.world import DATABASE

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

USERS = range(910_000, 910_020)
RATE = 6.0
BEFORE_SECONDS, AFTER_SECONDS = 12.0, 8.0
DUMP_AFTER_SECONDS = 6.0
TRADES_FEWEST = 10
PRICES = dict.fromkeys(SYMBOLS, Decimal(100))
"""Nothing rests here that would have to trigger: a price watched across two houses is none."""
HOUSE = MARKET | PLANS | {"DEVBOX_USERS_PER_SHARD": "5"}


@dataclass(frozen=True)
class Known:
    """What a database knows."""

    updates: frozenset[int]
    open_receipts: frozenset[str]
    books: Books
    epochs: dict[int, int]


async def test_books_reconcile_and_no_job_is_lost_or_doubled_after_a_restore(
    tmp_path: Path,
) -> None:
    """Dumped under load; the users go on trading with the house that is restored from it."""
    old, new = DataFolder(tmp_path / "old"), DataFolder(tmp_path / "new")
    dumped = tmp_path / "purser.dump"
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(telegram_beside())
        http = await stack.enter_async_context(patient_http())
        history = stack.enter_context(HistoryFile(tmp_path / "history.jsonl"))
        telegram = Telegram(address, http, history)
        await stack.enter_async_context(beside(telegram.follow(USERS)))
        house = HOUSE | talking_to(address)

        async with running(old.root, "--port", "0", **house) as run:
            await _live_and_dump(run, telegram, dumped)
        async with fresh_postgres(old) as server:
            last = await _read(server.owner_url(DATABASE))
        await restore(dumped, old, new)
        async with fresh_postgres(new) as server:
            status, told = await verb(
                "shard_operator",
                "after-restore",
                PURSER_MIGRATION_DATABASE_URL=server.owner_url(DATABASE),
            )
            assert status == 0, told
            known = await _read(server.owner_url(DATABASE))
            await _wallet_refuses_another_key(new, server.owner_url(DATABASE), tmp_path)
        assert all(known.epochs[shard] > epoch for shard, epoch in last.epochs.items())
        assert known.books.disagreements == {}

        began = time.time()
        async with running(new.root, "--port", "0", **house) as run:
            crowd = Crowd(telegram, USERS, PRICES, seed=2)
            await crowd.act(RATE, AFTER_SECONDS)
            await crowd.panic()
            # What Telegram was told is safe and the dump does not hold is lost; nothing else is.
            lost = last.updates - known.updates
            sent = [record for record in history.records if _is_to_be_known(record, lost)]
            settled_seconds, books = await settle(run.database, sent)
    records = [
        _as_known(record, known, began)
        for record in history.records
        if _is_to_be_known(record, lost)
    ]
    assert judge(records, books) == []
    assert settled_seconds is not None
    assert crowd.deeds.impatient == 0
    assert lost, "nothing was acknowledged after the dump: it was not taken under load"
    assert len(known.books.trades) >= TRADES_FEWEST
    assert len(books.trades) > len(known.books.trades)
    assert stack_traces(new.logs.glob("*.log*")) == []


async def _live_and_dump(run: LiveRun, telegram: Telegram, dumped: Path) -> None:
    """People trade, and in the midst of it the database is dumped."""
    crowd = Crowd(telegram, USERS, PRICES, seed=1)
    await crowd.sign_up()
    await crowd.live_by_rules()
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.act(RATE, BEFORE_SECONDS))
        await asyncio.sleep(DUMP_AFTER_SECONDS)
        await dump(run.folder, run.report.ports["database"], dumped)


async def _read(url: str) -> Known:
    connection = await asyncpg.connect(url)
    try:
        books = await read_books(connection)
        updates = await connection.fetch("SELECT update_id FROM gateway.updates_seen")
        epochs = await connection.fetch("SELECT shard, epoch FROM placement.shards")
    finally:
        await connection.close()
    ended = {order.order_id for order in books.orders if order.ended_at is not None}
    return Known(
        frozenset(row["update_id"] for row in updates),
        frozenset(draft.receipt for draft in books.drafts if draft.draft_id not in ended),
        books,
        {row["shard"]: row["epoch"] for row in epochs},
    )


def _is_to_be_known(record: Record, lost: frozenset[int]) -> bool:
    return not isinstance(record, Said | Pressed) or record.update_id not in lost


def _as_known(record: Record, known: Known, began: float) -> Record:
    """A receipt that the old house showed of what the dump holds as open, without its words."""
    if not isinstance(record, Heard) or record.at >= began:
        return record
    if not any(receipt in record.text for receipt in known.open_receipts):
        return record
    return Heard(record.at, record.user, record.message_id, "…", record.edited)


async def _wallet_refuses_another_key(folder: DataFolder, owner_url: str, scratch: Path) -> None:
    """Wallet, started on the restored database, says in one sentence what is wrong."""
    passwords = {role: ensure_secret(folder.secrets, f"{role}.password") for role in ROLES}
    await ensure_logins(owner_url, passwords)
    another = scratch / "another.key"
    another.write_text(b64encode(secrets.token_bytes(32)).decode() + "\n")
    another.chmod(0o600)
    for key, sentence in (
        (another, "the wallets of this database are sealed under the key-encryption key"),
        (scratch / "absent.key", "absent.key"),
    ):
        status, told = await verb(
            "wallet",
            WALLET_DATABASE_URL=Database(owner_url, passwords).url("purser_wallet"),
            WALLET_KEY_ENCRYPTION_KEY_FILE=str(key),
            WALLET_LISTEN_ADDRESS="127.0.0.1:0",
            PURSER_METRICS_ADDRESS="127.0.0.1:0",
            PURSER_START_TIMEOUT_SECONDS="0",
            PURSER_LOG_FORMAT="console",
        )
        assert status != 0, told
        assert sentence in told
        assert "Traceback" not in told
