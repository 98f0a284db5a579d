"""The two bots a load can be put on, each as its own processes: Purser, and the baseline.

Both talk to a simulated Telegram and to fake exchanges that the caller serves. Both are started
again when they are killed: Purser by its supervisor, the baseline as a service manager would.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol

import psutil  # type: ignore[import-untyped]  # carries no types
from cryptography.fernet import Fernet
from tests.e2e.live_run import LiveRun, environment, running
from tests.e2e.reconciling import assert_reconciled
from tests.fakes.exchanges import FakeExchanges

from devbox.status import memory_of
from devbox.telegram.server import Simulator

PRICES = {
    "BTC": "64000.00",
    "ETH": "3100.00",
    "SOL": "150.00",
    "BNB": "580.00",
    "XRP": "0.5200",
    "ADA": "0.4500",
    "DOGE": "0.12000",
    "TON": "6.5000",
    "LTC": "82.00",
}
START_SECONDS_MAX = 60.0
RESTART_SECONDS = 0.2
"""As soon as Purser's supervisor starts a process again."""

Purchases = Counter[tuple[int, Decimal]]
"""How often each Telegram user bought for each worth."""


class Bot(Protocol):
    """A bot under load."""

    name: str

    def processes(self) -> dict[str, int]:
        """Give the pid of each living process."""

    async def purchases(self) -> Purchases:
        """Read all purchases from the books."""

    async def queues(self) -> dict[str, int]:
        """Count what waits inside the bot, by place."""

    async def check_books(self) -> None:
        """Fail unless the books agree with themselves."""


class Purser:
    """A run of the devbox."""

    name = "Purser"

    def __init__(self, run: LiveRun) -> None:
        self._run = run

    def processes(self) -> dict[str, int]:
        """Give the pid of each living process; PostgreSQL's sessions are its children."""
        found = {p.name: p.pid for p in self._run.report.processes if p.pid is not None}
        return found | {"devbox": self._run.report.pid}

    async def purchases(self) -> Purchases:
        """Read all purchases from the ledger."""
        connection = await self._run.database()
        try:
            rows = await connection.fetch(
                "SELECT u.telegram_id, t.spent FROM ledger.trades t"
                " JOIN gateway.users u USING (user_id) WHERE t.side = 'buy'"
            )
        finally:
            await connection.close()
        return Counter((row["telegram_id"], row["spent"].normalize()) for row in rows)

    async def queues(self) -> dict[str, int]:
        """Count undone jobs and unsent replies."""
        connection = await self._run.database()
        try:
            undone = await connection.fetchval(
                "SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL"
            )
            unsent = await connection.fetchval(
                "SELECT count(*) FROM gateway.outbox WHERE state = 0"
            )
        finally:
            await connection.close()
        return {"workers": undone, "sending": unsent}

    async def check_books(self) -> None:
        """Read all books as an auditor would."""
        connection = await self._run.database()
        try:
            await assert_reconciled(connection)
        finally:
            await connection.close()


class Baseline:
    """The single process."""

    name = "baseline"

    def __init__(self, file: Path) -> None:
        self._file = file
        self.process: asyncio.subprocess.Process | None = None

    def processes(self) -> dict[str, int]:
        """Give the pid, while it lives."""
        if self.process is None or self.process.returncode is not None:
            return {}
        return {"bot": self.process.pid}

    async def purchases(self) -> Purchases:
        """Read all purchases from the file."""
        return Counter(
            (user_id, Decimal(worth).normalize())
            for user_id, worth in self._read(
                "SELECT user_id, currency FROM trades WHERE side = 'buy'"
            )
        )

    async def queues(self) -> dict[str, int]:
        """Count nothing: what waits are tasks in its memory."""
        return {}

    async def check_books(self) -> None:
        """Look for balances below zero; there are no books to compare them with."""
        assert not [1 for (text,) in self._read("SELECT quantity FROM balances") if text[0] == "-"]

    def _read(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(query).fetchall()


@contextlib.asynccontextmanager
async def purser(
    folder: Path,
    simulator: Simulator,
    exchanges: FakeExchanges,
    *,
    workers: int = 2,
    owner_url: str | None = None,
    **environ: str,
) -> AsyncIterator[Purser]:
    """Run Purser on these: one gateway, two workers, all limits but one as they are.

    `owner_url` is where the books of a given database are read.

    Users sign up faster here than an advertisement would bring them; and of the past one hour is
    filled in, not a day, so that it is over when the load begins.
    """
    settings = {
        "TELEGRAM_BOT_TOKEN": simulator.token,
        "GATEWAY_TELEGRAM_API_URL": simulator.url,
        "GATEWAY_SIGN_UPS_PER_MINUTE_MAX": "100000",
        "PRICING_SOURCES": "exchanges",
        "PRICING_BINANCE_URL": f"{exchanges.url}/binance",
        "PRICING_KRAKEN_URL": f"{exchanges.url}/kraken",
        "PRICING_HISTORY_HOURS": "1",
    }
    options = ("--gateways", "1", "--workers", str(workers))
    async with running(folder, *options, **settings | environ) as run:
        run.owner_url = owner_url
        yield Purser(run)


@contextlib.asynccontextmanager
async def baseline(
    folder: Path, simulator: Simulator, exchanges: FakeExchanges
) -> AsyncIterator[Baseline]:
    """Run the baseline on these, and start it again when it ends."""
    bot = Baseline(folder / "bot.sqlite")
    settings = {
        "BASELINE_TOKEN": simulator.token,
        "BASELINE_TELEGRAM_URL": simulator.url,
        "BASELINE_PRICES_URL": f"{exchanges.url}/binance",
        "BASELINE_FILE": str(folder / "bot.sqlite"),
        "BASELINE_KEY": Fernet.generate_key().decode(),
    }
    with (folder / "bot.log").open("ab") as log:
        keeper = asyncio.create_task(_keep(bot, environment() | settings, log))
        try:
            await _until_polling(simulator, keeper)
            yield bot
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if bot.process is not None and bot.process.returncode is None:
                bot.process.kill()  # SIGTERM waits for the poll under way, ten seconds
                await bot.process.wait()


async def _keep(bot: Baseline, environ: dict[str, str], log: IO[bytes]) -> None:
    while True:
        bot.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.load.baseline",
            env=environ,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
        await bot.process.wait()
        await asyncio.sleep(RESTART_SECONDS)


async def _until_polling(simulator: Simulator, keeper: asyncio.Task[None]) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while "getUpdates" not in simulator.world.calls and not _is_waiting(simulator):
            if keeper.done():
                keeper.result()
            await asyncio.sleep(0.05)


def _is_waiting(simulator: Simulator) -> bool:
    """A first poll is counted when it ends; until then the webhook's removal tells."""
    return "deleteWebhook" in simulator.world.calls or "getMe" in simulator.world.calls


def kill(bot: Bot, process: str) -> None:
    """End a process as the kernel's memory killer would."""
    os.kill(bot.processes()[process], signal.SIGKILL)


def memory(bot: Bot) -> dict[str, float]:
    """Read the PSS of each process with its children, in MB."""
    found = {}
    for name, pid in bot.processes().items():
        size = memory_of(pid, children=name != "devbox")
        found[name] = 0.0 if size is None else size.megabytes
    return found


def processor_seconds(bot: Bot) -> dict[str, float]:
    """Read what each process has used of the processor so far, children included."""
    used = {}
    for name, pid in bot.processes().items():
        with contextlib.suppress(psutil.Error):
            alone = psutil.Process(pid)
            family = [alone, *(alone.children(recursive=True) if name != "devbox" else [])]
            times = [member.cpu_times() for member in family]
            used[name] = sum(time.user + time.system for time in times)
    return used
