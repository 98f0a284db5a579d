"""Choose the ports and make or read the secrets: everything the plans of a run are made from."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from devbox.data_folder import DataFolder
from devbox.keyring import ensure_key_file, ensure_secret, ensure_secret_file
from devbox.ports import choose_port, free_port
from devbox.processes import Ports, World
from devbox.roles import ROLES, Database
from devbox.servers import postgresql, valkey
from devbox.settings import RunSettings

DATABASE = "purser"
SIMULATED_BOT_ID = 1000000001
"""A bot's id is the first part of its token; the simulator takes the token it is given."""


def make_world(
    settings: RunSettings, environ: Mapping[str, str], folder: DataFolder, cwd: Path
) -> World:
    """Give the world of one run. Raises `PortTaken` and `CannotBegin`."""
    ports = _choose_ports(settings)
    kept = folder.secrets
    return World(
        settings=settings,
        ports=ports,
        database=_find_database(settings, kept, ports.database),
        redis_url=_find_redis(settings, kept, ports.redis),
        bot_token=_find_bot_token(settings, kept),
        wallet_key_file=ensure_key_file(kept, "wallet-key-encryption.key"),
        environ=environ,
        cwd=cwd,
    )


def owner_password(folder: DataFolder) -> str:
    """Give the password of the role that owns the embedded cluster."""
    return ensure_secret(folder.secrets, f"{postgresql.OWNER}.password")


def redis_password(folder: DataFolder) -> str:
    """Give the embedded Valkey's password."""
    return ensure_secret(folder.secrets, "redis.password")


def maintenance_url(database: Database) -> str:
    """Give the address of the embedded cluster's own database, from which others are made."""
    return database.owner_url.replace(f"/{DATABASE}?", "/postgres?")


def _choose_ports(settings: RunSettings) -> Ports:
    """Take the named ports where a person named them, free ones elsewhere."""
    simulator = 0
    if settings.bot_token is None:
        simulator = choose_port(settings.port, "`make run PORT=…` or PURSER_PORT")
    return Ports(
        simulator=simulator,
        database=choose_port(settings.database_port, postgresql.PORT_VARIABLE),
        redis=choose_port(settings.redis_port, valkey.PORT_VARIABLE),
        gateways=tuple(free_port() for _ in range(settings.gateways)),
        pricing=free_port(),
        wallet=free_port(),
        ledger=free_port(),
    )


def _find_database(settings: RunSettings, kept: Path, port: int) -> Database:
    passwords = {role: ensure_secret(kept, f"{role}.password") for role in ROLES}
    if settings.database_url is not None:
        return Database(settings.database_url.reveal(), passwords)
    password = ensure_secret(kept, f"{postgresql.OWNER}.password")
    return Database(postgresql.make_url(postgresql.OWNER, password, port, DATABASE), passwords)


def _find_redis(settings: RunSettings, kept: Path, port: int) -> str:
    if settings.redis_url is not None:
        scheme, _, rest = settings.redis_url.reveal().partition("://")
        # The address alone says it to everybody: the setting must not reach an embedded server.
        kind = "+cluster" if settings.redis_cluster and not scheme.endswith("+cluster") else ""
        return f"{scheme}{kind}://{rest}"
    return f"redis://:{ensure_secret(kept, 'redis.password')}@127.0.0.1:{port}/0"


def _find_bot_token(settings: RunSettings, kept: Path) -> str:
    if settings.bot_token is not None:
        return settings.bot_token.reveal()
    token = f"{SIMULATED_BOT_ID}:{secrets.token_urlsafe(32)[:35]}"
    return ensure_secret_file(kept, "simulated-bot.token", token).read_text().strip()
