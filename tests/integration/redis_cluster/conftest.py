"""One Redis Cluster for the tests that leave it as they found it."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.redis_cluster.nodes import Nodes, redis_cluster

from chassis.redis import Redis, RedisSettings, open_redis
from chassis.settings import Secret


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_nodes() -> AsyncIterator[Nodes]:
    """Three nodes, each with a third of the slots."""
    with tempfile.TemporaryDirectory(prefix="purser-cluster-") as folder:
        async with redis_cluster(Path(folder), secrets.token_urlsafe(32)) as nodes:
            yield nodes


@pytest.fixture
async def nodes(shared_nodes: Nodes) -> Nodes:
    """The same, empty."""
    await shared_nodes.flush()
    return shared_nodes


@pytest.fixture
async def redis(nodes: Nodes) -> AsyncIterator[Redis]:
    """A client as a room opens it."""
    client = open_redis(RedisSettings(redis_url=Secret(nodes.url)))
    yield client
    await client.aclose()
