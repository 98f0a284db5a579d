"""Who gets in with which certificate, over loopback."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import dataclasses
import socket
import ssl
from collections import Counter
from pathlib import Path
from typing import cast

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from tests.fakes.authority import DAY, Authority
from tests.integration.chassis.secured import Code, answer, bare_channel, client, refusal, room

from chassis.errors import CannotStart
from chassis.grpc_client import open_channel, reason_of
from chassis.tls_files import TlsSettings

pytestmark = pytest.mark.usefixtures("quickly")


async def test_who_is_named_in_the_table_is_answered(authority: Authority, tmp_path: Path) -> None:
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address, client(authority.issue("friend"), tmp_path)) as channel,
    ):
        assert await answer(channel) == b"hello"
        stream = channel.unary_stream("/test.Room/Stream")(b"3", timeout=3)
        assert [b"x"] * 3 == [item async for item in stream]


@pytest.mark.parametrize(
    ("caller", "method", "streams"),
    [
        ("guest", "Room/Unary", False),
        ("guest", "Room/Stream", True),
        ("friend", "Room/Other", False),
        ("friend", "Hidden/Unary", False),
    ],
)
async def test_who_is_not_named_is_told_so_counted_and_logged_once(
    authority: Authority,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caller: str,
    method: str,
    streams: bool,
) -> None:
    """A method's own entry counts instead of its service's; what no entry names is nobody's."""
    labels = {"method": f"test.{method}", "reason": "NOT_ALLOWED"}
    name = "purser_grpc_refused_callers_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address, client(authority.issue(caller), tmp_path)) as channel,
    ):
        for _ in range(3):
            if streams:
                asked = channel.unary_stream(f"/test.{method}")(b"3", timeout=3).read()
            else:
                asked = answer(channel, method)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asked
            assert (Code.PERMISSION_DENIED, "NOT_ALLOWED") == (
                caught.value.code(),
                reason_of(caught.value),
            )
            assert f"{caller} may not call test.{method}" == caught.value.details()
    assert before + 3 == REGISTRY.get_sample_value(name, labels)
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "caller_refused" in line]
    assert 1 == len(told)


@pytest.mark.parametrize(
    "identities",
    [
        (),
        ("friend", "guest"),
        ("spiffe://elsewhere.dev/friend",),
        ("spiffe://purser.dev/friend/more",),
        ("https://purser.dev/friend",),
    ],
    ids=["no name", "two names", "another domain", "a longer path", "no spiffe"],
)
async def test_a_certificate_without_one_identity_of_ours_is_nobodys(
    authority: Authority, tmp_path: Path, identities: tuple[str, ...]
) -> None:
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address, client(authority.issue(*identities), tmp_path)) as channel,
    ):
        assert (Code.UNAUTHENTICATED, "NO_IDENTITY") == await refusal(channel)
        health = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(), timeout=3)
        assert Code.UNAUTHENTICATED is caught.value.code()


@pytest.mark.parametrize("wrong", ["none", "another authority", "expired"])
async def test_without_a_valid_certificate_of_our_authority_there_is_no_connection(
    authority: Authority, tmp_path: Path, wrong: str
) -> None:
    ends_in = -DAY if wrong == "expired" else DAY
    signer = Authority() if wrong == "another authority" else authority
    pair = signer.issue("friend", ends_in=ends_in)
    believing = dataclasses.replace(pair, authority=authority.certificate)
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        bare_channel(server, believing, shows=wrong != "none") as channel,
    ):
        assert (Code.UNAVAILABLE, "") == await refusal(channel)
        good = dataclasses.replace(authority.issue("friend"))
        async with bare_channel(server, good) as other:
            assert await answer(other) == b"hello"


async def test_a_caller_in_plaintext_gets_no_connection(
    authority: Authority, tmp_path: Path
) -> None:
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address) as channel,
    ):
        assert (Code.UNAVAILABLE, "") == await refusal(channel)


async def test_a_caller_believes_only_the_host_it_named_and_our_authority(
    authority: Authority, tmp_path: Path
) -> None:
    settings = client(authority.issue("friend"), tmp_path)
    elsewhere = authority.issue("room", hosts=("purser-elsewhere",)).write(tmp_path / "room")
    async with room(elsewhere) as server, open_channel(server.address, settings) as channel:
        assert (Code.UNAVAILABLE, "") == await refusal(channel)
    foreign = Authority().issue("room").write(tmp_path / "foreign")
    async with room(foreign) as server, open_channel(server.address, settings) as channel:
        assert (Code.UNAVAILABLE, "") == await refusal(channel)


class Names(asyncio.DatagramProtocol):
    """A name server with one answer: a headless Service of two replicas."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go through."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        """Answer a question for IPv4 with both addresses, any other with none."""
        end = data.index(b"\0", 12) + 5
        is_ipv4 = data[end - 4 : end - 2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4"
        records = [record + bytes([127, 0, 0, last]) for last in (1, 2)] if is_ipv4 else []
        counts = b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        answer = data[:2] + b"\x84\0" + counts + data[12:end] + b"".join(records)
        self._transport.sendto(answer, sender)


async def test_calls_go_round_all_replicas_behind_one_name_that_each_replica_can_prove(
    authority: Authority, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    names, _ = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    name_server = "{}:{}".format(*names.get_extra_info("sockname"))
    files = authority.issue("room", hosts=("purser-room",)).write(tmp_path / "room")
    settings = client(authority.issue("friend"), tmp_path)
    async with room(files) as one, room(files, listen_address=f"127.0.0.2:{one.port}"):
        target = f"dns://{name_server}/purser-room:{one.port}"
        async with open_channel(target, settings) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)
            # Each connection has a name of its own, and no server here has two.
            seen = [await answer(channel, "Room/Peer") for _ in range(50)]
    names.close()
    # Not 25 exactly: the second connection may be up a call later.
    assert [20, 20] <= sorted(Counter(seen).values())[-2:]
    assert 2 == len(set(seen))


async def test_tls_before_1_2_is_not_spoken(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("friend")
    pair.write(tmp_path)
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    context.set_ciphers("ALL:@SECLEVEL=0")

    def dial(port: int, version: ssl.TLSVersion) -> str | None:
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", port), 3) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            return line.version()

    async with room(authority.issue("room").write(tmp_path / "room")) as server:
        assert "TLSv1.2" == await asyncio.to_thread(dial, server.port, ssl.TLSVersion.TLSv1_2)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(OSError, match=r"."):
            await asyncio.to_thread(dial, server.port, ssl.TLSVersion.TLSv1_1)


async def test_health_has_a_plaintext_port_where_nothing_else_answers_and_the_drain_shows(
    authority: Authority, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = authority.issue("room").write(tmp_path / "room")
    async with open_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        async with room(files, health_address=address) as server:
            asked = health_pb2.HealthCheckRequest()
            assert 1 == (await health.Check(asked, timeout=3, wait_for_ready=True)).status
            assert (Code.UNIMPLEMENTED, "") == await refusal(channel)
            watched = health.Watch(asked, timeout=10)
            assert health_pb2.HealthCheckResponse.SERVING == (await watched.read()).status
            stranger = authority.issue("stranger")
            async with bare_channel(server, stranger) as line:
                by_certificate = health_pb2_grpc.HealthStub(line)
                assert 1 == (await by_certificate.Check(asked, timeout=3)).status
        assert health_pb2.HealthCheckResponse.NOT_SERVING == (await watched.read()).status
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watched.read()
        assert Code.UNAVAILABLE is caught.value.code()


async def test_a_health_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotStart, match="cannot listen on"):
            async with room(TlsSettings(), health_address=f"127.0.0.1:{taken.getsockname()[1]}"):
                pass
