"""`make cluster-secrets` against a real API server: every Secret the chart mounts, made once."""

import json
import os
import subprocess
import sys

import pytest
from tests.cluster.binaries import component_path
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane

from devbox.cluster_secrets.wanted import all_names

ASK_SECONDS = 60.0


def ask(control_plane: ControlPlane, namespace: str) -> str:
    """What a person sees."""
    where = ["--namespace", namespace, "--kubeconfig", str(control_plane.kubeconfig)]
    done = subprocess.run(
        [sys.executable, "-m", "devbox", "cluster-secrets", *where],
        env=os.environ | {"KUBECTL": str(component_path("kubectl"))},
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(180)
def test_asked_again_it_makes_what_was_deleted_and_nothing_else(
    control_plane: ControlPlane, namespace: str, kubectl: Kubectl
) -> None:
    """The API server takes each kind of Secret; what it says holds no value of one."""

    def kept() -> dict[str, dict[str, str]]:
        found = json.loads(kubectl("get", "secrets", "-o", "json"))["items"]
        return {secret["metadata"]["name"]: secret["data"] for secret in found}

    first = ask(control_plane, namespace)
    assert all(name in first for name in all_names())
    made = kept()
    assert set(all_names()) <= made.keys()
    assert set(made["purser-wallet-tls"]) == {"tls.crt", "tls.key", "ca.crt"}

    kubectl("delete", "secret", "purser-ledger")
    assert f"Made in {namespace}: purser-ledger.\n" in ask(control_plane, namespace)
    assert kept() == made
    assert "Made" not in ask(control_plane, namespace)
