"""EnsureWallet over gRPC against a real PostgreSQL."""

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import pytest
from tests.integration.stores import ClaimShard, rows
from tests.integration.wallet.conftest import Serve

from chassis.grpc_client import reason_of
from devbox.database import Database
from kernel.sharding import Claim
from purser.shard.v1.shard_pb2 import ShardClaim
from purser.wallet.v1.wallet_pb2 import EnsureWalletRequest, EnsureWalletResponse
from purser.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from wallet.domain import checksum_address
from wallet.keys import make_sealed_key

MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("claim", {"claim": None}),
    ("claim", {"claim": ShardClaim(pool="Default.Main", epoch=1)}),
    ("claim", {"claim": ShardClaim(pool="default.main", shard=2**31, epoch=1)}),
    ("user_id", {"user_id": ""}),
    ("user_id", {"user_id": "12345678123412341234123456789012"}),
    ("user_id", {"user_id": "\u202e" + "1" * 10_000}),
)


def request(claim: Claim, user_id: object) -> EnsureWalletRequest:
    """A well-formed request."""
    wire = ShardClaim(pool=claim.pool, shard=claim.shard, epoch=claim.epoch)
    return EnsureWalletRequest(claim=wire, user_id=str(user_id))


async def ensure(wallet: WalletServiceStub, claim: Claim, user_id: object) -> EnsureWalletResponse:
    """Ask for a wallet."""
    answer: EnsureWalletResponse = await wallet.EnsureWallet(request(claim, user_id), timeout=10)
    return answer


async def refused(wallet: WalletServiceStub, request: EnsureWalletRequest) -> grpc.aio.AioRpcError:
    """Ask for a wallet, expecting an error."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await wallet.EnsureWallet(request, timeout=10)
    return refusal.value


async def test_the_first_call_makes_a_wallet_and_every_later_one_finds_it(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """Also after a restart: same id, same address, created once."""
    claim, user = await claim_shard(0), uuid4()
    async with serve() as wallet:
        first = await ensure(wallet, claim, user)
        second = await ensure(wallet, claim, user)
    async with serve() as wallet:
        third = await ensure(wallet, claim, user)

    assert [first.created, second.created, third.created] == [True, False, False]
    assert {(first.wallet_id, first.address)} == {
        (each.wallet_id, each.address) for each in (first, second, third)
    }
    assert first.address == checksum_address(bytes.fromhex(first.address[2:]))


async def test_concurrent_calls_for_one_user_make_exactly_one_wallet(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Thirty callers at two wallets: one row, one line in the audit log, one caller made it."""
    claim, user = await claim_shard(0), uuid4()
    async with serve() as one, serve() as other:
        answers = await asyncio.gather(
            *(ensure(one if k % 2 else other, claim, user) for k in range(30))
        )

    assert len({(answer.wallet_id, answer.address) for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert [(answers[0].wallet_id,)] == [
        (str(row[0]),) for row in await rows(database, "SELECT wallet_id FROM wallet.wallets")
    ]
    assert await rows(database, "SELECT count(*) FROM wallet.audit_log") == [(1,)]


async def test_a_creation_is_in_the_audit_log_under_its_claim(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Which wallet, for whom, on whose word, under which key."""
    claim, user = await claim_shard(3), uuid4()
    async with serve() as wallet:
        made = await ensure(wallet, claim, user)

    [line] = await rows(
        database,
        "SELECT action, wallet_id::text, user_id, pool, shard, epoch, key_id FROM wallet.audit_log",
    )
    [(key_id,)] = await rows(database, "SELECT key_id FROM wallet.key_encryption_keys")
    assert line == (
        "wallet_created",
        made.wallet_id,
        user,
        claim.pool,
        claim.shard,
        claim.epoch,
        key_id,
    )


async def test_a_stale_claim_is_refused_and_writes_nothing(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The worker that lost its shard is told so by every store, for old users too."""
    stale, user = await claim_shard(0), uuid4()
    async with serve() as wallet:
        await ensure(wallet, stale, user)
        await claim_shard(0)
        errors = [await refused(wallet, request(stale, who)) for who in (user, uuid4())]

    assert [(error.code(), reason_of(error)) for error in errors] == [
        (grpc.StatusCode.FAILED_PRECONDITION, "STALE_EPOCH")
    ] * 2
    assert await rows(database, "SELECT count(*) FROM wallet.wallets") == [(1,)]


async def test_a_claim_lost_while_the_key_is_made_writes_nothing(
    serve: Serve, claim_shard: ClaimShard, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence holds in the write's own transaction, not only when the call began."""

    async def slowly(*arguments: Any) -> Any:
        await claim_shard(0)
        return await make_sealed_key(*arguments)

    monkeypatch.setattr("wallet.application.make_sealed_key", slowly)
    claim = await claim_shard(0)
    async with serve() as wallet:
        error = await refused(wallet, request(claim, uuid4()))

    assert reason_of(error) == "STALE_EPOCH"
    assert await rows(database, "SELECT count(*) FROM wallet.wallets") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM wallet.audit_log") == [(0,)]


async def test_a_valid_claim_of_another_shard_is_refused(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """A shard's epoch opens its own users' wallets only."""
    home, other, user = await claim_shard(0), await claim_shard(1), uuid4()
    async with serve() as wallet:
        await ensure(wallet, home, user)
        error = await refused(wallet, request(other, user))

    assert (error.code(), reason_of(error)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "SHARD_MISMATCH",
    )


async def test_malformed_requests_name_the_field(serve: Serve, claim_shard: ClaimShard) -> None:
    """INVALID_ARGUMENT, and nothing hostile is echoed."""
    good = request(await claim_shard(0), uuid4())
    async with serve() as wallet:
        for field, change in MALFORMED:
            fields: dict[str, Any] = {"claim": good.claim, "user_id": good.user_id} | change
            error = await refused(wallet, EnsureWalletRequest(**fields))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert (error.details() or "").startswith(f"{field}: expected ")
            assert (error.details() or "").isascii()
