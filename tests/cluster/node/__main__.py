"""`python -m tests.cluster.node VERB`: the node as a person has it (`make cluster-node`).

up            start it in the background; says how to use it
down          end it; says so too when there was none
status        say whether there is one, and whose
load FILE...  give it the images of archives (`make images` writes them)
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.cluster.binaries import HELM, component_path
from tests.cluster.errors import ClusterError
from tests.cluster.node.containers import load_image, loaded_images
from tests.cluster.node.keeping import check_machine, running_node
from tests.cluster.node.places import FOLDER, LOCK, READY
from tests.cluster.node.sweeping import sweep

START_SECONDS_MAX = 180.0
END_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
KEEPER_LOG = FOLDER.with_suffix(".log")


def up() -> None:
    """Start a keeper of its own session, and wait until it says that the node is ready."""
    check_machine()
    if (keeper := _keeper()) is not None:
        _say_how(f"There is a node already (process {keeper}).")
        return
    with KEEPER_LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.node", "keep"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS_MAX
    while not READY.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"The node did not start:\n{KEEPER_LOG.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)
    _say_how(READY.read_text())


def keep() -> None:
    """Hold the node until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running_node() as node:
        READY.write_text(f"A node is ready after {node.seconds:.0f} s.")
        while True:
            signal.pause()


def down() -> None:
    """End the keeper and whatever is left of it."""
    keeper = _keeper()
    if keeper is not None:
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS_MAX
        while _keeper() is not None:
            if time.monotonic() > deadline:
                sys.exit(f"Process {keeper} does not end; see {KEEPER_LOG}.")
            time.sleep(POLL_SECONDS)
    had_something = keeper is not None or FOLDER.exists()
    sweep()
    KEEPER_LOG.unlink(missing_ok=True)
    LOCK.unlink(missing_ok=True)
    _say("The node is gone." if had_something else "There was no node.")


def status() -> None:
    """Say what there is."""
    keeper = _keeper()
    if keeper is None:
        _say("There is no node: `make cluster-node` starts one.")
    elif not READY.exists():
        _say(f"A node is coming up or held by a test (process {keeper}).")
    else:
        _say_how(f"There is a node (process {keeper}).")
        _say("\n  ".join(["Images:", *loaded_images()]))


def load(archives: list[Path]) -> None:
    """Load each archive."""
    if _keeper() is None:
        sys.exit("There is no node: `make cluster-node` starts one.")
    for archive in archives:
        load_image(archive)


def _keeper() -> int | None:
    """The process that holds the node, by its lock on the file that names it."""
    try:
        with LOCK.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except FileNotFoundError:
        return None
    return None


def _say_how(first: str) -> None:
    _say(
        f"{first}\n"
        f"  export KUBECONFIG={FOLDER / 'admin.kubeconfig'}\n"
        f"  alias kubectl={component_path('kubectl')}\n"
        f"  alias helm={HELM.path()}\n"
        "  make cluster-down   # ends it and leaves nothing behind"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Read the verb and do it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in ("up", "down", "status", "keep"):
        verbs.add_parser(verb)
    verbs.add_parser("load").add_argument("archives", nargs="+", type=Path)
    asked = parser.parse_args()
    try:
        if asked.verb == "load":
            load(asked.archives)
        else:
            {"up": up, "down": down, "status": status, "keep": keep}[asked.verb]()
    except ClusterError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
