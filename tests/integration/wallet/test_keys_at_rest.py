"""Which keys a wallet starts with, and where key material may be found afterwards."""

import asyncio
import base64
import contextlib
import gc
import os
import resource
import sys
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import grpc.aio
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.integration.stores import ClaimShard, run_program
from tests.integration.wallet.conftest import Serve
from tests.integration.wallet.test_wallets import ensure

from chassis.errors import CannotStart
from devbox.database import Database
from wallet.domain import Identity
from wallet.errors import WrongKey
from wallet.key_encryption import NONCE_BYTES, FileKeyEncryption, make_key_file
from wallet.main import running
from wallet.settings import Settings


async def dump(database: Database) -> str:
    """Everything in wallet's schema, as the database's owner can write it out."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        rows = [
            row[0]
            for table in ("wallets", "audit_log", "key_encryption_keys")
            for row in await connection.fetch(f"SELECT t::text FROM wallet.{table} t")  # noqa: S608
        ]
    finally:
        await connection.close()
    return "\n".join(rows)


async def opened(database: Database, key_file: Path) -> tuple[bytes, bytes]:
    """Open the one wallet by hand: its data key and its private key."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        row = await connection.fetchrow("SELECT * FROM wallet.wallets")
    finally:
        await connection.close()
    assert row is not None
    identity = Identity(UUID(str(row["user_id"])), UUID(str(row["wallet_id"])), row["seal_version"])
    data_key = await FileKeyEncryption(key_file).unwrap(
        row["wrapped_data_key"], identity.associated_data("data key")
    )
    nonce, sealed = row["sealed_key"][:NONCE_BYTES], row["sealed_key"][NONCE_BYTES:]
    return data_key, AESGCM(data_key).decrypt(nonce, sealed, identity.associated_data("key"))


def key_in(path: Path) -> bytes:
    """The key a file holds."""
    return base64.b64decode(path.read_bytes())


def forms(secret: bytes) -> set[str]:
    """The ways a secret could be written down."""
    return {
        secret.hex(),
        secret.hex().upper(),
        repr(secret)[2:-1],
        base64.b64encode(secret).decode(),
        str(int.from_bytes(secret, "big")),
    }


async def test_no_log_and_no_table_holds_key_material(
    serve: Serve,
    claim_shard: ClaimShard,
    database: Database,
    key_file: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither the private key, nor its data key, nor the key-encryption key, in any notation."""
    claim = await claim_shard(0)
    async with serve() as wallet:
        await ensure(wallet, claim, uuid4())

    written = "".join(capfd.readouterr()) + await dump(database)
    secrets = [*await opened(database, key_file), key_in(key_file)]
    assert "draining" in written
    assert [form for secret in secrets for form in forms(secret) if form in written] == []


async def test_no_error_holds_key_material(
    serve: Serve,
    claim_shard: ClaimShard,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A failure with every key in its frame tells caller and log nothing of them."""
    drawn: list[bytes] = []
    draw = os.urandom

    def remembering(count: int) -> bytes:
        drawn.append(draw(count))
        return drawn[-1]

    def failing(public_key: bytes) -> str:
        raise RuntimeError("it broke in the middle")

    monkeypatch.setattr("wallet.keys.os.urandom", remembering)
    monkeypatch.setattr("wallet.keys.address_of", failing)
    claim = await claim_shard(0)
    async with serve() as wallet:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ensure(wallet, claim, uuid4())

    written = "".join(capfd.readouterr()) + str(failure.value) + repr(failure.value)
    secrets = [*drawn, key_in(key_file)]
    assert "it broke in the middle" in written
    assert "it broke in the middle" not in (failure.value.details() or "")
    assert [form for secret in secrets for form in forms(secret) if form in written] == []


async def test_key_material_does_not_stay_reachable(
    serve: Serve, claim_shard: ClaimShard, database: Database, key_file: Path
) -> None:
    """While wallet goes on serving, no object of the process holds the key it made."""
    claim = await claim_shard(0)
    async with serve() as wallet:
        await ensure(wallet, claim, uuid4())
        gc.collect()
        held = {
            bytes(thing)
            for holder in gc.get_objects()
            for thing in gc.get_referents(holder)
            if isinstance(thing, bytes | bytearray)
        }
        data_key, private_key = await opened(database, key_file)

    assert private_key not in held
    assert data_key not in held


async def test_a_wallet_keeps_starting_with_the_key_it_began_with(settings: Settings) -> None:
    """The first start leaves the canary, later ones open it."""
    for _ in range(2):
        async with running(settings):
            pass


async def test_another_key_is_refused_in_one_sentence(settings: Settings, tmp_path: Path) -> None:
    """It names both keys, and the rows stay as they are."""
    async with running(settings):
        pass
    right = FileKeyEncryption(settings.key_encryption_key_file).key_id
    other = make_key_file(tmp_path / "other")

    with pytest.raises(WrongKey) as refusal:
        async with running(
            msgspec.structs.replace(settings, key_encryption_key_file=tmp_path / "other")
        ):
            pass

    assert right in str(refusal.value)
    assert other in str(refusal.value)
    async with running(settings):
        pass


async def test_two_first_starts_with_two_keys_leave_one_winner(
    settings: Settings, tmp_path: Path
) -> None:
    """However they race, the database is sealed under one key."""
    make_key_file(tmp_path / "other")
    other = msgspec.structs.replace(settings, key_encryption_key_file=tmp_path / "other")

    async def start(settings: Settings) -> bool:
        with contextlib.suppress(WrongKey):
            async with running(settings):
                return True
        return False

    assert sorted(await asyncio.gather(start(settings), start(other))) == [False, True]


async def test_a_canary_that_does_not_open_is_a_refusal(
    settings: Settings, database: Database
) -> None:
    """A database restored from elsewhere, or a row somebody changed: better no wallet than that."""
    async with running(settings):
        pass
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("ALTER TABLE wallet.key_encryption_keys DISABLE TRIGGER USER")
    await connection.execute("UPDATE wallet.key_encryption_keys SET canary = canary || '\\x00'")
    await connection.close()

    with pytest.raises(WrongKey, match="canary"):
        async with running(settings):
            pass


async def test_a_missing_file_is_a_refusal_and_makes_no_new_key(settings: Settings) -> None:
    """Never a new key over old rows."""
    async with running(settings):
        pass
    remove(settings.key_encryption_key_file)

    with pytest.raises(CannotStart, match="put it back"):
        async with running(settings):
            pass

    assert not settings.key_encryption_key_file.exists()


def remove(path: Path) -> None:
    """Lose a file."""
    path.unlink()


@pytest.fixture
def open_key_file(key_file: Path) -> Path:
    """A key that everybody may read."""
    key_file.chmod(0o644)
    return key_file


async def test_the_program_refuses_a_wrong_file_in_one_line(
    database: Database, open_key_file: Path
) -> None:
    """Exit status 1 and one sentence: no stack trace."""
    status, output = await run_program(
        "wallet",
        WALLET_DATABASE_URL=database.url("purser_wallet"),
        WALLET_KEY_ENCRYPTION_KEY_FILE=str(open_key_file),
    )

    assert (status, output.strip().count("\n")) == (1, 0)
    assert f"chmod 600 {open_key_file}" in output


async def test_the_program_makes_a_key_once(tmp_path: Path) -> None:
    """`make-key` says the id and not the key; the second time it refuses."""
    path = tmp_path / "key"

    first, said = await run_program("wallet", "make-key", str(path))
    key = path.read_text().strip()
    second, refused = await run_program("wallet", "make-key", str(path))

    assert (first, second) == (0, 1)
    assert FileKeyEncryption(path).key_id in said
    assert key not in said + refused
    assert path.read_text().strip() == key


async def test_a_serving_wallet_allows_no_dump(database: Database, key_file: Path) -> None:
    """The limit on core files is zero, and a SIGTERM ends it with status 0."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wallet",
        env={
            **os.environ,
            "WALLET_DATABASE_URL": database.url("purser_wallet"),
            "WALLET_KEY_ENCRYPTION_KEY_FILE": str(key_file),
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"ready" not in await program.stderr.readline():
                pass
        limits = resource.prlimit(program.pid, resource.RLIMIT_CORE)
    finally:
        program.terminate()
        await program.communicate()

    assert limits == (0, 0)
    assert program.returncode == 0
