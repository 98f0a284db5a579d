"""The door to kopf: it watches UserShards, StatefulSets and pods and hands each event over; it
decides nothing.

Only `on.event` is used, the one kind of handler that leaves no trace on an object: timers, daemons
and deletion handlers would add a finalizer, and an uninstalled operator must not leave a UserShard
terminating for ever.

kopf runs in a thread and an event loop of its own. It takes its loop's signals for itself and, when
it ends, cancels every task it finds there; neither may happen to the loop that holds the Lease and
writes placement.
"""

import asyncio
import contextlib
import enum
import logging
import threading
from collections.abc import Callable
from typing import Any

from shard_operator.login import kopf, log_in
from shard_operator.settings import Settings
from shard_operator.usershard import GROUP, PLURAL, VERSION


class Kind(enum.Enum):
    """What is watched: API version and plural."""

    USER_SHARD = (f"{GROUP}/{VERSION}", PLURAL)
    STATEFUL_SET = ("apps/v1", "statefulsets")
    POD = ("v1", "pods")


NoteEvent = Callable[[Kind, dict[str, Any], bool], None]
"""Called with the kind, the object, and whether it was deleted."""

STOP_TIMEOUT_SECONDS = 2.0
"""How long kopf may take to end its watches; its thread does not keep the process alive."""

WATCH_GRACE_SECONDS = 10.0
"""How much longer than the server's own limit the client waits for the end of a watch."""


class ClusterWatch:
    """kopf in its thread; `ended` is done when it stopped, by itself or asked."""

    def __init__(self, settings: Settings, note_event: NoteEvent) -> None:
        self._settings = settings
        self._note_event = note_event
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="kopf", daemon=True).start()

    async def stop(self) -> None:
        """End the watches, within a named time."""
        self._stop.set()
        await asyncio.wait([self.ended], timeout=STOP_TIMEOUT_SECONDS)

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._make_registry(),
                    settings=make_kopf_settings(self._settings),
                    stop_flag=self._stop,
                    **where_to_watch(self._settings),
                )
            )
        except BaseException as error:  # noqa: BLE001 (the thread's last door: main hears of it)
            failure = error
        with contextlib.suppress(RuntimeError):  # main gave up waiting, and its loop is closed
            self._loop.call_soon_threadsafe(self._end, failure)

    def _end(self, failure: BaseException | None) -> None:
        if self.ended.done():
            return
        if failure is None or self._stop.is_set():
            self.ended.set_result(None)
        else:
            self.ended.set_exception(failure)

    def _make_registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login_operator(**_: Any) -> kopf.ConnectionInfo:
            return await asyncio.to_thread(log_in)

        def watch(kind: Kind) -> None:
            @kopf.on.event(*kind.value, registry=registry)
            async def note(event: kopf.RawEvent, **_: Any) -> None:
                body: dict[str, Any] = dict(event["object"])
                deleted = event["type"] == "DELETED"
                self._loop.call_soon_threadsafe(self._note_event, kind, body, deleted)

        for kind in Kind:
            watch(kind)
        return registry


def make_kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """kopf's own knobs: bounded watches, nothing written anywhere."""
    made = kopf.OperatorSettings()
    made.peering.standalone = True  # the Lease elects; kopf's peering freezes equals
    made.posting.enabled = False  # Events are told by the controller, one per decision
    made.scanning.disabled = True  # needs no right on CRDs and namespaces
    made.watching.server_timeout = settings.watch_timeout_seconds
    made.watching.client_timeout = settings.watch_timeout_seconds + WATCH_GRACE_SECONDS
    made.watching.connect_timeout = WATCH_GRACE_SECONDS
    # Bookmarks come each minute or so: a connection that is silent for longer is dead.
    made.watching.inactivity_timeout = settings.watch_timeout_seconds + WATCH_GRACE_SECONDS
    made.process.ultimate_exiting_timeout = None  # the process's life is chassis.process's
    # At `info` kopf tells of every event it hands over; the loop tells of what comes of it.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that a thread gets no signals; that is what the thread is for.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    return made


def where_to_watch(settings: Settings) -> dict[str, Any]:
    """The namespaces, as kopf's arguments."""
    if "*" in settings.watch_namespaces:
        return {"clusterwide": True}
    return {"namespaces": list(settings.watch_namespaces) or [settings.namespace]}
