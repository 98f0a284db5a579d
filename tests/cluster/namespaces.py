"""What a test has of the cluster for itself: a namespace, kubectl in it, operators in it.

One test has them by the fixtures of `conftest`; a house that stands for several tests opens them
itself.
"""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster.api import resource_path
from tests.cluster.binaries import component_path
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operators import DEFINITION, OperatorFactory, rights_in

from devbox.database import Database

KUBECTL_TIMEOUT_SECONDS = 60.0

Kubectl = Callable[..., str]


@contextmanager
def new_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace in which pods can be created; it goes, with all it holds, with the context."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    namespaces = resource_path("v1", "namespaces")
    control_plane.call("POST", namespaces, {"metadata": {"name": name}})
    control_plane.wait_for_default_account(name)
    yield name
    control_plane.call("DELETE", f"{namespaces}/{name}")


def kubectl_in(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Runs kubectl in a namespace and gives what it prints; a failure fails the test with what it
    said.
    """
    kubeconfig = str(control_plane.kubeconfig)
    program = [str(component_path("kubectl")), "--kubeconfig", kubeconfig, "-n", namespace]

    def run(*arguments: str) -> str:
        finished = subprocess.run(
            [*program, *arguments],
            capture_output=True,
            text=True,
            timeout=KUBECTL_TIMEOUT_SECONDS,
            check=False,
        )
        if finished.returncode:
            pytest.fail(f"kubectl {' '.join(arguments)}: {finished.stderr}")
        return finished.stdout

    return run


def define(kubectl: Kubectl) -> None:
    """The definition, as kubectl applies it from the chart's own file."""
    kubectl("apply", "-f", str(DEFINITION))
    kubectl("wait", "--for=condition=Established", "crd/usershards.purser.dev", "--timeout=30s")


@contextmanager
def operators_in(
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    database: Database,
    redis_url: str,
    folder: Path,
) -> Iterator[OperatorFactory]:
    """Operators under their own service account; those that still run end with the context."""
    rights = folder / "rights.yaml"
    rights.write_text(rights_in(namespace))
    kubectl("apply", "-f", str(rights))
    kubeconfig = control_plane.kubeconfig_for(namespace, "purser-operator")
    factory = OperatorFactory(kubeconfig, namespace, database, redis_url, folder)
    try:
        yield factory
    finally:
        factory.end_all()
