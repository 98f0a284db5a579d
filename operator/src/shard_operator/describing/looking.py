"""Asks PostgreSQL, Redis and the Kubernetes API, and puts together what came.

PostgreSQL must answer: without placement there is nothing to describe. The other two are asked
within their own time limits, and what they do not tell is a sentence among the problems.
"""

import asyncio
from contextlib import AsyncExitStack

import msgspec

from chassis.errors import TryAgain
from chassis.postgres import open_pool
from chassis.redis import Redis, RedisError, RedisSettings, open_redis
from shard_operator.backlog import MEASURE_TIMEOUT_SECONDS, measure_shards
from shard_operator.describing.cluster import ClusterReader
from shard_operator.describing.picture import (
    POOLS_SHOWN_MAX,
    Picture,
    Policy,
    Pool,
    Shard,
    Wanted,
    compose_pool,
    limit_pool,
    select_pools,
)
from shard_operator.describing.postgres import PlacementReader
from shard_operator.describing.settings import DescribeSettings
from shard_operator.errors import PoolUnknown

CONNECTIONS = 2
"""Two at once are plenty for somebody who looks, and PostgreSQL may be short of them just now."""


async def look(settings: DescribeSettings, wanted: Wanted) -> Picture:
    """See what is wanted. Raises CannotStart, `PlacementAway`, `PoolUnknown`."""
    async with AsyncExitStack() as stack:
        placement, redis = await _open(settings, stack)
        cluster = await ClusterReader.open(stack)
        policies = await placement.read_policies()
        home = wanted.namespace or settings.namespace
        namespaces = {home} | {pool.partition(".")[0] for pool in policies}
        if wanted.namespace is not None:
            namespaces = {home}
        declared = await cluster.list_declared(namespaces)
        known = policies.keys() | declared.keys()
        meant = select_pools(wanted, settings.namespace, known)
        if not meant and wanted.name is not None:
            raise PoolUnknown(sorted(known), cluster.problems)
        shown = meant if wanted.everything else meant[:POOLS_SHOWN_MAX]
        problems: list[str] = []
        pools = []
        for name in shown:
            pool = await _look_at_pool(name, policies.get(name), placement, redis, problems)
            pools.append(limit_pool(await cluster.complete(pool, declared.get(name)), wanted))
        lease = await cluster.read_lease(settings.namespace, settings.lease.lease_name)
    return Picture(
        pools=tuple(pools),
        pools_left_out=len(meant) - len(shown),
        lease=lease,
        # Each part is asked for every pool; it is away once.
        problems=tuple(dict.fromkeys([*problems, *cluster.problems])),
    )


async def _open(
    settings: DescribeSettings, stack: AsyncExitStack
) -> tuple[PlacementReader, Redis | None]:
    postgres = msgspec.structs.replace(settings.postgres, connections_max=CONNECTIONS)
    connections = await open_pool(postgres, "purser-describe")
    stack.push_async_callback(connections.close)
    if settings.redis_url is None:
        return PlacementReader(connections), None
    redis = open_redis(
        RedisSettings(
            redis_url=settings.redis_url,
            redis_cluster=settings.redis_cluster,
            redis_ca_file=settings.redis_ca_file,
        )
    )
    stack.push_async_callback(redis.aclose)
    return PlacementReader(connections), redis


async def _look_at_pool(
    name: str,
    policy: Policy | None,
    placement: PlacementReader,
    redis: Redis | None,
    problems: list[str],
) -> Pool:
    workers, shards = await placement.read_pool(name)
    work = await _measure(redis, name, shards, problems)
    return compose_pool(name, policy, workers, shards, work)


async def _measure(
    redis: Redis | None, pool: str, shards: list[Shard], problems: list[str]
) -> dict[int, tuple[int, float | None]] | None:
    if redis is None:
        problems.append("OPERATOR_REDIS_URL is not set: the backlog is unknown.")
        return None
    try:
        async with asyncio.timeout(MEASURE_TIMEOUT_SECONDS):
            found = await measure_shards(redis, pool, [shard.shard for shard in shards])
    except (TryAgain, TimeoutError, RedisError) as error:
        why = str(error) if isinstance(error, TryAgain) else type(error).__name__
        problems.append(f"Redis does not tell the backlog ({why}): it is unknown.")
        return None
    return {shard: (work.jobs, work.oldest_seconds) for shard, work in found.items() if work.jobs}
