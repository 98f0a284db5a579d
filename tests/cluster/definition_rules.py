"""What the definition refuses, case by case, and the words it does so with.

Each case names its rule by place and kind (`spec.usersPerShard minimum`); `rules_of` finds the same
names in the schema, so that a rule without a case is noticed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KINDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "maxItems")

Schema = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """`value` at `place`, written over an object with nothing but its target, breaks `rule`; the
    answer has `words`.
    """

    rule: str
    place: str
    value: Any
    words: str


BOUNDS = {
    "spec.usersPerShard": (1, 1000),
    "spec.replicas": (1, 1000),
    "spec.workers.minReplicas": (1, 1000),
    "spec.workers.maxReplicas": (1, 1000),
    "spec.workers.shardsPerWorkerMax": (1, 1000),
    "spec.scaling.targetBacklogPerReplica": (1, 1_000_000),
    "spec.scaling.targetOldestJobSeconds": (1, 3600),
    "spec.scaling.pollPeriodSeconds": (1, 60),
    "spec.scaling.scaleDownStabilizationSeconds": (0, 3600),
    "spec.rebalance.maxConcurrentMoves": (1, 1000),
    "spec.rebalance.drainTimeoutSeconds": (1, 600),
}
"""Every integer of a spec, with what it may be at least and at most."""


def _beyond_bounds() -> Iterator[Case]:
    for place, (low, high) in BOUNDS.items():
        least = f"{place} in body should be greater than or equal to {low}"
        most = f"{place} in body should be less than or equal to {high}"
        yield Case(f"{place} minimum", place, low - 1, least)
        yield Case(f"{place} maximum", place, high + 1, most)


_CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "R",
    "message": "",
    "lastTransitionTime": "2026-11-23T00:00:00Z",
}


def _condition(**different: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in (_CONDITION | different).items() if v is not None}]


def _of_conditions() -> Iterator[Case]:
    place, at = "status.conditions", "status.conditions[]"
    for name in _CONDITION:
        yield Case(f"{at}.{name} required", place, _condition(**{name: None}), "Required value")
    for kind, name, value, words in (
        ("maxLength", "type", "T" * 317, "Too long: may not be more than 316"),
        ("maxLength", "reason", "R" * 1025, "Too long: may not be more than 1024"),
        ("minLength", "reason", "", "reason in body should be at least 1 chars long"),
        ("pattern", "reason", "two words", "reason in body should match"),
        ("maxLength", "message", "m" * 32769, "Too long: may not be more than 32768"),
        ("enum", "status", "Maybe", 'supported values: "True", "False", "Unknown"'),
        ("minimum", "observedGeneration", -1, "should be greater than or equal to 0"),
        ("format", "lastTransitionTime", "noon", "must be of type date-time"),
    ):
        yield Case(f"{at}.{name} {kind}", place, _condition(**{name: value}), words)
    yield Case(f"{place} key", place, _condition() * 2, "Duplicate value")
    many = [condition for n in range(17) for condition in _condition(type=f"T{n}")]
    yield Case(f"{place} maxItems", place, many, "must have at most 16 items")


CASES = (
    *_beyond_bounds(),
    *_of_conditions(),
    Case(
        "spec.workers: workers.minReplicas must not exceed workers.maxReplicas",
        "spec.workers",
        {"maxReplicas": 1},
        "spec.workers.minReplicas: Invalid value: "
        '"object": workers.minReplicas (2) must not exceed workers.maxReplicas (1);'
        " unless given they are 2 and 20",
    ),
    Case(
        "spec: replicas must lie between workers.minReplicas and workers.maxReplicas",
        "spec.replicas",
        21,
        "replicas must lie between workers.minReplicas (2) and workers.maxReplicas (20), so it"
        " cannot be 21: change the bound, or remove replicas to scale by the backlog",
    ),
    Case(
        "spec.scaleTargetRef.name: the target cannot change, since its workers own the shards:"
        " delete this UserShard (users and workers stay) and apply it with the new target",
        "spec.scaleTargetRef.name",
        "another",
        "the target cannot change, since its workers own the shards: delete this UserShard (users"
        " and workers stay) and apply it with the new target",
    ),
    Case("spec required", "spec", None, "spec: Required value"),
    Case("spec.scaleTargetRef required", "spec.scaleTargetRef", None, "Required value"),
    Case(
        "spec.scaleTargetRef.name required",
        "spec.scaleTargetRef.name",
        None,
        "spec.scaleTargetRef.name: Required value",
    ),
    Case(
        "spec.scaleTargetRef.name minLength",
        "spec.scaleTargetRef.name",
        "",
        "name in body should be at least 1 chars long",
    ),
    Case(
        "spec.scaleTargetRef.name maxLength",
        "spec.scaleTargetRef.name",
        "w" * 254,
        "Too long: may not be more than 253",
    ),
    Case(
        "spec.scaleTargetRef.name: not a StatefulSet's name: lower case letters, digits, '-' and"
        " '.', with a letter or digit first and last",
        "spec.scaleTargetRef.name",
        "Worker_1",
        "not a StatefulSet's name: lower case letters, digits, '-' and '.', with a letter or digit"
        " first and last",
    ),
    Case(
        "spec.scaleTargetRef.apiVersion enum",
        "spec.scaleTargetRef.apiVersion",
        "apps/v1beta1",
        'supported values: "apps/v1"',
    ),
    Case(
        "spec.scaleTargetRef.kind enum",
        "spec.scaleTargetRef.kind",
        "Deployment",
        'supported values: "StatefulSet"',
    ),
    Case(
        "spec.scaling.paused enum",
        "spec.scaling.paused",
        "Maybe",
        'supported values: "None", "ScaleIn", "ScaleOut", "All"',
    ),
    Case("status.lastScaleTime format", "status.lastScaleTime", "noon", "of type date-time"),
    Case(
        "status.workers maxItems",
        "status.workers",
        [{"name": f"w-{n}"} for n in range(101)],
        "must have at most 100 items",
    ),
    Case("status.workers key", "status.workers", [{"name": "w-0"}] * 2, "Duplicate value"),
    Case("status.workers[].name required", "status.workers", [{}], "Required value"),
)


def rules_of(schema: Schema, place: str = "") -> Iterator[str]:
    """The names of all rules in a schema."""
    for name in schema.get("required", []):
        yield f"{_below(place, name)} required"
    for kind in KINDS:
        if kind in schema:
            yield f"{place} {kind}"
    if schema.get("format") == "date-time":
        yield f"{place} format"
    if schema.get("x-kubernetes-list-map-keys"):
        yield f"{place} key"
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"{place}: {rule['message']}"
    for name, child in fields_of(schema):
        yield from rules_of(child, f"{place}{name}" if name == "[]" else _below(place, name))


def fields_of(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The schemas directly below one: `[]` for a list's items."""
    yield from schema.get("properties", {}).items()
    if "items" in schema:
        yield "[]", schema["items"]


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
