"""`users` on a cluster, by the commands of docs/second-pool.md: a Secret, and a pod with the image
of the gateways, which the API server admits as restricted.

No node runs it here. What kubectl would have the pod run is run with the pod's own variables and
its Secret's files.
"""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from tests.cluster.api import JsonObject
from tests.cluster.binaries import component_path
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane

from devbox.database import Database
from kernel.identifiers import new_uuid7

TREE = Path(__file__).parents[2]
PAGE = (TREE / "docs/second-pool.md").read_text()
IMAGE = "registry.example.com/purser/gateway:1.2.3"
SOMEBODY, STRANGER = 5001, 5002
SHELL_SECONDS = 60.0
EXECUTED = re.compile(
    r'^    users\(\) \{ kubectl -n purser exec (\S+) -- (.*) "\$@"; \}$', re.MULTILINE
)

pytestmark = pytest.mark.timeout(120)


def typed(*beginnings: str) -> str:
    """The page's lines that begin so."""
    lines = []
    for beginning in beginnings:
        (line,) = re.findall(rf"^    ({re.escape(beginning)}.*)$", PAGE, re.MULTILINE)
        lines.append(line)
    return "\n".join(lines)


@dataclass(frozen=True)
class Shell:
    """A shell at the tree's root, whose kubectl reaches the cluster."""

    control_plane: ControlPlane
    namespace: str

    def __call__(self, script: str, *, folder: Path = TREE) -> None:
        """Run what was written for the namespace `purser`."""
        done = subprocess.run(
            ["sh", "-ec", script.replace("-n purser", f"-n {self.namespace}")],
            cwd=folder,
            env=os.environ
            | {
                "KUBECONFIG": str(self.control_plane.kubeconfig),
                "PATH": f"{component_path('kubectl').parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


async def test_the_commands_of_the_page_make_a_pod_in_which_users_works(
    control_plane: ControlPlane,
    namespace: str,
    kubectl: Kubectl,
    database: Database,
    tmp_path: Path,
) -> None:
    """A warning of Pod Security would be an error here, and so is what the role may not do. One
    that was forgotten ended after four hours and would never be Ready again.
    """
    for mode in ("enforce", "warn"):
        kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/{mode}=restricted")
    kubectl("create", "serviceaccount", "purser-migrations")
    kubectl("create", "deployment", "purser-gateway", f"--image={IMAGE}", "--replicas=0")
    pool = f"{namespace}.main"
    await make_user(database, pool)
    (tmp_path / "users-database-url").write_text(database.url("purser_user_mover") + "\n")
    shell = Shell(control_plane, namespace)

    shell(typed("kubectl -n purser create secret generic purser-users"), folder=tmp_path)
    each_time = typed("kubectl -n purser delete --ignore-not-found", "image=", 'sed "s|purser')
    shell(each_time)
    forgotten = found_pod(kubectl)
    shell(each_time)

    pod = found_pod(kubectl)
    assert pod["metadata"]["uid"] != forgotten["metadata"]["uid"]
    assert [IMAGE] == [container["image"] for container in pod["spec"]["containers"]]
    files = secret_files(kubectl, "purser-users", tmp_path)
    listing = typed("users list --pool purser.main").replace("purser.main", pool)
    assert str(SOMEBODY) in executed(pod, files, listing)
    executed(pod, files, f"users admit {STRANGER} --pool {pool}")
    assert f"invited: {STRANGER}" in executed(pod, files, listing)
    shell(typed("kubectl -n purser delete pod purser-users"))


def found_pod(kubectl: Kubectl) -> JsonObject:
    """The pod of the page, as the API server has it."""
    pod: JsonObject = json.loads(kubectl("get", "pod", "purser-users", "-o", "json"))
    return pod


async def make_user(database: Database, pool: str) -> None:
    """A declared pool with one user, of whose bot the command then knows."""
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("INSERT INTO placement.pools VALUES ($1, 50, true, 40, 20)", pool)
    await owner.execute("SELECT placement.ensure_shard($1, 0)", pool)
    await owner.execute("INSERT INTO gateway.shards (pool, shard, users) VALUES ($1, 0, 1)", pool)
    await owner.execute(
        "INSERT INTO gateway.users VALUES ($1, 1, $2, $3, 0, 1, 'en', 'Ann')",
        *(new_uuid7(), SOMEBODY, pool),
    )
    await owner.close()


def secret_files(kubectl: Kubectl, name: str, folder: Path) -> Path:
    """A Secret's keys as files, as kubelet would mount them."""
    mounted = folder / name
    mounted.mkdir()
    data = json.loads(kubectl("get", "secret", name, "-o", "json"))["data"]
    for key, value in data.items():
        (mounted / key).write_bytes(base64.b64decode(value))
    return mounted


def executed(pod: JsonObject, secret: Path, line: str) -> str:
    """What a line that begins with the page's function `users` prints, were it run in the pod."""
    ((name, program),) = EXECUTED.findall(PAGE)
    assert name == pod["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    (mount,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "secrets")
    environ = {v["name"]: v["value"].replace(mount, str(secret)) for v in container["env"]}
    python, *rest = shlex.split(program)
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *rest, *shlex.split(line)[1:]],
        env=environ,
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
