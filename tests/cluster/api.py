"""A small asynchronous client of the Kubernetes API that speaks plain JSON.

The pod runner patches single fields of a status and follows watches for hours; tests compare what
the server really holds. Both want the objects as they are on the wire, without the models of the
official client (which takes a second to import). `resource_path` builds the addresses; `follow` is
list-then-watch done once and properly: it begins with everything there is, and begins again when
the server has forgotten where it was.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from tests.cluster.kubeconfig import Access, read_kubeconfig

JsonObject = dict[str, Any]
"""One Kubernetes object, or a part of one, as it is on the wire."""

REQUEST_TIMEOUT_SECONDS = 30.0
WATCH_TIMEOUT_SECONDS = 300
"""The server ends a watch after this and the client begins the next one: no watch can freeze for
ever.
"""

RECONNECT_PAUSE_SECONDS = 0.5


class ApiError(Exception):
    """The server refused: `status` is HTTP's, `reason` is Kubernetes' word (NotFound, Conflict,
    Invalid …).
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """What `follow` tells: all that exists now (`kind` "LISTED"), or a change to one object."""

    kind: str
    """LISTED, ADDED, MODIFIED or DELETED."""
    objects: list[JsonObject]
    """All objects for LISTED, else the one that changed."""


def resource_path(
    api_version: str,
    plural: str,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
) -> str:
    """The address of a collection, an object or a subresource: `("apps/v1", "statefulsets", "x",
    "y", "scale")`.
    """
    parts = ["/apis" if "/" in api_version else "/api", api_version]
    if namespace is not None:
        parts += ["namespaces", namespace]
    return "/".join([*parts, plural, *(part for part in (name, subresource) if part)])


class KubernetesApi:
    """Calls one cluster as one user. Enter it as an asynchronous context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, file: Path) -> Self:
        """A client for the current context of a kubeconfig."""
        return cls(read_kubeconfig(file))

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._access.token}"} if self._access.token else {}
        self._session = aiohttp.ClientSession(
            base_url=self._access.server,
            headers=headers,
            connector=aiohttp.TCPConnector(ssl=self._access.tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str) -> JsonObject:
        """Reads an object or a collection."""
        return await self._call("GET", path, query)

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Posts to a collection or to a subresource such as `token`."""
        return await self._call("POST", path, {}, body)

    async def merge(self, path: str, body: JsonObject, *, strategic: bool = False) -> JsonObject:
        """Patches: a JSON merge patch, or Kubernetes' strategic one, which merges lists by key
        (built-in kinds only).
        """
        kind = "strategic-merge-patch" if strategic else "merge-patch"
        return await self._call("PATCH", path, {}, body, f"application/{kind}+json")

    async def apply(self, path: str, body: JsonObject, field_manager: str) -> JsonObject:
        """Server-side apply: creates the object or takes over the fields that `body` names."""
        query = {"fieldManager": field_manager, "force": "true"}
        return await self._call("PATCH", path, query, body, "application/apply-patch+yaml")

    async def delete(self, path: str, **options: Any) -> JsonObject:
        """Deletes; `options` are those of DeleteOptions, such as gracePeriodSeconds."""
        return await self._call("DELETE", path, {}, options)

    async def follow(self, path: str, **query: str) -> AsyncIterator[Event]:
        """Tells everything in a collection and then every change, for ever.

        After a gap that the server cannot fill (it compacts its history, it restarts) comes another
        LISTED; what is not in it was deleted meanwhile. Unreachable servers are waited for.
        """
        while True:
            try:
                listed = await self.get(path, **query)
                # Items of a list carry no kind and no apiVersion.
                identity = {
                    "apiVersion": listed["apiVersion"],
                    "kind": listed["kind"][: -len("List")],
                }
                yield Event("LISTED", [identity | item for item in listed["items"]])
                async for event in self._watch(path, listed["metadata"]["resourceVersion"], query):
                    yield event
            except (aiohttp.ClientError, TimeoutError, ApiError) as error:
                if (
                    isinstance(error, ApiError)
                    and error.status not in (410, 429)
                    and error.status < 500
                ):
                    raise
                await asyncio.sleep(RECONNECT_PAUSE_SECONDS)

    async def _watch(
        self, path: str, version: str, query: Mapping[str, str]
    ) -> AsyncIterator[Event]:
        while True:
            options = {
                **query,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_TIMEOUT_SECONDS),
                "resourceVersion": version,
            }
            # Above the server's own limit: a watch that says nothing for longer has lost its
            # connection.
            patience = aiohttp.ClientTimeout(total=None, sock_read=WATCH_TIMEOUT_SECONDS + 30)
            async with self._opened.get(path, params=options, timeout=patience) as response:
                await _raise_for_refusal(response)
                buffer = b""
                async for chunk in response.content.iter_any():
                    *lines, buffer = (buffer + chunk).split(b"\n")
                    for change in map(json.loads, lines):
                        if change["type"] == "ERROR":
                            raise _refusal(change["object"])
                        version = change["object"]["metadata"]["resourceVersion"]
                        if change["type"] != "BOOKMARK":
                            yield Event(change["type"], [change["object"]])

    @property
    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "KubernetesApi is used outside `async with`"
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        async with self._opened.request(
            method,
            path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type, "Accept": "application/json"},
        ) as response:
            await _raise_for_refusal(response)
            answer: JsonObject = await response.json()
            return answer


async def _raise_for_refusal(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        raise _refusal(json.loads(text))
    except (ValueError, KeyError):
        raise ApiError(response.status, response.reason or "", text[:500]) from None


def _refusal(status: JsonObject) -> ApiError:
    return ApiError(status["code"], status.get("reason", ""), status.get("message", ""))
