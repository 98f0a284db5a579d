"""The comparison of rights with requests, without a cluster."""

from typing import Any

import pytest
from tests.cluster.audit import Request, per_minute_at_rest, read_request
from tests.cluster.rights import Comparison, Grant, compare, grants_of

SCALE = Grant("patch", "apps", "statefulsets/scale", "n")
SCALED = Request("patch", "apps", "statefulsets/scale", "n", "w")
EXACT = Comparison([], [], [])


def test_rights_that_are_all_used_and_suffice_show_no_difference() -> None:
    """The one good case."""
    assert EXACT == compare([SCALED, SCALED], [SCALE])


def test_a_right_that_nobody_used_is_named() -> None:
    """Granted and not used."""
    unused = Grant("delete", "apps", "statefulsets", "n")

    assert compare([SCALED], [SCALE, unused]).unused == ["delete statefulsets.apps in n"]


@pytest.mark.parametrize(
    "request_made",
    [
        Request("get", "apps", "statefulsets/scale", "n", "w"),
        Request("patch", "batch", "statefulsets/scale", "n", "w"),
        Request("patch", "apps", "statefulsets", "n", "w"),
        Request("patch", "apps", "statefulsets/status", "n", "w"),
        Request("patch", "apps", "statefulsets/scale", "another", "w"),
        Request("patch", "apps", "statefulsets/scale", "", "w"),
        Request("patch", path="/apis"),
    ],
    ids=str,
)
def test_a_request_that_differs_in_any_part_is_not_covered(request_made: Request) -> None:
    """Verb, group, resource, subresource, namespace."""
    assert compare([SCALED, request_made], [SCALE]).uncovered == [str(request_made)]


def test_a_name_in_a_rule_covers_that_name_alone() -> None:
    """resourceNames."""
    right = Grant("get", "coordination.k8s.io", "leases", "n", "mine")
    mine = Request("get", "coordination.k8s.io", "leases", "n", "mine")
    others = Request("get", "coordination.k8s.io", "leases", "n", "others")
    create = Request("get", "coordination.k8s.io", "leases", "n")

    assert EXACT == compare([mine], [right])
    assert len(compare([mine, others, create], [right]).uncovered) == 2


def test_a_wide_right_beside_the_narrow_one_that_suffices_is_unused() -> None:
    """The narrowest is the one that counts."""
    narrow = Grant("get", "", "leases", "n", "mine")
    wide = Grant("get", "", "leases", "n")

    assert compare([Request("get", "", "leases", "n", "mine")], [wide, narrow]).unused == [
        "get leases in n"
    ]


def test_a_wildcard_covers_but_is_never_used_up() -> None:
    """Nobody needs everything."""
    everything = Grant("*", "*", "*")
    compared = compare([SCALED], [everything])

    assert compared.unused == ["* *.*"]
    assert compared.uncovered == []
    assert compare([SCALED], [Grant("patch", "apps", "*/scale", "n")]).uncovered == []


def test_what_everybody_may_covers_and_need_not_be_used() -> None:
    """Discovery."""
    discovery = [Grant("get", path="/api/*"), Grant("get", path="/version")]

    assert EXACT == compare([SCALED, Request("get", path="/api/v1")], [SCALE], discovery)
    assert compare([SCALED, Request("get", path="/apis/x")], [SCALE], discovery).uncovered == [
        "get /apis/x"
    ]


def test_a_refused_request_is_named_although_a_rule_seems_to_cover_it() -> None:
    """The server's word counts: the rule may be bound to somebody else."""
    refused = Request("patch", "apps", "statefulsets/scale", "n", "w", forbidden=True)

    assert compare([refused], [SCALE]).refused == [str(refused)]


def test_a_role_is_taken_apart_to_single_rights() -> None:
    """The product of its lists."""
    role: dict[str, Any] = {
        "rules": [
            {"apiGroups": ["a", "b"], "resources": ["r"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["s"], "verbs": ["get"], "resourceNames": ["x", "y"]},
            {"nonResourceURLs": ["/api/*"], "verbs": ["get"]},
        ]
    }

    assert set(grants_of(role, "n")) == {
        *(Grant(verb, group, "r", "n") for verb in ("get", "list") for group in "ab"),
        *(Grant("get", "", "s", "n", name) for name in "xy"),
        Grant("get", path="/api/*"),
    }


def test_a_line_of_the_log_is_read() -> None:
    """Subresource, decision, moment."""
    event = {
        "verb": "patch",
        "requestURI": "/apis/apps/v1/namespaces/n/statefulsets/w/scale?fieldManager=m",
        "objectRef": {
            "resource": "statefulsets",
            "subresource": "scale",
            "namespace": "n",
            "name": "w",
            "apiGroup": "apps",
            "apiVersion": "v1",
        },
        "annotations": {"authorization.k8s.io/decision": "forbid"},
        "requestReceivedTimestamp": "1970-01-01T00:01:00.500000Z",
    }
    path = "/apis/apps/v1/namespaces/n/statefulsets/w/scale"
    expected = Request("patch", "apps", "statefulsets/scale", "n", "w", path, True, 60.5)

    assert expected == read_request(event)


def test_a_rate_leaves_renewals_out_and_what_came_before_and_after() -> None:
    """By verb and resource, for one minute."""
    listed = [Request("list", "purser.dev", "usershards", at=at) for at in (0.0, 10.0, 39.0, 40.0)]
    renewed = Request("patch", "coordination.k8s.io", "leases", at=20.0)
    discovered = Request("get", path="/apis", at=20.0)

    rates = per_minute_at_rest([*listed, renewed, discovered], 10.0, 40.0)

    assert rates == {("list", "usershards"): 4.0, ("get", "/apis"): 2.0}
