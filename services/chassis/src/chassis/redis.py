"""A Redis (or Valkey) client with bounds, and the naming of its failures.

Redis is never the truth here: whatever it holds may be gone at the next call. So the client fails
fast and says `TryAgain`; the caller goes on without it.

The address says whether it is one server or a cluster. Both have the commands that concern one key.
What concerns many goes through `send`, `together` and `clocks`, which know that in a cluster one
command names keys of one slot only, and that nodes answer, or do not, each for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from chassis.errors import TryAgain
from chassis.optional_imports import without
from chassis.redis_address import RedisAddress, read_address
from chassis.redis_cluster import ANSWER_SECONDS_MAX, ClusterRedis, Command, Word, value_of
from chassis.redis_tls import checked
from chassis.server_certificates import Trust, what_is_wrong
from chassis.settings import Secret

with without("opentelemetry"):
    import redis.asyncio
    import redis.exceptions
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.crc import key_slot

__all__ = [
    "BLOCK_MILLISECONDS_MAX",
    "ClusterRedis",
    "Command",
    "Redis",
    "RedisError",
    "RedisSettings",
    "Word",
    "clocks",
    "open_redis",
    "send",
    "together",
    "translating",
    "value_of",
]

Redis: TypeAlias = redis.asyncio.Redis | ClusterRedis
"""The client. Take it from here: whoever imports `redis` first decides what it drags in."""
RedisError = redis.exceptions.RedisError

BLOCK_MILLISECONDS_MAX = 2_000
"""The longest a read may block in the server; below every socket timeout the settings admit."""


# A script, because it goes where its key is.
_TIME = "return redis.call('TIME')"


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a room reaches Redis."""

    redis_url: Secret
    """`redis://user:password@host:port/0` (`rediss://` for TLS). Of a Redis Cluster any node, or a
    name that leads to all: `redis+cluster://user:password@host:port` (`rediss+cluster://`).

    With TLS certificate and name of the server are checked always."""

    redis_ca_file: Path | None = None
    """PEM, the authorities that signed the server's certificate, and no others are believed. Unset:
    those the machine knows. A private authority is common with managed servers."""

    redis_cluster: bool = False
    """The address is of a cluster, also when it begins with `redis://` as some providers write it.
    """

    redis_connections_max: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 10
    """Per process, and in a cluster per node. One of them sits in a blocking read."""

    redis_timeout_seconds: Annotated[float, msgspec.Meta(ge=2.5)] = 5.0
    """How long an answer may take before the connection is given up: above the longest blocking
    read, 2 s. In a cluster no read blocks, and 1 s is the most."""

    redis_connect_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long connecting, or waiting for a free connection, may take."""


def open_redis(settings: RedisSettings) -> Redis:
    """Make a client; it connects at the first command. Close it with `await client.aclose()`.

    Raises CannotStart for an address that cannot be, NotYet for a file of authorities that does
    not fit.
    """
    address = read_address(
        settings.redis_url.reveal(),
        is_cluster=settings.redis_cluster,
        authority=settings.redis_ca_file,
    )
    connecting: dict[str, Any] = {}
    if address.is_tls:
        connecting = checked(Trust(settings.redis_ca_file), address.host)
    if address.is_cluster:
        return _open_cluster(settings, address, connecting)
    return _open_single(settings, address, connecting)


def _open_single(
    settings: RedisSettings, address: RedisAddress, connecting: dict[str, Any]
) -> redis.asyncio.Redis:
    pool = redis.asyncio.BlockingConnectionPool(
        **address.options,
        **connecting,
        max_connections=settings.redis_connections_max,
        timeout=settings.redis_connect_timeout_seconds,
        socket_timeout=settings.redis_timeout_seconds,
        socket_connect_timeout=settings.redis_connect_timeout_seconds,
        # Once more on a new connection, so that a restart of the server costs nobody an error.
        # The streams' readers know a job by its id, so a command sent twice does no harm.
        retry=Retry(NoBackoff(), 1),
        protocol=2,
        decode_responses=False,
    )
    return redis.asyncio.Redis.from_pool(pool)


def _open_cluster(
    settings: RedisSettings, address: RedisAddress, connecting: dict[str, Any]
) -> ClusterRedis:
    return ClusterRedis(
        settings.redis_connections_max,
        settings.redis_connect_timeout_seconds,
        connecting,
        # Were ours not taken, the library's own would check a certificate, too.
        ssl=address.is_tls,
        **address.options,
        socket_timeout=min(settings.redis_timeout_seconds, ANSWER_SECONDS_MAX),
        socket_connect_timeout=min(settings.redis_connect_timeout_seconds, ANSWER_SECONDS_MAX),
        protocol=2,
        decode_responses=False,
    )


async def send(client: Redis, commands: Sequence[Command]) -> list[object]:
    """Send many commands at once, each with keys of one slot; per command, in order, its answer.

    An answer may be an exception: TryAgain where Redis, or the node of that key, is away, else what
    it refused with. A command may have been carried out although its answer is TryAgain.
    """
    if not commands:
        return []
    if isinstance(client, ClusterRedis):
        return [_translated(answer) for answer in await client.send(commands)]
    try:
        if len(commands) == 1:
            execute: Any = client.execute_command
            return [await execute(*commands[0].words)]
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command.words)
        answers = await pipeline.execute(raise_on_error=False)
    except (redis.exceptions.RedisError, OSError) as error:
        return [_translated(error)] * len(commands)
    return [_translated(answer) for answer in answers]


def together(client: Redis, keys: Sequence[str]) -> list[list[int]]:
    """Group keys, given by their places, as one command may name them: in a cluster by slot."""
    if not isinstance(client, ClusterRedis):
        return [list(range(len(keys)))] if keys else []
    groups: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key_slot(key.encode()), []).append(place)
    return list(groups.values())


async def clocks(client: Redis, keys: Sequence[str]) -> dict[str, float]:
    """Tell what time it is, in seconds since 1970, at the server that has each key.

    Raises TryAgain.
    """
    if not keys:
        return {}
    times: dict[str, float] = {}
    with translating():
        groups = await client.by_node(keys) if isinstance(client, ClusterRedis) else [list(keys)]
        asked = [Command(group[0], ("EVAL", _TIME, 1, group[0])) for group in groups]
        for group, answer in zip(groups, await send(client, asked), strict=True):
            seconds, microseconds = value_of(answer)
            times |= dict.fromkeys(group, int(seconds) + int(microseconds) / 1e6)
    return times


@contextmanager
def translating() -> Iterator[None]:
    """Turn a failure to reach Redis, or its refusal to serve now, into TryAgain."""
    try:
        yield
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        if (away := _away(error)) is None:
            raise
        raise away from error


def _translated(answer: object) -> object:
    return (isinstance(answer, Exception) and _away(answer)) or answer


def _away(error: Exception) -> TryAgain | None:
    """What it means when it means to try again."""
    name = type(error).__name__
    match error:
        case (
            redis.exceptions.BusyLoadingError()
            | redis.exceptions.ReadOnlyError()
            | redis.exceptions.OutOfMemoryError()
            | redis.exceptions.ClusterError()
            | redis.exceptions.TryAgainError()
        ):
            return TryAgain(f"Redis cannot serve now ({name})")
        case redis.exceptions.AskError():
            return TryAgain(
                f"Redis sent us to another node ({name}): a cluster's address begins with "
                "redis+cluster://"
            )
        case redis.exceptions.RedisClusterException():
            why = "it is no cluster" if "not enabled" in str(error) else _why(error)
            return TryAgain(f"the Redis Cluster cannot be reached ({why})")
        case redis.exceptions.ConnectionError() | redis.exceptions.TimeoutError() | OSError():
            return TryAgain(f"Redis cannot be reached ({_why(error)})")
    return None


def _why(error: Exception) -> str:
    return what_is_wrong(error) or type(error).__name__
