"""Breaking a control plane that a test has for itself."""

import asyncio
import base64
import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.api import JsonObject
from tests.cluster.blocking import CALL_TIMEOUT_SECONDS, answers
from tests.cluster.components import START_TIMEOUT_SECONDS, Components
from tests.cluster.waiting import eventually


class Breakable:
    """The API server and its etcd, to be broken: killed and started again on the same port and the
    same data, stopped for a while, made to forget its history.
    """

    def __init__(self, components: Components) -> None:
        self._components = components

    def kill_apiserver(self) -> None:
        """kill -9."""
        process = self._components.child("kube-apiserver").process
        process.kill()
        process.wait()

    def start_apiserver(self) -> None:
        """Start it again. From the main thread, with which it is to end."""
        self._components.start_again("kube-apiserver")

    async def until_apiserver_is_ready(self) -> None:
        """Wait for it while others go on."""
        await eventually(
            lambda: asyncio.to_thread(answers, self._components.admin, "/readyz"),
            START_TIMEOUT_SECONDS,
        )

    @contextmanager
    def hanging_apiserver(self) -> Iterator[None]:
        """It takes connections and answers nothing, as long as the context lasts (SIGSTOP)."""
        process = self._components.child("kube-apiserver").process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def compact_etcd(self) -> None:
        """etcd forgets every version but the newest: who asks for changes since an older one is
        told that it is gone.
        """
        everything = {"key": base64.b64encode(b"\0").decode(), "count_only": True}
        revision = self._ask_etcd("kv/range", everything)["header"]["revision"]
        self._ask_etcd("kv/compaction", {"revision": revision, "physical": True})

    def _ask_etcd(self, call: str, body: JsonObject) -> JsonObject:
        request = urllib.request.Request(  # noqa: S310 - an address of ours
            f"{self._components.etcd}/v3/{call}", json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_SECONDS) as response:  # noqa: S310
            answer: JsonObject = json.load(response)
            return answer
