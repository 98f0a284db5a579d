"""Bring everything up, in the order that is ready soonest.

The gateway, the servers and the simulated Telegram start before this process has imported what it
needs itself: on two cores importing is most of a start. Then the schema is brought up to date and
the roles get their passwords; a gateway that was faster than that is started once more (at the very
first start, when a cluster is to be made, it would be: so there it starts after that). The stores,
the workers and the control loop follow. Ready means: every process serves, and a worker owns the
first shard, so that a first message meets somebody.
"""

import asyncio
import contextlib
import subprocess

from chassis.errors import CannotStart
from devbox.data_folder import DataFolder
from devbox.errors import CannotBegin, ServerFailed
from devbox.fleet import Fleet, Rank
from devbox.keeper import Keeper, Kept
from devbox.processes import (
    POOL,
    World,
    plan_gateway,
    plan_simulator,
    plan_stores,
    plan_worker,
)
from devbox.programs import unprivileged_identity
from devbox.readiness import Placement, until
from devbox.servers import postgresql, valkey
from devbox.world import DATABASE, maintenance_url, owner_password, redis_password

START_TIMEOUT_SECONDS = 90.0
"""Ten times what a start takes; beyond it something hangs."""


async def bring_up(
    world: World, folder: DataFolder, fleet: Fleet, stack: contextlib.AsyncExitStack
) -> None:
    """Return when everything serves. Raises `DevboxError`; what was begun is the fleet's to
    stop."""
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            await _bring_up(world, folder, fleet, stack)
    except TimeoutError:
        late = ", ".join(fleet.waiting_for()) or "a worker that owns the first shard"
        raise ServerFailed(
            f"Not ready after {START_TIMEOUT_SECONDS:.0f} s; still missing: {late}. "
            f"The logs are in {folder.logs}."
        ) from None
    except CannotStart as error:
        raise CannotBegin(f"Purser cannot start: {error}") from None
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _bring_up(
    world: World, folder: DataFolder, fleet: Fleet, stack: contextlib.AsyncExitStack
) -> None:
    settings = world.settings
    if settings.database_url is not None or settings.redis_url is not None:
        from devbox.given_servers import require_given

        await require_given(settings)
    placement = Placement(world.database.owner_url)
    stack.callback(placement.close)
    prepared = asyncio.Event()

    def keep_gateways() -> None:
        for ordinal in range(settings.gateways):
            fleet.keep_planned(Rank.FRONT, plan_gateway(world, ordinal), placement, prepared)

    is_first_run = settings.database_url is None and not folder.postgres.exists()
    if not is_first_run:
        keep_gateways()
    postgres = _keep_postgres(fleet, folder, world) if settings.database_url is None else None
    if settings.redis_url is None:
        _keep_valkey(fleet, folder, world)
    if settings.bot_token is None:
        # Below the gateways, so that it hears their last words.
        fleet.keep_planned(Rank.SERVER, plan_simulator(world), placement)
    if postgres is not None:
        await postgres.serving()
    if is_first_run:  # making the cluster takes about as long as a gateway's start
        keep_gateways()
    await _prepare_database(world, folder)
    prepared.set()
    for plan in plan_stores(world):
        fleet.keep_planned(Rank.STORE, plan, placement)

    from devbox.control import LocalWorkers, control_loop

    workers = LocalWorkers(
        fleet,
        lambda ordinal: fleet.keep_planned(Rank.WORKER, plan_worker(world, ordinal), placement),
    )
    workers.grow(settings.workers)
    await stack.enter_async_context(control_loop(world, workers, folder.pinned_workers))
    await fleet.serving()
    await until(lambda: placement.owns_shard(POOL, 0))


async def _prepare_database(world: World, folder: DataFolder) -> None:
    """Make the schema what the code needs, and let the roles in."""
    from chassis.telemetry import log_to
    from devbox.database import ensure_database, ensure_logins, ensure_shard, migrate_rooms

    log_to("devbox", folder.log("devbox").open("a", buffering=1))  # for the rest of the run
    database = world.database
    if world.settings.database_url is None:
        await ensure_database(maintenance_url(database), DATABASE)
    await migrate_rooms(database.owner_url)
    await ensure_logins(database.owner_url, database.passwords)
    # Before the first message comes, so that a worker owns it by then.
    await ensure_shard(database.owner_url, POOL, 0)


def _keep_postgres(fleet: Fleet, folder: DataFolder, world: World) -> Keeper:
    log, identity = folder.log("postgres"), unprivileged_identity()
    password = owner_password(folder)

    async def start() -> subprocess.Popen[bytes]:
        server = await postgresql.start_postgres(
            folder.postgres,
            owner_password=password,
            port=world.ports.database,
            identity=identity,
            log=log,
        )
        return server.process

    kept = Kept("postgres", log, start, _at_once, stop_steps=postgresql.STOP_STEPS)
    return fleet.keep(Rank.SERVER, kept)


def _keep_valkey(fleet: Fleet, folder: DataFolder, world: World) -> Keeper:
    log = folder.log("valkey")
    password = redis_password(folder)

    async def start() -> subprocess.Popen[bytes]:
        server = await valkey.start_valkey(
            folder.valkey, password=password, port=world.ports.redis, log=log
        )
        return server.process

    return fleet.keep(Rank.SERVER, Kept("valkey", log, start, _at_once))


async def _at_once(started: float) -> None:
    """A server's start returns when it serves."""
    del started
