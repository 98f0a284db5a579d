"""Make the one database ready: it exists, every room's migrations are applied, every role can log
in.

The migrations make roles that cannot log in; who deploys gives them a password: here the devbox,
on a cluster whoever owns the database. A password travels as its SCRAM verifier, so that no
server's log can hold it. The passwords are 256 random bits: a single iteration is as good as
thousands and keeps connecting cheap.

All of it is safe to repeat and is repeated at every start.
"""

import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping

import asyncpg

from chassis.migrations import folder_of, migrate
from devbox.roles import ROLES, Database

__all__ = [
    "ROLES",
    "ROOMS",
    "Database",
    "ensure_database",
    "ensure_logins",
    "ensure_shard",
    "migrate_rooms",
    "scram_verifier",
]

# Placement first: it makes the roles that the others join.
ROOMS = {
    "placement": "shard_operator",
    "gateway": "gateway",
    "worker": "user_worker",
    "pricing": "pricing",
    "wallet": "wallet",
    "ledger": "ledger",
}
SCRAM_ITERATIONS = 1
SALT_BYTES = 16
CONNECT_TIMEOUT_SECONDS = 10.0


async def ensure_database(maintenance_url: str, name: str) -> None:
    """Create the database if it is not there; `maintenance_url` names another one of the server."""
    connection = await asyncpg.connect(maintenance_url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(
                await connection.fetchval("SELECT format('CREATE DATABASE %I', $1::text)", name)
            )
    finally:
        await connection.close()


async def migrate_rooms(owner_url: str) -> None:
    """Apply what is missing of every room's migrations, in the order of `ROOMS`."""
    for room, package in ROOMS.items():
        await migrate(owner_url, room, folder_of(package))


async def ensure_logins(owner_url: str, passwords: Mapping[str, str]) -> None:
    """Let each role log in with its password."""
    async with _transaction(owner_url) as connection:
        for role, password in passwords.items():
            verifier = scram_verifier(password, secrets.token_bytes(SALT_BYTES))
            await connection.execute(
                await connection.fetchval(
                    "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
                    role,
                    verifier,
                )
            )


async def ensure_shard(owner_url: str, pool: str, shard: int) -> None:
    """Make a shard if it is not there."""
    async with _transaction(owner_url) as connection:
        await connection.execute("SELECT placement.ensure_shard($1, $2)", pool, shard)


@contextlib.asynccontextmanager
async def _transaction(owner_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Give a connection of its own in one transaction: a given server may be behind a pooler."""
    connection = await asyncpg.connect(
        owner_url, timeout=CONNECT_TIMEOUT_SECONDS, statement_cache_size=0
    )
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


def scram_verifier(password: str, salt: bytes) -> str:
    """Give what PostgreSQL stores for a password (RFC 5803), from which it cannot be got back."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"
