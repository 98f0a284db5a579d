"""Purser installed on a cluster as docs/install.md says: helm, kubectl, `make cluster-secrets`."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.api import JsonObject
from tests.cluster.binaries import HELM, component_path
from tests.cluster.operators import TREE
from tests.node.version_before import TAG

CHARTS = TREE / "charts"
RELEASE = "purser"
COMMAND_TIMEOUT_SECONDS = 300.0

Values = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """One namespace of one cluster, and what is done to it."""

    kubeconfig: Path
    namespace: str
    folder: Path
    """Keeps the values that were given."""
    before: Path | None = None
    """The charts of the version before, if the release is to begin with it."""
    plan: str = "values-dev.yaml"
    """Which values of the chart are under those that are given."""

    async def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints; a failure fails the test with what it said."""
        # A plugin reads the flags itself, so they come after its name; what is run in a pod must
        # not get them.
        flags = self._where
        first = [*arguments[:2], *flags, *arguments[2:]] if arguments[0] == "purser" else None
        command = [str(component_path("kubectl")), *(first or [*flags, *arguments])]
        return await asyncio.to_thread(run, command, given)

    async def helm(self, *arguments: str) -> str:
        """What helm prints; a failure fails the test with what it said."""
        return await asyncio.to_thread(run, [str(HELM.path()), *arguments, *self._where])

    async def prepare(self) -> None:
        """The definition, and the namespace under Pod Security "restricted"."""
        await self.kubectl("create", "namespace", self.namespace)
        await self._define(self.before or CHARTS)
        label = "pod-security.kubernetes.io/enforce=restricted"
        await self.kubectl("label", "namespace", self.namespace, label)

    async def make_secrets(self) -> str:
        """`make cluster-secrets`, in this namespace: those that are not there."""
        command = [sys.executable, "-m", "devbox", "cluster-secrets", *self._where]
        return await asyncio.to_thread(run, command)

    async def install(self, values: Values) -> None:
        """Install the chart; pods come up by themselves."""
        chart = CHARTS / "purser"
        if self.before is not None:
            chart, values = self.before / "purser", values | {"image": {"tag": TAG}}
        await self.helm("install", RELEASE, str(chart), *self._given(values, chart))

    async def upgrade(self, values: Values) -> None:
        """Today's charts with another set of values for the running release."""
        await self._define(CHARTS)
        chart = CHARTS / "purser"
        if self.before is not None:
            # Servers and Telegram are not what a release replaces: the trial's stay what they were.
            values = values | {"trial": {"image": {"tag": TAG}}}
        await self.helm("upgrade", RELEASE, str(chart), *self._given(values, chart))

    async def uninstall(self) -> None:
        """Take away what the release made."""
        await self.helm("uninstall", RELEASE)

    async def read(self, kind: str, name: str) -> JsonObject:
        """One object."""
        found: JsonObject = json.loads(await self.kubectl("get", kind, name, "-o", "json"))
        return found

    async def pods(self, part: str = "") -> list[JsonObject]:
        """The pods of the release, or of one part of it, that are not told to end."""
        label = f"app.kubernetes.io/name={part}" if part else "app.kubernetes.io/part-of=purser"
        listed = json.loads(await self.kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    async def secret(self, name: str, key: str) -> str:
        """One key of a Secret."""
        data = (await self.read("secret", name))["data"][key]
        return base64.b64decode(data).decode()

    async def _define(self, charts: Path) -> None:
        # Once per cluster, so not in a namespace of the release's.
        where = [f"--kubeconfig={self.kubeconfig}", "--namespace=default"]
        command = ["upgrade", "--install", "purser-crds", str(charts / "purser-crds")]
        await asyncio.to_thread(run, [str(HELM.path()), *command, *where])

    def _given(self, values: Values, chart: Path) -> list[str]:
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        return ["-f", str(chart / self.plan), "-f", str(file)]

    @property
    def _where(self) -> list[str]:
        return [f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]


def run(command: list[str], given: str | None = None) -> str:
    """What a command prints; a failure fails the test with what it said."""
    programs = [Path(sys.executable).parent, component_path("kubectl").parent]
    finished = subprocess.run(
        command,
        input=given,
        env=os.environ | {"PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if finished.returncode:
        pytest.fail(f"{' '.join(command)}: {finished.stderr or finished.stdout}")
    return finished.stdout


def is_ready(pod: JsonObject) -> bool:
    """Whether it takes calls."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
