"""The life of one pod: init containers in turn, then the containers together, until it is told to
end.

The API server is told the newest status, not every status: a change sets a flag, and one task
writes what is true when it gets to it. When the pod is deleted its processes are stopped within the
grace period, then the final status is written, and only then does the object go (deletion with
grace 0): until a pod is gone, its process may be alive.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.podrunner.container import Container
from tests.cluster.podrunner.environment import (
    ConfigError,
    Source,
    command_line,
    needed_sources,
    resolve_environment,
)
from tests.cluster.podrunner.processes import Launch
from tests.cluster.podrunner.status import (
    exit_code,
    final_phase,
    pod_conditions,
    pod_phase,
    timestamp,
)

WRITE_RETRY_SECONDS = 0.5
VANISHED_GRACE_SECONDS = 1.0
"""For a pod whose object was deleted with force: nobody waits for it any more."""

ACCOUNT_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Host:
    """What the pod runner gives every pod."""

    api: KubernetesApi = field(repr=False)
    address: str
    scratch: Path
    logs: Path
    entrypoints: dict[str, list[str]]
    """What an image would start by itself, by the image's name without tag."""


class Pod:
    """One pod bound to this node, from the moment it is seen to the moment its object is gone."""

    def __init__(self, pod: JsonObject, host: Host, address: str) -> None:
        self._pod = pod
        self._host = host
        self.address = address
        self._path = resource_path(
            "v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"]
        )
        self.uid: str = pod["metadata"]["uid"]
        self._label = f"{pod['metadata']['namespace']}_{pod['metadata']['name']}"
        self._folder = host.scratch / self.uid
        status = pod.get("status", {})
        self._started_at = status.get("startTime") or timestamp()
        self._finished_before = status.get("phase") in ("Succeeded", "Failed")
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._kill_at = float("inf")
        self._vanished = False
        self._conditions: list[JsonObject] = []
        before = {entry["name"]: entry for entry in status.get("containerStatuses", [])}
        spec = pod["spec"]
        self._initial = [self._container(c, before) for c in spec.get("initContainers", [])]
        self._containers = [self._container(c, before) for c in spec["containers"]]

    def update(self, pod: JsonObject) -> None:
        """Takes note of a newer object: labels and annotations, and whether the pod is to end, and
        by when.
        """
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._end_within(pod["metadata"].get("deletionGracePeriodSeconds", 0))

    def vanish(self) -> None:
        """Takes note that the object is gone: nothing is left to report to."""
        self._vanished = True
        self._end_within(VANISHED_GRACE_SECONDS)

    async def run(self) -> None:
        """Runs the pod to its end. Cancelled, it kills what runs and reports nothing."""
        self._folder.mkdir(mode=0o700)
        try:
            async with asyncio.TaskGroup() as group:
                reporting = group.create_task(self._report_changes())
                living = group.create_task(self._live())
                await self._ending.wait()
                await asyncio.gather(
                    *(c.stop(lambda: self._kill_at) for c in (*self._initial, *self._containers))
                )
                await living
                reporting.cancel()
            if not self._finished_before:
                await self._write(self._final_status)
            await self._remove()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _live(self) -> None:
        if self._ending.is_set():  # it was told to end before it was seen
            return
        policy = self._pod["spec"].get("restartPolicy", "Always")
        self._changed.set()
        for container in self._initial:
            await container.run("Never" if policy == "Never" else "OnFailure")
            if exit_code(container.status()) != 0:
                return
        async with asyncio.TaskGroup() as group:
            for container in self._containers:
                group.create_task(container.run(policy))

    def _end_within(self, grace_seconds: float) -> None:
        # A grace period can be shortened, never prolonged.
        self._kill_at = min(self._kill_at, asyncio.get_running_loop().time() + grace_seconds)
        self._ending.set()

    def _container(self, spec: JsonObject, before: dict[str, JsonObject]) -> Container:
        status = before.get(spec["name"], {})
        return Container(
            spec,
            address=self.address,
            grace_seconds=self._pod["spec"].get("terminationGracePeriodSeconds", 30),
            prepare=lambda: self._prepare(spec),
            changed=self._changed.set,
            # It ran under a pod runner that is no more: this is a restart.
            restart_count=status.get("restartCount", 0) + bool(status.get("containerID")),
        )

    async def _prepare(self, spec: JsonObject) -> Launch:
        _refuse_what_is_missing_here(self._pod, spec)
        entrypoint = self._host.entrypoints.get(spec["image"].rsplit("@")[0].rsplit(":", 1)[0], [])
        if not entrypoint and not spec.get("command"):
            raise ConfigError(f"no command, and no --image tells what {spec['image']} starts")
        sources = {source: await self._fetch(source) for source in needed_sources(spec)}
        status = {"podIP": self.address, "hostIP": self._host.address}
        variables = resolve_environment(spec, self._pod | {"status": status}, sources)
        surroundings = {
            # `python` in a pod is this one, with all of Purser in it, as in an image.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "HOSTNAME": self._pod["metadata"]["name"],
        }
        return Launch(
            command=command_line(spec, entrypoint, variables),
            environment=surroundings | variables,
            folder=Path(spec.get("workingDir") or self._folder),
            log=self._host.logs / f"{self._label}_{spec['name']}.log",
        )

    async def _fetch(self, source: Source) -> JsonObject | None:
        namespace = self._pod["metadata"]["namespace"]
        try:
            return await self._host.api.get(
                resource_path("v1", source.kind, namespace, source.name)
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise ConfigError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConfigError(f"{source.kind} {source.name}: {error!r}") from error

    def _status(self) -> JsonObject:
        initial = [container.status() for container in self._initial]
        containers = [container.status() for container in self._containers]
        phase = pod_phase(self._pod["spec"].get("restartPolicy", "Always"), initial, containers)
        return self._assembled(phase, initial, containers)

    def _final_status(self) -> JsonObject:
        initial = [container.status() for container in self._initial]
        containers = [container.status() for container in self._containers]
        return self._assembled(final_phase(containers), initial, containers)

    def _assembled(
        self, phase: str, initial: list[JsonObject], containers: list[JsonObject]
    ) -> JsonObject:
        self._conditions = pod_conditions(phase, initial, containers, self._conditions)
        return {
            "phase": phase,
            "conditions": self._conditions,
            "hostIP": self._host.address,
            "hostIPs": [{"ip": self._host.address}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self._started_at,
            "initContainerStatuses": initial,
            "containerStatuses": containers,
        }

    async def _report_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._write(self._status)

    async def _write(self, status: Callable[[], JsonObject]) -> None:
        async def patch() -> None:
            # The uid keeps this from touching a younger pod of the same name.
            body = {"metadata": {"uid": self.uid}, "status": status()}
            await self._host.api.merge(f"{self._path}/status", body, strategic=True)

        await self._persistently(patch)

    async def _remove(self) -> None:
        async def delete() -> None:
            await self._host.api.delete(
                self._path, gracePeriodSeconds=0, preconditions={"uid": self.uid}
            )

        await self._persistently(delete)

    async def _persistently(self, call: Callable[[], Awaitable[None]]) -> None:
        """Calls until the server has taken it, or says that this pod is not there any more."""
        while not self._vanished:
            try:
                await call()
            except ApiError as error:
                if error.status in (404, 409):
                    return
                _log.warning("%s: %s", self._label, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                _log.warning("%s: %r", self._label, error)
            else:
                return
            await asyncio.sleep(WRITE_RETRY_SECONDS)


def _refuse_what_is_missing_here(pod: JsonObject, container: JsonObject) -> None:
    """Raises ConfigError for what a container asks of its surroundings and would silently go
    without.
    """
    if container.get("restartPolicy"):
        raise ConfigError("the pod runner knows no sidecar containers")
    if "postStart" in container.get("lifecycle", {}):
        raise ConfigError("the pod runner knows no postStart hooks")
    empty = {volume["name"] for volume in pod["spec"].get("volumes", []) if "emptyDir" in volume}
    for mount in container.get("volumeMounts", []):
        temporary = mount["mountPath"] == "/tmp" and mount["name"] in empty
        if mount["mountPath"] != ACCOUNT_TOKEN_FOLDER and not temporary:
            raise ConfigError(f"the pod runner mounts no volumes: {mount['mountPath']}")
