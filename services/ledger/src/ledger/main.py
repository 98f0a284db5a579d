"""The one place where everybody of the ledger is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chassis import telemetry
from chassis.ending import end_tasks
from chassis.grpc_server import Server, serving
from chassis.migrations import folder_of, require_applied
from chassis.postgres import Pool, open_pool
from chassis.process import ready_line
from ledger.application import Applying, ApplyLimits, AssetRegistry, Ledger, Reading
from ledger.housekeeping import expire_holds, roll_up
from ledger.postgres import Accounts, Batches, Housekeeping, Records
from ledger.servicer import LedgerServicer
from ledger.settings import ApplySettings, HousekeepingSettings, Settings
from purser.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server

MAY_CALL = {"purser.ledger.v1.LedgerService": {"user-worker"}}
"""Who may call what; the README says why."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Server]:
    """Open, wire and serve; at the end drain and close in reverse. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(telemetry.start("ledger", settings.telemetry))
        pool = await open_pool(settings.postgres, "purser-ledger")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "ledger", folder_of("ledger"))
        records = Records(pool)
        registry = AssetRegistry(records, settings.housekeeping.registry_age_seconds_max)
        applying = await stack.enter_async_context(
            Applying(Batches(pool), registry, _limits(settings.applying))
        )
        servicer = LedgerServicer(Ledger(Accounts(pool)), applying, Reading(records, registry))
        await stack.enter_async_context(_keeping_house(pool, settings.housekeeping))
        yield await stack.enter_async_context(
            serving(
                settings.server,
                lambda server: add_LedgerServiceServicer_to_server(servicer, server),
                telling,
                MAY_CALL,
            )
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with running(settings) as server:
        ready_line("ledger", address=server.address)
        await stop.wait()


@asynccontextmanager
async def _keeping_house(pool: Pool, settings: HousekeepingSettings) -> AsyncIterator[None]:
    """Let time act on the books inside the block."""
    housekeeping = Housekeeping(pool)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(expire_holds(housekeeping, settings.expire_holds_every_seconds)),
            group.create_task(roll_up(housekeeping, settings.roll_up_every_seconds)),
        ]
        try:
            yield
        finally:
            await end_tasks(tasks)


def _limits(settings: ApplySettings) -> ApplyLimits:
    return ApplyLimits(
        lanes=settings.apply_lanes,
        requests_max=settings.apply_batch_requests_max,
        operations_max=settings.apply_transaction_operations_max,
        queue_max=settings.apply_queue_requests_max,
    )
