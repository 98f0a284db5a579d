"""EnsureAccounts over gRPC against a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import pytest
from tests.integration.ledger.conftest import Serve
from tests.integration.stores import ClaimShard, rows

from chassis.grpc_client import call_idempotent, reason_of
from devbox.database import Database
from kernel.sharding import Claim
from purser.ledger.v1.ledger_pb2 import (
    EnsureAccountsRequest,
    EnsureAccountsResponse,
)
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from purser.shard.v1.shard_pb2 import ShardClaim

ASSETS = ("paper:USDT", "paper:BTC")
MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("claim", {"claim": None}),
    ("claim", {"claim": ShardClaim(pool="x", epoch=1)}),
    ("claim", {"claim": ShardClaim(pool="default.main", shard=2**32 - 1, epoch=1)}),
    ("claim", {"claim": ShardClaim(pool="default.main", epoch=2**64 - 1)}),
    ("user_id", {"user_id": ""}),
    ("user_id", {"user_id": "not-a-uuid"}),
    ("user_id", {"user_id": "{12345678-1234-1234-1234-123456789012}"}),
    ("user_id", {"user_id": "\u202e12345678-1234-1234-1234-12345678901"}),
    ("asset_ids", {"asset_ids": []}),
    ("asset_ids", {"asset_ids": ["paper:BTC"] * 1000}),
    ("asset_ids[1]", {"asset_ids": ["paper:BTC", "paper:\u202eCTB"]}),
    ("asset_ids[0]", {"asset_ids": ["\0"]}),
)


def request(claim: Claim, user_id: object, asset_ids: Sequence[str]) -> EnsureAccountsRequest:
    """A well-formed request."""
    wire = ShardClaim(pool=claim.pool, shard=claim.shard, epoch=claim.epoch)
    return EnsureAccountsRequest(claim=wire, user_id=str(user_id), asset_ids=asset_ids)


async def ensure(
    ledger: LedgerServiceStub, claim: Claim, user_id: object, asset_ids: Sequence[str] = ASSETS
) -> EnsureAccountsResponse:
    """Ask for accounts; again, as a worker does, where the database has ended a transaction."""
    asked = request(claim, user_id, asset_ids)
    return await call_idempotent(lambda left: ledger.EnsureAccounts(asked, timeout=left), 10)


async def refused(
    ledger: LedgerServiceStub, request: EnsureAccountsRequest
) -> grpc.aio.AioRpcError:
    """Ask for accounts, expecting an error."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ledger.EnsureAccounts(request, timeout=10)
    return refusal.value


async def test_the_first_call_makes_accounts_and_the_second_finds_them(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """In the order of the request, empty, with the created flag once; a new asset joins later."""
    claim, user = await claim_shard(0), uuid4()
    async with serve() as ledger:
        first = await ensure(ledger, claim, user)
        second = await ensure(ledger, claim, user, ["paper:ETH", "paper:BTC", "paper:USDT"])

    assert [
        (a.posted.asset_id, a.posted.value, a.held.value, a.created) for a in first.accounts
    ] == [("paper:USDT", "0", "0", True), ("paper:BTC", "0", "0", True)]
    assert [a.created for a in second.accounts] == [True, False, False]
    assert [a.account_id for a in reversed(first.accounts)] == [
        a.account_id for a in second.accounts[1:]
    ]


async def test_concurrent_calls_make_each_account_once(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Forty callers on two ledgers, assets in both orders: one account each, made once."""
    claim, user = await claim_shard(0), uuid4()
    async with serve() as one, serve() as other:
        answers = await asyncio.gather(
            *(ensure(one, claim, user, ASSETS) for _ in range(20)),
            *(ensure(other, claim, user, ASSETS[::-1]) for _ in range(20)),
        )

    accounts = [account for answer in answers for account in answer.accounts]
    assert len({account.account_id for account in accounts}) == 2
    assert sum(account.created for account in accounts) == 2
    assert await rows(database, "SELECT count(*) FROM ledger.accounts") == [(2,)]


async def test_a_repeated_asset_is_answered_twice_with_one_account(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """Answers match the request place by place."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        answer = await ensure(ledger, claim, uuid4(), ["paper:BTC", "paper:BTC"])

    first, second = answer.accounts
    assert first.account_id == second.account_id


async def test_a_stale_claim_is_refused_and_writes_nothing(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The worker that lost its shard is told so by every store."""
    stale = await claim_shard(0)
    await claim_shard(0)
    async with serve() as ledger:
        error = await refused(ledger, request(stale, uuid4(), ASSETS))

    assert (error.code(), reason_of(error)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_EPOCH",
    )
    assert await rows(database, "SELECT count(*) FROM ledger.users") == [(0,)]


async def test_a_valid_claim_of_another_shard_is_refused(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Finding is refused like making: a shard's epoch opens its own users' accounts only."""
    home, other, user = await claim_shard(0), await claim_shard(1), uuid4()
    async with serve() as ledger:
        await ensure(ledger, home, user)
        for assets in (ASSETS, ("paper:ETH",)):
            error = await refused(ledger, request(other, user, assets))
            assert (error.code(), reason_of(error)) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "SHARD_MISMATCH",
            )

    assert await rows(database, "SELECT DISTINCT shard FROM ledger.users") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM ledger.accounts") == [(2,)]


async def test_two_shards_that_meet_a_new_user_at_once_make_one_home(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The user belongs to whoever came first; the other is refused and leaves no account."""
    claims, user = [await claim_shard(0), await claim_shard(1)], uuid4()
    async with serve() as ledger:
        answers = await asyncio.gather(
            *(ensure(ledger, claims[k % 2], user) for k in range(10)), return_exceptions=True
        )

    errors = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert [reason_of(error) for error in errors] == ["SHARD_MISMATCH"] * 5
    assert await rows(database, "SELECT count(*) FROM ledger.accounts") == [(2,)]


async def test_unknown_assets_are_named_and_nothing_is_made(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """All of them at once, so that the caller can mend its list in one go."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        error = await refused(
            ledger, request(claim, uuid4(), ["paper:GOLD", "paper:BTC", "evm:1:0xabc"])
        )

    assert (error.code(), error.details()) == (
        grpc.StatusCode.NOT_FOUND,
        "not in the asset registry: paper:GOLD, evm:1:0xabc",
    )
    assert await rows(database, "SELECT count(*) FROM ledger.users") == [(0,)]


async def test_malformed_requests_name_the_field(serve: Serve, claim_shard: ClaimShard) -> None:
    """INVALID_ARGUMENT before the database is asked, and nothing hostile is echoed."""
    good = request(await claim_shard(0), uuid4(), ASSETS)
    fields: dict[str, Any] = {
        "claim": good.claim,
        "user_id": good.user_id,
        "asset_ids": good.asset_ids,
    }
    async with serve() as ledger:
        for field, change in MALFORMED:
            error = await refused(ledger, EnsureAccountsRequest(**(fields | change)))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert (error.details() or "").startswith(f"{field}: expected ")
            assert (error.details() or "").isascii()


async def test_an_epoch_of_zero_is_stale_rather_than_malformed(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """It is what a message without an epoch carries."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        error = await refused(ledger, request(Claim(claim.pool, 0, 0), uuid4(), ASSETS))

    assert reason_of(error) == "STALE_EPOCH"
