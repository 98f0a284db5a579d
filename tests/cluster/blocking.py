"""Calls to the Kubernetes API without an event loop: session fixtures and start-up have none."""

import json
import urllib.request
from pathlib import Path

from tests.cluster.api import JsonObject
from tests.cluster.kubeconfig import read_kubeconfig

CALL_TIMEOUT_SECONDS = 30.0


def call(kubeconfig: Path, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
    """One call and its answer. Raises urllib's HTTPError on a refusal, OSError on no answer."""
    answer: JsonObject = json.loads(_exchange(kubeconfig, method, path, body))
    return answer


def answers(kubeconfig: Path, path: str) -> bool:
    """Whether a GET succeeds: the object exists, the server is up."""
    try:
        _exchange(kubeconfig, "GET", path)
    except OSError:  # HTTPError is one, and so is every failure of a connection
        return False
    return True


def _exchange(kubeconfig: Path, method: str, path: str, body: JsonObject | None = None) -> bytes:
    access = read_kubeconfig(kubeconfig)
    request = urllib.request.Request(  # noqa: S310 - a kubeconfig names an API server
        access.server + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    if access.token:
        request.add_header("Authorization", f"Bearer {access.token}")
    with urllib.request.urlopen(  # noqa: S310 - the same
        request, context=access.tls, timeout=CALL_TIMEOUT_SECONDS
    ) as response:
        content: bytes = response.read()
        return content
