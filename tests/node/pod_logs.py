"""What every container of a release ever logged: followed from the moment its pod is seen, since
the logs of a pod go with it.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.binaries import component_path
from tests.node.release import Release

LOOK_SECONDS = 1.0


class PodLogs:
    """One file per start of a container."""

    def __init__(self, release: Release, folder: Path) -> None:
        self._release = release
        self._folder = folder
        self._followed: dict[str, asyncio.subprocess.Process] = {}

    def files(self) -> Iterable[Path]:
        """What is there by now."""
        return sorted(self._folder.glob("*.log"))

    async def follow(self) -> None:
        """Follow until cancelled."""
        self._folder.mkdir(exist_ok=True)
        try:
            while True:
                for pod in await self._release.pods():
                    for status in pod["status"].get("containerStatuses", []):
                        if "running" in status["state"]:
                            await self._begin(pod["metadata"]["name"], status)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for process in self._followed.values():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()

    async def _begin(self, pod: str, status: dict[str, str]) -> None:
        # Each start of a container has an id of its own.
        if (started := status["containerID"]) in self._followed:
            return
        name = f"{pod}.{status['name']}.{started[-8:]}.log"
        command = ["logs", "--follow", f"--container={status['name']}", pod]
        where = [
            f"--kubeconfig={self._release.kubeconfig}",
            f"--namespace={self._release.namespace}",
        ]
        with (self._folder / name).open("wb") as output:
            self._followed[started] = await asyncio.create_subprocess_exec(
                str(component_path("kubectl")),
                *command,
                *where,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.DEVNULL,
            )
