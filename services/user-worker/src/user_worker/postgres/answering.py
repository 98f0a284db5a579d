"""One transaction and what its failure means."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.errors import StaleClaim, TryAgain
from chassis.postgres import Connection, Pool, transaction
from user_worker.errors import ClaimLost, DependencyDown


@asynccontextmanager
async def answering(connections: Pool) -> AsyncIterator[Connection]:
    """Begin a transaction. Raises ClaimLost for a stale claim, DependencyDown without answer."""
    try:
        async with transaction(connections) as connection:
            yield connection
    except StaleClaim as stale:
        raise ClaimLost(str(stale)) from stale
    except TryAgain as away:
        raise DependencyDown("database", str(away)) from away
