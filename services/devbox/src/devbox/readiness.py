"""Ask a process whether it serves: gRPC's health service, an HTTP address, or a worker's lease.

Each function asks once and answers True or False; `until` asks again, with a pause, until True.
gRPC is imported only once something is there to be asked: importing it takes as long as a service's
start.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from devbox.processes import POOL, ProcessPlan

if TYPE_CHECKING:
    import asyncpg

PAUSE_SECONDS = 0.05
ASK_TIMEOUT_SECONDS = 2.0
CONNECTIONS_MAX = 2

SERVING_WORKER = """
SELECT EXISTS (
    SELECT FROM placement.workers
    WHERE pool = $1 AND worker = $2 AND lease_until > clock_timestamp()
      AND registered_at > clock_timestamp() - make_interval(secs => $3)
)"""
OWNED_SHARD = """
SELECT EXISTS (
    SELECT FROM placement.shards s JOIN placement.workers w
      ON w.pool = s.pool AND w.worker = s.owner AND w.incarnation = s.owner_incarnation
    WHERE s.pool = $1 AND s.shard = $2 AND w.lease_until > clock_timestamp()
)"""

ANSWERING_PATH = "/sim/stats"


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is True."""
    while not await ask():  # noqa: ASYNC110  # the asked one cannot wake us
        await asyncio.sleep(PAUSE_SECONDS)


class Placement:
    """Asks the database what placement says, as its owner; connects at the first question."""

    def __init__(self, owner_url: str) -> None:
        self._owner_url = owner_url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def has_worker(self, pool: str, worker: str, age_seconds: float) -> bool:
        """Whether a worker of that name holds a lease and registered at most so long ago."""
        return await self._says(SERVING_WORKER, pool, worker, age_seconds)

    async def owns_shard(self, pool: str, shard: int) -> bool:
        """Whether somebody alive owns the shard."""
        return await self._says(OWNED_SHARD, pool, shard)

    def close(self) -> None:
        """Hang up."""
        if self._pool is not None:
            self._pool.terminate()

    async def _says(self, question: str, *arguments: object) -> bool:
        """Ask; a database that is away says no."""
        import asyncpg

        try:
            async with asyncio.timeout(ASK_TIMEOUT_SECONDS):
                if self._pool is None:
                    # A given server may be behind a pooler: nothing is kept in the session.
                    self._pool = await asyncpg.create_pool(
                        self._owner_url,
                        min_size=0,
                        max_size=CONNECTIONS_MAX,
                        statement_cache_size=0,
                    )
                async with self._pool.acquire() as connection, connection.transaction():
                    answer: bool = await connection.fetchval(question, *arguments)
                return answer
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False


async def serves(plan: ProcessPlan, started: float, placement: Placement) -> bool:
    """Whether the process of `plan`, started at monotonic time `started`, does its job."""
    if plan.grpc_port is not None:
        return await grpc_serves(plan.grpc_port)
    if plan.http_port is not None:
        return await http_answers(plan.http_port)
    return await placement.has_worker(POOL, plan.name, time.monotonic() - started)


async def accepts(port: int) -> bool:
    """Whether something listens on the loopback port: the cheapest question, asked first."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def grpc_serves(port: int) -> bool:
    """Whether the gRPC server on the loopback port calls itself SERVING."""
    if not await accepts(port):
        return False
    import grpc.aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=ASK_TIMEOUT_SECONDS, wait_for_ready=True
            )
        except grpc.RpcError:
            return False
        serving: bool = answer.status == health_pb2.HealthCheckResponse.SERVING
        return serving


async def http_answers(port: int) -> bool:
    """Whether the HTTP server on the loopback port answers 200."""
    try:
        async with asyncio.timeout(ASK_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {ANSWERING_PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
