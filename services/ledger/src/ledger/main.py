"""The one place where everybody of the ledger is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from chassis import telemetry
from chassis.ending import end_tasks
from chassis.errors import CannotStart
from chassis.grpc_server import Server, serving
from chassis.migrations import folder_of, require_applied
from chassis.postgres import Pool, open_pool
from chassis.process import ready_line
from chassis.settings import Secret
from chassis.tls import require_files
from ledger.application import Applying, ApplyLimits, AssetRegistry, Ledger, Reading
from ledger.housekeeping import expire_holds, roll_up
from ledger.postgres import Accounts, Batches, Freshness, Housekeeping, OldRecords, Records
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
        require_files(settings.server.tls)
        pool = await open_pool(settings.postgres, "purser-ledger")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "ledger", folder_of("ledger"))
        records = Records(pool)
        registry = AssetRegistry(records, settings.housekeeping.registry_age_seconds_max)
        applying = await stack.enter_async_context(
            Applying(Batches(pool), registry, _limits(settings.applying))
        )
        old = await stack.enter_async_context(_old_records(settings, pool, records))
        reading = Reading(records, registry, old)
        servicer = LedgerServicer(Ledger(Accounts(pool)), applying, reading)
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
async def _old_records(
    settings: Settings, primary: Pool, records: Records
) -> AsyncIterator[OldRecords | None]:
    """Read from the replica inside the block; None without one."""
    own = settings.replica
    if own.replica_database_url is None:
        yield None
        return
    _require_address(own.replica_database_url)
    reaching = msgspec.structs.replace(
        settings.postgres,
        database_url=own.replica_database_url,
        connections_max=own.replica_connections_max,
        connect_timeout_seconds=own.replica_timeout_seconds,
        acquire_timeout_seconds=own.replica_timeout_seconds,
        statement_timeout_seconds=own.replica_timeout_seconds,
    )
    # It may be away, now as later.
    replica = await open_pool(reaching, "purser-ledger-replica", connect_at_once=False)
    freshness = Freshness(primary)
    marking = asyncio.create_task(freshness.run())
    try:
        yield OldRecords(records, replica, freshness, own.replica_age_seconds_max)
    finally:
        await end_tasks({marking})
        await replica.close()


def _require_address(url: Secret) -> None:
    """Refuse what can be no address. One that leads nowhere is a replica that is away."""
    try:
        parts = urlsplit(url.reveal())
        is_address = parts.scheme in {"postgresql", "postgres"} and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise CannotStart(
            "LEDGER_REPLICA_DATABASE_URL must look like postgresql://role:password@host:port/name."
        )


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
