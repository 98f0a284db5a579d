"""placement, as a worker sees it."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

from chassis.postgres import Pool
from chassis.settings import Secret
from chassis.telemetry import get_logger
from kernel.sharding import Claim, ShardKey
from user_worker.domain.ownership import Observed, ShardSeen
from user_worker.domain.pauses import Pauses
from user_worker.errors import NameTaken
from user_worker.postgres.answering import answering

CHANNEL = "placement"
LISTEN_CONNECT_TIMEOUT_SECONDS = 5.0
"""As for the pools' connections; nothing waits for it but the listener itself."""

_log = get_logger(__name__)

_OBSERVE = """
SELECT s.shard, s.epoch, s.owner, s.owner_incarnation, s.desired_owner,
       CASE WHEN o.incarnation = s.owner_incarnation AND o.lease_until > clock_timestamp() THEN NULL
            ELSE extract(epoch FROM clock_timestamp() - coalesce(
                s.ownerless_since, placement.run_ended_at(o, s.owner_incarnation), '-infinity'))
       END::double precision AS ownerless_seconds,
       coalesce(d.lease_until > clock_timestamp() AND NOT d.draining, false) AS desired_can_own
FROM placement.shards s
LEFT JOIN placement.workers o ON o.pool = s.pool AND o.worker = s.owner
LEFT JOIN placement.workers d ON d.pool = s.pool AND d.worker = s.desired_owner
WHERE s.pool = $1
  AND (s.owner = $2 OR s.desired_owner = $2
       OR (o.incarnation = s.owner_incarnation AND o.lease_until > clock_timestamp()) IS NOT TRUE)
"""


class PostgresPlacement:
    """placement, as one pool's worker sees it."""

    def __init__(
        self,
        connections: Pool,
        pool: str,
        shards_per_worker_max: int,
        drain_timeout_seconds: float,
    ) -> None:
        """Take the two limits as what holds while no UserShard has written the pool's policy."""
        self._connections = connections
        self._pool = pool
        self._shards_per_worker_max = shards_per_worker_max
        self._drain_timeout_seconds = drain_timeout_seconds
        self._registered: UUID | None = None

    async def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        """Register a run of this worker. The first of this process replaces whom it finds under
        the name; a later one replaces only its own former run. Raises NameTaken.
        """
        if self._registered is None:
            await self._call(
                "SELECT placement.register_worker($1, $2, $3, $4)",
                *(self._pool, worker, incarnation, lease_seconds),
            )
        elif not await self._call(
            "SELECT placement.register_worker_again($1, $2, $3, $4, $5)",
            *(self._pool, worker, incarnation, self._registered, lease_seconds),
        ):
            raise NameTaken("database", f"another process is {worker} now")
        self._registered = incarnation

    async def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        """Extend the lease; False when this run is no longer registered or its lease is over."""
        return bool(
            await self._call(
                "SELECT placement.heartbeat($1, $2, $3, $4)",
                *(self._pool, worker, incarnation, lease_seconds),
            )
        )

    async def drain(self, worker: str, incarnation: UUID) -> None:
        """Say that this run wants no more shards."""
        await self._call(
            "SELECT placement.drain_worker($1, $2, $3)", self._pool, worker, incarnation
        )

    async def deregister(self, worker: str, incarnation: UUID) -> None:
        """End a run that has released its shards."""
        await self._call(
            "SELECT placement.deregister_worker($1, $2, $3)", self._pool, worker, incarnation
        )

    async def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        """Claim a shard; None when it is not free for this worker."""
        epoch = await self._call(
            "SELECT placement.claim_shard($1, $2, $3, $4, $5)",
            *(key.pool, key.shard, worker, incarnation, orphan_seconds),
        )
        return None if epoch is None else Claim(key.pool, key.shard, epoch)

    async def release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        """Give a shard up; one that is not held any more is no error."""
        await self._call(
            "SELECT placement.release_shard($1, $2, $3, $4, $5)",
            *(claim.pool, claim.shard, worker, incarnation, claim.epoch),
        )

    async def observe(self, worker: str, incarnation: UUID) -> Observed:
        """See the shards that concern this worker, and the pool's policy."""
        async with answering(self._connections) as connection:
            policy = await connection.fetchrow(
                "SELECT shards_per_worker_max, drain_timeout_seconds FROM placement.pools"
                " WHERE pool = $1",
                self._pool,
            )
            rows = await connection.fetch(_OBSERVE, self._pool, worker)
        return Observed(
            worker=worker,
            incarnation=incarnation,
            shards=tuple(self._shard_seen(row) for row in rows),
            shards_per_worker_max=(
                policy["shards_per_worker_max"] if policy else self._shards_per_worker_max
            ),
            drain_timeout_seconds=(
                policy["drain_timeout_seconds"] if policy else self._drain_timeout_seconds
            ),
        )

    def _shard_seen(self, row: asyncpg.Record) -> ShardSeen:
        return ShardSeen(
            key=ShardKey(self._pool, row["shard"]),
            epoch=row["epoch"],
            owner=row["owner"],
            owner_incarnation=row["owner_incarnation"],
            ownerless_seconds=row["ownerless_seconds"],
            desired_owner=row["desired_owner"],
            desired_can_own=row["desired_can_own"],
        )

    async def _call(self, statement: str, *arguments: object) -> Any:
        async with answering(self._connections) as connection:
            return await connection.fetchval(statement, *arguments)


async def listen(address: Secret, pool: str, wake: Callable[[], None], pauses: Pauses) -> None:
    """Call `wake` for each notification of a pool's placement; until cancelled."""

    def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == pool:
            wake()

    rests = iter(pauses)
    while True:
        try:
            connection = await asyncpg.connect(
                address.reveal(),
                timeout=LISTEN_CONNECT_TIMEOUT_SECONDS,
                statement_cache_size=0,
                server_settings={"application_name": "user-worker-listen"},
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("cannot_listen", error=type(error).__name__)
            await asyncio.sleep(next(rests))
            continue
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _connection, over=ended: over.set())
        try:
            await connection.add_listener(CHANNEL, heard)
            wake()  # whatever happened while nobody listened
            rests = iter(pauses)
            await ended.wait()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("cannot_listen", error=type(error).__name__)
        finally:
            connection.terminate()
        await asyncio.sleep(next(rests))
