"""Passwords of the database and of Redis are renewed while people trade, as docs/renew-secrets.md
says, under worse conditions than it has: all open connections end before anybody has the new one.

Nothing is lost, everybody is answered in the end, and no job counts the refused login as its own
failure.
"""

import asyncio
import contextlib
import re
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import MARKET, PLANS, beside
from tests.chaos.settling import settle, stack_traces
from tests.chaos.telegram import Telegram, patient_http
from tests.e2e.live_run import LiveRun, running
from tests.e2e.renewing import MountedSecrets
from tests.e2e.restoring import talking_to, telegram_beside
from tests.history.checker import judge
from tests.history.records import HistoryFile

from devbox.roles import Database
from devbox.servers.postgresql import OWNER, make_url
from devbox.world import DATABASE, owner_password, redis_password

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

USERS = range(930_000, 930_020)
RATE = 4.0
PRICES = dict.fromkeys(SYMBOLS, Decimal(100))
HOUSE = MARKET | PLANS | {"DEVBOX_USERS_PER_SHARD": "5"}
REFUSED_SECONDS = 3.0
"""How long nobody can log in: a job's three tries are over after one."""
ACTING_SECONDS_MAX = 200.0
TRADES_FEWEST = 15
TRADES_LOOK_SECONDS = 0.2
_TRADES = "SELECT count(*) FROM ledger.trades"
WORKERS = ("purser-user-worker-0", "purser-user-worker-1")
PARTS = (
    (("ledger",), {"purser_ledger": "LEDGER_DATABASE_URL"}),
    (("wallet",), {"purser_wallet": "WALLET_DATABASE_URL"}),
    (
        ("pricing",),
        {
            "purser_pricing": "PRICING_DATABASE_URL",
            "purser_venue": "PRICING_VENUE_DATABASE_URL",
        },
    ),
    (("gateway-0",), {"purser_gateway": "GATEWAY_DATABASE_URL"}),
    (WORKERS, {"purser_worker": "USER_WORKER_DATABASE_URL"}),
)
"""Programs, and the variables of their roles; the operator's is as good as any."""
ASKED_OF_REDIS = ("pricing", "gateway-0", *WORKERS)
RUNBOOK = Path(__file__).parents[2] / "docs/what-to-do-when.md"


@dataclass(frozen=True)
class House:
    """A run with people in it."""

    run: LiveRun
    mounted: MountedSecrets
    owner: asyncpg.Connection
    crowd: Crowd


async def test_nothing_is_lost_while_passwords_of_the_database_are_renewed(tmp_path: Path) -> None:
    """Part by part: the others go on, and meet one that is not let in."""
    async with trading(tmp_path) as house:
        for programs, variables in PARTS:
            assert await renew_roles(house, variables) > 0, "nobody was logged in"
            await asyncio.sleep(REFUSED_SECONDS)
            for program in programs:
                await replace(house.run, program)


async def test_nothing_is_lost_while_the_password_of_redis_is_renewed(tmp_path: Path) -> None:
    """In one step, as with a provider that knows one password; two at once are kinder."""
    async with trading(tmp_path) as house:
        port = house.run.report.ports["redis"]
        new = secrets.token_urlsafe(16)
        async with Redis(port=port, password=redis_password(house.run.folder)) as server:
            await server.config_set("requirepass", new)
            await server.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(REFUSED_SECONDS)
        house.mounted.write("PURSER_REDIS_URL", f"redis://:{new}@127.0.0.1:{port}/0")
        for program in ASKED_OF_REDIS:
            await replace(house.run, program)


@contextlib.asynccontextmanager
async def trading(folder: Path) -> AsyncIterator[House]:
    """People trade for as long as the context lasts; then everything must have been right."""
    async with contextlib.AsyncExitStack() as stack:
        mounted = MountedSecrets(folder / "mounted")
        address = await stack.enter_async_context(telegram_beside())
        http = await stack.enter_async_context(patient_http())
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        telegram = Telegram(address, http, history)
        await stack.enter_async_context(beside(telegram.follow(USERS)))
        environ = HOUSE | talking_to(address) | mounted.environ
        run = await stack.enter_async_context(running(folder / "data", "--port", "0", **environ))
        run.folder.pin_workers(2)
        crowd = Crowd(telegram, USERS, PRICES, seed=1)
        await crowd.sign_up()
        owner = await run.database()
        stack.push_async_callback(owner.close)
        enough = asyncio.Event()
        async with asyncio.timeout(ACTING_SECONDS_MAX), asyncio.TaskGroup() as group:
            group.create_task(crowd.act(RATE, enough=enough))
            yield House(run, mounted, owner, crowd)
            # A quick machine renews in less time than people take to trade.
            while await owner.fetchval(_TRADES) < TRADES_FEWEST:  # noqa: ASYNC110 (other processes)
                await asyncio.sleep(TRADES_LOOK_SECONDS)
            enough.set()
        await crowd.panic()
        settled_seconds, books = await settle(run.database, history.records)
        set_aside = await owner.fetchval("SELECT count(*) FROM gateway.inbox WHERE outcome = 2")
        for question in re.findall(r"^ +(SELECT\b[^;`]+;)", RUNBOOK.read_text(), re.MULTILINE):
            assert [] == await owner.fetch(question), "the runbook finds fault with the books"
        traces = stack_traces(run.folder.logs.glob("*.log*"))
    assert judge(history.records, books) == []
    assert settled_seconds is not None
    assert set_aside == 0
    assert crowd.deeds.impatient == 0
    assert len(books.trades) >= TRADES_FEWEST
    assert traces == []


async def renew_roles(house: House, variables: Mapping[str, str]) -> int:
    """Give roles new passwords, in the files first, and end their sessions; how many those were."""
    url = make_url(
        OWNER, owner_password(house.run.folder), house.run.report.ports["database"], DATABASE
    )
    renewed = Database(url, {role: secrets.token_urlsafe(16) for role in variables})
    for role, variable in variables.items():
        house.mounted.write(variable, renewed.url(role))
        await house.owner.execute(f"ALTER ROLE {role} PASSWORD '{renewed.passwords[role]}'")
    ended: int = await house.owner.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY($1)",
        list(variables),
    )
    return ended


async def replace(run: LiveRun, name: str) -> None:
    """End a program as a pod is ended; another one is started in its place."""
    run.kill(name, signal.SIGTERM)
    await run.until_serving_again(name)
