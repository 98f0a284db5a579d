"""What NetworkPolicies allow, worked out from objects as the API tells them."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cluster.node.isolation import EVERYBODY, Isolation, Opening, Ports, isolate
from tests.cluster.node.label_selectors import fits

WALLET, WORKER, STRANGER = "10.250.1.5", "10.250.1.6", "10.250.1.7"
NAMESPACES = [
    {"metadata": {"name": "purser", "labels": {"team": "ours"}}},
    {"metadata": {"name": "elsewhere", "labels": {"team": "theirs"}}},
]
BOTH = ["Ingress", "Egress"]


def pod(name: str, address: str | None, namespace: str = "purser", **more: Any) -> dict[str, Any]:
    """A running pod whose label `part` is its name, with two named ports."""
    ports = [
        {"name": "grpc", "containerPort": 50051},
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
    ]
    spec = {"containers": [{"ports": ports}]}
    metadata = {"namespace": namespace, "name": name, "labels": {"part": name}}
    return {
        "metadata": metadata | more.get("metadata", {}),
        "spec": spec | more.get("spec", {}),
        "status": {"phase": "Running", "podIP": address} | more.get("status", {}),
    }


PODS = [pod("wallet", WALLET), pod("worker", WORKER), pod("worker", STRANGER, "elsewhere")]


def policy(part: str | None = None, types: list[str] = BOTH, **rules: Any) -> dict[str, Any]:
    """A policy about one part of the namespace `purser`, or about all of it."""
    selector = {} if part is None else {"matchLabels": {"part": part}}
    return {
        "metadata": {"namespace": "purser", "name": "x"},
        "spec": {"podSelector": selector, "policyTypes": types, **rules},
    }


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    """Peers, as an opening has them."""
    return tuple(IPv4Network(text) for text in texts)


def told(
    *policies: dict[str, Any], pods: list[dict[str, Any]] = PODS
) -> dict[IPv4Address, Isolation]:
    """What each address may do."""
    return {each.address: each for each in isolate(policies, pods, NAMESPACES)}


def of_wallet(*policies: dict[str, Any]) -> Isolation:
    """What the wallet may do."""
    return told(*policies)[IPv4Address(WALLET)]


def entering(*rules: dict[str, Any]) -> tuple[Opening, ...] | None:
    """What may enter the wallet by one policy's rules."""
    return of_wallet(policy("wallet", ["Ingress"], ingress=list(rules))).entering


def leaving(*rules: dict[str, Any]) -> tuple[Opening, ...] | None:
    """What may leave the wallet by one policy's rules."""
    return of_wallet(policy("wallet", ["Egress"], egress=list(rules))).leaving


def test_a_pod_without_a_policy_is_not_isolated() -> None:
    """A policy of another namespace is none."""
    found = told(policy())[IPv4Address(STRANGER)]
    assert (None, None) == (found.entering, found.leaving)


def test_a_policy_isolates_in_the_directions_it_names() -> None:
    """And opens nothing by itself."""
    assert ((), ()) == (of_wallet(policy()).entering, of_wallet(policy()).leaving)
    assert of_wallet(policy(types=["Egress"])).entering is None
    assert of_wallet(policy(types=["Ingress"])).leaving is None


def test_rules_of_a_direction_that_the_policy_does_not_name_are_no_rules() -> None:
    """The API keeps them all the same."""
    assert () == of_wallet(policy("wallet", ["Ingress"], egress=[{}])).entering


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"ports": []}, {"from": [], "ports": []}])
def test_a_rule_without_peers_and_ports_opens_everything(rule: dict[str, Any]) -> None:
    """Empty lists are as good as none."""
    assert (Opening((EVERYBODY,), None),) == entering(rule)


def test_policies_add_up() -> None:
    """What one of them opens is open."""
    deny, http = policy(), policy("wallet", ["Ingress"], ingress=[{"ports": [{"port": 80}]}])
    assert (Opening((EVERYBODY,), Ports("tcp", 80, 80)),) == of_wallet(deny, http, deny).entering


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, (WALLET, WORKER)),
        ({"podSelector": {"matchLabels": {"part": "worker"}}}, (WORKER,)),
        ({"namespaceSelector": {}}, (WALLET, WORKER, STRANGER)),
        ({"namespaceSelector": {"matchLabels": {"team": "theirs"}}}, (STRANGER,)),
        (
            {
                "namespaceSelector": {"matchLabels": {"team": "theirs"}},
                "podSelector": {"matchLabels": {"part": "wallet"}},
            },
            (),
        ),
    ],
)
def test_a_pod_selector_alone_is_about_the_policys_namespace(
    peer: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Together with a selector of namespaces, both must fit."""
    openings = entering({"from": [peer]})
    assert openings is not None
    found = {address for opening in openings for net in opening.peers for address in net}
    assert {IPv4Address(text) for text in expected} == found


def test_peers_of_which_there_are_none_open_nothing() -> None:
    """Which is not the same as no peers."""
    assert () == entering({"from": [{"podSelector": {"matchLabels": {"part": "nobody"}}}]})


def test_a_block_is_open_but_for_its_holes() -> None:
    """A hole may be the whole of it; IPv6 reaches nobody here."""
    block = {"cidr": "10.0.0.0/30", "except": ["10.0.0.1/32"]}
    assert (Opening(networks("10.0.0.0/32", "10.0.0.2/31"), None),) == entering(
        {"from": [{"ipBlock": block}]}
    )
    assert () == entering({"from": [{"ipBlock": block | {"except": ["10.0.0.0/8"]}}]})
    assert () == entering({"from": [{"ipBlock": {"cidr": "fd00::/8"}}]})


@given(
    cidr=st.tuples(st.integers(0, 255), st.integers(24, 32)),
    holes=st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=4),
    last=st.integers(0, 255),
)
def test_an_address_is_open_when_it_is_in_the_block_and_in_no_hole(
    cidr: tuple[int, int], holes: list[tuple[int, int]], last: int
) -> None:
    """Whichever way holes overlap."""
    whole = IPv4Network((f"10.0.0.{cidr[0]}", cidr[1]), strict=False)
    without = [IPv4Network((f"10.0.0.{at}", bits), strict=False) for at, bits in holes]
    address = IPv4Address(f"10.0.0.{last}")

    block = {"cidr": str(whole), "except": [str(hole) for hole in without]}
    openings = entering({"from": [{"ipBlock": block}]})

    assert openings is not None
    is_open = any(address in net for opening in openings for net in opening.peers)
    assert (address in whole and not any(address in hole for hole in without)) == is_open


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80}, Ports("tcp", 80, 80)),
        ({"port": 80, "protocol": "UDP", "endPort": 90}, Ports("udp", 80, 90)),
        ({"protocol": "SCTP"}, Ports("sctp", 1, 65535)),
        ({"port": "grpc"}, Ports("tcp", 50051, 50051)),
        ({"port": "dns", "protocol": "UDP"}, Ports("udp", 53, 53)),
    ],
)
def test_a_port_is_a_number_a_range_a_protocol_or_a_name(
    port: dict[str, Any], expected: Ports
) -> None:
    """TCP unless it is said."""
    assert (Opening((EVERYBODY,), expected),) == entering({"ports": [port]})


def test_a_name_that_the_pod_does_not_have_opens_nothing() -> None:
    """Nor does one that it has for another protocol."""
    assert () == entering({"ports": [{"port": "http"}, {"port": "dns"}]})


def test_a_name_in_what_leaves_is_looked_up_in_each_pod_that_is_called() -> None:
    """Pods of one selector may have different numbers; a block of addresses has no names."""
    other = {"containers": [{"ports": [{"name": "grpc", "containerPort": 1}]}]}
    pods = [*PODS, pod("other", "10.250.1.8", spec=other)]
    blocks = [{"podSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]
    rule = {"to": blocks, "ports": [{"port": "grpc"}]}

    found = told(policy("wallet", ["Egress"], egress=[rule]), pods=pods)

    assert (
        Opening(networks("10.250.1.8/32"), Ports("tcp", 1, 1)),
        Opening(networks(f"{WALLET}/32", f"{WORKER}/32"), Ports("tcp", 50051, 50051)),
    ) == found[IPv4Address(WALLET)].leaving


def test_a_name_in_what_leaves_to_everybody_is_about_every_pod() -> None:
    """Of every namespace."""
    assert (
        Opening(
            networks(f"{WALLET}/32", f"{WORKER}/31"),
            Ports("tcp", 50051, 50051),
        ),
    ) == leaving({"ports": [{"port": "grpc"}]})


def test_a_sidecar_has_names_and_an_init_container_has_none() -> None:
    """The one runs beside the others, the other is over."""
    beside = {"restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9090}]}
    over = {"ports": [{"name": "setup", "containerPort": 1}]}
    spec = {"initContainers": [beside, over]}
    rule = {"ports": [{"port": "metrics"}, {"port": "setup"}]}

    found = told(policy(types=["Ingress"], ingress=[rule]), pods=[pod("wallet", WALLET, spec=spec)])

    assert (Opening((EVERYBODY,), Ports("tcp", 9090, 9090)),) == found[IPv4Address(WALLET)].entering


@pytest.mark.parametrize(
    "more",
    [
        {"spec": {"hostNetwork": True}},
        {"status": {"phase": "Succeeded"}},
        {"status": {"phase": "Failed"}},
        {"status": {"podIP": None}},
        {"status": {"podIP": "fd00::1"}},
    ],
)
def test_a_pod_without_an_address_of_its_own_is_nobody(more: dict[str, Any]) -> None:
    """Neither isolated nor anybody's peer."""
    rule: dict[str, Any] = {"from": [{"podSelector": {}}]}
    found = told(
        policy(types=["Ingress"], ingress=[rule]),
        pods=[pod("wallet", WALLET), pod("gone", WORKER, **more)],
    )
    assert [IPv4Address(WALLET)] == list(found)
    assert (Opening(networks(f"{WALLET}/32"), None),) == found[IPv4Address(WALLET)].entering


def test_an_address_is_the_pods_that_stays() -> None:
    """Not the one's that ends, whichever the API told of first; of two that stay the younger's."""
    old = pod("old", WALLET, metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    new = pod("new", WALLET, metadata={"creationTimestamp": "2026-01-02T00:00:00Z"})
    ending = {"creationTimestamp": "2026-01-03T00:00:00Z", "deletionTimestamp": "2026-01-04"}

    for pods in ([old, new], [new, old], [pod("ends", WALLET, metadata=ending), new]):
        assert ["purser/new"] == [each.pod for each in told(pods=pods).values()]


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["a"], {"a"}),
        ("NotIn", ["a"], {"b", None}),
        ("Exists", None, {"a", "b"}),
        ("DoesNotExist", None, {None}),
    ],
)
def test_expressions_select_by_one_label(
    operator: str, values: list[str] | None, expected: set[str | None]
) -> None:
    """A missing label is in no list of values."""
    selector = {"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]}
    found = {
        value for value in ("a", "b", None) if fits(selector, {"tier": value} if value else {})
    }
    assert expected == found


def test_every_requirement_of_a_selector_must_hold() -> None:
    """Labels and expressions."""
    selector = {
        "matchLabels": {"part": "wallet"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }
    assert fits(selector, {"part": "wallet", "tier": "x"})
    assert not fits(selector, {"part": "wallet"})
    assert not fits(selector, {"tier": "x"})
