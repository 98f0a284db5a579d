"""`python -m tests.cluster.skaffold dev|run|delete` (`make dev`, `make deploy`): skaffold on the
cluster that is there.

Where KUBECONFIG names no other cluster and `make cluster-node` runs a node, that is the cluster:
skaffold, helm and kubectl are then those built from this tree, and images go through a registry on
the node's own link, which lives as long as this command. On any other cluster, kind's included, it
is skaffold as it is installed, with the current context.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.binaries import CRANE, HELM3, SKAFFOLD, component_path
from tests.cluster.errors import BinariesMissing, ClusterError
from tests.cluster.node.places import FOLDER, READY, REGISTRY
from tests.cluster.node.registry import running_registry

TREE = Path(__file__).parents[3]
OPTIONS = {"dev": ["--port-forward=user"], "run": [], "delete": []}
"""By verb. `dev` forwards the chat page."""


def main() -> None:
    """Run skaffold, or say in one sentence what is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.skaffold", description=__doc__)
    parser.add_argument("verb", choices=sorted(OPTIONS))
    asked, further = parser.parse_known_args()
    # Ctrl-C is skaffold's, which then takes away what it deployed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.exit(_skaffold(asked.verb, [*OPTIONS[asked.verb], *further]))
    except ClusterError as error:
        sys.exit(str(error))


def _skaffold(verb: str, options: Sequence[str]) -> int:
    kubeconfig = FOLDER / "admin.kubeconfig"
    on_node = READY.exists() and os.environ.get("KUBECONFIG", str(kubeconfig)) == str(kubeconfig)
    if not on_node:
        for needed in ("skaffold", "helm", "kubectl"):
            if shutil.which(needed) is None:
                raise BinariesMissing(
                    f"{needed} is not on PATH: install it and point kubectl at a cluster, or run "
                    "`make cluster-node` for one without Docker (docs/develop-on-a-cluster.md)."
                )
        return _run(["skaffold", verb, *options], {})
    for program in (SKAFFOLD, HELM3, CRANE):
        program.ensure_built()
    folders = [SKAFFOLD.folder(), HELM3.folder(), component_path("kubectl").parent]
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "SKAFFOLD_DEFAULT_REPO": REGISTRY,
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
    }
    with running_registry():
        return _run([str(SKAFFOLD.path()), verb, *options], environment)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    quiet = {
        "SKAFFOLD_UPDATE_CHECK": "false",
        "SKAFFOLD_INTERACTIVE": "false",
        # Else it looks for pods in the context's own namespace too, and warns that there are none.
        "SKAFFOLD_NAMESPACE": "purser",
    }
    process = subprocess.Popen(
        command,
        cwd=TREE,
        env={**os.environ, **quiet, **environment},
        # What is ignored here would be ignored there too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


if __name__ == "__main__":
    main()
