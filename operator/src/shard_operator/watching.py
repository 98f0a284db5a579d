"""Keeps what the operator knows of the cluster true: kopf's watches, and listings that check them.

A listing of each kind comes first, since kopf looks for the kinds once and a pool must not be
judged by a target that was not told of yet. Then kopf watches, and a listing each minute finds what
a watch missed: a deletion in a gap between two of them brings no event. A watch that has not told
what the listing shows is stale (`freshness`); kopf is then ended and begun anew, and as long as
that does not help the process is not live.
"""

import asyncio
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Protocol

from chassis.reminders import Reminders
from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.api import JsonObject, KubernetesApi, resource_path
from shard_operator.cluster_view import key_of
from shard_operator.errors import ApiRefused, TryLater
from shard_operator.freshness import Freshness
from shard_operator.handlers import ClusterWatch, Kind
from shard_operator.settings import Settings
from shard_operator.stateful_sets import version_of

RETRY_SECONDS = 5.0
"""Pause before listing, or watching, again when that failed: the API is away, or has no such kind
yet."""

REFUSED_TRIES_MAX = 2
"""How often a kind that is refused is listed before the operator goes on without it."""

STALE_AFTER_SECONDS = 15.0
"""Events come within a second, and kopf reconnects within ten."""

LOOK_PERIOD_SECONDS = 5.0
"""How often staleness is looked at."""

LIST_ITEMS_MAX = 500
"""Objects in one answer; more come in further ones."""


class Sink(Protocol):
    """Where the objects of one kind are kept."""

    refused: str
    """Why they could not be listed the last time; empty when they were."""

    def note_event(self, body: JsonObject, *, deleted: bool) -> None:
        """An object was seen, changed or deleted."""

    def replace_all(self, bodies: Iterable[JsonObject], version: int) -> None:
        """A listing of this version: what is not in it is gone, unless it is younger."""


class ClusterWatching:
    """The watches and listings of one leader."""

    def __init__(self, settings: Settings, api: KubernetesApi, sinks: Mapping[Kind, Sink]) -> None:
        self._settings = settings
        self._api = api
        self._sinks = sinks
        self._freshness = {kind: Freshness() for kind in sinks}
        self._log = get_logger(__name__)
        self._reminders = Reminders()

    def stale_seconds(self) -> float:
        """For how long some watch has been known to be behind; 0 when none is."""
        return max(freshness.stale_seconds() for freshness in self._freshness.values())

    async def list_until_known(self) -> None:
        """List every kind, as often as it takes.

        Without UserShards there is nothing to do; without another kind, if it is refused, there is
        something to tell.
        """
        for kind, sink in self._sinks.items():
            tries_left = REFUSED_TRIES_MAX
            while tries_left and not await self._list(kind):
                # An API server that starts refuses everybody for a moment.
                tries_left -= bool(sink.refused) and kind is not Kind.USER_SHARD
                await asyncio.sleep(RETRY_SECONDS)

    async def relist(self) -> None:
        """List every kind each `relist_period_seconds`, until cancelled; one that was refused
        sooner, since an API server that starts refuses everybody for a moment."""
        while True:
            await asyncio.sleep(self._settings.relist_period_seconds)
            for kind, sink in self._sinks.items():
                if not await self._list(kind) and sink.refused:
                    await asyncio.sleep(RETRY_SECONDS)
                    await self._list(kind)

    async def watch(self) -> None:
        """Keep kopf running, until cancelled: it ends when the API server refuses it for long."""
        while True:
            for freshness in self._freshness.values():
                freshness.begin_anew()
            watch = ClusterWatch(self._settings, self._note_event)
            watch.start()
            try:
                problem = await self._until_useless(watch)
            except asyncio.CancelledError:
                await watch.stop()
                raise
            self._log.warning("watch_begun_anew", problem=problem)
            await watch.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _until_useless(self, watch: ClusterWatch) -> str:
        """Wait until kopf has ended or a watch is stale; says which."""
        while True:
            await asyncio.wait([watch.ended], timeout=LOOK_PERIOD_SECONDS)
            if watch.ended.done():
                error = watch.ended.exception()
                return "kopf ended" if error is None else f"{type(error).__name__}: {error}"
            for kind, freshness in self._freshness.items():
                stale = freshness.stale_seconds()
                metrics.WATCH_STALE.labels(kind.value[1]).set(stale)
                if stale >= STALE_AFTER_SECONDS:
                    return f"the watch of {kind.value[1]} has been behind for {stale:.0f} s"

    def _note_event(self, kind: Kind, body: dict[str, Any], deleted: bool) -> None:
        self._freshness[kind].note_event(key_of(body), version_of(body), deleted=deleted)
        self._sinks[kind].note_event(body, deleted=deleted)

    async def _list(self, kind: Kind) -> bool:
        try:
            bodies, version = await self._list_everywhere(kind)
        except TryLater as error:
            if self._is_news("listing_failed", kind, str(error)):
                self._log.warning("listing_failed", kind=kind.value[1], problem=str(error))
            return False
        except ApiRefused as refusal:
            is_undefined = kind is Kind.USER_SHARD and refusal.status == 404
            what = "apply charts/purser-crds" if is_undefined else "look at the operator's role"
            if self._is_news("not_listed", kind, str(refusal)):
                self._log.warning(
                    "not_listed", kind=kind.value[1], problem=str(refusal), what_to_do=what
                )
            self._sinks[kind].refused = refusal.message or str(refusal)
            return False
        self._sinks[kind].refused = ""
        self._sinks[kind].replace_all(bodies, version)
        shown: dict[Hashable, int] = {key_of(body): version_of(body) for body in bodies}
        self._freshness[kind].note_listing(shown, version)
        return True

    def _is_news(self, event: str, kind: Kind, problem: str) -> bool:
        return self._reminders.is_due(time.monotonic(), event, kind.value[1], problem)

    async def _list_everywhere(self, kind: Kind) -> tuple[list[JsonObject], int]:
        """All objects where they are watched, and the least version of the listings."""
        everywhere = "*" in self._settings.watch_namespaces
        named = self._settings.watch_namespaces or (self._settings.namespace,)
        bodies: list[JsonObject] = []
        versions = []
        for namespace in [None] if everywhere else named:
            path, following = resource_path(*kind.value, namespace), ""
            while True:
                more = {"continue": following} if following else {}
                answer = await self._api.get(path, limit=str(LIST_ITEMS_MAX), **more)
                bodies += answer["items"]
                following = answer["metadata"].get("continue") or ""
                if not following:
                    break
            versions.append(version_of(answer))
        return bodies, min(versions)
