"""What NetworkPolicies allow to each pod, decided from the API's objects alone.

A pod that some policy selects for a direction is isolated in it: only what a rule of any of these
policies opens may begin there. A connection needs both ends: the one that leaves and the one that
enters. Everything here is about addresses as they are behind Services, where the pods are.

A name of a port is looked up in the pod that is called: for what enters in the selected pod itself,
for what leaves in each pod that a peer stands for. A block of addresses has no names.

Not here, because the API leaves it open or nobody has it: pods in the node's own network (policies
do not reach them, and no selector of a peer finds them), IPv6.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, collapse_addresses

from tests.cluster.api import JsonObject
from tests.cluster.node.label_selectors import fits

EVERYBODY = IPv4Network("0.0.0.0/0")
PORT_MIN, PORT_MAX = 1, 65535
OVER_PHASES = ("Succeeded", "Failed")
"""Pods in these have given their address back."""


@dataclass(frozen=True, order=True)
class Ports:
    """A range of ports of one protocol; all of them are PORT_MIN to PORT_MAX."""

    protocol: str
    """`tcp`, `udp` or `sctp`."""
    first: int
    last: int


@dataclass(frozen=True)
class Opening:
    """Who may be at the other end, on which ports of the pod that is called."""

    peers: tuple[IPv4Network, ...]
    """Sorted, none within another."""
    ports: Ports | None
    """None: on all ports of all protocols."""


@dataclass(frozen=True)
class Isolation:
    """What one pod may do: None for a direction in which no policy selects it."""

    pod: str
    """`namespace/name`, for those who read the table."""
    address: IPv4Address
    entering: tuple[Opening, ...] | None
    leaving: tuple[Opening, ...] | None


@dataclass(frozen=True)
class _Pod:
    namespace: str
    name: str
    labels: Mapping[str, str]
    address: IPv4Address
    ports: Mapping[tuple[str, str], int]
    """By name and protocol."""

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.address)


@dataclass(frozen=True)
class _World:
    pods: tuple[_Pod, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    """The labels of each."""


@dataclass
class _Openings:
    """Collects what is open, by ports, so that it can be told in few rules."""

    by_ports: dict[Ports | None, set[IPv4Network]] = field(default_factory=dict)

    def add(self, ports: Ports | None, networks: Iterable[IPv4Network]) -> None:
        self.by_ports.setdefault(ports, set()).update(networks)

    def told(self) -> tuple[Opening, ...]:
        return tuple(
            Opening(tuple(collapse_addresses(networks)), ports)
            for ports, networks in sorted(
                self.by_ports.items(), key=lambda item: (item[0] is not None, item[0])
            )
            if networks
        )


def isolate(
    policies: Iterable[JsonObject], pods: Iterable[JsonObject], namespaces: Iterable[JsonObject]
) -> list[Isolation]:
    """Each pod that has an address, in the order of the addresses, with what it may do."""
    world = _World(
        tuple(_pods_with_addresses(pods)),
        {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in namespaces},
    )
    policies = list(policies)
    return [_isolation(pod, policies, world) for pod in world.pods]


def _isolation(pod: _Pod, policies: Iterable[JsonObject], world: _World) -> Isolation:
    entering: _Openings | None = None
    leaving: _Openings | None = None
    for policy in policies:
        spec = policy["spec"]
        if policy["metadata"]["namespace"] != pod.namespace or not fits(
            spec.get("podSelector") or {}, pod.labels
        ):
            continue
        if "Ingress" in spec["policyTypes"]:
            entering = entering or _Openings()
            for rule in spec.get("ingress") or []:
                _open_to_enter(entering, rule, pod, world)
        if "Egress" in spec["policyTypes"]:
            leaving = leaving or _Openings()
            for rule in spec.get("egress") or []:
                _open_to_leave(leaving, rule, pod, world)
    return Isolation(
        f"{pod.namespace}/{pod.name}",
        pod.address,
        None if entering is None else entering.told(),
        None if leaving is None else leaving.told(),
    )


def _open_to_enter(openings: _Openings, rule: JsonObject, pod: _Pod, world: _World) -> None:
    networks = list(_networks(rule.get("from"), pod.namespace, world))
    for entry in rule.get("ports") or [None]:
        if entry is None or not isinstance(entry.get("port"), str):
            openings.add(_numbered(entry), networks)
        elif (ports := _named(entry, pod)) is not None:
            openings.add(ports, networks)


def _open_to_leave(openings: _Openings, rule: JsonObject, pod: _Pod, world: _World) -> None:
    peers = rule.get("to")
    for entry in rule.get("ports") or [None]:
        if entry is None or not isinstance(entry.get("port"), str):
            openings.add(_numbered(entry), _networks(peers, pod.namespace, world))
            continue
        for called in _pods_of(peers, pod.namespace, world) if peers else world.pods:
            if (ports := _named(entry, called)) is not None:
                openings.add(ports, [called.network])


def _networks(
    peers: list[JsonObject] | None, namespace: str, world: _World
) -> Iterator[IPv4Network]:
    if not peers:  # missing or empty: everybody
        yield EVERYBODY
        return
    for peer in peers:
        if "ipBlock" in peer:
            yield from _block(peer["ipBlock"])
    for pod in _pods_of(peers, namespace, world):
        yield pod.network


def _pods_of(peers: list[JsonObject], namespace: str, world: _World) -> Iterator[_Pod]:
    for peer in peers:
        if "ipBlock" in peer:
            continue
        elsewhere = peer.get("namespaceSelector")
        for pod in world.pods:
            there = (
                pod.namespace == namespace
                if elsewhere is None
                else fits(elsewhere, world.namespaces.get(pod.namespace, {}))
            )
            if there and fits(peer.get("podSelector") or {}, pod.labels):
                yield pod


def _block(block: JsonObject) -> Iterable[IPv4Network]:
    try:
        left = [IPv4Network(block["cidr"], strict=False)]
        for text in block.get("except") or []:
            hole = IPv4Network(text, strict=False)
            left = [piece for network in left for piece in _without(network, hole)]
    except AddressValueError:  # IPv6, which no pod here has
        return []
    return left


def _without(network: IPv4Network, hole: IPv4Network) -> Iterable[IPv4Network]:
    if not network.overlaps(hole):
        return [network]
    return [] if network.subnet_of(hole) else network.address_exclude(hole)


def _numbered(entry: JsonObject | None) -> Ports | None:
    if entry is None:
        return None
    first: int = entry.get("port", PORT_MIN)
    last: int = entry.get("endPort", first if "port" in entry else PORT_MAX)
    return Ports(_protocol(entry), first, last)


def _named(entry: JsonObject, called: _Pod) -> Ports | None:
    protocol = _protocol(entry)
    number = called.ports.get((entry["port"], protocol))
    return None if number is None else Ports(protocol, number, number)


def _protocol(entry: JsonObject) -> str:
    protocol: str = entry.get("protocol", "TCP")
    return protocol.lower()


def _pods_with_addresses(pods: Iterable[JsonObject]) -> list[_Pod]:
    # An address may have gone to a new pod while the object of the old one is still there: the one
    # that stays, and among those the younger, has it.
    by_age = sorted(
        pods,
        key=lambda pod: (
            "deletionTimestamp" not in pod["metadata"],
            pod["metadata"].get("creationTimestamp", ""),
        ),
    )
    owners = {
        address: pod for pod in by_age if (address := _address(pod["spec"], pod.get("status", {})))
    }
    return [
        _Pod(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            pod["metadata"].get("labels", {}),
            address,
            _ports(pod["spec"]),
        )
        for address, pod in sorted(owners.items(), key=lambda item: item[0])
    ]


def _address(spec: JsonObject, status: JsonObject) -> IPv4Address | None:
    if spec.get("hostNetwork") or status.get("phase") in OVER_PHASES or not status.get("podIP"):
        return None
    try:
        return IPv4Address(status["podIP"])
    except AddressValueError:
        return None


def _ports(spec: JsonObject) -> dict[tuple[str, str], int]:
    beside = [item for item in spec.get("initContainers", []) if item.get("restartPolicy")]
    return {
        (port["name"], _protocol(port)): port["containerPort"]
        for container in (*spec["containers"], *beside)
        for port in container.get("ports", [])
        if "name" in port
    }
