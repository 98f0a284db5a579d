"""Has NetworkPolicies obeyed on the node: `python -m tests.cluster.node.policies`, a process of
this machine that writes into the node's network namespace.

It follows the API's NetworkPolicies, pods and namespaces, and after each change writes the whole
nftables table anew, which the kernel takes at once or not at all (`isolation.py` decides,
`policy_table.py` words it). It keeps nothing: whatever it has to know it lists when it starts.

Until everything was listed no pod reaches another. When the process ends by SIGTERM it takes the
table away. When it is killed, or ends with one sentence because kernel or API refused something,
the table stays as it was, and pods that come later are mute; whoever is started then leaves it so
until he has listed everything.

A policy holds about a tenth of a second after the API has it. Nothing tells when: whoever needs to
know tries.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.errors import ClusterError, StartFailed
from tests.cluster.node.isolation import isolate
from tests.cluster.node.policy_table import REMOVAL, TABLE, table_text

SETTLE_SECONDS = 0.02
"""Changes come in bursts; each table is written for all that came within this."""
NFT_TIMEOUT_SECONDS = 30.0

POLICIES = resource_path("networking.k8s.io/v1", "networkpolicies")
PODS = resource_path("v1", "pods")
NAMESPACES = resource_path("v1", "namespaces")
COLLECTIONS = (POLICIES, PODS, NAMESPACES)


def policies_command(kubeconfig: Path, pods: str, namespace_file: Path) -> Sequence[str | Path]:
    """The process, for whoever starts it; it works in the repository's folder. The kubeconfig's
    user may list and watch the three kinds, `pods` is the pods' network, `namespace_file` the
    network namespace that forwards between them.
    """
    return [
        sys.executable,
        "-m",
        "tests.cluster.node.policies",
        f"--kubeconfig={kubeconfig}",
        f"--pods={pods}",
        f"--namespace-file={namespace_file}",
    ]


@dataclass(frozen=True)
class Kernel:
    """The tables of one network namespace."""

    namespace_file: Path

    async def load(self, text: str) -> None:
        """Give nft a script, which takes effect as a whole. Raises StartFailed with what it
        said.
        """
        complaint = await self._nft("-f", "-", script=text)
        if complaint is not None:
            raise StartFailed(f"nft refused the table: {complaint}")

    async def has_table(self) -> bool:
        """Say whether somebody before left the table."""
        return await self._nft("list", "table", "inet", TABLE) is None

    async def _nft(self, *arguments: str, script: str = "") -> str | None:
        """Run nft in the namespace; what it said when it refused, else None."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={self.namespace_file}", "nft", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(NFT_TIMEOUT_SECONDS):
            _, complaint = await process.communicate(script.encode())
        return complaint.decode().strip() if process.returncode else None


@dataclass
class Seen:
    """What the API has, of each of COLLECTIONS, by the objects' identity."""

    objects: dict[str, dict[str, JsonObject]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_up(self, api: KubernetesApi, collection: str) -> None:
        """Follow one collection, for ever."""
        async for event in api.follow(collection):
            if event.kind == "LISTED":
                self.objects[collection] = {}
            kept = self.objects[collection]
            for item in event.objects:
                identity = item["metadata"]["uid"]
                if event.kind == "DELETED":
                    kept.pop(identity, None)
                else:
                    kept[identity] = item
            self.changed.set()

    def table(self, pods: IPv4Network) -> str | None:
        """The table for what is seen; None until each collection was listed."""
        if self.objects.keys() != set(COLLECTIONS):
            return None
        policies, running, namespaces = (self.objects[name].values() for name in COLLECTIONS)
        return table_text(isolate(policies, running, namespaces), pods)


async def enforce(api: KubernetesApi, pods: IPv4Network, kernel: Kernel) -> None:
    """Keep the table as the API's objects want it, for ever. Raises StartFailed with the kernel's
    words, ApiError with the server's; the table stays then, and after a cancellation too.
    """
    seen = Seen()
    if not await kernel.has_table():
        await kernel.load(table_text([], pods))
    followers = [asyncio.create_task(seen.keep_up(api, name)) for name in COLLECTIONS]
    writer = asyncio.create_task(_write_changes(seen, pods, kernel))
    tasks = [*followers, writer]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _write_changes(seen: Seen, pods: IPv4Network, kernel: Kernel) -> None:
    written = ""
    while True:
        await seen.changed.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        seen.changed.clear()
        text = seen.table(pods)
        if text is not None and text != written:
            await kernel.load(text)
            written = text


async def run(kubeconfig: Path, pods: IPv4Network, kernel: Kernel) -> None:
    """Enforce until SIGTERM or SIGINT, then take the table away."""
    loop = asyncio.get_running_loop()
    async with KubernetesApi.from_kubeconfig(kubeconfig) as api:
        enforcing = asyncio.create_task(enforce(api, pods, kernel))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, enforcing.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await enforcing
    await kernel.load(REMOVAL)


def main() -> None:
    """Read the arguments, enforce, end with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.node.policies")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="whose policies")
    parser.add_argument("--pods", type=IPv4Network, required=True, help="the pods' network")
    parser.add_argument(
        "--namespace-file", type=Path, required=True, help="the network namespace of the node"
    )
    arguments = parser.parse_args()
    try:
        kernel = Kernel(arguments.namespace_file)
        asyncio.run(run(arguments.kubeconfig, arguments.pods, kernel))
    except (ClusterError, ApiError, OSError) as error:
        sys.exit(f"NetworkPolicies are not obeyed any more: {error}")


if __name__ == "__main__":
    main()
