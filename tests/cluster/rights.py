"""Rights compared with the requests they are for, both ways.

A grant is the smallest right RBAC knows: one verb on one resource (with its subresource) of one
group, in one namespace or all, by name or not; rules are taken apart into such grants. Each request
counts as a use of the narrowest grant that covers it, so that a wide one beside a narrow one shows
as unused. A wildcard covers but is never used up: nobody needs everything.

What every authenticated user may do (`system:discovery`) covers requests and need not be used.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.cluster.audit import Request

ANY = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """One right. `namespace` and `name` None: any. `path`: a right on what is no resource, with `*`
    at its end for all below.
    """

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str | None = None
    name: str | None = None
    path: str = ""

    @property
    def has_wildcard(self) -> bool:
        """Whether it grants more than can be named."""
        return ANY in (self.verb, self.group) or ANY in self.resource + self.path

    @property
    def narrowness(self) -> tuple[bool, bool, bool]:
        """Greater is narrower."""
        return (not self.has_wildcard, self.name is not None, self.namespace is not None)

    def covers(self, request: Request) -> bool:
        """Whether the request is allowed by this right alone."""
        if not _matches(self.verb, request.verb):
            return False
        if not request.resource:
            return bool(self.path) and _path_matches(self.path, request.path)
        return (
            _matches(self.group, request.group)
            and _resource_matches(self.resource, request.resource)
            and self.namespace in (None, request.namespace)
            and self.name in (None, request.name)
        )

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        what = self.path or f"{self.resource}.{self.group}".rstrip(".")
        return " ".join(filter(None, (self.verb, what, self.name))) + where


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where rights and requests differ; all empty when they are the same."""

    unused: list[str]
    uncovered: list[str]
    refused: list[str]


def compare(
    requests: Sequence[Request], granted: Iterable[Grant], everybodys: Iterable[Grant] = ()
) -> Comparison:
    """What was granted and not used, used and not granted, asked for and refused."""
    rights = sorted(set(granted), key=lambda grant: grant.narrowness, reverse=True)
    used: set[Grant] = set()
    uncovered: set[str] = set()
    shared = list(everybodys)
    for request in requests:
        right = next((grant for grant in rights if grant.covers(request)), None)
        if right is not None and not right.has_wildcard:
            used.add(right)
        elif right is None and not any(grant.covers(request) for grant in shared):
            uncovered.add(str(request))
    return Comparison(
        unused=sorted(str(grant) for grant in rights if grant not in used),
        uncovered=sorted(uncovered),
        refused=sorted({str(request) for request in requests if request.forbidden}),
    )


def grants_of(role: dict[str, Any], namespace: str | None = None) -> Iterator[Grant]:
    """A Role's or ClusterRole's rules, taken apart. `namespace`: where a binding holds; None: in
    all of the cluster.
    """
    for rule in role["rules"]:
        for verb, path in product(rule["verbs"], rule.get("nonResourceURLs", [])):
            yield Grant(verb, path=path)
        named = rule.get("resourceNames") or [None]
        for verb, group, resource, name in product(
            rule["verbs"], rule.get("apiGroups", []), rule.get("resources", []), named
        ):
            yield Grant(verb, group, resource, namespace, name)


def _matches(pattern: str, value: str) -> bool:
    return pattern in (ANY, value)


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith(ANY):
        return path.startswith(pattern[:-1])
    return pattern == path


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern.startswith(f"{ANY}/"):
        return resource.partition("/")[2] == pattern[2:]
    return _matches(pattern, resource)
