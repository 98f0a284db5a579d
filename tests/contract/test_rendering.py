"""What the chart renders is what an API server takes: every plan, offline."""

import copy
import re
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.contract.rendering import (
    CHART,
    DEFINITION,
    PLANS,
    TREE,
    Manifest,
    of_kind,
    plan,
    render,
    render_texts,
    rendered,
)

KUBERNETES = "1.33"
"""The tests' own."""
OTHERS = ("1.30", "1.37")
"""The oldest the chart says it works with, the newest whose schemas are here."""
# Of other projects: there is no schema of theirs to hold them against.
FOREIGN = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}

ALL_PLANS = (*PLANS, "default", "everything")


def usershard_schema() -> dict[str, Any]:
    """The definition's schema, made to refuse what the API server would prune."""
    definition = yaml.safe_load(DEFINITION.read_text())
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def close(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("properties"):
                node.setdefault("additionalProperties", False)
            for inner in node.values():
                close(inner)

    close(schema["properties"]["spec"])
    return schema


@pytest.mark.parametrize(
    ("name", "version"),
    [*((name, KUBERNETES) for name in ALL_PLANS), *(("everything", other) for other in OTHERS)],
)
def test_every_object_of_every_plan_fits_kubernetes_schemas(name: str, version: str) -> None:
    """Strictly: a misspelt field is a fault, not something to be dropped."""
    for found in rendered(name):
        if found["apiVersion"] in FOREIGN or found["kind"] == "UserShard":
            continue
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = f"{found['kind']}/{found['metadata']['name']} {list(error.path)}"
            pytest.fail(f"{place}: {error.message}")


@pytest.mark.parametrize("name", ALL_PLANS)
def test_every_usershard_fits_the_definition(name: str) -> None:
    """A pool the chart makes is one the API server takes."""
    shards = of_kind(rendered(name), "UserShard")

    assert shards
    for shard in shards.values():
        jsonschema.validate(shard, usershard_schema())


@pytest.mark.parametrize(
    "sample", sorted((TREE / "k8s/samples").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_sample_fits_the_definition(sample: Any) -> None:
    """What people copy works."""
    for document in yaml.safe_load_all(sample.read_text()):
        jsonschema.validate(document, usershard_schema())


def test_the_schema_of_pools_is_the_definition_s() -> None:
    """`pools[].userShard.spec` takes every field of a UserShard but the target, and no other."""
    ours = helm_schema()["properties"]["pools"]["items"]["properties"]["userShard"]["properties"]
    theirs = usershard_schema()["properties"]["spec"]["properties"]

    def names(node: Any) -> Any:
        return {key: names(inner) for key, inner in node.get("properties", {}).items()}

    assert names({"properties": theirs}) == names(ours["spec"]) | {
        "scaleTargetRef": {"apiVersion": {}, "kind": {}, "name": {}}
    }


@pytest.mark.parametrize("name", ALL_PLANS)
def test_rendering_twice_gives_the_same_bytes(name: str) -> None:
    """Nothing random, nothing of the time: a diff shows changes only."""
    assert render_texts(plan(name)) == render_texts(copy.deepcopy(plan(name)))


@pytest.mark.parametrize("name", ALL_PLANS)
def test_no_object_is_rendered_twice_and_all_are_in_the_namespace(name: str) -> None:
    """Two templates of one name would overwrite one another."""
    seen = set()
    for found in rendered(name):
        key = (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"])
        assert key not in seen
        seen.add(key)
        if not found["kind"].startswith("Cluster"):
            assert found["metadata"]["namespace"] == "shipping", key


def test_every_object_is_named_after_the_release() -> None:
    """Two releases in one namespace do not meet; UserShards are named after their pools."""
    for found in render(plan("everything"), release="blue"):
        name = found["metadata"]["name"]
        if found["kind"] not in ("UserShard", "ClusterRole", "ClusterRoleBinding"):
            assert name.startswith("blue-purser-"), (found["kind"], name)


def test_the_release_s_name_is_enough_where_it_says_purser() -> None:
    """Helm's usual rule: `helm install purser` gives purser-gateway."""
    assert "purser-gateway" in of_kind(rendered("default"), "Deployment")


@pytest.mark.parametrize("name", PLANS)
def test_helm_lint_finds_nothing(name: str) -> None:
    """An icon apart, which a bot does not need."""
    report = helm_python.chart.lint(CHART, plan(name))

    assert [said for said in report["messages"] if "icon" not in said["error"]] == []


def notes(values: dict[str, Any]) -> str:
    """What Helm says when it has installed."""
    (text,) = [
        text for path, text in render_texts(values).items() if path.endswith("templates/NOTES.txt")
    ]
    return text


def test_what_helm_says_warns_of_what_is_open() -> None:
    """Of what was switched off, and of what is for trying out; else of nothing."""
    assert "WARNING" not in notes({})
    assert "NOT FOR PRODUCTION" not in notes({})
    assert "NOT FOR PRODUCTION" in notes(plan("dev"))
    assert "port-forward service/purser-simulator" in notes(plan("dev"))
    assert "without TLS" in notes({"tls": {"enabled": False}})
    assert "no NetworkPolicy" in notes({"networkPolicy": {"enabled": False}})
    assert "ush/main ush/fast" in notes(plan("large"))


def test_another_content_is_another_job() -> None:
    """A Job cannot be changed: each version of what it runs has a name of its own."""

    def job(values: dict[str, Any]) -> Manifest:
        (found,) = of_kind(render(values), "Job").values()
        return found

    first, same = job({}), job({"gateway": {"settings": {"GATEWAY_USERS_MAX": 7}}})
    names = {
        job(values)["metadata"]["name"]
        for values in (
            {},
            {"image": {"tag": "1.2.3"}},
            {"ledger": {"image": {"tag": "1.2.3"}}},
            {"migrations": {"run": "again"}},
            {"trial": {"enabled": True}},
        )
    }

    assert first == same
    assert len(names) == 5


def test_the_job_migrates_one_room_after_the_other_placement_first() -> None:
    """In the order the devbox does it in, each by its own image."""
    from devbox.database import ROOMS

    packages = {"operator": "shard_operator", "user-worker": "user_worker"}
    (job,) = of_kind(rendered("small"), "Job").values()
    spec = job["spec"]["template"]["spec"]
    steps = [step["name"] for step in (*spec["initContainers"], *spec["containers"])]

    assert [packages.get(step, step) for step in steps] == list(ROOMS.values())


def test_the_trial_s_job_gives_the_roles_their_passwords_last() -> None:
    """The roles are there by then."""
    (job,) = of_kind(rendered("dev"), "Job").values()

    (last,) = job["spec"]["template"]["spec"]["containers"]
    assert last["args"][0] == "passwords"


def helm_schema() -> dict[str, Any]:
    """The schema of the chart's values."""
    schema = chart_schema()
    assert schema is not None
    return schema


def chart_schema() -> dict[str, Any] | None:
    """As Helm reads it."""
    return helm_python.Chart.load(str(CHART)).schema


def test_the_schema_is_closed_everywhere() -> None:
    """Every object says which keys it has, or what a free key's value is."""
    open_ones = []

    def look(node: Any, path: str) -> None:
        if isinstance(node, dict):
            is_object = node.get("type") == "object"
            if is_object and "additionalProperties" not in node:
                open_ones.append(path)
            for key, inner in node.items():
                look(inner, f"{path}/{key}")
        elif isinstance(node, list):
            for index, inner in enumerate(node):
                look(inner, f"{path}/{index}")

    look(helm_schema(), "")

    # Helm's own; and what only an API server can judge.
    assert open_ones == [
        "/properties/global",
        *(f"/definitions/affinity/properties/{kind}Affinity" for kind in ("node", "pod")),
        "/definitions/affinity/properties/podAntiAffinity",
    ]


def misspellings() -> list[dict[str, Any]]:
    """One for every object of values.yaml: a key too many."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    wrong: list[dict[str, Any]] = []

    def descend(node: dict[str, Any], path: tuple[str, ...]) -> None:
        if path and path[-1] in {"podAnnotations", "podLabels", "nodeSelector", "labels"}:
            return  # free by nature
        if path and path[-1] in {"annotations", "matchLabels"}:
            return
        nested: dict[str, Any] = {"mispelt": 1}
        for key in reversed(path):
            nested = {key: nested}
        wrong.append(nested)
        for key, inner in node.items():
            if isinstance(inner, dict):
                descend(inner, (*path, key))

    descend(values, ())
    return wrong


@pytest.mark.parametrize(
    "values",
    [
        *misspellings(),
        {"pools": [{"name": "main", "usershard": {}}]},
        {"pools": [{"name": "main", "userShard": {"spec": {"userPerShard": 50}}}]},
        {"pools": [{"name": "main", "userShard": {"spec": {"scaleTargetRef": {"name": "x"}}}}]},
        {"pools": [{"name": "Main"}]},
        {"pools": []},
        {"gateway": {"mode": "pull"}},
        {"gateway": {"replicas": 0}},
        {"gateway": {"settings": {"WALLET_LOG_LEVEL": "debug"}}},
        {"gateway": {"settings": {"GATEWAY_BOT_TOKEN": "1:a"}}},
        {"settings": {"PURSER_DATABASE_URL": "postgresql://"}},
        {"wallet": {"resources": {"requests": {}, "limits": {"cpu": 1}}, "replicas": "two"}},
        {"wallet": {"image": {"digest": "latest"}}},
        {"networkPolicy": {"postgres": {"to": []}}},
        {"gateway": {"webhook": {"url": "http://bot.example.com/telegram"}}},
        {"gateway": {"webhook": {"ingress": {"enabled": True}}}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    """A typo is a sentence at install, not a setting that silently is not set."""
    with pytest.raises(helm_python.HelmError, match="schema"):
        render(values)


def test_every_value_is_commented() -> None:
    """Each key of values.yaml has a comment beside it, at its object or in the paragraph above."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    paragraph_told = False
    bare = []
    for line in lines:
        if not line.strip():
            paragraph_told = False
        elif "#" in line:
            paragraph_told = True
        elif re.match(r"\s*[A-Za-z]+:", line) and not paragraph_told:
            bare.append(line)

    assert bare == []
