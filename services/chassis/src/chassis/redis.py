"""A Redis (or Valkey) client with bounds, and the naming of its failures.

Redis is never the truth here: whatever it holds may be gone at the next call. So the client fails
fast and says `TryAgain`; the caller goes on without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

import msgspec

from chassis.errors import CannotStart, TryAgain
from chassis.optional_imports import without
from chassis.settings import Secret

with without("opentelemetry"):
    import redis.asyncio
    import redis.exceptions
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

Redis: TypeAlias = redis.asyncio.Redis
"""The client. Take it from here: whoever imports `redis` first decides what it drags in."""
RedisError = redis.exceptions.RedisError

BLOCK_MILLISECONDS_MAX = 2_000
"""The longest a read may block in the server; below every socket timeout the settings admit."""


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a room reaches Redis."""

    redis_url: Secret
    """`redis://user:password@host:port/0` (`rediss://` for TLS)."""

    redis_connections_max: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 10
    """Per process. One of them sits in a blocking read."""

    redis_timeout_seconds: Annotated[float, msgspec.Meta(ge=2.5)] = 5.0
    """How long an answer may take before the connection is given up: above the longest blocking
    read, 2 s."""

    redis_connect_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long connecting, or waiting for a free connection, may take."""


def open_redis(settings: RedisSettings) -> redis.asyncio.Redis:
    """Make a client; it connects at the first command. Close it with `await client.aclose()`."""
    try:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.redis_url.reveal(),
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
    except ValueError:
        raise CannotStart(
            "REDIS_URL must look like redis://host:port/0 (or rediss://, unix://)."
        ) from None
    return redis.asyncio.Redis.from_pool(pool)


@contextmanager
def translating() -> Iterator[None]:
    """Turn a failure to reach Redis, or its refusal to serve now, into TryAgain."""
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise TryAgain(f"Redis cannot be reached ({type(error).__name__})") from error
    except (
        redis.exceptions.BusyLoadingError,
        redis.exceptions.ReadOnlyError,
        redis.exceptions.OutOfMemoryError,
    ) as error:
        raise TryAgain(f"Redis cannot serve now ({type(error).__name__})") from error
