"""Who gets in with which certificate, and that certificates change under calls, over loopback."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import dataclasses
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from tests.fakes.authority import DAY, Authority, Pair

from chassis import grpc_renewal, tls
from chassis.errors import CannotStart, NotYet
from chassis.grpc_client import ClientSettings, open_channel, reason_of
from chassis.grpc_server import Server, ServerSettings, serving
from chassis.telemetry import Telemetry
from chassis.tls_files import TlsSettings

Code = grpc.StatusCode
MAY_CALL = {"test.Room": {"friend"}, "test.Room/Other": {"guest"}}
LOOK_SECONDS = 0.1


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the files more often than a process does, and forget them afterwards."""
    monkeypatch.setattr(tls, "RELOAD_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(grpc_renewal, "SETTLE_SECONDS", 0.05)
    tls.certificates_of.cache_clear()
    yield
    tls.certificates_of.cache_clear()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def _echo(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(0.02)
    return request


async def _peer(request: bytes, context: Any) -> bytes:
    return str(context.peer()).encode()


async def _stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for _ in range(int(request)):
        yield b"x"
        await asyncio.sleep(0.02)


def _add(server: grpc.aio.Server) -> None:
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(_echo),
        "Other": grpc.unary_unary_rpc_method_handler(_echo),
        "Unnamed": grpc.unary_unary_rpc_method_handler(_echo),
        "Peer": grpc.unary_unary_rpc_method_handler(_peer),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    handlers = [
        grpc.method_handlers_generic_handler("test.Room", methods),
        grpc.method_handlers_generic_handler("test.Hidden", methods),
    ]
    server.add_generic_rpc_handlers(tuple(handlers))


@asynccontextmanager
async def room(files: TlsSettings, **settings: Any) -> AsyncIterator[Server]:
    chosen = ServerSettings(tls=files, drain_timeout_seconds=1, **settings)
    async with serving(chosen, _add, Telemetry("room", None, []), MAY_CALL) as server:
        yield server


def client(pair: Pair, folder: Path) -> ClientSettings:
    return ClientSettings(tls=pair.write(folder))


async def answer(channel: grpc.aio.Channel, method: str = "Room/Unary") -> bytes:
    return bytes(await channel.unary_unary(f"/test.{method}")(b"hello", timeout=3))


async def refusal(
    channel: grpc.aio.Channel, method: str = "Room/Unary"
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(channel, method)
    return caught.value.code(), reason_of(caught.value)


def bare_channel(server: Server, pair: Pair, *, shows: bool = True) -> grpc.aio.Channel:
    """Dial without our client's own checks of its certificate."""
    shown = (pair.key, pair.certificate) if shows else (None, None)
    credentials = grpc.ssl_channel_credentials(pair.authority, *shown)
    return grpc.aio.secure_channel(server.address, credentials)


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


async def _calls_meanwhile(
    channel: grpc.aio.Channel, change: Callable[[], object], seconds: float
) -> int:
    """Call without a pause while something changes; any failed call fails the test."""
    ended = asyncio.Event()

    async def call_on() -> int:
        calls = 0
        while not ended.is_set():
            assert await answer(channel) == b"hello"
            calls += 1
        return calls

    callers = [asyncio.create_task(call_on()) for _ in range(4)]
    await asyncio.sleep(2 * LOOK_SECONDS)
    change()
    await asyncio.sleep(seconds)
    ended.set()
    return sum(await asyncio.gather(*callers))


async def test_a_renewed_server_certificate_is_shown_to_new_connections_and_no_call_fails(
    authority: Authority, tmp_path: Path
) -> None:
    """The next authority is believed before its certificates are shown, as one replaces another."""
    next_authority = Authority()
    both = authority.certificate + next_authority.certificate
    first = dataclasses.replace(authority.issue("room"), authority=both)
    caller = dataclasses.replace(authority.issue("friend"), authority=both)
    second = dataclasses.replace(next_authority.issue("room"), authority=both)
    newcomer = next_authority.issue("friend")
    files = first.write(tmp_path / "room")
    async with (
        room(files) as server,
        open_channel(server.address, client(caller, tmp_path)) as channel,
    ):
        async with bare_channel(server, newcomer) as other:
            assert (Code.UNAVAILABLE, "") == await refusal(other)
        made = await _calls_meanwhile(channel, lambda: second.write(tmp_path / "room"), 0.5)
        assert made > 20
        async with bare_channel(server, newcomer) as other:
            assert await answer(other) == b"hello"


async def test_an_authority_is_replaced_in_three_steps_and_no_call_fails(
    authority: Authority, tmp_path: Path
) -> None:
    """Part by part, as docs/renew-secrets.md has it: both are believed, then the next one's
    certificates are shown, then it alone is believed.
    """
    following = Authority()
    both = authority.certificate + following.certificate
    parts = {part: authority.issue(part) for part in ("room", "friend")}
    left_behind = authority.issue("friend")
    for part, pair in parts.items():
        pair.write(tmp_path / part)

    def take(part: str, pair: Pair) -> Callable[[], object]:
        parts[part] = pair
        return lambda: pair.write(tmp_path / part)

    async with (
        room(parts["room"].write(tmp_path / "room")) as server,
        open_channel(server.address, client(parts["friend"], tmp_path / "friend")) as channel,
    ):
        for trusted, signer in ((both, None), (both, following), (following.certificate, None)):
            for part, present in list(parts.items()):
                pair = signer.issue(part) if signer else present
                change = take(part, dataclasses.replace(pair, authority=trusted))
                assert await _calls_meanwhile(channel, change, 0.4) > 0
                async with bare_channel(server, parts["friend"]) as new_connection:
                    assert await answer(new_connection) == b"hello"
        async with bare_channel(server, left_behind) as other:
            assert (Code.UNAVAILABLE, "") == await refusal(other)


async def test_a_renewed_client_certificate_is_shown_soon_and_neither_call_nor_stream_is_cut(
    authority: Authority, tmp_path: Path
) -> None:
    guest, friend = authority.issue("guest"), authority.issue("friend")
    async with (
        room(authority.issue("room").write(tmp_path / "room")) as server,
        open_channel(server.address, client(friend, tmp_path / "friend")) as channel,
    ):
        stream = channel.unary_stream("/test.Room/Stream")(b"40", timeout=5)
        renewed = authority.issue("friend")
        made = await _calls_meanwhile(channel, lambda: renewed.write(tmp_path / "friend"), 0.4)
        assert made > 10
        guest.write(tmp_path / "friend")
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert (Code.PERMISSION_DENIED, "NOT_ALLOWED") == await refusal(channel)
        # The stream goes on over the channel it was opened on, to its end.
        assert 40 == len([item async for item in stream])
        await asyncio.sleep(0.2)
        assert not channel._inner._retiring


@pytest.mark.parametrize("wrong", ["another key", "half", "gone", "expired", "another authority"])
async def test_files_that_do_not_fit_are_told_of_once_and_the_old_ones_serve_on(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    good, other = authority.issue("room"), authority.issue("room")
    bad = {
        "another key": dataclasses.replace(good, key=other.key),
        "half": dataclasses.replace(other, certificate=other.certificate[:200]),
        "gone": dataclasses.replace(other, key=b""),
        "expired": authority.issue("room", ends_in=-DAY),
        "another authority": dataclasses.replace(other, authority=Authority().certificate),
    }[wrong]
    friend = authority.issue("friend")
    files = good.write(tmp_path / "room")
    async with room(files) as server:
        bad.write(tmp_path / "room")
        await asyncio.sleep(5 * LOOK_SECONDS)
        async with bare_channel(server, friend) as channel:
            assert await answer(channel) == b"hello"
        output = "".join(capsys.readouterr())
        assert 1 == output.count("certificate_kept")
        assert "PRIVATE" not in output
        other.write(tmp_path / "room")
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert "certificate_taken" in "".join(capsys.readouterr())
        async with bare_channel(server, friend) as channel:
            assert await answer(channel) == b"hello"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda pair: dataclasses.replace(pair, key=b""), "must hold 1 to"),
        (lambda pair: dataclasses.replace(pair, key=Authority().issue("x").key), "are no pair"),
        (lambda pair: dataclasses.replace(pair, authority=b"no"), "no certificate of an authority"),
        (lambda pair: dataclasses.replace(pair, certificate=b"no"), "are no pair"),
        (lambda pair: dataclasses.replace(pair, authority=Authority().certificate), "not believed"),
    ],
)
async def test_a_process_whose_files_do_not_fit_says_why_and_does_not_begin(
    authority: Authority, tmp_path: Path, spoil: Callable[[Pair], Pair], sentence: str
) -> None:
    files = spoil(authority.issue("room")).write(tmp_path)
    with pytest.raises(NotYet, match=sentence):
        async with room(files):
            pass
    with pytest.raises(NotYet, match=sentence):
        open_channel("localhost:1", ClientSettings(tls=files))


async def test_the_days_left_are_a_figure_and_the_last_of_them_a_warning(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "purser_tls_certificate_days_left"
    for days, warned in ((20, False), (6, True)):
        pair = authority.issue("room", ends_in=timedelta(days=days, hours=12))
        files = pair.write(tmp_path / str(days))
        async with room(files):
            left = REGISTRY.get_sample_value(name, {"file": str(files.tls_certificate_file)})
        assert left == pytest.approx(days + 0.5, abs=0.01)
        assert warned is ("certificate_ends_soon" in "".join(capsys.readouterr()))


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
