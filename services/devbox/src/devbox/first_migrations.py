"""Stands in for `chassis.migrations` until that is merged: applies a folder to an empty database."""

import importlib.util
from pathlib import Path

import asyncpg


def folder_of(package: str) -> Path:
    """Find a package's migrations without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None  # noqa: S101  # goes away with the module
    return Path(spec.origin).parents[2] / "migrations"


async def migrate(url: str, room: str, folder: Path) -> None:
    """Apply every file of `folder`, in order, unless the room's schema is there."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", room):
            return
        for file in sorted(folder.glob("*.sql")):
            async with connection.transaction():
                await connection.execute(file.read_text())
    finally:
        await connection.close()
