"""Make the absent Secrets, in an order that a kill cannot spoil, and say what was there.

What is there is never touched, not even when it is wrong: somebody put it there. The Secrets that
others are derived from come first and are read back from the cluster, so that a second call goes on
where a killed one was.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from devbox.cluster_secrets.authority import CERTIFICATE_DAYS, Authority, Certificate
from devbox.cluster_secrets.kubectl import OPAQUE, TLS
from devbox.cluster_secrets.wanted import (
    ADDRESSES,
    AUTHORITY,
    NAME,
    PARTS,
    TRIAL,
    all_names,
    certificate_secret,
    make_part,
    make_trial,
)
from devbox.errors import CannotBegin

NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Cluster(Protocol):
    """What is asked of a cluster; `kubectl.Kubectl` is the real one."""

    def chosen_namespace(self) -> str:
        """Say which namespace is meant."""

    def secret_names(self) -> set[str]:
        """Name every Secret of the namespace."""

    def read(self, name: str) -> dict[str, str]:
        """Read one."""

    def create(self, name: str, kind: str, values: Mapping[str, str]) -> None:
        """Create one that is not there."""


def ensure_cluster_secrets(
    cluster: Cluster, bot_token: str, now: dt.datetime, say: Callable[[str], None]
) -> list[str]:
    """Make what is absent; the names of what was made. Raises CannotBegin."""
    namespace = cluster.chosen_namespace()
    if not NAMESPACE.fullmatch(namespace):
        raise CannotBegin(f"{namespace[:80]!r} is no name a namespace can have.")
    there = cluster.secret_names()
    made: list[str] = []

    def ensure(name: str, kind: str, make: Callable[[], Mapping[str, str]]) -> None:
        if name not in there:
            cluster.create(name, kind, make())
            made.append(name)

    ensure(TRIAL, OPAQUE, make_trial)
    ensure(AUTHORITY, TLS, lambda: _tls(Authority.make(now).to_keep()))
    missing = set(all_names()) - there - set(made)
    if missing:
        _derive(cluster, ensure, bot_token, namespace, now)
    kept = [name for name in all_names() if name in there]
    if made:
        say(f"Made in {namespace}: {', '.join(made)}.")
        if any(name.endswith("-tls") for name in made):
            say(
                f"Certificates are good until {now + dt.timedelta(days=CERTIFICATE_DAYS):%d %B %Y}."
            )
    if kept:
        say(f"Were there and stay as they are: {', '.join(kept)}.")
    return made


def _derive(
    cluster: Cluster,
    ensure: Callable[[str, str, Callable[[], Mapping[str, str]]], None],
    bot_token: str,
    namespace: str,
    now: dt.datetime,
) -> None:
    """Make what holds the trial's passwords or is signed by its authority."""
    trial, kept = cluster.read(TRIAL), cluster.read(AUTHORITY)
    try:
        authority = Authority.read(Certificate(kept["tls.crt"], kept["tls.key"]))
        for part in ADDRESSES:
            ensure(f"{NAME}-{part}", OPAQUE, partial(make_part, part, trial, bot_token))
    except KeyError as lacking:
        raise CannotBegin(f"{TRIAL} or {AUTHORITY} lacks the key {lacking.args[0]}.") from None
    for part in PARTS:
        issue = partial(_issue, authority, part, namespace, now)
        ensure(certificate_secret(part), TLS, issue)


def _issue(authority: Authority, part: str, namespace: str, now: dt.datetime) -> dict[str, str]:
    return _tls(authority.issue(part, namespace, now)) | {"ca.crt": authority.certificate}


def _tls(pair: Certificate) -> dict[str, str]:
    return {"tls.crt": pair.certificate, "tls.key": pair.key}
