"""Who may call what.

A room says it once, in `main`: `MAY_CALL = {"purser.wallet.v1.WalletService": {"user-worker"}}`. A
key is a service or `service/Method`, the latter wins; what is not named nobody may call. Who calls
is what the certificate says that gRPC has verified: its one URI name
`spiffe://purser.dev/<part>`. A certificate with two such names, or none, is nobody's.

In plaintext nobody can be told apart and everybody may call: `chassis.grpc_server` allows that on
one machine only.
"""

import re
import time
from collections.abc import Iterable, Mapping, Set
from typing import Final, TypeAlias

from prometheus_client import Counter

from chassis.errors import NotAllowed, NotIdentified
from chassis.telemetry import get_logger

Callers: TypeAlias = Mapping[str, Set[str]]
"""Parts by the service or the method they may call."""

IDENTITY_PREFIX: Final = "spiffe://purser.dev/"
REFUSAL_WARNING_SECONDS: Final = 10.0
"""How often refused callers are told of, per method and reason; the counter has every call."""

_IDENTITY = re.compile(re.escape(IDENTITY_PREFIX) + "([a-z][a-z0-9-]{0,62})")
_URI_NAMES = "peer_uri"

_REFUSED = Counter(
    "purser_grpc_refused_callers_total",
    "Calls refused because of who called, by method and reason",
    ["method", "reason"],
)

_log = get_logger(__name__)


class AllowList:
    """Decides by a room's table; `open_services` are for each of our parts."""

    def __init__(self, callers: Callers, open_services: Set[str] = frozenset()) -> None:
        self._callers = callers
        self._open_services = open_services
        # As many entries as this process serves methods, times two reasons: no bound is needed.
        self._told_at: dict[tuple[str, str], float] = {}

    def check(self, method: str, peer: Mapping[str, Iterable[bytes]]) -> None:
        """Raise NotIdentified or NotAllowed unless the peer may call `service/Method`.

        `peer` is what gRPC verified: the call's `auth_context()`.
        """
        caller = caller_of(peer)
        if caller is None:
            self._tell(method, NotIdentified.reason, "")
            raise NotIdentified
        service = method.partition("/")[0]
        if service in self._open_services:
            return
        if caller not in self._callers.get(method, self._callers.get(service, frozenset())):
            self._tell(method, NotAllowed.reason, caller)
            raise NotAllowed(f"{caller} may not call {method}")

    def _tell(self, method: str, reason: str, caller: str) -> None:
        _REFUSED.labels(method, reason).inc()
        now = time.monotonic()
        if now - self._told_at.get((method, reason), float("-inf")) >= REFUSAL_WARNING_SECONDS:
            self._told_at[method, reason] = now
            _log.warning("caller_refused", method=method, reason=reason, caller=caller)


def caller_of(peer: Mapping[str, Iterable[bytes]]) -> str | None:
    """Read the part from a verified certificate's names; None when it is not exactly one."""
    names = [name.decode(errors="replace") for name in peer.get(_URI_NAMES, ())]
    identity = _IDENTITY.fullmatch(names[0]) if len(names) == 1 else None
    return identity[1] if identity else None
