"""What the run consists of: each process's command and environment. Pure: a plan one can print.

One process per service, started as `python -m <package>`. A service gets the URL of its own
database role (pricing that of the paper venue's as well) and of nothing else; what names a server
of yours, or the real bot's token, is taken out of what the others inherit. Secrets travel in the
environment, which only the same user can read, or in files; never as arguments.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devbox.roles import Database
from devbox.settings import BOT_TOKEN_VARIABLE, RunSettings

POOL = "default.main"
WORKER = "purser-user-worker"

# Connections cost PostgreSQL some 3 MB each; group commit needs few. Not for the gateway, where
# accepting, delivering and sending have transactions under way at once.
CONNECTIONS_MAX = 4

# Not inherited: they are the devbox's to hand on, role by role.
WITHHELD = {
    BOT_TOKEN_VARIABLE,
    *(
        f"{prefix}_{name}"
        for prefix in ("PURSER", "DEVBOX")
        for name in (
            "DATABASE_URL",
            "VENUE_DATABASE_URL",
            "REDIS_URL",
            "REDIS_CA_FILE",
            "MIGRATION_DATABASE_URL",
            "BOT_TOKEN",
            "PORT",
        )
    ),
}


def gateways_target(ports: Iterable[int]) -> str:
    """Give where all gateways together are called, as a gRPC target."""
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of this run."""

    simulator: int
    database: int
    redis: int
    gateways: tuple[int, ...]
    pricing: int
    wallet: int
    ledger: int

    def by_name(self) -> dict[str, int]:
        """Give each port under its process's name."""
        gateways = {f"gateway-{ordinal}": port for ordinal, port in enumerate(self.gateways)}
        return gateways | {
            "simulator": self.simulator,
            "database": self.database,
            "redis": self.redis,
            "pricing": self.pricing,
            "wallet": self.wallet,
            "ledger": self.ledger,
        }

    def targets(self) -> dict[str, str]:
        """Give where each service is called, as gRPC targets."""
        return {
            "PURSER_GATEWAY_ADDRESS": gateways_target(self.gateways),
            "PURSER_PRICING_ADDRESS": f"127.0.0.1:{self.pricing}",
            # The paper venue is served by pricing's process.
            "PURSER_VENUE_ADDRESS": f"127.0.0.1:{self.pricing}",
            "PURSER_WALLET_ADDRESS": f"127.0.0.1:{self.wallet}",
            "PURSER_LEDGER_ADDRESS": f"127.0.0.1:{self.ledger}",
        }


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """How to start one process and how to know that it serves."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    grpc_port: int | None = None
    """Serves when gRPC's health service says so there."""
    http_port: int | None = None
    """Serves when it answers HTTP there."""
    worker: bool = False
    """Serves when it holds a lease in placement under its name."""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What the plans are made from."""

    settings: RunSettings
    ports: Ports
    database: Database
    redis_url: str = field(repr=False)
    bot_token: str = field(repr=False)
    wallet_key_file: Path
    environ: Mapping[str, str] = field(repr=False)
    cwd: Path

    @property
    def redis_ca_file(self) -> Path | None:
        """Whom a Redis of yours is believed by; the embedded one speaks no TLS."""
        return self.settings.redis_ca_file if self.settings.redis_url is not None else None

    @property
    def simulator_url(self) -> str:
        """The chat page's address, which is the simulated Bot API's as well."""
        return f"http://127.0.0.1:{self.ports.simulator}"

    @property
    def address(self) -> str:
        """Where a person talks to the bot."""
        return self.simulator_url if self.settings.bot_token is None else "your bot in Telegram"


def plan_simulator(world: World) -> ProcessPlan:
    """Plan the simulated Telegram."""
    return ProcessPlan(
        "simulator",
        _python("devbox.telegram", "--port", str(world.ports.simulator)),
        _inherited(world) | {"SIMULATOR_TOKEN": world.bot_token},
        http_port=world.ports.simulator,
        simulated=True,
    )


def plan_gateway(world: World, ordinal: int) -> ProcessPlan:
    """Plan one gateway; all of them poll, and a lease row lets one at a time."""
    port = world.ports.gateways[ordinal]
    environ = {"GATEWAY_BOT_TOKEN": world.bot_token}
    if world.settings.bot_token is None:
        environ["GATEWAY_TELEGRAM_API_URL"] = world.simulator_url
    return _plan_service(world, f"gateway-{ordinal}", "gateway", "purser_gateway", port, environ)


def plan_stores(world: World) -> list[ProcessPlan]:
    """Plan pricing (which serves the paper venue too, under a role of its own), wallet, ledger."""
    key = {"WALLET_KEY_ENCRYPTION_KEY_FILE": str(world.wallet_key_file)}
    venue = {"PRICING_VENUE_DATABASE_URL": world.database.url("purser_venue")}
    ports = world.ports
    return [
        _plan_service(world, "pricing", "pricing", "purser_pricing", ports.pricing, venue),
        _plan_service(world, "wallet", "wallet", "purser_wallet", ports.wallet, key),
        _plan_service(world, "ledger", "ledger", "purser_ledger", ports.ledger, {}),
    ]


def plan_worker(world: World, ordinal: int) -> ProcessPlan:
    """Plan one worker, named as its pod would be."""
    name = worker_name(ordinal)
    environ = {"USER_WORKER_NAME": name, "USER_WORKER_POOL": POOL}
    return _plan_service(world, name, "user_worker", "purser_worker", None, environ)


def worker_name(ordinal: int) -> str:
    """Name a worker by its ordinal, as a StatefulSet does."""
    return f"{WORKER}-{ordinal}"


def _plan_service(
    world: World,
    name: str,
    package: str,
    role: str,
    port: int | None,
    environ: Mapping[str, str],
) -> ProcessPlan:
    prefix = package.upper()
    defaults = {} if package == "gateway" else {f"{prefix}_CONNECTIONS_MAX": str(CONNECTIONS_MAX)}
    own = {
        f"{prefix}_DATABASE_URL": world.database.url(role),
        f"{prefix}_LISTEN_ADDRESS": f"127.0.0.1:{port or 0}",
    }
    return ProcessPlan(
        name,
        _python(package),
        defaults | _inherited(world) | own | dict(environ),
        grpc_port=port,
        worker=port is None,
    )


def _python(package: str, *arguments: str) -> tuple[str, ...]:
    # -P: the folder the run was started from is not on the path.
    return (sys.executable, "-P", "-m", package, *arguments)


def _inherited(world: World) -> dict[str, str]:
    """Give what every process gets: the environment of the run less what is withheld, and the
    shared addresses."""
    defaults = {
        "PURSER_LOG_FORMAT": "console",
        "PURSER_METRICS_ADDRESS": "127.0.0.1:0",
        # Without a pooler in between, the server may keep prepared statements.
        "PURSER_PREPARED_STATEMENTS": "no" if world.settings.database_url else "yes",
    }
    inherited = {name: value for name, value in world.environ.items() if name not in WITHHELD}
    redis = {"PURSER_REDIS_URL": world.redis_url, "PURSER_REDIS_CLUSTER": "no"}
    if world.redis_ca_file is not None:
        redis["PURSER_REDIS_CA_FILE"] = str(world.redis_ca_file.absolute())
    return defaults | inherited | world.ports.targets() | redis
