"""Settings of TLS: all of it or none, and no plaintext beyond this machine by accident."""

# ruff: noqa: D103 (a test's name is its claim)

import pytest

from chassis.errors import BadSettings
from chassis.grpc_client import ClientSettings
from chassis.grpc_server import ServerSettings
from chassis.settings import load
from chassis.tls_files import TlsSettings

FILES = {
    "PURSER_TLS_CERTIFICATE_FILE": "/etc/purser/tls/tls.crt",
    "PURSER_TLS_KEY_FILE": "/etc/purser/tls/tls.key",
    "PURSER_TLS_CA_FILE": "/etc/purser/tls/ca.crt",
}


def test_server_and_client_read_the_same_three_files() -> None:
    server = load(ServerSettings, "ROOM", FILES)
    client = load(ClientSettings, "ROOM", FILES)
    assert server.tls == client.tls
    assert list(FILES.values()) == [str(file) for file in server.tls.files]
    assert () == load(ServerSettings, "ROOM", {}).tls.files


@pytest.mark.parametrize("missing", FILES)
def test_two_of_three_files_are_one_sentence(missing: str) -> None:
    given = {name: file for name, file in FILES.items() if name != missing}
    with pytest.raises(BadSettings) as refusal:
        load(ServerSettings, "ROOM", given)
    assert 1 == len(refusal.value.problems)
    assert "belong together: set all three or none" in str(refusal.value)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:50051", "10.1.2.3:50051", "[::]:50051", ":50051", "purser-wallet:50051"]
)
def test_plaintext_beyond_this_machine_takes_a_word(address: str) -> None:
    listening = {"ROOM_LISTEN_ADDRESS": address}
    with pytest.raises(BadSettings) as refusal:
        load(ServerSettings, "ROOM", listening)
    assert 1 == len(refusal.value.problems)
    assert f"listening on {address} without TLS" in str(refusal.value)
    load(ServerSettings, "ROOM", listening | {"PURSER_PLAINTEXT_ALLOWED": "yes"})
    load(ServerSettings, "ROOM", listening | FILES)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.8.9.10:1", "[::1]:50051", "localhost:1"])
def test_this_machine_needs_no_tls(address: str) -> None:
    assert TlsSettings() == load(ServerSettings, "ROOM", {"ROOM_LISTEN_ADDRESS": address}).tls
