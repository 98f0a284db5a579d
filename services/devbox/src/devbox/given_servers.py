"""Look at the servers a person gave instead of the embedded ones, before anything depends on them.

What is wrong with them is said in one sentence that names the variable and never shows the address,
which holds a password.
"""

from pathlib import Path

import asyncpg

from chassis.postgres import describe
from chassis.settings import Secret
from devbox.errors import CannotBegin
from devbox.settings import RunSettings

CONNECT_TIMEOUT_SECONDS = 5.0
# The promises about time limits need transaction_timeout.
POSTGRES_VERSION_MIN = 170000


async def require_given(settings: RunSettings) -> None:
    """Raise `CannotBegin` unless the given servers serve."""
    if settings.database_url is not None:
        await require_database(settings.database_url)
    if settings.redis_url is not None:
        await require_redis(
            settings.redis_url,
            is_cluster=settings.redis_cluster,
            authority=settings.redis_ca_file,
        )


async def require_database(url: Secret) -> None:
    """Raise `CannotBegin` unless the database is new enough and its role may make roles."""
    try:
        # A transaction pooler may stand in between: one transaction, and no named statements.
        connection = await asyncpg.connect(
            url.reveal(), timeout=CONNECT_TIMEOUT_SECONDS, statement_cache_size=0
        )
    except ValueError:
        raise CannotBegin(
            "PURSER_DATABASE_URL is not an address like postgresql://role:password@host:5432/name."
        ) from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        raise CannotBegin(
            f"The PostgreSQL named by PURSER_DATABASE_URL does not let us in ({describe(e)}): "
            "look at the address and at whether the server is up."
        ) from None
    try:
        async with connection.transaction(readonly=True):
            version = int(await connection.fetchval("SHOW server_version_num"))
            may = await connection.fetchval(
                "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
    finally:
        await connection.close()
    if version < POSTGRES_VERSION_MIN:
        raise CannotBegin(
            f"The PostgreSQL named by PURSER_DATABASE_URL is version {version // 10000}; "
            f"Purser needs {POSTGRES_VERSION_MIN // 10000} or newer."
        )
    if not may:
        raise CannotBegin(
            "The role in PURSER_DATABASE_URL may not create roles: "
            "name an owner (CREATEROLE, and CREATE on the database)."
        )


async def require_redis(
    url: Secret, *, is_cluster: bool = False, authority: Path | None = None
) -> None:
    """Raise `CannotBegin` unless Redis answers."""
    from chassis.errors import CannotStart, TryAgain
    from chassis.redis import RedisError, RedisSettings, open_redis, translating
    from chassis.server_certificates import what_is_wrong

    try:
        redis = open_redis(
            RedisSettings(redis_url=url, redis_cluster=is_cluster, redis_ca_file=authority)
        )
    except CannotStart as error:
        raise CannotBegin(f"The Redis named by PURSER_REDIS_URL cannot be used: {error}") from None
    try:
        with translating():
            await redis.ping()
    except (TryAgain, RedisError) as error:
        why = what_is_wrong(error) or type(error.__cause__ or error).__name__
        raise CannotBegin(
            f"The Redis named by PURSER_REDIS_URL does not answer ({why}): "
            "look at the address and at whether the server is up."
        ) from None
    finally:
        await redis.aclose()
