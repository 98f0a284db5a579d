"""The cheap plan: 500 users on managed servers with small limits, and what happens at the limits.

Needs Debian's `pgbouncer`. The limits are those of free tiers; the settings are the chart's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import FIRST_USER, MARKET, beside
from tests.chaos.settling import settle, stack_traces
from tests.chaos.telegram import Telegram, patient_http
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.e2e.live_run import running
from tests.history.checker import Violation, judge
from tests.history.records import HistoryFile
from tests.load.pooler import SERVER_CONNECTIONS_MAX
from tests.load.small import measure_small_plan, tell_all
from tests.load.small_plan import USERS, SmallServers, full, looking_at, small_servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

REDIS_GOAL_MEGABYTES = 20
MEMORY_GOAL_MEGABYTES = 1024
MONTHS_FEWEST = 6
PEOPLE = 60
ACTS_PER_SECOND = 6.0
CALM_SECONDS, WEATHER_SECONDS = 4.0, 12.0
POOLER_AWAY_SECONDS = 1.5
TRADES_FEWEST = 30


async def test_500_users_fit_and_are_all_answered(tmp_path: Path) -> None:
    """A busy minute: nothing unanswered, and every limit kept with room."""
    figures = await measure_small_plan(tmp_path)
    tell_all(figures)
    for outcome in (figures.sign_up, figures.busy):
        assert outcome.answered == outcome.updates, (outcome.broke, outcome.refusals)
    assert figures.trades > 0
    assert figures.seen.server_connections <= SERVER_CONNECTIONS_MAX
    assert figures.seen.redis_refusals == 0
    assert figures.seen.redis_megabytes < REDIS_GOAL_MEGABYTES
    assert sum(figures.memory.values()) < MEMORY_GOAL_MEGABYTES
    assert figures.months(USERS * 3, USERS / 4) > MONTHS_FEWEST


async def test_a_full_redis_costs_latency_and_nothing_else(tmp_path: Path) -> None:
    """Strangers' keys fill Redis, and every write is refused for a while."""

    async def fill(servers: SmallServers) -> None:
        async with full(servers):
            await asyncio.sleep(WEATHER_SECONDS)

    async with small_servers(tmp_path) as servers, looking_at(servers) as seen:
        violations, traces, trades = await _weather(servers, tmp_path, fill)
    assert violations == []
    assert traces == []
    assert trades >= TRADES_FEWEST
    assert seen.redis_refusals > 0, "Redis was never full"


async def test_a_pooler_that_dies_under_load_loses_nothing(tmp_path: Path) -> None:
    """Every connection of every part is cut at once, twice, and nobody answers for a while."""

    async def restart(servers: SmallServers) -> None:
        for _ in range(2):
            await servers.pooler.kill()
            await asyncio.sleep(POOLER_AWAY_SECONDS)
            await servers.pooler.start()
            await asyncio.sleep(WEATHER_SECONDS / 2)

    async with small_servers(tmp_path) as servers, looking_at(servers) as seen:
        violations, traces, trades = await _weather(servers, tmp_path, restart)
    assert violations == []
    assert traces == []
    assert trades >= TRADES_FEWEST
    assert seen.server_connections <= SERVER_CONNECTIONS_MAX


async def _weather(
    servers: SmallServers, folder: Path, strike: Callable[[SmallServers], Awaitable[None]]
) -> tuple[list[Violation], list[str], int]:
    """Let people trade while something strikes; what was wrong, stack traces, and the trades."""
    users = range(FIRST_USER, FIRST_USER + PEOPLE)
    options = ("--port", "0", "--gateways", "1", "--workers", "1")
    async with contextlib.AsyncExitStack() as stack:
        run = await stack.enter_async_context(
            running(servers.data, *options, **MARKET, **servers.environ)
        )
        run.owner_url = servers.owner_url
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        http = await stack.enter_async_context(patient_http())
        telegram = Telegram(run.report.address, http, history)
        market = PriceWatch(run.pricing_target, SYMBOLS, history)
        crowd = Crowd(telegram, users, market.prices, seed=1)
        await stack.enter_async_context(beside(telegram.follow(users)))
        await stack.enter_async_context(beside(PlacementWatch(run.database, history).watch()))
        await stack.enter_async_context(beside(market.watch()))
        await crowd.sign_up()
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.act(ACTS_PER_SECOND, enough=enough))
            await asyncio.sleep(CALM_SECONDS)
            await strike(servers)
            await asyncio.sleep(CALM_SECONDS)
            enough.set()
        _, books = await settle(run.database, history.records)
        records = list(history.records)
        traces = stack_traces(run.folder.logs.glob("*.log*"))
    return judge(records, books), traces, len(books.trades)
