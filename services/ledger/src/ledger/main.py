"""The one place where everybody of the ledger is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chassis import telemetry
from chassis.grpc_server import Server, serving
from chassis.migrations import folder_of, require_applied
from chassis.postgres import open_pool
from chassis.process import ready_line
from ledger.application import Ledger
from ledger.postgres import PostgresBooks
from ledger.servicer import LedgerServicer
from ledger.settings import Settings
from purser.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Server]:
    """Open, wire and serve; at the end drain and close in reverse. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(telemetry.start("ledger", settings.telemetry))
        pool = await open_pool(settings.postgres, "purser-ledger")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "ledger", folder_of("ledger"))
        # Abstract in the stubs only: ApplyOperations is left to grpc's own UNIMPLEMENTED.
        servicer = LedgerServicer(Ledger(PostgresBooks(pool)))  # type: ignore[abstract]
        yield await stack.enter_async_context(
            serving(
                settings.server,
                lambda server: add_LedgerServiceServicer_to_server(servicer, server),
                telling,
            )
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with running(settings) as server:
        ready_line("ledger", address=server.address)
        await stop.wait()
