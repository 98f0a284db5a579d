"""A migrated PostgreSQL that keeps what it commits, for the figures that need nothing else."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers import embedded_postgres

NAME = "bench"


@asynccontextmanager
async def durable_database() -> AsyncIterator[Database]:
    """Serve one for the body of the context; fsync and synchronous_commit are on."""
    passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with embedded_postgres(
            Path(folder), owner_password=secrets.token_urlsafe(32)
        ) as server:
            await ensure_database(server.owner_url(), NAME)
            await migrate_rooms(server.owner_url(NAME))
            await ensure_logins(server.owner_url(NAME), passwords)
            yield Database(server.owner_url(NAME), passwords)
