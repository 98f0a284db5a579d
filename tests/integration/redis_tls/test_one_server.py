"""One Redis by TLS: who is believed, who is not, and what is renewed meanwhile."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.awake import awake_clock
from tests.fakes.authority import Authority, Pair, put_into
from tests.fakes.loopback_names import lead_to_loopback
from tests.fakes.tls_front import TlsFront, tls_front

from chassis.errors import NotYet, TryAgain
from chassis.redis import Redis, RedisSettings, open_redis
from chassis.settings import Secret
from chassis.streams import append, append_many, read, remove
from devbox.servers import ValkeyServer

HOST = "redis.purser.test"
STREAM = "purser:{default.main/0}:jobs"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's name leads to this machine."""
    lead_to_loopback(monkeypatch)


@pytest.fixture
def authority() -> Authority:
    """A private one."""
    return Authority()


@pytest.fixture
def file(authority: Authority, tmp_path: Path) -> Path:
    """The file that names it."""
    file = tmp_path / "redis-ca.crt"
    return put_into(file, authority.certificate)


@pytest.fixture
async def front(
    valkey_server: ValkeyServer, redis_url: str, authority: Authority
) -> AsyncIterator[TlsFront]:
    """An empty Redis that shows a certificate for its name."""
    async with tls_front(valkey_server.port, authority.issue(hosts=(HOST,))) as front:
        yield front


Open = Callable[..., Redis]


@pytest.fixture
async def opened(front: TlsFront, valkey_server: ValkeyServer) -> AsyncIterator[Open]:
    """Opens clients as a room does; they are closed in the end."""
    clients: list[Redis] = []

    def make(authority: Path | None, host: str = HOST) -> Redis:
        url = Secret(f"rediss://:{valkey_server.password}@{host}:{front.port}/0")
        clients.append(open_redis(RedisSettings(redis_url=url, redis_ca_file=authority)))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def test_a_server_of_a_private_authority_is_worked_with(
    opened: Open, front: TlsFront, file: Path
) -> None:
    client = opened(file)
    waiting = asyncio.create_task(read(client, {STREAM: b"0"}, 2000, 10))
    entry_id = await append(client, STREAM, b"job")
    assert [(STREAM, entry_id, b"job")] == await waiting
    assert await remove(client, STREAM, [entry_id]) == 1
    assert set(front.versions) == {"TLSv1.3"}


WRONG: dict[str, tuple[Callable[[Authority], Pair], str]] = {
    "of another authority": (
        lambda ours: Authority().issue(hosts=(HOST,)),
        r"certificate signature failure|local issuer",
    ),
    "for another name": (
        lambda ours: ours.issue(hosts=("other.purser.test",)),
        rf"not valid for '{HOST}'",
    ),
    "for this machine's address": (lambda ours: ours.issue(), rf"not valid for '{HOST}'"),
    "that has expired": (
        lambda ours: ours.issue(hosts=(HOST,), ends_in=-timedelta(days=1)),
        "has expired",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_a_server_with_a_certificate_is_away_until_it_has_a_right_one(
    kind: str, opened: Open, front: TlsFront, authority: Authority, file: Path
) -> None:
    """Whatever is wrong with it is told in words; the same client works once it is mended."""
    make, words = WRONG[kind]
    front.show(make(authority))
    client = opened(file)
    for _ in range(2):
        with pytest.raises(TryAgain, match=f"its certificate is not believed: .*({words})"):
            await append(client, STREAM, b"job")
        with pytest.raises(TryAgain, match="not believed"):
            await read(client, {STREAM: b"0"}, 0, 1)
    assert front.versions == []

    front.show(authority.issue(hosts=(HOST,)))
    assert await append(client, STREAM, b"job")


async def test_without_a_file_the_authorities_of_the_machine_are_believed(
    opened: Open, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no others."""
    with pytest.raises(TryAgain, match="not believed"):
        await append(opened(None), STREAM, b"job")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert await append(opened(None), STREAM, b"job")


async def test_with_a_file_the_authorities_of_the_machine_are_not_believed(
    opened: Open, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    other = tmp_path / "other.crt"
    put_into(other, Authority().certificate)
    with pytest.raises(TryAgain, match="not believed"):
        await append(opened(other), STREAM, b"job")


async def test_a_certificate_for_an_address_serves_whoever_asks_by_address(
    opened: Open, front: TlsFront, authority: Authority, file: Path
) -> None:
    front.show(authority.issue())
    assert await append(opened(file, "127.0.0.1"), STREAM, b"job")
    assert await append(opened(file, "localhost"), STREAM, b"job")


async def test_a_renewed_certificate_costs_nobody_an_error(
    opened: Open, front: TlsFront, authority: Authority, file: Path
) -> None:
    client = opened(file)
    await append(client, STREAM, b"before")
    front.show(authority.issue(hosts=(HOST,)))
    await append(client, STREAM, b"beside")
    await front.cut()
    results = await append_many(client, [(STREAM, b"after")] * 3)
    assert all(isinstance(result, bytes) for result in results)
    assert len(front.versions) == 2


async def test_a_renewed_authority_is_believed_without_a_restart(
    opened: Open, front: TlsFront, file: Path
) -> None:
    """From the next connection on, and the old one no longer. What does not fit is not used."""
    client = opened(file)
    await append(client, STREAM, b"before")
    newer = Authority()
    front.show(newer.issue(hosts=(HOST,)))
    await front.cut()
    with pytest.raises(TryAgain, match="not believed"):
        await append(client, STREAM, b"too early")

    put_into(file, newer.certificate)
    assert await append(client, STREAM, b"after")
    for lack in (b"", b"half a certi"):
        put_into(file, lack)
        await front.cut()
        assert await append(client, STREAM, b"with what it held")
    put_into(file, None)
    await front.cut()
    assert await append(client, STREAM, b"with what it held")


async def test_bundles_and_remarks_are_understood(
    opened: Open, file: Path, authority: Authority
) -> None:
    """As providers hand them out: several authorities, with their names in any language."""
    put_into(file, "# Autorité\n".encode() + Authority().certificate + authority.certificate)
    assert await append(opened(file), STREAM, b"job")


@pytest.mark.parametrize("cluster", ["", "+cluster"])
async def test_a_server_without_tls_hears_no_password(cluster: str, file: Path) -> None:
    """Nothing is ever said in plaintext."""
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65_536))
        writer.write(b"-ERR Protocol error\r\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = Secret(f"rediss{cluster}://user:much-secret@{HOST}:{port}/0")
    client = open_redis(RedisSettings(redis_url=url, redis_ca_file=file))
    with pytest.raises(TryAgain, match="it does not speak TLS"):
        await append(client, STREAM, b"job")
    assert heard[:2] == b"\x16\x03"  # a client's first words of TLS
    assert b"secret" not in heard
    assert b"AUTH" not in heard
    await client.aclose()
    server.close()


async def test_a_server_that_hangs_keeps_nobody_from_ending(
    authority: Authority, file: Path, tmp_path: Path
) -> None:
    """A connection by TLS ends with a word of both sides; one that is not said is not waited for.

    In a thread, since a loop would answer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = authority.issue(hosts=(HOST,)).write(tmp_path / "server").files
    context.load_cert_chain(files[0], files[1])
    over = threading.Event()

    def answer_until_asked_for_something() -> None:
        with context.wrap_socket(listening.accept()[0], server_side=True) as connection:
            while b"EVAL" not in (heard := connection.recv(65_536)):
                connection.sendall(b"+OK\r\n" * heard.count(b"*"))
            connection.sendall(b"+1-1\r\n")
            over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer_until_asked_for_something)
        thread.start()
        port = listening.getsockname()[1]
        url = Secret(f"rediss://:secret@{HOST}:{port}/0")
        client = open_redis(RedisSettings(redis_url=url, redis_ca_file=file))
        assert await append(client, STREAM, b"job") == b"1-1"
        with awake_clock() as clock:
            await client.aclose()
            assert clock() < 1
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"", "1 to"), (b"junk", "no certificate")]
)
def test_a_file_that_does_not_fit_at_the_start_is_waited_for(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    """It may be mounted any moment."""
    file = tmp_path / "redis-ca.crt"
    if content is not None:
        put_into(file, content)
    url = Secret("rediss://:hidden@host:6379/0")
    with pytest.raises(NotYet, match=f"TLS cannot be used: .*{words}") as refused:
        open_redis(RedisSettings(redis_url=url, redis_ca_file=file))
    assert "hidden" not in str(refused.value)
