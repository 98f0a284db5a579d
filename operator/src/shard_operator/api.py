"""A small asynchronous client of the Kubernetes API that speaks plain JSON.

The loop needs five calls; the official client would cost more memory than the rest of the operator.
Credentials come from `login`, and are read again when the server refuses the ones in use: kubelet
rotates a pod's token.

Every call has a time limit. What the caller should do about a failure is in its type: `ApiAway` try
later, `ApiRefused` look at the status.
"""

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from shard_operator import metrics
from shard_operator.errors import ApiAway, ApiRefused
from shard_operator.login import log_in
from shard_operator.workloads import OPERATOR_WRITER

JsonObject = dict[str, Any]
"""One Kubernetes object, or a part of one, as it is on the wire."""

FIELD_MANAGER = OPERATOR_WRITER
"""The name managedFields shows for what the operator wrote."""

REQUEST_TIMEOUT_SECONDS = 5.0
"""A reconcile makes three calls; an API server slower than this is as good as away."""

MERGE_PATCH = "application/merge-patch+json"


def resource_path(
    api_version: str,
    plural: str,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
) -> str:
    """The address of a collection, an object or a subresource."""
    parts = ["/apis" if "/" in api_version else "/api", api_version]
    if namespace is not None:
        parts += ["namespaces", namespace]
    return "/".join([*parts, plural, *(part for part in (name, subresource) if part)])


class KubernetesApi:
    """Calls one cluster as the operator. Enter it as an asynchronous context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._server = ""

    async def __aenter__(self) -> Self:
        await self._log_in()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str) -> JsonObject:
        """Read an object or a collection."""
        return await self._call("GET", path, query)

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Post to a collection."""
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def merge(self, path: str, body: JsonObject) -> JsonObject:
        """Patch by JSON merge patch: null removes, the rest is set.

        With a `metadata.resourceVersion` in it, an outdated one is refused (409).
        """
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, MERGE_PATCH)

    async def _log_in(self) -> None:
        info = await asyncio.to_thread(log_in)
        if self._session is not None:
            await self._session.close()
        self._server = info.server.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers=info.as_http_headers(),
            connector=aiohttp.TCPConnector(ssl=info.as_ssl_context(), limit=8),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
            trust_env=False,
        )

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        try:
            try:
                return await self._call_once(method, path, query, body, content_type)
            except ApiRefused as refusal:
                if refusal.status != 401:
                    raise
                await self._log_in()
                return await self._call_once(method, path, query, body, content_type)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            metrics.note_api_request(method, 0)
            raise ApiAway(f"the Kubernetes API did not answer ({type(error).__name__})") from error

    async def _call_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        content_type: str,
    ) -> JsonObject:
        if self._session is None:
            raise RuntimeError("KubernetesApi is used outside `async with`")
        async with self._session.request(
            method,
            self._server + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type, "Accept": "application/json"},
        ) as response:
            answer = await response.read()
            metrics.note_api_request(method, response.status)
            if response.status < 400:
                loaded: JsonObject = json.loads(answer)
                return loaded
            status = _loads_or_empty(answer)
            reason = str(status.get("reason") or response.reason)
            message = str(status.get("message") or "")[:500]
            if response.status == 429 or response.status >= 500:
                raise ApiAway(f"the Kubernetes API asks for patience ({reason}: {message})")
            raise ApiRefused(response.status, reason, message)


def _loads_or_empty(answer: bytes) -> JsonObject:
    try:
        loaded = json.loads(answer)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
