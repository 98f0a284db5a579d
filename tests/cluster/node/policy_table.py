"""What pods may do, as the one nftables table that has the kernel see to it.

The table looks at what the node forwards, behind the translation of Services: at both ends' real
addresses. So it never sees what the node itself says to a pod, such as kubelet's probes, nor what a
pod says to the node: both are always allowed, as Kubernetes promises. Replies pass, and so does all
of a connection that was allowed when it began.

A pod has a chain for each direction in which it is isolated. It returns on what is open, for the
other end still has to agree, and drops the rest, as most network plugins do: whoever calls in vain
waits.

An address of the pods' network that is not known to be a pod's reaches nobody: a pod that starts is
not free until its policies have been read, but mute.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network

from tests.cluster.node.isolation import EVERYBODY, Isolation, Opening, Ports

TABLE = "purser_policies"
COMMENT_CHARACTERS_MAX = 120
"""The kernel keeps 128 octets."""

REMOVAL = f"table inet {TABLE} {{ }}\ndelete table inet {TABLE}\n"
"""Takes the table away whether or not it is there; what `nft -f` reads takes effect as a whole."""


def table_text(isolations: Sequence[Isolation], pods: IPv4Network) -> str:
    """What `nft -f` reads to put this in the place of whatever there was. The same isolations give
    the same text.
    """
    leaving = {each: f"leaving_{each.address}" for each in isolations if each.leaving is not None}
    entering = {
        each: f"entering_{each.address}" for each in isolations if each.entering is not None
    }
    lines = [
        f"table inet {TABLE} {{",
        *_indented(_known(isolations)),
        *_indented(_chains(leaving, "daddr")),
        *_indented(_chains(entering, "saddr")),
        *_indented(_forward(pods, leaving, entering)),
        "}",
    ]
    return REMOVAL + "\n".join(lines) + "\n"


def _known(isolations: Iterable[Isolation]) -> Iterator[str]:
    yield "set known {"
    yield "  type ipv4_addr"
    if addresses := [str(each.address) for each in isolations]:
        yield f"  elements = {_set(addresses)}"
    yield "}"


def _chains(named: dict[Isolation, str], other_end: str) -> Iterator[str]:
    for isolation, chain in named.items():
        openings = isolation.leaving if other_end == "daddr" else isolation.entering
        yield f"chain {chain} {{"
        # No policy keeps a pod from itself, not even by way of a Service.
        itself = f'comment "{isolation.pod[:COMMENT_CHARACTERS_MAX]}"'
        yield f"  ip {other_end} {isolation.address} return {itself}"
        yield from (f"  {_rule(opening, other_end)}" for opening in openings or ())
        yield "  drop"
        yield "}"


def _forward(
    pods: IPv4Network, leaving: dict[Isolation, str], entering: dict[Isolation, str]
) -> Iterator[str]:
    yield "chain forward {"
    yield "  type filter hook forward priority filter; policy accept;"
    yield "  ct state established,related accept"
    for end, named in (("saddr", leaving), ("daddr", entering)):
        yield f"  ip {end} {pods} ip {end} != @known drop"
        if named:
            jumps = [f"{each.address} : jump {chain}" for each, chain in named.items()]
            yield f"  ip {end} vmap {_set(jumps)}"
    yield "}"


def _rule(opening: Opening, other_end: str) -> str:
    conditions = []
    if EVERYBODY not in opening.peers:
        conditions.append(f"ip {other_end} {_set(map(str, opening.peers))}")
    if opening.ports is not None:
        conditions.append(_ports(opening.ports))
    return " ".join([*conditions, "return"])


def _ports(ports: Ports) -> str:
    if ports.first == ports.last:
        return f"{ports.protocol} dport {ports.first}"
    return f"{ports.protocol} dport {ports.first}-{ports.last}"


def _set(elements: Iterable[str]) -> str:
    return "{ " + ", ".join(elements) + " }"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
