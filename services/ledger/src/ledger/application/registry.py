"""The asset registry, remembered for a while: it changes with a deployment only."""

import asyncio
import time
from typing import Protocol

from chassis.errors import TryAgain
from ledger.domain.assets import Registry


class RegistryStore(Protocol):
    """The registry in the database."""

    async def list_assets(self) -> Registry:
        """Read it, ordered by id."""
        ...


class AssetRegistry:
    """Reads the registry at most once per `age_seconds_max`; an old one serves while the database
    is away."""

    def __init__(self, store: RegistryStore, age_seconds_max: float) -> None:
        self._store = store
        self._age_seconds_max = age_seconds_max
        self._known: Registry = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def assets(self) -> Registry:
        """Give the registry. Raises TryAgain when it could never be read."""
        if self._is_old():
            async with self._reading:
                if self._is_old():
                    await self._read()
        return self._known

    async def _read(self) -> None:
        try:
            self._known = await self._store.list_assets()
        except TryAgain:
            if not self._known:
                raise
        self._read_at = time.monotonic()

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at >= self._age_seconds_max
