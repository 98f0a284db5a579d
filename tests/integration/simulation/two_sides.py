"""The simulated PostgreSQL beside the real one, at the same moment of the same frozen time.

Time stands still on both sides but for `pass_time`: before each operation the real database's
times are moved by what its clock went on meanwhile, so that a lease of three seconds ends on both
sides after the same operation.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

import asyncpg
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables
from tests.simulation.seeding import at

from chassis.postgres import Pool, PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from user_worker.errors import WorkerError

Result = TypeVar("Result")
POOL = "default.main"
TIMES = {
    "placement.workers": ("lease_until", "registered_at"),
    "placement.shards": ("ownerless_since",),
    "worker.drafts": ("made_at", "expires_at"),
    "worker.orders": ("accepted_at", "submit_before", "ended_at"),
    "worker.events": ("made_at", "relayed_at"),
    "worker.attempts": ("counted_at",),
    "worker.resting_orders": ("placed_at", "expires_at", "ended_at"),
    "worker.alerts": ("placed_at", "expires_at", "ended_at"),
}


class AtOnce(Network):
    """A network on which nothing takes time and nothing goes wrong."""

    def __init__(self) -> None:
        """Needs no loop."""

    async def call(
        self, service: str, what: str, effect: Callable[[], Result], *, is_plain: bool = False
    ) -> Result:
        """Let the effect take place."""
        return effect()


@dataclass
class TwoSides:
    """Both sides, and what they share: the time, and the ids that are made."""

    owner: Any
    pools: Callable[[str], Awaitable[Pool]]
    placement: PlacementTables
    now: float = 0.0
    _behind: timedelta = timedelta()
    _operation: int = 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass on both sides."""
        self.now += seconds

    async def both(
        self, simulated: Callable[[], Awaitable[Any]], real: Callable[[], Awaitable[Any]]
    ) -> tuple[Any, Any]:
        """Do one operation on either side; gives both answers, an error's name for an error."""
        self._operation += 1
        self.now += 0.001
        expected = await self._answer(simulated)
        await self._set_back()
        return expected, await self._answer(real)

    async def _answer(self, side: Callable[[], Awaitable[Any]]) -> Any:
        made = iter(range(1, 10))

        def new_id() -> UUID:
            return UUID(int=7 << 76 | self._operation << 16 | next(made))

        with (
            mock.patch("tests.simulation.trading.new_uuid7", new_id),
            mock.patch("user_worker.postgres.drafts.new_uuid7", new_id),
            mock.patch("user_worker.postgres.orders.new_uuid7", new_id),
            mock.patch("user_worker.postgres.events.new_uuid7", new_id),
        ):
            try:
                return await side()
            except (WorkerError, LookupError, ValueError) as error:
                return type(error).__name__

    async def _set_back(self) -> None:
        real: datetime = await self.owner.fetchval("SELECT clock_timestamp()")
        behind = real - at(self.now)
        moved, self._behind = behind - self._behind, behind
        by = f"+ make_interval(secs => {moved.total_seconds():f})"
        await self.owner.execute(
            ";".join(
                f"UPDATE {table} SET {', '.join(f'{c} = {c} {by}' for c in columns)}"  # noqa: S608 (ours)
                for table, columns in TIMES.items()
            )
        )


@asynccontextmanager
async def two_sides(database: Database) -> AsyncIterator[TwoSides]:
    """Both sides, empty."""
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        # Moving times is no change of an order: its triggers would refuse it.
        await owner.execute("SET session_replication_role = replica")

        async def pool_of(role: str) -> Pool:
            url = Secret(database.url(role))
            pool = await open_pool(PostgresSettings(database_url=url, connections_max=1), role)
            stack.push_async_callback(pool.close)
            return pool

        sides = TwoSides(owner, pool_of, PlacementTables(POOL, lambda: sides.now))
        yield sides


def drawn(seed: int) -> random.Random:
    """What a sequence of operations is drawn from."""
    return random.Random(seed)
