"""`python -m tests.cluster.podrunner --kubeconfig FILE --node NAME --logs FOLDER [--image
NAME=COMMAND …]`
"""

import argparse
import asyncio
import logging
import shlex
import signal
import tempfile
from pathlib import Path

from tests.cluster.api import KubernetesApi
from tests.cluster.podrunner.pod import Host
from tests.cluster.podrunner.runner import Runner, cancel_until_done

NODE_ADDRESS = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="podrunner", description="Runs pods as local processes.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--node", required=True, help="name of the Node object to play")
    parser.add_argument(
        "--logs", type=Path, required=True, help="folder for the containers' output"
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="what an image (named without tag) starts when its container gives no command",
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    images = (image.partition("=") for image in arguments.image)
    entrypoints = {name: shlex.split(command) for name, _, command in images}
    with tempfile.TemporaryDirectory(prefix="purser-pods-") as scratch:
        async with KubernetesApi.from_kubeconfig(arguments.kubeconfig) as api:
            host = Host(api, NODE_ADDRESS, Path(scratch), arguments.logs, entrypoints)
            running = asyncio.create_task(Runner(arguments.node, host).run())
            asked = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, asked.set)
            asking = asyncio.create_task(asked.wait())
            await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            await cancel_until_done(running)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_run(_arguments()))
