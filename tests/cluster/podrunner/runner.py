"""Follows the pods that the scheduler binds to this node, and gives each a life and an address.

Pods get loopback addresses of their own (the whole of 127.0.0.0/8 is the machine itself), so two
pods can serve the same port as on a cluster, if they listen on their own address (`status.podIP`)
rather than on all.
"""

import asyncio
import logging
import random
from collections.abc import Iterator

from tests.cluster.api import JsonObject, resource_path
from tests.cluster.podrunner.node import PODS_MAX, beat, ensure_node
from tests.cluster.podrunner.pod import Host, Pod

CANCEL_PERIOD_SECONDS = 2.0
"""Longer than it takes to kill all processes, which another cancellation must not cut short."""

_log = logging.getLogger(__name__)


class Runner:
    """One node with its pods. `run` is its life; cancelling it kills every process and reports
    nothing more.
    """

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._host = host
        self._pods: dict[str, Pod] = {}
        self._free_addresses = list(_pod_addresses())

    async def run(self) -> None:
        """Plays the node for ever."""
        await ensure_node(self._host.api, self._name, self._host.address)
        _log.info("node %s is ready", self._name)
        async with asyncio.TaskGroup() as group:
            group.create_task(beat(self._host.api, self._name))
            pods = resource_path("v1", "pods")
            async for event in self._host.api.follow(
                pods, fieldSelector=f"spec.nodeName={self._name}"
            ):
                if event.kind == "LISTED":
                    listed = {pod["metadata"]["uid"] for pod in event.objects}
                    for uid in self._pods.keys() - listed:
                        self._pods[uid].vanish()
                for pod in event.objects:
                    self._observe(pod, gone=event.kind == "DELETED", group=group)

    def _observe(self, pod: JsonObject, *, gone: bool, group: asyncio.TaskGroup) -> None:
        known = self._pods.get(pod["metadata"]["uid"])
        if known is None and not gone and not _finished(pod):
            known = Pod(pod, self._host, self._free_addresses.pop())
            self._pods[known.uid] = known
            group.create_task(self._live(known))
        if known is not None and gone:
            known.vanish()
        elif known is not None:
            known.update(pod)

    async def _live(self, pod: Pod) -> None:
        try:
            await pod.run()
        finally:
            del self._pods[pod.uid]
            # Back to the far end: an address that was just in use should not be another pod's at
            # once.
            self._free_addresses.insert(0, pod.address)


async def cancel_until_done(
    task: "asyncio.Task[None]", period_seconds: float = CANCEL_PERIOD_SECONDS
) -> None:
    """Cancels, and again until the task has ended; its own error is raised.

    A cancellation that meets the end of a call or of a timeout can get lost on its way up (Python
    3.11's `wait_for` does that). Then a runner whose parent has died would play a node for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=period_seconds)
    if not task.cancelled():
        task.result()


def _finished(pod: JsonObject) -> bool:
    """The pod ended under a pod runner that is no more, and nobody asks for its removal yet."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return ended and "deletionTimestamp" not in pod["metadata"]


def _pod_addresses() -> Iterator[str]:
    # A random part of loopback, for there may be another pod runner on this machine.
    second, third = random.randrange(64, 255), random.randrange(256)
    return (f"127.{second}.{third}.{last}" for last in range(1, PODS_MAX + 1))
