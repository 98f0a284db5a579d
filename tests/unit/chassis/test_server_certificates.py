"""Whom a client believes, and what it says of whom it does not."""

# ruff: noqa: D103 (a test's name is its claim)

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.authority import Authority

from chassis.redis_tls import name_to_check
from chassis.server_certificates import Trust, what_is_wrong

ROUNDS_MAX = 10


@pytest.fixture
def authority() -> Authority:
    """A private one."""
    return Authority()


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    """What a server of its shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = authority.issue(hosts=("right",)).write(tmp_path / "server").files
    context.load_cert_chain(files[0], files[1])
    return context


@pytest.fixture
def trust(authority: Authority, tmp_path: Path) -> Trust:
    """Whoever believes it."""
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.certificate)
    return Trust(file)


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Have both introduce themselves, in memory; raises what the client says."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(ROUNDS_MAX):
        with suppress(ssl.SSLWantReadError):
            here.do_handshake()
            here.read()
        with suppress(ssl.SSLError):  # the client hears of it
            there.do_handshake()


def test_every_connection_is_checked_by_one_context(trust: Trust) -> None:
    """A context with the machine's authorities is a megabyte."""
    assert trust.context() is trust.context()
    assert trust.context().verify_mode is ssl.CERT_REQUIRED
    assert trust.context().check_hostname
    machine = Trust(None)
    assert machine.context() is machine.context()
    assert machine.context().verify_mode is ssl.CERT_REQUIRED
    assert machine.context().check_hostname


def test_old_protocols_are_not_spoken(server: ssl.SSLContext, trust: Trust) -> None:
    assert trust.context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert Trust(None).context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_right_certificate_is_no_trouble(server: ssl.SSLContext, trust: Trust) -> None:
    meet(server, trust.context(), "right")


def test_a_wrong_one_is_told_in_words_however_deep_it_hides(
    server: ssl.SSLContext, trust: Trust
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        meet(server, trust.context(), "wrong")
    words = "its certificate is not believed: Hostname mismatch, certificate is not valid for "
    assert f"{words}'wrong'" == what_is_wrong(caught.value)
    wrapped = RuntimeError("outer")
    wrapped.__cause__ = RuntimeError("inner")
    wrapped.__cause__.__cause__ = caught.value
    assert f"{words}'wrong'" == what_is_wrong(wrapped)


WANTS_OURS = "it wants a certificate of ours, which is not shown"


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (ssl.TLSVersion.TLSv1_2, f"{WANTS_OURS}, or no cipher is known to both"),
        (ssl.TLSVersion.TLSv1_3, WANTS_OURS),
    ],
)
def test_a_server_that_wants_our_certificate_is_told_so(
    version: ssl.TLSVersion,
    words: str,
    server: ssl.SSLContext,
    trust: Trust,
    authority: Authority,
) -> None:
    server.maximum_version = version
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=authority.certificate.decode())
    with pytest.raises(ssl.SSLError) as caught:
        meet(server, trust.context(), "right")
    assert words == what_is_wrong(caught.value)


def test_a_server_with_other_ciphers_is_not_said_to_want_our_certificate_alone(
    server: ssl.SSLContext, trust: Trust
) -> None:
    """TLS 1.2 answers both alike, and who looks for a certificate would look for long."""
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("AES128-SHA")
    trust.context().set_ciphers("ECDHE+AESGCM")
    with pytest.raises(ssl.SSLError) as caught:
        meet(server, trust.context(), "right")
    assert f"{WANTS_OURS}, or no cipher is known to both" == what_is_wrong(caught.value)


def test_what_has_nothing_to_do_with_tls_is_none() -> None:
    assert what_is_wrong(ConnectionRefusedError("hidden")) is None
    circle = RuntimeError("hidden")
    circle.__cause__ = circle
    assert what_is_wrong(circle) is None


@pytest.mark.parametrize(
    ("reached_at", "asked_for", "checked"),
    [
        ("redis.example", "redis.example", "redis.example"),
        ("node-1.example", "redis.example", "node-1.example"),
        ("10.0.0.1", "redis.example", "redis.example"),
        ("fd00::1", "redis.example", "redis.example"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1"),
        ("127.0.0.1", "localhost", "localhost"),
        ("node-1.example", "10.0.0.2", "node-1.example"),
    ],
)
def test_a_node_answers_to_its_name_or_to_the_one_asked_for(
    reached_at: str, asked_for: str, checked: str
) -> None:
    assert checked == name_to_check(reached_at, asked_for)
