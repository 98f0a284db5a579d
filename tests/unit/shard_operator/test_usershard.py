"""A UserShard as read from the API server, and the definition it is read by."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shard_operator.conditions import say_invalid
from shard_operator.errors import InvalidUserShard
from shard_operator.usershard import (
    ScaleTarget,
    UserShard,
    UserShardSpec,
    UserShardStatus,
    WorkerStatus,
    parse_user_shard,
    render_status,
)

TREE = Path(__file__).parents[3]
CRD = TREE / "charts/purser-crds/templates/usershard.yaml"


def body(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """An object of the API server."""
    return {"metadata": {"namespace": "default", "name": "main"} | metadata, "spec": spec}


def schema() -> dict[str, Any]:
    """The schema in the CRD."""
    definition = yaml.safe_load(CRD.read_text())
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def every_field(node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Each property of a schema with its path."""
    fields = []
    for name, child in node.get("properties", {}).items():
        fields += [(f"{path}.{name}", child), *every_field(child, f"{path}.{name}")]
    if "items" in node:
        fields += every_field(node["items"], f"{path}[]")
    return fields


def test_the_pool_is_named_after_namespace_and_name() -> None:
    """It is part of every shard key."""
    parsed = parse_user_shard(body({"scaleTargetRef": {"name": "w"}}, namespace="gold", name="vip"))

    assert parsed.pool == "gold.vip"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "scaleTargetRef"),
        ({"scaleTargetRef": {"name": "w"}, "usersPerShard": 0}, "spec.usersPerShard"),
        ({"scaleTargetRef": {"name": "w"}, "usersPerShard": "50"}, "spec.usersPerShard"),
        ({"scaleTargetRef": {"name": "w", "kind": "Deployment"}}, "StatefulSet"),
        (
            {"scaleTargetRef": {"name": "w"}, "workers": {"minReplicas": 9, "maxReplicas": 3}},
            "minReplicas must not exceed",
        ),
        ({"scaleTargetRef": {"name": "w"}, "replicas": 40}, "replicas must lie between"),
        ({"scaleTargetRef": {"name": "w"}, "scaling": {"paused": "Maybe"}}, "spec.scaling.paused"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_field(spec: dict[str, Any], words: str) -> None:
    """The CRD stops these; an object that got past it must not crash the loop."""
    with pytest.raises(InvalidUserShard) as refused:
        parse_user_shard(body(spec))

    assert words in refused.value.problem


@pytest.mark.parametrize("spec", [None, "text", [1], {"scaleTargetRef": None}])
def test_nonsense_is_refused_and_not_crashed_on(spec: Any) -> None:
    """Whatever an older definition let in."""
    with pytest.raises(InvalidUserShard):
        parse_user_shard({"metadata": {"namespace": "default", "name": "main"}, "spec": spec})


def test_an_unreadable_status_counts_as_none() -> None:
    """It is ours to write again."""
    read = parse_user_shard(
        body({"scaleTargetRef": {"name": "w"}}) | {"status": {"shards": "many"}}
    )

    assert UserShardStatus() == read.status


def test_what_is_unknown_is_left_out_of_a_status() -> None:
    """Never 0 in its place."""
    status = UserShardStatus(replicas=0, backlog=None, workers=(WorkerStatus("w-0", 3),))

    assert render_status(status) == {"replicas": 0, "workers": ({"name": "w-0", "shards": 3},)}


def test_the_definitions_defaults_are_the_codes() -> None:
    """A laptop without an API server reads the same spec."""

    def with_defaults(node: dict[str, Any], value: Any) -> Any:
        if node.get("type") != "object":
            return value
        filled = dict(value)
        for name, child in node.get("properties", {}).items():
            if name not in filled and "default" in child:
                filled[name] = child["default"]
            if name in filled:
                filled[name] = with_defaults(child, filled[name])
        return filled

    minimal = {"scaleTargetRef": {"name": "w"}}
    defaulted = with_defaults(schema()["properties"]["spec"], minimal)

    assert msgspec.to_builtins(msgspec.convert(minimal, UserShardSpec)) == {
        "replicas": None,
        **defaulted,
    }


def test_the_definitions_fields_and_bounds_are_the_codes() -> None:
    """A field or bound in one place only is a mistake in the other."""
    generated = msgspec.json.schema(UserShardSpec)

    def compare(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        if "anyOf" in mine:
            mine = next(kind for kind in mine["anyOf"] if kind.get("type") != "null")
        if "$ref" in mine:
            mine = generated["$defs"][mine["$ref"].rsplit("/", 1)[1]]
        for bound in ("minimum", "maximum", "minLength", "maxLength", "enum"):
            if bound in mine or (bound in theirs and bound != "enum"):
                assert (bound, sorted(mine[bound]) if bound == "enum" else mine[bound]) == (
                    bound,
                    sorted(theirs[bound]) if bound == "enum" else theirs[bound],
                )
        assert mine.get("properties", {}).keys() == theirs.get("properties", {}).keys()
        for name, child in mine.get("properties", {}).items():
            compare(child, theirs["properties"][name])

    compare(generated, schema()["properties"]["spec"])


@pytest.mark.parametrize("sample", ["minimal", "full", "two-pools"])
def test_a_sample_says_what_it_means(sample: str) -> None:
    """All have the same first pool: what one leaves to the defaults another spells out."""
    first, *_ = samples(f"usershard-{sample}.yaml")
    assert first.name == "main"
    assert first.spec == UserShardSpec(scale_target_ref=ScaleTarget(name="purser-user-worker"))


def test_two_pools_share_nothing_but_the_namespace() -> None:
    """Each has workers of its own, and the fast tier's wait less."""
    standard, fast = samples("usershard-two-pools.yaml")
    assert {"default.main", "default.fast"} == {standard.pool, fast.pool}
    assert standard.spec.scale_target_ref != fast.spec.scale_target_ref
    for aim in ("target_backlog_per_replica", "target_oldest_job_seconds"):
        assert getattr(fast.spec.scaling, aim) < getattr(standard.spec.scaling, aim)


def samples(name: str) -> list[UserShard]:
    """The UserShards of a sample, as if applied in `default`."""
    bodies = yaml.safe_load_all((TREE / "k8s/samples" / name).read_text())
    return [
        parse_user_shard({**body, "metadata": {**body["metadata"], "namespace": "default"}})
        for body in bodies
    ]


def test_an_unreadable_object_is_told_why_on_itself() -> None:
    """Everything unknown but the reason."""
    with pytest.raises(InvalidUserShard) as refused:
        parse_user_shard(body({"scaleTargetRef": {"name": "w"}, "usersPerShard": 0}, generation=7))

    status = say_invalid(refused.value, "2026-11-23T00:00:00Z")

    assert status.observed_generation == 7
    told = {c.type: (c.status, c.reason) for c in status.conditions}
    assert told["Degraded"] == ("True", "InvalidSpec")
    assert {"Unknown"} == {said for kind, (said, _) in told.items() if kind != "Degraded"}


def test_every_field_is_described() -> None:
    """kubectl explain has something to say about each."""
    bare = [path for path, node in every_field(schema()) if "description" not in node]

    assert bare == [".metadata"]


def test_every_integer_of_the_spec_has_bounds() -> None:
    """Everything has a named limit."""
    spec = schema()["properties"]["spec"]
    unbounded = [
        path
        for path, node in every_field(spec)
        if node.get("type") == "integer" and not {"minimum", "maximum"} <= node.keys()
    ]

    assert unbounded == []
