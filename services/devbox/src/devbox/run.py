"""`devbox run`: everything of Purser on this machine, until a signal.

What takes longest starts first: the gateway imports for seconds, and meanwhile PostgreSQL starts,
the schema is brought up to date and the roles get their passwords. A gateway that is faster than
that ends with a sentence and is started again. Everything else starts as soon as the schema is
there. Ready means: every process serves, and a worker owns the first shard, so that a first message
meets somebody.

One `AsyncExitStack` holds what was opened; leaving it stops everything in reverse, each within its
bound.
"""

import asyncio
import contextlib
import logging
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import asyncpg
import structlog

from chassis.errors import CannotStart
from devbox.data_folder import DataFolder
from devbox.database import ROLES, Database, ensure_database, ensure_logins, migrate_rooms
from devbox.errors import CannotBegin, ServerFailed
from devbox.fleet import Fleet, Rank
from devbox.given_servers import require_database, require_redis
from devbox.keeper import Keeper, Kept
from devbox.keyring import ensure_key_file, ensure_secret, ensure_secret_file
from devbox.processes import (
    POOL,
    Ports,
    World,
    plan_gateway,
    plan_simulator,
    plan_stores,
    plan_worker,
)
from devbox.programs import choose_port, choose_ports, unprivileged_identity
from devbox.readiness import Pool, first_shard_is_owned, until
from devbox.servers import postgresql, valkey
from devbox.settings import RunSettings

DATABASE = "purser"
START_TIMEOUT_SECONDS = 90.0
SIMULATED_BOT_ID = 1000000001
"""A bot's id is the first part of its token; the simulator takes the token it is given."""


async def run(
    settings: RunSettings, environ: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises `DevboxError` with one sentence."""
    folder = DataFolder(settings.data_dir)
    folder.ensure()
    with folder.locked(), _logging_to(folder.log("devbox")):
        stop = _stop_on_signals()
        fleet = Fleet(folder, say)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(fleet.stop_all)
                starting = asyncio.create_task(_start(settings, environ, folder, fleet, stack))
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not starting.done():
                    starting.cancel()
                await _outcome(starting)
                if not stop.is_set():
                    say(_ready_sentence(settings, fleet))
                await stopping
                say("Stopping …")
        finally:
            fleet.ready = False
            fleet.write_report()


async def _outcome(starting: asyncio.Task[None]) -> None:
    """Wait for the start; a cancelled one is a person's wish, a failed one gives its first
    sentence."""
    try:
        await starting
    except asyncio.CancelledError:
        return
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _start(
    settings: RunSettings,
    environ: Mapping[str, str],
    folder: DataFolder,
    fleet: Fleet,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Bring everything up and return when it serves."""
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            await _bring_up(settings, environ, folder, fleet, stack)
    except TimeoutError:
        late = ", ".join(fleet.waiting_for()) or "a worker that owns the first shard"
        raise ServerFailed(
            f"Not ready after {START_TIMEOUT_SECONDS:.0f} s; still missing: {late}. "
            f"The logs are in {folder.logs}."
        ) from None
    except CannotStart as error:
        raise CannotBegin(f"Purser cannot start: {error}") from None


async def _bring_up(
    settings: RunSettings,
    environ: Mapping[str, str],
    folder: DataFolder,
    fleet: Fleet,
    stack: contextlib.AsyncExitStack,
) -> None:
    if settings.database_url is not None:
        await require_database(settings.database_url)
    if settings.redis_url is not None:
        await require_redis(settings.redis_url)
    world = _plan_world(settings, environ, folder, fleet)
    owner = await _open_owner_pool(world.database, stack)
    cwd = Path.cwd()
    for ordinal in range(settings.gateways):
        fleet.keep_planned(Rank.FRONT, plan_gateway(world, ordinal), owner, cwd)
    if settings.redis_url is None:
        _keep_valkey(fleet, folder, world)
    if settings.database_url is None:
        postgres = _keep_postgres(fleet, folder, world)
        await postgres.serving()
        await ensure_database(_maintenance_url(world.database), DATABASE)
    if settings.bot_token is None:
        fleet.keep_planned(Rank.FRONT, plan_simulator(world), owner, cwd)
    await migrate_rooms(world.database.owner_url)
    await ensure_logins(world.database.owner_url, world.database.passwords)
    await _ensure_first_shard(world.database.owner_url)
    for plan in plan_stores(world):
        fleet.keep_planned(Rank.STORE, plan, owner, cwd)

    from devbox.control import LocalWorkers, control_loop  # its imports overlap the others' start

    workers = LocalWorkers(
        fleet,
        lambda ordinal: fleet.keep_planned(Rank.WORKER, plan_worker(world, ordinal), owner, cwd),
    )
    workers.grow(settings.workers)
    await stack.enter_async_context(
        control_loop(settings, world.database.url("purser_operator"), world.redis_url, workers)
    )
    await fleet.serving()
    await until(lambda: first_shard_is_owned(owner))
    fleet.ready = True
    fleet.write_report()


def _plan_world(
    settings: RunSettings, environ: Mapping[str, str], folder: DataFolder, fleet: Fleet
) -> World:
    """Choose ports, make or read the secrets: everything the plans are made from."""
    simulator = choose_port(settings.port, "PURSER_PORT") if settings.bot_token is None else 0
    database_port, redis_port, pricing, wallet, ledger, *gateways = choose_ports(
        5 + settings.gateways
    )
    if settings.database_port:
        database_port = choose_port(settings.database_port, postgresql.PORT_VARIABLE)
    if settings.redis_port:
        redis_port = choose_port(settings.redis_port, valkey.PORT_VARIABLE)
    ports = Ports(simulator, tuple(gateways), pricing, wallet, ledger)
    kept = folder.secrets
    passwords = {role: ensure_secret(kept, f"{role}.password") for role in ROLES}
    if settings.database_url is not None:
        owner_url = settings.database_url.reveal()
    else:
        password = ensure_secret(kept, f"{postgresql.OWNER}.password")
        owner_url = postgresql.make_url(postgresql.OWNER, password, database_port, DATABASE)
    if settings.redis_url is not None:
        redis_url = settings.redis_url.reveal()
    else:
        redis_url = f"redis://:{ensure_secret(kept, 'redis.password')}@127.0.0.1:{redis_port}/0"
    if settings.bot_token is not None:
        bot_token = settings.bot_token.reveal()
    else:
        token = f"{SIMULATED_BOT_ID}:{secrets.token_urlsafe(32)[:35]}"
        bot_token = ensure_secret_file(kept, "simulated-bot.token", token).read_text().strip()
    world = World(
        settings=settings,
        ports=ports,
        database=Database(owner_url, passwords),
        redis_url=redis_url,
        bot_token=bot_token,
        wallet_key_file=ensure_key_file(kept, "wallet-key-encryption.key"),
        environ=environ,
    )
    fleet.address = world.simulator_url if settings.bot_token is None else "Telegram"
    fleet.ports = {
        "simulator": simulator,
        "database": database_port,
        "redis": redis_port,
        "pricing": pricing,
        "wallet": wallet,
        "ledger": ledger,
    } | {f"gateway-{ordinal}": port for ordinal, port in enumerate(gateways)}
    return world


def _keep_postgres(fleet: Fleet, folder: DataFolder, world: World) -> Keeper:
    log, identity = folder.log("postgres"), unprivileged_identity()
    password = ensure_secret(folder.secrets, f"{postgresql.OWNER}.password")

    async def start() -> subprocess.Popen[bytes]:
        server = await postgresql.start_postgres(
            folder.postgres,
            owner_password=password,
            port=fleet.ports["database"],
            identity=identity,
            log=log,
        )
        return server.process

    del world
    return fleet.keep(
        Rank.SERVER, Kept("postgres", log, start, _at_once, stop_steps=postgresql.STOP_STEPS)
    )


def _keep_valkey(fleet: Fleet, folder: DataFolder, world: World) -> Keeper:
    log = folder.log("valkey")
    password = ensure_secret(folder.secrets, "redis.password")

    async def start() -> subprocess.Popen[bytes]:
        server = await valkey.start_valkey(
            folder.valkey, password=password, port=fleet.ports["redis"], log=log
        )
        return server.process

    del world
    return fleet.keep(Rank.SERVER, Kept("valkey", log, start, _at_once))


async def _at_once(started: float) -> None:
    """A server's start returns when it serves."""
    del started


async def _open_owner_pool(database: Database, stack: contextlib.AsyncExitStack) -> Pool:
    """Open a pool that connects when it is first asked something."""
    pool = await asyncpg.create_pool(database.owner_url, min_size=0, max_size=2)
    stack.callback(pool.terminate)
    return pool


async def _ensure_first_shard(owner_url: str) -> None:
    """Make the pool's first shard, so that a worker owns it before the first message comes."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("SELECT placement.ensure_shard($1, 0)", POOL)
    finally:
        await connection.close()


def _maintenance_url(database: Database) -> str:
    return database.owner_url.replace(f"/{DATABASE}?", "/postgres?")


def _ready_sentence(settings: RunSettings, fleet: Fleet) -> str:
    where = (
        f"talk to it at {fleet.address}"
        if settings.bot_token is None
        else "talk to your bot in Telegram"
    )
    return f"Purser is ready: {where}  (Ctrl-C stops it; `make status` looks inside)"


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.contextmanager
def _logging_to(log: Path) -> Iterator[None]:
    """Send what libraries and the control loop log to a file: the terminal is for sentences."""
    with log.open("a", buffering=1) as file:
        logging.basicConfig(stream=file, level=logging.WARNING, force=True)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(file),
        )
        yield
