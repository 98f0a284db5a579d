"""The definition on a real API server: what an SRE can write, what is refused with which words, and
what kubectl makes of it.
"""

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.api import ApiError, JsonObject
from tests.cluster.conftest import Kubectl
from tests.cluster.definition_rules import BOUNDS, CASES, Case, Schema, fields_of, rules_of
from tests.cluster.operators import DEFINITION, SAMPLES, TARGET
from tests.cluster.subject import Subject

COLUMNS = "NAME USERS SHARDS WORKERS DESIRED BACKLOG OLDEST READY AGE"
WIDE_COLUMNS = f"{COLUMNS} TARGET PINNED SCALING PROGRESSING LIMITED DEGRADED"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "ShardsServed",
    "message": "all of it is served",
    "lastTransitionTime": "2026-11-23T00:00:00Z",
}
STATUS = {
    "observedGeneration": 1,
    "replicas": 3,
    "readyReplicas": 2,
    "users": 70,
    "shards": 2,
    "backlog": 5,
    "oldestJobSeconds": 4,
    "selector": f"app={TARGET}",
    "conditions": [READY],
}


def schema() -> Schema:
    """The one an SRE applies."""
    version = yaml.safe_load(DEFINITION.read_text())["spec"]["versions"][0]
    found: Schema = version["schema"]["openAPIV3Schema"]
    return found


def nested(place: str, value: Any) -> dict[str, Any]:
    """A value at a dotted place; None removes what is there."""
    for name in reversed(place.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def leaves(node: Schema, place: str = "") -> dict[str, str]:
    """The type of each field that holds no others, by its place."""
    found: dict[str, str] = {}
    for name, child in fields_of(node):
        below = f"{place}.{name}" if place else name
        found |= leaves(child, below) if "properties" in child else {below: child["type"]}
    return found


class TestRules:
    """What cannot be meant is refused in words, before the operator ever sees it."""

    async def test_each_rule_is_refused_with_its_words(self, subject: Subject) -> None:
        """One case after the other; what differs is shown in full."""
        await subject.create()
        surprises = {}
        for case in CASES:
            answer = await answer_to(case, subject)
            if case.words not in answer:
                surprises[case.rule] = answer

        assert surprises == {}

    def test_each_rule_of_the_schema_has_a_case(self) -> None:
        """And no case is about a rule that is gone."""
        rules = list(rules_of(schema()))

        assert sorted(case.rule for case in CASES) == sorted(rules)

    async def test_what_lies_on_the_bounds_is_accepted(self, subject: Subject) -> None:
        """Both ends of every integer."""
        await subject.create()
        for end in (0, 1):
            change: dict[str, Any] = {}
            for place, bounds in BOUNDS.items():
                *above, name = place.removeprefix("spec.").split(".")
                (change.setdefault(above[0], {}) if above else change)[name] = bounds[end]
            await subject.patch(**change)

    async def test_a_value_of_the_wrong_type_is_refused(self, subject: Subject) -> None:
        """For every field of a spec."""
        await subject.create()
        surprises = {}
        for place, kind in leaves(schema()["properties"]["spec"]).items():
            wrong = nested(f"spec.{place}", 7 if kind == "string" else "many")
            answer = await answer_of(subject.change(wrong))
            if f"spec.{place}" not in answer or f"must be of type {kind}" not in answer:
                surprises[place] = answer

        assert surprises == {}


async def answer_to(case: Case, subject: Subject) -> str:
    """What the API server says when the case's value is written over a good object."""
    change = nested(case.place, case.value)
    if case.place.startswith("status"):
        return await answer_of(subject.write_status(change["status"]))
    return await answer_of(subject.change(change))


async def answer_of(write: Awaitable[JsonObject]) -> str:
    """The refusal, if it is one."""
    try:
        await write
    except ApiError as refused:
        return str(refused)
    return "it was accepted"


class TestWriting:
    """Defaults, pruning, who may write what."""

    def test_the_samples_apply_and_defaults_fill_the_minimal_one(
        self, defined: None, kubectl: Kubectl
    ) -> None:
        """What kubectl shows is complete, and the full sample spells out the same."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
        minimal = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]
        kubectl("apply", "-f", str(SAMPLES / "usershard-full.yaml"))
        full = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]

        assert minimal == full
        assert minimal["usersPerShard"] == 50
        assert minimal["workers"] == {"minReplicas": 2, "maxReplicas": 20, "shardsPerWorkerMax": 40}
        assert minimal["scaling"]["paused"] == "None"

    def test_a_mistyped_field_is_refused_and_with_a_warning_only_left_out(
        self, defined: None, kubectl: Kubectl, tmp_path: Path
    ) -> None:
        """kubectl is strict unless told otherwise."""
        file = tmp_path / "mistyped.yaml"
        sample = (SAMPLES / "usershard-full.yaml").read_text()
        file.write_text(sample.replace("  scaling:", "  scalling:"))

        with pytest.raises(pytest.fail.Exception, match=r'unknown field "spec\.scalling"'):
            kubectl("apply", "-f", str(file))
        kubectl("apply", "--validate=warn", "-f", str(file))
        written = json.loads(kubectl("get", "ush", "main", "-o", "json"))

        assert "scalling" not in written["spec"]

    async def test_status_and_spec_cannot_be_written_through_each_other(
        self, subject: Subject
    ) -> None:
        """A status is no change of generation; an apply of an old file resets no status."""
        made = await subject.create()
        await subject.write_status(STATUS)
        through_status = await subject.write_through_status({"spec": {"replicas": 3}})
        through_spec = await subject.change({"status": {"backlog": 99}, "spec": {"replicas": 4}})

        assert "replicas" not in through_status["spec"]
        assert through_status["metadata"]["generation"] == made["metadata"]["generation"]
        assert through_spec["status"] == STATUS
        assert through_spec["spec"]["replicas"] == 4
        assert through_spec["metadata"]["generation"] == made["metadata"]["generation"] + 1

    async def test_two_managers_apply_their_own_fields(
        self, defined: None, kubectl: Kubectl, tmp_path: Path
    ) -> None:
        """Git applies the pool, somebody on call pins it: neither undoes the other, and who wants
        the other's field is told whose it is.
        """
        pool, pin, quarrel = (
            {"scaleTargetRef": {"name": TARGET}, "workers": {"minReplicas": 2, "maxReplicas": 9}},
            {"replicas": 5},
            {"workers": {"maxReplicas": 7}},
        )
        apply = ("apply", "--server-side", "--field-manager")
        kubectl(*apply, "git", "-f", spec_file(tmp_path, "pool", pool))
        kubectl(*apply, "on-call", "-f", spec_file(tmp_path, "pin", pin))
        kubectl(*apply, "git", "-f", spec_file(tmp_path, "pool", pool | {"usersPerShard": 40}))
        with pytest.raises(pytest.fail.Exception, match=r'conflict with "git": \.spec\.workers'):
            kubectl(*apply, "on-call", "-f", spec_file(tmp_path, "quarrel", pin | quarrel))
        both = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]
        kubectl(*apply, "on-call", "-f", spec_file(tmp_path, "nothing", {}))
        unpinned = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]

        assert (both["replicas"], both["usersPerShard"], both["workers"]["maxReplicas"]) == (
            5,
            40,
            9,
        )
        assert "replicas" not in unpinned
        assert unpinned["scaleTargetRef"]["name"] == TARGET


def spec_file(folder: Path, name: str, spec: dict[str, Any]) -> str:
    """A file with the UserShard `main`."""
    head = {"apiVersion": "purser.dev/v1alpha1", "kind": "UserShard", "metadata": {"name": "main"}}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**head, "spec": spec}))
    return str(file)


class TestKubectl:
    """What an SRE types and sees."""

    def test_explain_knows_every_field(self, defined: None, kubectl: Kubectl) -> None:
        """All of them in the tree, and a description at each."""
        lines = kubectl("explain", "ush", "--recursive").splitlines()
        tree = {line.split()[0] for line in lines if line.startswith(" ") and line.strip()}
        names = {place.rpartition(".")[2] for place in descriptions(schema())}

        assert names - tree == set()
        assert [place for place, text in descriptions(schema()).items() if not text] == ["metadata"]
        assert "Stops autoscaling" in kubectl("explain", "ush.spec.scaling.paused")
        assert "declares one pool of users" in kubectl("explain", "ush")

    def test_get_shows_what_an_sre_asks_first(self, defined: None, kubectl: Kubectl) -> None:
        """By short name, by category, as a table; the wide one says why."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
        patch_status(kubectl, STATUS)
        header, row = kubectl("get", "ush").splitlines()
        wide = kubectl("get", "ush", "-o", "wide").splitlines()[0]

        assert header.split() == COLUMNS.split()
        assert row.split()[:8] == ["main", "70", "2", "2", "3", "5", "4", "True"]
        assert wide.split() == WIDE_COLUMNS.split()
        for category in ("purser", "all"):
            assert "usershard.purser.dev/main" in kubectl("get", category, "-o", "name")

    def test_scale_pins_within_the_bounds_and_shows_selector_and_counts(
        self, defined: None, kubectl: Kubectl
    ) -> None:
        """The scale subresource, which an HPA reads too: its selector selects the workers' pods."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
        patch_status(kubectl, STATUS)
        kubectl("scale", "ush", "main", "--replicas=4")
        scale = json.loads(kubectl("get", "ush", "main", "--subresource=scale", "-o", "json"))
        kubectl("run", "pod-of-the-target", f"--labels=app={TARGET}", "--image=none")
        selected = kubectl("get", "pods", "-l", scale["status"]["selector"], "-o", "name")

        assert scale["kind"] == "Scale"
        assert scale["spec"]["replicas"] == 4
        assert scale["status"]["replicas"] == 3
        assert selected.split() == ["pod/pod-of-the-target"]
        with pytest.raises(pytest.fail.Exception, match="so it cannot be 21"):
            kubectl("scale", "ush", "main", "--replicas=21")
        with pytest.raises(pytest.fail.Exception, match="greater than or equal to 1"):
            kubectl("scale", "ush", "main", "--replicas=0")

    def test_wait_returns_when_the_pool_is_ready(self, defined: None, kubectl: Kubectl) -> None:
        """And not before."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
        wait = ("wait", "--for=condition=Ready", "ush/main")
        with pytest.raises(pytest.fail.Exception, match="timed out waiting"):
            kubectl(*wait, "--timeout=1s")
        patch_status(kubectl, STATUS)

        assert "condition met" in kubectl(*wait, "--timeout=10s")


def descriptions(node: Schema, place: str = "") -> dict[str, str]:
    """What each field of a schema says about itself, by its place."""
    found: dict[str, str] = {}
    for name, child in fields_of(node):
        if name == "[]":
            found |= descriptions(child, place)
        else:
            below = f"{place}.{name}" if place else name
            found |= {below: child.get("description", "")} | descriptions(child, below)
    return found


def patch_status(kubectl: Kubectl, status: dict[str, Any]) -> None:
    """Writes a status, as the operator would."""
    patch = json.dumps({"status": status})
    kubectl("patch", "ush", "main", "--subresource=status", "--type=merge", "-p", patch)
