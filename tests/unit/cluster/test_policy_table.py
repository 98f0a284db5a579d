"""The table is worded as nft reads it; what the kernel does by it is tested beside the cluster."""

from ipaddress import IPv4Address, IPv4Network

from tests.cluster.node.isolation import EVERYBODY, Isolation, Opening, Ports
from tests.cluster.node.policy_table import COMMENT_CHARACTERS_MAX, REMOVAL, table_text

PODS = IPv4Network("10.250.1.0/24")
GRPC = Ports("tcp", 50051, 50051)
WORKER = IPv4Network("10.250.1.6/32")


def wallet(entering: tuple[Opening, ...] | None, name: str = "purser/wallet") -> Isolation:
    """A pod whose policies are about what enters."""
    return Isolation(name, IPv4Address("10.250.1.5"), entering, None)


def lines(*isolations: Isolation) -> list[str]:
    """The table's, without their indentation."""
    return [line.strip() for line in table_text(isolations, PODS).splitlines()]


def test_the_table_takes_the_place_of_the_one_before() -> None:
    """In one script, which the kernel takes as a whole."""
    assert table_text([], PODS).startswith(REMOVAL + "table inet purser_policies {\n")


def test_nobody_is_known_when_there_are_no_pods() -> None:
    """A set without elements is no syntax error, a list of none would be."""
    assert "elements" not in table_text([], PODS)
    assert "ip saddr 10.250.1.0/24 ip saddr != @known drop" in lines()


def test_what_is_open_returns_and_the_rest_is_dropped() -> None:
    """In the chain of the pod and the direction, to which its address leads."""
    text = lines(wallet((Opening((WORKER,), GRPC), Opening((EVERYBODY,), Ports("udp", 1, 9)))))

    chain = text[text.index("chain entering_10.250.1.5 {") :]
    assert [
        'ip saddr 10.250.1.5 return comment "purser/wallet"',
        "ip saddr { 10.250.1.6/32 } tcp dport 50051 return",
        "udp dport 1-9 return",
        "drop",
    ] == chain[1 : chain.index("}")]
    assert "ip daddr vmap { 10.250.1.5 : jump entering_10.250.1.5 }" in text


def test_a_pod_that_is_not_isolated_is_known_and_has_no_chain() -> None:
    """Everything passes."""
    text = lines(wallet(None))
    assert "elements = { 10.250.1.5 }" in text
    assert not [line for line in text if "vmap" in line or line.startswith("chain entering")]


def test_replies_pass_before_anything_is_asked() -> None:
    """A connection is judged once."""
    text = lines(wallet(()))
    forward = text[text.index("chain forward {") :]
    assert "ct state established,related accept" == forward[2]


def test_a_long_name_is_cut() -> None:
    """Those of pods have up to 253 characters, a comment of the kernel's 128."""
    named = [line for line in lines(wallet((), name="x" * 300)) if "comment" in line]
    assert [COMMENT_CHARACTERS_MAX] == [line.count("x") for line in named]
