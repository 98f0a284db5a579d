"""Who may speak to whom, worked out from the rendered policies as a network plugin would, against
one table."""

import itertools
from importlib import import_module
from typing import Any

import pytest
from tests.contract.rendering import Manifest, of_kind, plan, pods, render, rendered

GRPC, HEALTH, METRICS, WEBHOOK, SIMULATOR, POSTGRES, REDIS = (
    50051, 50052, 9090, 8080, 8081, 5432, 6379,
)  # fmt: skip
PORTS = (GRPC, HEALTH, METRICS, WEBHOOK, SIMULATOR, POSTGRES, REDIS, 22, 80, 443)
PARTS = ("gateway", "user-worker", "pricing", "wallet", "ledger", "operator")

# All that pods of one release may do to one another.
CALLS = {
    *(("user-worker", store, GRPC) for store in ("gateway", "pricing", "wallet", "ledger")),
    *(("test", part, HEALTH) for part in PARTS),
}
TRIAL_CALLS = {
    *((part, "postgres", POSTGRES) for part in (*PARTS, "migrations")),
    *((part, "valkey", REDIS) for part in ("gateway", "user-worker", "pricing", "operator")),
    ("gateway", "simulator", SIMULATOR),
}
# What leaves the release, DNS apart, with servers outside: the port and who may.
DATABASES = {
    "wallet": {POSTGRES},
    "ledger": {POSTGRES},
    "migrations": {POSTGRES},
    "pricing": {POSTGRES, REDIS},
    "user-worker": {POSTGRES, REDIS},
    "operator": {POSTGRES, REDIS, 443, 6443},  # and the API server
    "gateway": {POSTGRES, REDIS, 443},  # and Telegram
    "test": set[int](),
}


def labels_of(objects: Any) -> dict[str, dict[str, str]]:
    """The labels of each part's pods; of several pools' workers those of the first."""
    found: dict[str, dict[str, str]] = {}
    for _, pod in pods(objects):
        labels = pod["metadata"]["labels"]
        found.setdefault(labels["app.kubernetes.io/name"], labels)
    return found


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Say whether a label selector fits; the chart's have no expressions."""
    assert "matchExpressions" not in selector
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def admits(rules: list[Manifest], direction: str, labels: dict[str, str], port: int) -> bool:
    """Say whether a rule lets a pod of this namespace through on a port."""
    for rule in rules:
        if port not in {entry["port"] for entry in rule["ports"] if entry["protocol"] == "TCP"}:
            continue
        for peer in rule[direction]:
            if peer.keys() == {"podSelector"} and selects(peer["podSelector"], labels):
                return True
    return False


def may_call(objects: Any, source: str, target: str, port: int) -> bool:
    """Say whether both ends' policies allow a connection between two parts of the release."""
    labels = labels_of(objects)
    leaves = enters = False
    for policy in of_kind(objects, "NetworkPolicy").values():
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        if selects(spec["podSelector"], labels[source]):
            leaves |= admits(spec.get("egress", []), "to", labels[target], port)
        if selects(spec["podSelector"], labels[target]):
            enters |= admits(spec.get("ingress", []), "from", labels[source], port)
    return leaves and enters


@pytest.mark.parametrize(
    ("name", "expected"), [("small", CALLS), ("dev", CALLS | TRIAL_CALLS), ("large", CALLS)]
)
def test_parts_may_call_what_the_table_says_and_nothing_else(
    name: str, expected: set[tuple[str, str, int]]
) -> None:
    """Wallet's gRPC port admits user-worker alone."""
    objects = rendered(name)
    parts = labels_of(objects)

    allowed = {
        (source, target, port)
        for source, target, port in itertools.product(parts, parts, PORTS)
        if may_call(objects, source, target, port)
    }

    assert allowed == expected


@pytest.mark.parametrize("part", ["gateway", "pricing", "wallet", "ledger"])
def test_the_network_admits_whom_the_room_hears(part: str) -> None:
    """One list of callers in two places: the policy, and the room's own by certificate."""
    heard: dict[str, set[str]] = import_module(f"{part}.main").MAY_CALL

    admitted = {source for source, target, port in CALLS if (target, port) == (part, GRPC)}

    assert admitted == set().union(*heard.values())


def test_workers_of_another_pool_are_workers() -> None:
    """The policy is about the part, whatever the pool."""
    objects = rendered("large")
    policy = of_kind(objects, "NetworkPolicy")["purser-user-worker"]
    workers = [
        pod["metadata"]["labels"]
        for _, pod in pods(objects)
        if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "user-worker"
    ]

    assert len(workers) == 4
    assert all(selects(policy["spec"]["podSelector"], labels) for labels in workers)


@pytest.mark.parametrize("name", ["dev", "small", "large", "default", "everything"])
def test_every_pod_is_denied_by_default_and_has_a_policy_of_its_own(name: str) -> None:
    """A pod that no policy selects could do anything."""
    objects = rendered(name)
    policies = of_kind(objects, "NetworkPolicy")
    default = policies["purser-default-deny"]["spec"]
    assert default.keys() == {"podSelector", "policyTypes"}
    for part, labels in labels_of(objects).items():
        assert selects(default["podSelector"], labels), part
        assert selects(policies[f"purser-{part}"]["spec"]["podSelector"], labels), part


@pytest.mark.parametrize("name", ["dev", "small", "large", "default", "everything"])
def test_no_rule_is_for_everybody(name: str) -> None:
    """An empty or missing list of peers or ports is everybody, or every port."""
    for policy in of_kind(rendered(name), "NetworkPolicy").values():
        for direction, rules in (("from", "ingress"), ("to", "egress")):
            for rule in policy["spec"].get(rules, []):
                assert rule[direction]
                assert all(rule[direction])
                assert rule["ports"]


@pytest.mark.parametrize("part", sorted(DATABASES))
def test_what_leaves_the_release_is_what_the_part_needs(part: str) -> None:
    """Wallet and ledger reach PostgreSQL alone; the Internet is the gateway's, for Telegram."""
    policy = of_kind(rendered("small"), "NetworkPolicy")[f"purser-{part}"]

    outside = {
        entry["port"]
        for rule in policy["spec"]["egress"]
        for entry in rule["ports"]
        if any("ipBlock" in peer for peer in rule["to"])
    }

    assert outside == DATABASES[part]


@pytest.mark.parametrize("part", sorted(DATABASES))
def test_every_part_may_ask_for_names(part: str) -> None:
    """UDP and TCP, of the cluster's DNS."""
    policy = of_kind(rendered("small"), "NetworkPolicy")[f"purser-{part}"]
    dns = [
        rule
        for rule in policy["spec"]["egress"]
        if {"port": 53, "protocol": "UDP"} in rule["ports"]
    ]

    assert [rule["to"][0]["podSelector"]["matchLabels"] for rule in dns] == [
        {"k8s-app": "kube-dns"}
    ]


def test_telegram_is_not_a_way_into_private_networks() -> None:
    """Port 443 of the cluster's own addresses stays closed to the gateway."""
    policy = of_kind(rendered("small"), "NetworkPolicy")["purser-gateway"]
    (block,) = [
        peer["ipBlock"]
        for rule in policy["spec"]["egress"]
        if {"port": 443, "protocol": "TCP"} in rule["ports"]
        for peer in rule["to"]
    ]

    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(
        block["except"]
    )


def test_pricing_leaves_for_the_exchanges_only_when_it_asks_them() -> None:
    """The simulated market needs nobody."""

    def ports(sources: str) -> set[int]:
        objects = render({"pricing": {"sources": sources}})
        egress = of_kind(objects, "NetworkPolicy")["purser-pricing"]["spec"]["egress"]
        return {entry["port"] for rule in egress for entry in rule["ports"]}

    assert ports("exchanges") - ports("simulated") == {443}


def test_figures_are_for_whom_the_values_name() -> None:
    """Nobody by default."""

    def readers(values: dict[str, Any]) -> list[Any]:
        policies = of_kind(render(values), "NetworkPolicy")
        return [
            rule["from"]
            for part in PARTS
            for rule in policies[f"purser-{part}"]["spec"]["ingress"]
            if {"port": METRICS, "protocol": "TCP"} in rule["ports"]
        ]

    monitoring = [{"namespaceSelector": {"matchLabels": {"team": "watch"}}}]
    assert readers({}) == []
    assert readers({"networkPolicy": {"metricsFrom": monitoring}}) == [monitoring] * len(PARTS)


def test_telegram_s_calls_come_from_whom_the_values_name() -> None:
    """On the webhook's port, and only in that mode."""

    def callers(name: str) -> list[Any]:
        policy = of_kind(rendered(name), "NetworkPolicy")["purser-gateway"]
        return [
            rule["from"]
            for rule in policy["spec"]["ingress"]
            if {"port": WEBHOOK, "protocol": "TCP"} in rule["ports"]
        ]

    assert callers("small") == []
    assert callers("large") == [plan("large")["networkPolicy"]["webhookFrom"]]


def test_every_address_a_worker_is_given_is_a_headless_service_it_may_call() -> None:
    """Names that resolve to all pods, ports that are admitted."""
    objects = rendered("small")
    services = of_kind(objects, "Service")
    worker = next(pod for owner, pod in pods(objects) if owner == "StatefulSet/purser-user-worker")
    (container,) = worker["spec"]["containers"]
    targets = {
        variable["name"]: variable["value"]
        for variable in container["env"]
        if variable.get("value", "").startswith("dns:///")
    }

    assert targets.keys() == {
        f"USER_WORKER_{room}_ADDRESS"
        for room in ("GATEWAY", "PRICING", "VENUE", "WALLET", "LEDGER")
    }
    for target in targets.values():
        host, _, port = target.removeprefix("dns:///").partition(":")
        service = services[host]
        assert service["spec"]["clusterIP"] == "None"
        part = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert may_call(objects, "user-worker", part, int(port))


def test_policies_can_be_left_to_somebody_else() -> None:
    """One switch for clusters whose policies are written elsewhere."""
    assert of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == {}
