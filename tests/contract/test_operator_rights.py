"""The chart gives the operator the rights that k8s/dev/operator-rbac.yaml gives it, which a test on
a real control plane shows to be exact."""

from typing import Any

import yaml
from tests.contract.rendering import TREE, of_kind, render, rendered


def rules_of_the_file() -> list[Any]:
    """The rules a person applies by hand."""
    documents = yaml.safe_load_all((TREE / "k8s/dev/operator-rbac.yaml").read_text())
    (role,) = [found for found in documents if found["kind"] == "Role"]
    return list(role["rules"])


def test_in_its_own_namespace_they_are_the_same() -> None:
    """Rule by rule, the Lease's name included."""
    role = of_kind(rendered("default"), "Role")["purser-operator"]

    assert role["rules"] == rules_of_the_file()
    assert of_kind(rendered("default"), "ClusterRole") == {}


def test_everywhere_they_are_the_same_but_for_the_lease() -> None:
    """The election stays in the operator's own namespace."""
    objects = rendered("everything")
    (cluster_role,) = of_kind(objects, "ClusterRole").values()
    role = of_kind(objects, "Role")["purser-operator"]

    assert [*cluster_role["rules"], *role["rules"]] == rules_of_the_file()
    assert {rule["resources"][0] for rule in role["rules"]} == {"leases"}


def test_in_named_namespaces_each_has_a_role() -> None:
    """And no right beside them."""
    objects = render({"operator": {"watchNamespaces": ["north", "south"]}})
    roles = [found for found in objects if found["kind"] == "Role"]

    places = {found["metadata"]["namespace"]: found["rules"] for found in roles}
    lease = [rule for rule in rules_of_the_file() if rule["resources"] == ["leases"]]
    rest = [rule for rule in rules_of_the_file() if rule["resources"] != ["leases"]]
    assert places == {"shipping": lease, "north": rest, "south": rest}


def test_every_binding_is_to_the_operator_s_account() -> None:
    """Nobody else is given anything."""
    for name in ("default", "everything"):
        for found in rendered(name):
            if found["kind"].endswith("RoleBinding"):
                assert found["subjects"] == [
                    {"kind": "ServiceAccount", "name": "purser-operator", "namespace": "shipping"}
                ]
