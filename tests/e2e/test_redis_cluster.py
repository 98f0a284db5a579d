"""The whole house on a Redis Cluster whose nodes come and go while people trade."""

import asyncio
import contextlib
import secrets
from pathlib import Path

import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import FIRST_USER, MARKET, beside
from tests.chaos.settling import settle, stack_traces
from tests.chaos.telegram import Telegram, patient_http
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.e2e.live_run import running
from tests.history.checker import judge
from tests.history.records import HistoryFile
from tests.integration.redis_cluster.nodes import Node, Nodes, redis_cluster

from kernel.names import jobs_stream
from kernel.sharding import ShardKey

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

PEOPLE = 30
USERS_PER_SHARD = 5
ACTS_PER_SECOND = 6.0
CALM_SECONDS, AWAY_SECONDS = 3.0, 4.0
TRADES_FEWEST = 15


async def test_nothing_is_lost_while_nodes_die_freeze_and_slots_move(tmp_path: Path) -> None:
    """What people were told, what was done and every book agree at the end."""
    users = range(FIRST_USER, FIRST_USER + PEOPLE)
    options = ("--port", "0", "--gateways", "1", "--workers", "2")
    async with contextlib.AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(
            redis_cluster(tmp_path / "redis", secrets.token_urlsafe(32))
        )
        given = {
            "PURSER_REDIS_URL": nodes.url,
            "DEVBOX_USERS_PER_SHARD": str(USERS_PER_SHARD),
        }
        run = await stack.enter_async_context(
            running(tmp_path / "data", *options, **MARKET, **given)
        )
        history = stack.enter_context(HistoryFile(tmp_path / "history.jsonl"))
        http = await stack.enter_async_context(patient_http())
        telegram = Telegram(run.report.address, http, history)
        market = PriceWatch(run.pricing_target, SYMBOLS, history)
        crowd = Crowd(telegram, users, market.prices, seed=1)
        await stack.enter_async_context(beside(telegram.follow(users)))
        await stack.enter_async_context(beside(PlacementWatch(run.database, history).watch()))
        await stack.enter_async_context(beside(market.watch()))
        await crowd.sign_up()
        streams = [
            jobs_stream(ShardKey("default.main", n)) for n in range(PEOPLE // USERS_PER_SHARD)
        ]
        owners = [node for node in nodes.primaries if node in map(nodes.owner, streams)]
        assert len(owners) > 1
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.act(ACTS_PER_SECOND, enough=enough))
            await asyncio.sleep(CALM_SECONDS)
            assert all([await _appended(node) for node in owners])
            await _strike(nodes, streams[0])
            await asyncio.sleep(CALM_SECONDS)
            enough.set()
        _, books = await settle(run.database, history.records)
        records = list(history.records)
        traces = stack_traces(run.folder.logs.glob("*.log*"))
    assert judge(records, books) == []
    assert traces == []
    assert len(books.trades) >= TRADES_FEWEST


async def _appended(node: Node) -> bool:
    """Whether jobs came to this node."""
    told = await node.tell("INFO", "commandstats")
    return "cmdstat_xadd" in (told if isinstance(told, dict) else told.decode())


async def _strike(nodes: Nodes, stream: str) -> None:
    source = nodes.owner(stream)
    target, other = (node for node in nodes.primaries if node is not source)
    await nodes.move(stream, target)
    nodes.kill(source)
    await asyncio.sleep(AWAY_SECONDS)
    await nodes.start(source)
    nodes.freeze(other)
    await asyncio.sleep(AWAY_SECONDS)
    nodes.thaw(other)
    await nodes.until_serving()
    # With all its jobs: what is not in a stream is in the inbox.
    nodes.kill(target)
    await nodes.start(target)
