"""What the pages have a person type is typed here, against a real API server."""

import asyncio
import base64
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.cluster.binaries import component_path
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operators import TARGET, OperatorFactory, PlayedWorkers
from tests.cluster.subject import Subject

TREE = Path(__file__).parents[2]
PAGE = TREE / "docs/renew-secrets.md"
SHELL_SECONDS = 60.0
STANDING_STILL_SECONDS = 2.0
BEFORE = {"database-url": "old", "redis-url": "redis", "bot-token": "token"}


def typed(page: str, beginning: str) -> str:
    """The page's line that begins so."""
    (line,) = re.findall(rf"^    ({re.escape(beginning)}.*)$", page, re.MULTILINE)
    return str(line)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", ["docs/scale.md", "operator/README.md"])
async def test_autoscaling_goes_on_whether_or_not_there_was_a_pin(
    subject: Subject, kubectl: Kubectl, page: str
) -> None:
    """Who types it at night does not know which, and an error would have him look for another."""
    (command,) = re.findall(
        r"`kubectl (?:-n purser )?(patch ush \S+ .*?replicas.*?)`", (TREE / page).read_text()
    )
    await subject.create()
    kubectl("scale", "ush", "main", "--replicas=3")
    assert (await subject.read())["spec"]["replicas"] == 3

    for _ in range(2):
        kubectl(*shlex.split(command.replace("NAME", "main")))
        assert "replicas" not in (await subject.read())["spec"]


@pytest.mark.timeout(120)
def test_one_key_of_a_secret_is_written_and_nothing_else_happens_to_it(
    control_plane: ControlPlane, namespace: str, kubectl: Kubectl, tmp_path: Path
) -> None:
    """The other keys stay, also when another one is written next; no annotation has a value."""
    put = typed(PAGE.read_text(), "put() {").replace("-n purser", f"-n {namespace}")
    literals = [f"--from-literal={key}={value}" for key, value in BEFORE.items()]
    kubectl("create", "secret", "generic", "purser-gateway", *literals)
    (tmp_path / "url").write_text("new\n")
    (tmp_path / "token").write_text("renewed")
    script = f"""{put}
        put purser-gateway --from-file=database-url=./url
        put purser-gateway --from-file=bot-token=./token"""

    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env=os.environ
        | {
            "KUBECONFIG": str(control_plane.kubeconfig),
            "PATH": f"{component_path('kubectl').parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    secret = json.loads(kubectl("get", "secret", "purser-gateway", "-o", "json"))
    kept = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert kept == BEFORE | {"database-url": "new\n", "bot-token": "renewed"}
    assert "annotations" not in secret["metadata"]


@pytest.mark.timeout(180)
async def test_workers_that_were_made_to_stand_still_come_back_with_the_operator(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject, kubectl: Kubectl
) -> None:
    """Who wrote the count while no operator ran is nobody whom the next one would leave alone."""
    await subject.create()
    first = operators.start()
    await subject.until_condition("Ready", "True", "ShardsServed")
    assert await asyncio.to_thread(first.stop) == 0

    kubectl("scale", "statefulset", TARGET, "--replicas=0")
    await asyncio.sleep(STANDING_STILL_SECONDS)
    assert await subject.asked() == 0

    operators.start()
    await subject.until_asked(2)
    await subject.until_condition("Ready", "True", "ShardsServed")
