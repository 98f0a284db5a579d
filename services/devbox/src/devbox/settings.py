"""Every knob of the one-machine run, from `DEVBOX_…` with `PURSER_…` as fallback.

`make run` needs none of them. What is a service's own (`GATEWAY_…`, `LEDGER_…`) passes through to
it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from chassis.settings import Secret, load
from devbox.errors import CannotBegin

PREFIX = "DEVBOX"
BOT_TOKEN_VARIABLE = "TELEGRAM_BOT_TOKEN"  # noqa: S105  # a variable's name
# The gateway would refuse another one too, but only after everything else has started.
BOT_TOKEN = re.compile(r"[0-9]+:[!-~]+")

WORKERS_MAX = 20
Count = Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MAX)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `devbox run` was asked for."""

    data_dir: Path = Path(".data")
    """Where everything of the run is kept. In the tree by default, so that two clones do not
    meet."""

    port: Port = 8081
    """Port of the chat page and the simulated Bot API, fixed so that a bookmark keeps working; 0
    takes a free one."""

    gateways: Count = 1
    """How many gateways run side by side. One is enough; a second one shows that nobody is answered
    twice."""

    workers: Count = 2
    """The fewest workers. Two, so that shards have somewhere to go when one dies."""

    workers_max: Count = 4
    """The most workers the control loop may start: a laptop has few cores, and each takes some 50
    MB."""

    users_per_shard: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    """How many users share a shard, as on a cluster. Few make many shards of few people, for trying
    how shards move."""

    database_url: Secret | None = None
    """A PostgreSQL (17 or newer) of yours instead of the embedded one, as a role that may create
    roles and schemas."""

    redis_url: Secret | None = None
    """A Redis (7 or newer), Valkey or cluster of them (`redis+cluster://`) of yours instead of the
    embedded one; `rediss://` and `rediss+cluster://` speak TLS."""

    redis_cluster: bool = False
    """It is a cluster, also when its address does not say so."""

    redis_ca_file: Path | None = None
    """The authorities of its certificate (PEM), where the machine does not know them."""

    database_port: Port = 0
    """Port of the embedded PostgreSQL; 0 takes a free one, `.data/run/state.json` says which."""

    redis_port: Port = 0
    """Port of the embedded Valkey; 0 takes a free one."""

    bot_token: Secret | None = None
    """The bot's token (`TELEGRAM_BOT_TOKEN`): the run talks to Telegram itself, and starts no
    simulator."""


def load_settings(environ: Mapping[str, str] = os.environ, **chosen: object) -> RunSettings:
    """Read the environment; `chosen` (from the command line, None left out) wins over it."""
    asked = dict(environ)
    if token := asked.get(BOT_TOKEN_VARIABLE):
        asked.setdefault(f"{PREFIX}_BOT_TOKEN", token)
    asked |= {
        f"{PREFIX}_{name.upper()}": str(value)
        for name, value in chosen.items()
        if value is not None
    }
    settings = load(RunSettings, PREFIX, asked)
    if settings.bot_token is not None and not BOT_TOKEN.fullmatch(settings.bot_token.reveal()):
        raise CannotBegin(
            f"{BOT_TOKEN_VARIABLE} does not look like a bot token (123456:AAAA…): "
            "copy it from @BotFather."
        )
    if settings.workers > settings.workers_max:
        if f"{PREFIX}_WORKERS_MAX" in asked or "PURSER_WORKERS_MAX" in asked:
            raise CannotBegin("DEVBOX_WORKERS may not be above DEVBOX_WORKERS_MAX.")
        settings = msgspec.structs.replace(settings, workers_max=settings.workers)
    return msgspec.structs.replace(settings, data_dir=settings.data_dir.absolute())
