"""What service accounts asked of the API server, from its audit log.

The policy keeps the metadata (who, verb, what, the decision) of requests by service accounts alone:
the components' own would be a hundred times as many, and nobody asks about them. A request is
written when its answer begins, so that a watch is there while it lasts, and again when the answer
is over: the audit id tells that both are one. The file is bounded; the server begins the next one
when it is full and keeps one old one.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

LOG_NAME = "audit.log"
LOG_MEGABYTES_MAX = 64
LOGS_MAX = 1
"""Full files kept beside the one that is written."""

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}

FLUSH_SECONDS = 0.5
"""The line of an answer is written after the answer was sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what authorization said to it."""

    verb: str
    group: str = ""
    resource: str = ""
    """With its subresource: `statefulsets/scale`. Empty for a path that is no resource."""
    namespace: str = ""
    """Empty: of the whole cluster."""
    name: str = ""
    path: str = ""
    """Without its query."""
    forbidden: bool = False
    """Authorization refused it. A 403 for another reason (a namespace that goes) is none."""
    at: float = 0.0
    """When it came, in seconds of the epoch."""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        what = f"{self.resource}.{self.group}".rstrip(".") if self.resource else self.path
        return " ".join(filter(None, (self.verb, what, self.name))) + where


def audit_flags(folder: Path, logs: Path) -> list[str]:
    """Writes the policy; kube-apiserver's flags for it."""
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(POLICY))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={logs / LOG_NAME}",
        f"--audit-log-maxsize={LOG_MEGABYTES_MAX}",
        f"--audit-log-maxbackup={LOGS_MAX}",
    ]


def requests_of(logs: Path, namespace: str, service_account: str) -> list[Request]:
    """All requests of one service account that the log still holds, in the order they came."""
    time.sleep(FLUSH_SECONDS)
    user = f"system:serviceaccount:{namespace}:{service_account}"
    found: dict[str, Request] = {}
    stem, suffix = LOG_NAME.rsplit(".", 1)
    for file in sorted(logs.glob(f"{stem}*.{suffix}")):
        # The last line may be half written.
        whole, _, _ = file.read_text().rpartition("\n")
        for line in whole.splitlines():
            if user not in line:
                continue
            event = json.loads(line)
            if event["user"]["username"] == user:
                found[event["auditID"]] = read_request(event)
    return sorted(found.values(), key=lambda request: request.at)


def read_request(event: dict[str, Any]) -> Request:
    """One line of the log."""
    about: dict[str, str] = event.get("objectRef") or {}
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    parts = (about.get("resource"), about.get("subresource"))
    return Request(
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource="/".join(filter(None, parts)),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        path=event["requestURI"].partition("?")[0],
        forbidden=decision == "forbid",
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
    )


def per_minute_at_rest(
    requests: Iterable[Request], since: float, until: float
) -> dict[tuple[str, str], float]:
    """How often a minute each verb met each resource between two moments, renewals of Leases left
    out; watches count when they begin.
    """
    counted = Counter(
        (request.verb, request.resource or request.path)
        for request in requests
        if since <= request.at < until and request.resource != "leases"
    )
    return {what: count * 60 / (until - since) for what, count in counted.items()}
