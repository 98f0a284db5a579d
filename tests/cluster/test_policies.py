"""NetworkPolicies are obeyed: objects of a real API server, real connections between network
namespaces that stand for pods.
"""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.api import JsonObject, KubernetesApi, resource_path
from tests.cluster.children import Child
from tests.cluster.control_plane import ControlPlane
from tests.cluster.local_node import ROOT
from tests.cluster.namespaces import Kubectl, new_namespace
from tests.cluster.node.policies import policies_command
from tests.cluster.played_network import PODS, PlayedNetwork, played_network, why_impossible
from tests.cluster.waiting import eventually, until

GRPC, HEALTH, DNS = 50051, 50052, 53
MACHINE = "10.248.0.1"
ADDRESSES = {"wallet": "10.249.1.5", "worker": "10.249.1.6", "gateway": "10.249.1.7"}
ENDS = (*ADDRESSES, "machine")

DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def of(part: str) -> JsonObject:
    """The selector of a part's pods."""
    return {"matchLabels": {"app.kubernetes.io/name": part}}


@dataclass
class Stage:
    """The API's objects and the network that is to obey them."""

    api: KubernetesApi
    network: PlayedNetwork
    namespace: str
    child: Child
    """The process that sees to it."""
    pods: list[str] = field(default_factory=list)
    """Those the API was told of."""

    async def policy(self, name: str, spec: JsonObject) -> None:
        """Make a policy in the stage's namespace, or change it."""
        path = resource_path("networking.k8s.io/v1", "networkpolicies", self.namespace, name)
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }
        await self.api.apply(path, body, "test")

    async def pod(self, part: str, address: str, namespace: str | None = None) -> None:
        """Tell the API of a pod that is on the network."""
        path = resource_path("v1", "pods", namespace or self.namespace)
        ports = [{"name": "grpc", "containerPort": GRPC}]
        spec = {
            "containers": [{"name": "main", "image": "none", "ports": ports}],
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 0,
        }
        labels = {"app.kubernetes.io/name": part}
        await self.api.create(path, {"metadata": {"name": part, "labels": labels}, "spec": spec})
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        await self.api.merge(f"{path}/{part}/status", {"status": status}, strategic=True)
        self.pods.append(f"{path}/{part}")

    async def remove_pods(self) -> None:
        """Their addresses are the next test's, and their namespace goes some seconds later."""
        for path in self.pods:
            await self.api.delete(path, gracePeriodSeconds=0)

    async def calls(self, *ports: int) -> set[tuple[str, str, int]]:
        """Who reaches whom on which port, tried by every pair of ends at once."""
        tried = list(itertools.product(ENDS, ADDRESSES, ports or (GRPC, HEALTH)))
        answers = await asyncio.gather(*(self.network.reaches(*call) for call in tried))
        return {
            call
            for call, answer in zip(tried, answers, strict=True)
            if answer and call[0] != call[1]
        }

    async def expect(self, *calls: tuple[str, str, int]) -> None:
        """These calls and no others get through, soon and then still."""
        await until(self.calls, lambda found: found == set(calls), f"only {calls}")
        assert await self.calls() <= set(calls)
        # A call that a busy machine lets wait is no call denied.
        await until(self.calls, lambda found: found == set(calls), f"still only {calls}")


def knows(network: PlayedNetwork, *addresses: str) -> bool:
    """Say whether the table there is knows all of these pods."""
    table = network.tables()
    return all(f"{address}," in table or f"{address} }}" in table for address in addresses)


@contextmanager
def enforcing(kubeconfig: Path, network: PlayedNetwork, folder: Path) -> Iterator[Child]:
    """The process, for as long as the context lasts."""
    command = policies_command(kubeconfig, PODS, network.node_file)
    child = Child("policies", command, folder / "policies.log", folder=ROOT)
    try:
        yield child
    finally:
        child.stop()


@pytest.fixture
def network() -> Iterator[PlayedNetwork]:
    """Three pods that listen on two ports, and a machine outside."""
    if why := why_impossible():
        pytest.skip(why)
    with played_network() as played:
        for name, address in ADDRESSES.items():
            played.join(name, address, GRPC, HEALTH)
        played.join("machine", MACHINE, GRPC)
        yield played


@pytest_asyncio.fixture
async def stage(
    control_plane: ControlPlane,
    api: KubernetesApi,
    network: PlayedNetwork,
    namespace: str,
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    """Pods the API knows, and no policy yet."""
    with enforcing(control_plane.kubeconfig, network, tmp_path) as child:
        played = Stage(api, network, namespace, child)
        for name, address in ADDRESSES.items():
            await played.pod(name, address)
        await eventually(lambda: asyncio.sleep(0, knows(network, *ADDRESSES.values())))
        yield played
        await played.remove_pods()
        assert child.log_tail() == ""


async def test_without_policies_everybody_reaches_everybody(stage: Stage) -> None:
    """And so does the machine outside."""
    await stage.expect(
        *(
            (source, target, port)
            for source, target, port in itertools.product(ENDS, ADDRESSES, (GRPC, HEALTH))
            if source != target
        )
    )


async def test_what_no_policy_opens_is_denied(stage: Stage, kubectl: Kubectl) -> None:
    """Until the policy goes."""
    await stage.policy("deny", DENY)
    await stage.expect()

    kubectl("delete", "networkpolicy", "deny")
    await eventually(lambda: stage.network.reaches("gateway", "wallet", GRPC))


async def test_a_connection_needs_both_ends(stage: Stage) -> None:
    """Wallet's gRPC port, by its name, admits the worker alone, and only once it may leave."""
    entering = [{"from": [{"podSelector": of("worker")}], "ports": [{"port": "grpc"}]}]
    leaving = [{"to": [{"podSelector": of("wallet")}], "ports": [{"port": GRPC}]}]
    await stage.policy("deny", DENY)
    await stage.policy(
        "wallet",
        {"podSelector": of("wallet"), "policyTypes": ["Ingress", "Egress"], "ingress": entering},
    )
    await stage.expect()

    await stage.policy(
        "worker", {"podSelector": of("worker"), "policyTypes": ["Egress"], "egress": leaving}
    )
    await stage.expect(("worker", "wallet", GRPC))


async def test_a_name_of_a_port_is_the_called_pods(stage: Stage) -> None:
    """Of the pods that declare it, and of no others; also for what leaves."""
    await stage.policy(
        "worker",
        {
            "podSelector": of("worker"),
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": of("wallet")}], "ports": [{"port": "grpc"}]}],
        },
    )
    await stage.expect(
        ("worker", "wallet", GRPC),
        *(
            (source, target, port)
            for source, target, port in itertools.product(ENDS, ADDRESSES, (GRPC, HEALTH))
            if source not in (target, "worker")
        ),
    )


async def test_another_namespace_is_nobody_unless_it_is_named(
    stage: Stage, control_plane: ControlPlane
) -> None:
    """A pod of the same labels there, too."""
    stage.network.join("stranger", "10.249.1.9")

    async def stranger_reaches(*, reached: bool) -> bool:
        return await stage.network.reaches("stranger", "wallet", GRPC) is reached

    with new_namespace(control_plane) as elsewhere:
        await stage.pod("worker", "10.249.1.9", elsewhere)
        await eventually(lambda: stage.network.reaches("stranger", "wallet", GRPC))
        peer: JsonObject = {"podSelector": of("worker")}
        spec = {"podSelector": of("wallet"), "policyTypes": ["Ingress"]}
        await stage.policy("wallet", spec | {"ingress": [{"from": [peer]}]})
        await eventually(lambda: stranger_reaches(reached=False))

        peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": elsewhere}}
        await stage.policy("wallet", spec | {"ingress": [{"from": [peer]}]})
        await eventually(lambda: stranger_reaches(reached=True))
        assert not await stage.network.reaches("worker", "wallet", GRPC)


async def test_a_block_of_addresses_has_holes(stage: Stage) -> None:
    """The machine is within the block, the gateway in its hole; the worker is neither."""
    block = {"cidr": "10.248.0.0/15", "except": ["10.249.1.6/31"]}
    await stage.policy("deny", DENY)
    await stage.policy(
        "wallet",
        {
            "podSelector": of("wallet"),
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"ipBlock": block}], "ports": [{"port": HEALTH, "endPort": HEALTH + 1}]}
            ],
        },
    )
    await stage.expect(("machine", "wallet", HEALTH))


async def test_names_are_resolved_only_where_it_is_admitted(stage: Stage) -> None:
    """The port of the DNS, by UDP, is a port as any other."""
    dns = stage.network.listen("gateway", DNS, socket.SOCK_DGRAM)

    async def asks(name: str) -> bool:
        with stage.network.socket_of(name, socket.SOCK_DGRAM) as asking:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(asking, (ADDRESSES["gateway"], DNS))
            await loop.sock_sendall(asking, b"which?")
            try:
                async with asyncio.timeout(0.5):
                    _, whose = await loop.sock_recvfrom(dns, 100)
                    await loop.sock_sendto(dns, b"this one", whose)
                    return await loop.sock_recv(asking, 100) == b"this one"
            except TimeoutError:
                return False

    await eventually(lambda: asks("worker"))
    await stage.policy("deny", DENY | {"policyTypes": ["Egress"]})
    await stage.policy(
        "names",
        {
            "podSelector": of("wallet"),
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"podSelector": of("gateway")}],
                    "ports": [{"port": DNS, "protocol": "UDP"}],
                }
            ],
        },
    )
    await stage.expect(*(("machine", part, port) for part in ADDRESSES for port in (GRPC, HEALTH)))
    await eventually(lambda: asks("wallet"))
    assert not await asks("worker")


async def test_a_connection_outlives_its_permission(stage: Stage) -> None:
    """No new one is made beside it."""
    loop = asyncio.get_running_loop()
    listening = stage.network.listen("wallet", 7)
    with stage.network.socket_of("worker") as calling:
        await loop.sock_connect(calling, (ADDRESSES["wallet"], 7))
        answering, _ = await loop.sock_accept(listening)
        with answering:
            await stage.policy("deny", DENY)
            await stage.expect()
            await loop.sock_sendall(calling, b"still there")
            assert await loop.sock_recv(answering, 100) == b"still there"
            await loop.sock_sendall(answering, b"yes")
            assert await loop.sock_recv(calling, 100) == b"yes"


async def test_probes_of_the_node_need_no_rule(stage: Stage) -> None:
    """And pods reach the node."""
    stage.network.listen("node", HEALTH)
    await stage.policy("deny", DENY)
    await stage.expect()

    await eventually(lambda: stage.network.reaches("node", "wallet", HEALTH))
    await eventually(lambda: stage.network.reaches("wallet", "node", HEALTH))


async def test_policies_are_about_the_pods_behind_a_service(stage: Stage) -> None:
    """Not about the address that was called; a pod reaches itself that way too."""
    service = "10.249.128.1"
    stage.network.rule(
        "table ip services {\n chain translation {\n type nat hook prerouting priority dstnat;\n"
        f"ip daddr {service} dnat to {ADDRESSES['wallet']}\n }}\n"
        "chain hairpin {\n type nat hook postrouting priority srcnat;\n"
        f"ip saddr {ADDRESSES['wallet']} ip daddr {ADDRESSES['wallet']} masquerade\n }}\n }}"
    )
    await stage.policy("deny", DENY)
    await stage.policy(
        "wallet",
        {
            "podSelector": of("wallet"),
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": of("worker")}]}],
        },
    )
    await stage.policy(
        "worker",
        {
            "podSelector": of("worker"),
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": of("wallet")}]}],
        },
    )
    await stage.expect(("worker", "wallet", GRPC), ("worker", "wallet", HEALTH))

    assert await stage.network.connects("worker", service, GRPC)
    assert not await stage.network.connects("gateway", service, GRPC)
    assert await stage.network.connects("wallet", service, GRPC)


async def test_a_pod_is_mute_until_the_api_tells_of_it(stage: Stage) -> None:
    """Else it would be free until its policies were read."""
    stage.network.join("newcomer", "10.249.1.8", GRPC)
    assert not await stage.network.reaches("newcomer", "wallet", GRPC)
    assert not await stage.network.reaches("wallet", "newcomer", GRPC)

    await stage.pod("newcomer", "10.249.1.8")
    await eventually(lambda: stage.network.reaches("newcomer", "wallet", GRPC))
    assert await stage.network.reaches("wallet", "newcomer", GRPC)


async def test_the_table_goes_with_the_process_and_stays_when_that_is_killed(
    stage: Stage, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """What was denied is denied while nobody sees to it, and new pods are mute."""
    await stage.policy("deny", DENY)
    await stage.expect()
    stage.child.process.kill()
    stage.child.process.wait()
    await stage.pod("newcomer", "10.249.1.20")
    await stage.expect()

    with enforcing(control_plane.kubeconfig, stage.network, tmp_path):
        await eventually(lambda: asyncio.sleep(0, knows(stage.network, "10.249.1.20")))
        await stage.expect()
    assert stage.network.tables() == ""


async def test_whoever_is_started_after_one_that_was_killed_interrupts_nobody(
    stage: Stage, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """This one may list nothing: it never learns what to write, and what was open stays open."""
    assert await stage.network.reaches("gateway", "wallet", GRPC)
    stage.child.process.kill()
    stage.child.process.wait()

    stranger = control_plane.kubeconfig_for(stage.namespace, "default")
    with enforcing(stranger, stage.network, tmp_path) as child:
        await eventually(lambda: asyncio.sleep(0, not child.running))

    assert await stage.network.reaches("gateway", "wallet", GRPC)
    stage.child.log.write_text("")


async def test_who_may_not_read_policies_ends_with_a_sentence(
    control_plane: ControlPlane, network: PlayedNetwork, namespace: str, tmp_path: Path
) -> None:
    """And leaves everybody mute."""
    kubeconfig = control_plane.kubeconfig_for(namespace, "default")
    with enforcing(kubeconfig, network, tmp_path) as child:
        await eventually(lambda: asyncio.sleep(0, not child.running))
        said = child.log_tail()

    assert said.startswith("NetworkPolicies are not obeyed any more: 403 Forbidden")
    assert said.count("\n") == 1
    assert not await network.reaches("worker", "wallet", GRPC)
