"""The life of one container: started, watched, restarted with backoff, and stopped with grace.

A container is the process of its command and whatever that starts. SIGTERM goes to that process
alone, as to the first process of a real container; when it ends, the rest of its process group is
killed, as the kernel does with a real container's. The state is kept in the very words of the API
(`waiting`, `running`, `terminated`), so the status is these fields and nothing else.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence

from tests.cluster.api import JsonObject
from tests.cluster.podrunner.environment import ConfigError
from tests.cluster.podrunner.probes import attempt_probe, verdicts
from tests.cluster.podrunner.processes import Launch, end_process, execute, kill_group, spawn
from tests.cluster.podrunner.status import timestamp

CONFIG_RETRY_SECONDS = 1.0
"""Between looks for a ConfigMap or Secret that is not there yet."""

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 30.0
"""The first restart is immediate, then the wait doubles. A tenth of a kubelet's times: tests wait
for this.
"""

BACKOFF_RESET_SECONDS = 60.0
"""A container that ran this long is not crash-looping: its next restart is immediate again."""

EXIT_CANNOT_START = 128


class Container:
    """One container of a pod. `run` is its life; `stop` ends it from outside."""

    def __init__(
        self,
        spec: JsonObject,
        *,
        address: str,
        grace_seconds: float,
        prepare: Callable[[], Awaitable[Launch]],
        changed: Callable[[], None],
        restart_count: int = 0,
    ) -> None:
        self.spec = spec
        self._address = address
        self._grace_seconds = grace_seconds
        self._prepare = prepare
        self._changed = changed
        self._restart_count = restart_count
        self._state: JsonObject = {"waiting": {"reason": "ContainerCreating"}}
        self._last_state: JsonObject = {}
        self._id = ""
        self._started = self._ready = False
        self._running: tuple[asyncio.subprocess.Process, Launch] | None = None
        self._starting = asyncio.Lock()
        self._stopping = asyncio.Event()

    def status(self) -> JsonObject:
        """This container's entry in the pod's `containerStatuses`."""
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "",
            "containerID": self._id,
            "state": self._state,
            "lastState": self._last_state,
            "restartCount": self._restart_count,
            "started": self._started,
            "ready": self._ready,
        }

    async def run(self, restart_policy: str) -> None:
        """Runs the container until it has ended for good: its policy wants no restart, or `stop`
        was called.
        """
        backoff = 0.0
        while not self._stopping.is_set():
            began = time.monotonic()
            exit_code = await self._run_once()
            if restart_policy == "Never" or (restart_policy == "OnFailure" and exit_code == 0):
                return
            if time.monotonic() - began > BACKOFF_RESET_SECONDS:
                backoff = 0.0
            await self._wait_to_restart(backoff)
            backoff = min(max(BACKOFF_FIRST_SECONDS, 2 * backoff), BACKOFF_MAX_SECONDS)

    async def stop(self, kill_at: Callable[[], float]) -> None:
        """Ends the container for good: preStop hook, SIGTERM, and SIGKILL when the loop's clock
        reaches `kill_at()`.
        """
        self._stopping.set()
        async with self._starting:  # what is being started now is stopped like what runs
            pass
        await self._end(kill_at)

    async def _run_once(self) -> int | None:
        """Starts the process once and sees it to its end. None when `stop` came first."""
        launch = await self._prepared()
        started_at = timestamp()
        try:
            async with self._starting:
                if launch is None or self._stopping.is_set():
                    return None
                self._id = f"process://{uuid.uuid4()}"
                process = await spawn(launch.command, launch)
                self._running = process, launch
        except OSError as error:
            return self._ended(EXIT_CANNOT_START, started_at, "StartError", str(error))
        try:
            self._state = {"running": {"startedAt": started_at}}
            self._started = "startupProbe" not in self.spec
            self._ready = self._started and "readinessProbe" not in self.spec
            self._changed()
            watching = asyncio.create_task(self._watch_health())
            exit_code = await process.wait()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        finally:
            self._running = None
            kill_group(process)
        # A shell's way to say "ended by signal n", and every container runtime's.
        exit_code = exit_code if exit_code >= 0 else 128 - exit_code
        return self._ended(exit_code, started_at, "Completed" if exit_code == 0 else "Error")

    async def _prepared(self) -> Launch | None:
        while not self._stopping.is_set():
            try:
                return await self._prepare()
            except ConfigError as error:
                self._wait_for("CreateContainerConfigError", str(error))
                await self._pause(CONFIG_RETRY_SECONDS)
        return None

    def _ended(self, exit_code: int, started_at: str, reason: str, message: str = "") -> int:
        terminated = {
            "exitCode": exit_code,
            "reason": reason,
            "message": message,
            "startedAt": started_at,
            "finishedAt": timestamp(),
            "containerID": self._id,
        }
        self._state = {"terminated": terminated}
        self._started = self._ready = False
        self._changed()
        return exit_code

    async def _wait_to_restart(self, backoff: float) -> None:
        if "terminated" in self._state:
            ended = self._state
            if backoff:
                self._wait_for(
                    "CrashLoopBackOff", f"back-off {backoff:.0f}s restarting failed container"
                )
                self._last_state = ended
                await self._pause(backoff)
            if not self._stopping.is_set():
                self._last_state = ended
                self._restart_count += 1

    def _wait_for(self, reason: str, message: str) -> None:
        self._state = {"waiting": {"reason": reason, "message": message}}
        self._changed()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _watch_health(self) -> None:
        if (probe := self.spec.get("startupProbe")) and not await self._starts_up(probe):
            return
        async with asyncio.TaskGroup() as group:
            if probe := self.spec.get("readinessProbe"):
                group.create_task(self._watch_readiness(probe))
            if probe := self.spec.get("livenessProbe"):
                group.create_task(self._watch_liveness(probe))

    async def _starts_up(self, probe: JsonObject) -> bool:
        async for passed in verdicts(probe, lambda: self._attempt(probe)):
            if not passed:
                await self._end(self._grace_from_now(probe))
                return False
            break
        self._started = True
        self._ready = "readinessProbe" not in self.spec
        self._changed()
        return True

    async def _watch_readiness(self, probe: JsonObject) -> None:
        async for ready in verdicts(probe, lambda: self._attempt(probe)):
            if ready != self._ready:
                self._ready = ready
                self._changed()

    async def _watch_liveness(self, probe: JsonObject) -> None:
        async for alive in verdicts(probe, lambda: self._attempt(probe)):
            if not alive:
                await self._end(self._grace_from_now(probe))
                return

    async def _attempt(self, question: JsonObject) -> bool:
        return await attempt_probe(question, self.spec, self._address, self._execute)

    async def _execute(self, command: Sequence[str]) -> int:
        assert self._running is not None, "nothing is asked of a container that does not run"
        return await execute(command, self._running[1])

    def _grace_from_now(self, probe: JsonObject) -> Callable[[], float]:
        grace_seconds = probe.get("terminationGracePeriodSeconds", self._grace_seconds)
        kill_at = asyncio.get_running_loop().time() + grace_seconds
        return lambda: kill_at

    async def _end(self, kill_at: Callable[[], float]) -> None:
        if self._running is None:
            return
        process, _ = self._running
        if hook := self.spec.get("lifecycle", {}).get("preStop"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(kill_at()):
                    await self._pre_stop(hook)
        await end_process(process, kill_at)

    async def _pre_stop(self, hook: JsonObject) -> None:
        if pause := hook.get("sleep"):
            await asyncio.sleep(pause["seconds"])
        else:
            # A hook is worded like a probe; its time limit is what is left of the grace period.
            await self._attempt(hook | {"timeoutSeconds": self._grace_seconds})
