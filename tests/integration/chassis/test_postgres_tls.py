"""PostgreSQL by TLS: what its address says of certificates is kept, by pools and migrations."""

# ruff: noqa: D103 (a test's name is its claim)

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conftest import Cluster
from tests.fakes.authority import Authority, put_into
from tests.fakes.loopback_names import lead_to_loopback
from tests.fakes.tls_front import TlsFront, tls_front

from chassis.errors import NotYet, TryAgain
from chassis.migrations import folder_of, migrate
from chassis.postgres import Pool, PostgresSettings, open_pool, transaction
from chassis.settings import Secret
from devbox.roles import Database

HOST = "postgres.purser.test"
FULL = "sslmode=verify-full&sslrootcert="


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
    file = tmp_path / "database-ca.crt"
    return put_into(file, authority.certificate)


@pytest.fixture
async def front(postgres_cluster: Cluster, authority: Authority) -> AsyncIterator[TlsFront]:
    """A PostgreSQL that shows a certificate for its name, and lets in who asks for TLS."""
    pair = authority.issue(hosts=(HOST,))
    async with tls_front(postgres_cluster.server.port, pair, postgres=True) as front:
        yield front


def behind(front: TlsFront, database: Database, asked: str) -> str:
    """The owner's address by way of the front."""
    login, _, rest = database.owner_url.rpartition("@")
    name = rest.partition("/")[2].partition("?")[0]
    return f"{login}@{HOST}:{front.port}/{name}?{asked}"


async def opened(url: str) -> Pool:
    """A pool as a room opens it."""
    return await open_pool(PostgresSettings(database_url=Secret(url), connections_max=2), "test")


async def one(pool: Pool) -> object:
    """Ask for something."""
    async with transaction(pool) as connection:
        return await connection.fetchval("SELECT 1")


async def test_a_server_of_a_private_authority_is_worked_with(
    front: TlsFront, database: Database, file: Path
) -> None:
    url = behind(front, database, f"{FULL}{file}")
    assert await migrate(url, "ledger", folder_of("ledger")) == []
    pool = await opened(url)
    assert await one(pool) == 1
    await pool.close()
    assert set(front.versions) == {"TLSv1.3"}


async def test_who_does_not_ask_for_tls_is_not_let_in(front: TlsFront, database: Database) -> None:
    """Or the test above would prove little."""
    with pytest.raises(NotYet):
        await opened(behind(front, database, "sslmode=disable"))


async def test_a_server_without_tls_is_told_so_in_words(database: Database, file: Path) -> None:
    """Pools and migrations never go on in plaintext."""
    url = f"{database.owner_url.partition('?')[0]}?{FULL}{file}"
    for attempt in (opened, lambda url: migrate(url, "ledger", folder_of("ledger"))):
        with pytest.raises(NotYet, match=r"PostgreSQL.* \(it does not speak TLS\)"):
            await attempt(url)


@pytest.mark.parametrize("kind", ["authority", "name", "time"])
async def test_a_server_that_is_not_believed_is_waited_for_at_the_start(
    kind: str, front: TlsFront, database: Database, authority: Authority, file: Path
) -> None:
    """And told of in words, of which none is the password."""
    wrong = {
        "authority": Authority().issue(hosts=(HOST,)),
        "name": authority.issue(hosts=("other.purser.test",)),
        "time": authority.issue(hosts=(HOST,), ends_in=-timedelta(days=1)),
    }
    front.show(wrong[kind])
    url = behind(front, database, f"{FULL}{file}")
    for opening in (opened(url), migrate(url, "ledger", folder_of("ledger"))):
        with pytest.raises(NotYet, match="its certificate is not believed: ") as refused:
            await opening
        assert url.partition("@")[0].rpartition(":")[2] not in str(refused.value)
    assert front.versions == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("sslmode=verify-full", "verify-full without sslrootcert"),
        (f"{FULL}/nowhere/ca.crt", "TLS cannot be used: /nowhere/ca.crt cannot be read"),
    ],
)
async def test_a_file_that_is_not_there_is_waited_for(
    asked: str,
    words: str,
    front: TlsFront,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The machine's authorities are not believed unless their file is named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotYet, match=words):
        await opened(behind(front, database, asked))


async def test_renewed_certificates_are_believed_without_a_restart(
    front: TlsFront, database: Database, authority: Authority, file: Path
) -> None:
    """Of the server, and of the authority; one that is not believed is a server that is away."""
    pool = await opened(behind(front, database, f"{FULL}{file}"))
    front.show(authority.issue(hosts=(HOST,)))
    await front.cut()
    assert await one(pool) == 1

    newer = Authority()
    front.show(newer.issue(hosts=(HOST,)))
    await front.cut()
    with pytest.raises(TryAgain, match="its certificate is not believed"):
        await one(pool)
    put_into(file, newer.certificate)
    assert await one(pool) == 1
    pool.terminate()
