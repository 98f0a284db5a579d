"""A small asynchronous client of the Kubernetes API that speaks plain JSON.

The loop needs five calls; the official client would cost more memory than the rest of the operator.
Credentials come from `login`, and are read again when the server refuses the ones in use: kubelet
rotates a pod's token. They belong to a call and not to the session, which lives as long as the
client: several calls are refused at the same moment, and none may close what another one uses.

Every call has a time limit. What the caller should do about a failure is in its type: `ApiAway` try
later, `ApiRefused` look at the status.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
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

CONNECTIONS_MAX = 8
"""At once; calls beyond it wait."""

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


@dataclass(frozen=True, slots=True)
class _Login:
    """Where the cluster is, and what shows it who asks."""

    server: str
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext


class KubernetesApi:
    """Calls one cluster as the operator. Enter it as an asynchronous context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._login: _Login | None = None
        self._logging_in = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
            trust_env=False,
        )
        try:
            await self._log_in_after(None)
        except BaseException:
            await self._session.close()
            raise
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

    async def _log_in_after(self, refused: _Login | None) -> _Login:
        """Credentials other than the refused ones, read anew unless another call has done so.
        Raises ApiRefused.
        """
        async with self._logging_in:
            if self._login is None or self._login is refused:
                info = await asyncio.to_thread(log_in)
                self._login = _Login(
                    info.server.rstrip("/"), info.as_http_headers(), info.as_ssl_context()
                )
            return self._login

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        if self._login is None:
            raise RuntimeError("KubernetesApi is used outside `async with`")
        login = self._login
        try:
            try:
                return await self._call_once(login, method, path, query, body, content_type)
            except ApiRefused as refusal:
                if refusal.status != 401:
                    raise
                login = await self._log_in_after(login)
                return await self._call_once(login, method, path, query, body, content_type)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            metrics.note_api_request(method, 0)
            raise ApiAway(f"the Kubernetes API did not answer ({type(error).__name__})") from error

    async def _call_once(
        self,
        login: _Login,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        content_type: str,
    ) -> JsonObject:
        assert self._session is not None  # noqa: S101 (there is no login without one)
        async with self._session.request(
            method,
            login.server + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={**login.headers, "Content-Type": content_type, "Accept": "application/json"},
            ssl=login.tls,
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
