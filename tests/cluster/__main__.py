"""`python -m tests.cluster`: a control plane with a node to play with, until Ctrl-C."""

import argparse
import signal
import sys
import time
from contextlib import ExitStack, suppress

from tests.cluster.binaries import component_path, ensure_available
from tests.cluster.control_plane import running_control_plane
from tests.cluster.errors import ClusterError
from tests.cluster.local_node import running_node


def main() -> None:
    """Builds what has to be built, starts everything, and waits for a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--without-node", action="store_true", help="start no pods: the API alone")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs deaf to SIGINT
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            ensure_available()
            began = time.monotonic()
            plane = stack.enter_context(running_control_plane())
            if not arguments.without_node:
                stack.enter_context(running_node(plane))
        except ClusterError as error:
            sys.exit(str(error))
        sys.stdout.write(
            f"Kubernetes is ready after {time.monotonic() - began:.1f} s; Ctrl-C stops it.\n"
            f"export KUBECONFIG={plane.kubeconfig}\n"
            f"export PATH={component_path('kubectl').parent}:$PATH  # for its kubectl\n"
            f"logs: {plane.logs}\n"
        )
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
