"""Follows the pods of one namespace and the count of its StatefulSet, and remembers when what was.

What the pod runner reports is all one learns of a container from outside: when it was ready, when
it was told to end, how it ended.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.cluster.api import JsonObject, KubernetesApi, resource_path
from tests.cluster.operators import TARGET
from tests.cluster.pods import container_status, is_ready

REVISION = "controller-revision-hash"


@dataclass
class PodSeen:
    """The life of one pod, in seconds since the epoch."""

    name: str
    revision: str
    """Of the StatefulSet's template."""
    seen_at: float
    ready_at: float | None = None
    told_to_end_at: float | None = None
    exit_code: int | None = None
    gone_at: float | None = None


@dataclass(frozen=True)
class Count:
    """How many workers the StatefulSet asked for, from when on."""

    at: float
    asked: int


@dataclass
class ClusterWatch:
    """All that was seen of one namespace."""

    api: KubernetesApi
    namespace: str
    pods: dict[str, PodSeen] = field(default_factory=dict)
    """By uid, in the order they were seen."""
    counts: list[Count] = field(default_factory=list)

    async def watch(self) -> None:
        """Watch until cancelled."""
        await asyncio.gather(self._follow_pods(), self._follow_count())

    def revision_of(self, name: str, at: float) -> str | None:
        """The template the pod of this name was made from at this time; None when there was none
        yet.
        """
        seen = [pod for pod in self.pods.values() if pod.name == name and pod.seen_at <= at]
        return seen[-1].revision if seen else None

    def told_to_end(self, since: float) -> list[PodSeen]:
        """The pods that were told to end after this time, the first first."""
        told = [
            (pod.told_to_end_at, pod)
            for pod in self.pods.values()
            if pod.told_to_end_at is not None and pod.told_to_end_at >= since
        ]
        return [pod for _, pod in sorted(told, key=lambda pair: pair[0])]

    def counted_at(self, count: int, since: float) -> float | None:
        """When the StatefulSet first asked for so many, or more, after this time."""
        return next((c.at for c in self.counts if c.at >= since and c.asked >= count), None)

    async def _follow_pods(self) -> None:
        async for event in self.api.follow(resource_path("v1", "pods", self.namespace)):
            now = time.time()
            if event.kind == "LISTED":
                there = {pod["metadata"]["uid"] for pod in event.objects}
                for uid in self.pods.keys() - there:
                    self._note_gone(uid, now)
            for pod in event.objects:
                self._note(pod, now)
                if event.kind == "DELETED":
                    self._note_gone(pod["metadata"]["uid"], now)

    async def _follow_count(self) -> None:
        path = resource_path("apps/v1", "statefulsets", self.namespace)
        async for event in self.api.follow(path, fieldSelector=f"metadata.name={TARGET}"):
            for found in event.objects:
                asked = found["spec"]["replicas"]
                if not self.counts or self.counts[-1].asked != asked:
                    self.counts.append(Count(time.time(), asked))

    def _note(self, pod: JsonObject, now: float) -> None:
        metadata = pod["metadata"]
        labels: Mapping[str, str] = metadata.get("labels", {})
        seen = self.pods.setdefault(
            metadata["uid"], PodSeen(metadata["name"], labels.get(REVISION, ""), now)
        )
        if seen.ready_at is None and is_ready(pod):
            seen.ready_at = now
        if seen.told_to_end_at is None and "deletionTimestamp" in metadata:
            seen.told_to_end_at = now
        ended = container_status(pod)["state"].get("terminated")
        if ended is not None:
            seen.exit_code = ended["exitCode"]

    def _note_gone(self, uid: str, now: float) -> None:
        if self.pods[uid].gone_at is None:
            self.pods[uid].gone_at = now
