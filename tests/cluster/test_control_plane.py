"""What the control plane promises: real authorization, private credentials, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.errors import StartFailed
from tests.cluster.processes import processes_about

ROOT = Path(__file__).parents[2]


async def test_a_service_account_may_do_what_its_role_says_and_no_more(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """The kubeconfig minted for a ServiceAccount carries its rights, not those of the tests."""
    await api.create(
        resource_path("v1", "serviceaccounts", namespace), {"metadata": {"name": "reader"}}
    )
    rbac = "rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    role: JsonObject = {"metadata": {"name": "reader"}, "rules": [rule]}
    await api.create(resource_path(rbac, "roles", namespace), role)
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    await api.create(resource_path(rbac, "rolebindings", namespace), binding)

    kubeconfig = control_plane.kubeconfig_for(namespace, "reader")
    async with KubernetesApi.from_kubeconfig(kubeconfig) as reader:
        found = await reader.get(resource_path("v1", "configmaps", namespace))
        with pytest.raises(ApiError) as refusal:
            await reader.get(resource_path("v1", "secrets", namespace))

    assert "ConfigMapList" == found["kind"]
    assert 403 == refusal.value.status


def test_kubectl_speaks_to_the_cluster(kubectl: Callable[..., str], namespace: str) -> None:
    """kubectl comes from the same build and works in the test's namespace."""
    kubectl("create", "configmap", "c", "--from-literal=colour=blue")

    assert "blue" == kubectl("get", "configmap", "c", "-o", "jsonpath={.data.colour}")
    assert namespace == kubectl("get", "cm", "c", "-o", "jsonpath={.metadata.namespace}")


def test_only_the_owner_can_read_credentials(control_plane: ControlPlane) -> None:
    """Whoever reads a kubeconfig or a key here can do anything to the cluster."""
    private = [control_plane.kubeconfig, *control_plane.folder.glob("*.key")]

    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}


@pytest.mark.usefixtures("control_plane")  # skips where nothing is built
def test_a_failed_start_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error has the end of the culprit's log; what had been started is stopped."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no server today; exit 1\n")
    broken.chmod(0o700)
    monkeypatch.setenv("TEST_ASSET_KUBE_APISERVER", str(broken))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with pytest.raises(StartFailed, match="no server today"), running_control_plane():
        pass

    assert [] == list(tmp_path.glob("purser-*"))
    assert [] == processes_about(tmp_path)


@pytest.mark.usefixtures("control_plane")
def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL gives no chance to clean up: the kernel does it, for the pods' processes too."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cluster"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert b"Kubernetes is ready" in run.stdout.readline()
        assert len(processes_about(tmp_path)) > 4
        run.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 10
    while processes_about(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == processes_about(tmp_path)
