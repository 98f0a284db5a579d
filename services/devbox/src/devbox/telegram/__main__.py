"""`python -m devbox.telegram`: the simulator as a process of its own.

The bot's token is read from SIMULATOR_TOKEN or the file SIMULATOR_TOKEN_FILE names (not an
argument: arguments can be read by everyone on the machine), and is otherwise a fixed one that is no
secret. SIGINT and SIGTERM stop it.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from devbox.errors import CannotBegin
from devbox.keyring import read_password
from devbox.telegram.server import Simulator
from devbox.telegram.world import SIMULATOR_TOKEN

TOKEN_VARIABLE = "SIMULATOR_TOKEN"  # noqa: S105 -- the name of a variable, no token


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; none of them is a secret."""
    parser = argparse.ArgumentParser(prog="python -m devbox.telegram", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8081, help="port; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="starts the faults' random numbers")
    return parser.parse_args(arguments)


def read_token(environ: Mapping[str, str]) -> str:
    """The bot's token; one that comes from outside is never shown."""
    if file := environ.get(f"{TOKEN_VARIABLE}_FILE"):
        return read_password(Path(file))
    return environ.get(TOKEN_VARIABLE) or SIMULATOR_TOKEN


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = Simulator(
        host=arguments.host, port=arguments.port, token=read_token(os.environ), seed=arguments.seed
    )
    async with simulator:
        print(f"Telegram simulator: {simulator.url}", flush=True)  # noqa: T201 -- a command line
        await stop.wait()


def main() -> None:
    """Serve, or say in one sentence why that is impossible."""
    arguments = read_arguments()
    try:
        asyncio.run(run(arguments))
    except CannotBegin as error:
        sys.exit(str(error))
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        sys.exit(f"The simulator cannot listen on port {arguments.port}: {reason}. Try --port 0.")


if __name__ == "__main__":
    main()
