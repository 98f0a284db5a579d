"""Short ways to say operations, and to ask a ledger for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from devbox.database import Database
from kernel.sharding import Claim
from purser.ledger.v1.ledger_pb2 import (
    TRADE_SIDE_BUY,
    TRADE_SIDE_SELL,
    Account,
    ApplyOperationsRequest,
    ApplyOperationsResponse,
    EnsureAccountsRequest,
    FaucetOperation,
    FeeOperation,
    FillOperation,
    HoldOperation,
    ListAccountsRequest,
    Operation,
    OperationOutcome,
    OperationResult,
    ReleaseOperation,
)
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from purser.money.v1.money_pb2 import Amount
from purser.shard.v1.shard_pb2 import ShardClaim

LATER_SECONDS = 3600
USDT, BTC, ETH = "paper:USDT", "paper:BTC", "paper:ETH"
TIMEOUT_SECONDS = 20


def amount(value: str, asset_id: str = USDT) -> Amount:
    """An amount, of USDT unless said otherwise."""
    return Amount(asset_id=asset_id, value=value)


def faucet(user: UUID, value: str, key: str | None = None, asset_id: str = USDT) -> Operation:
    """A gift."""
    return Operation(
        idempotency_key=key or f"gift:{uuid4()}",
        faucet=FaucetOperation(user_id=str(user), amount=amount(value, asset_id)),
    )


def fee(user: UUID, value: str, key: str | None = None, asset_id: str = USDT) -> Operation:
    """A charge."""
    return Operation(
        idempotency_key=key or f"charge:{uuid4()}",
        fee=FeeOperation(user_id=str(user), amount=amount(value, asset_id)),
    )


def hold(
    user: UUID,
    order: UUID,
    value: str,
    asset_id: str = USDT,
    key: str | None = None,
    expires_at: Timestamp | None = None,
) -> Operation:
    """A hold for an order."""
    return Operation(
        idempotency_key=key or f"order:{order}:hold",
        hold=HoldOperation(
            user_id=str(user),
            order_id=str(order),
            amount=amount(value, asset_id),
            expires_at=expires_at,
        ),
    )


def buy(
    user: UUID, order: UUID, spent: str, received: str, charged: str = "0", key: str | None = None
) -> Operation:
    """A fill that spends USDT for BTC."""
    return Operation(
        idempotency_key=key or f"order:{order}:fill",
        fill=FillOperation(
            user_id=str(user),
            order_id=str(order),
            spent=amount(spent),
            received=amount(received, BTC),
            fee=amount(charged, BTC),
            side=TRADE_SIDE_BUY,
        ),
    )


def sell(
    user: UUID, order: UUID, spent: str, received: str, charged: str = "0", key: str | None = None
) -> Operation:
    """A fill that spends BTC for USDT."""
    return Operation(
        idempotency_key=key or f"order:{order}:fill",
        fill=FillOperation(
            user_id=str(user),
            order_id=str(order),
            spent=amount(spent, BTC),
            received=amount(received),
            fee=amount(charged),
            side=TRADE_SIDE_SELL,
        ),
    )


def release(user: UUID, order: UUID, key: str | None = None) -> Operation:
    """The end of a hold without a trade."""
    return Operation(
        idempotency_key=key or f"order:{order}:release",
        release=ReleaseOperation(user_id=str(user), order_id=str(order)),
    )


def linked(*operations: Operation) -> list[Operation]:
    """Operations that succeed or fail together."""
    for operation in operations[:-1]:
        operation.linked = True
    return list(operations)


def wire(claim: Claim) -> ShardClaim:
    """A claim as a message."""
    return ShardClaim(pool=claim.pool, shard=claim.shard, epoch=claim.epoch)


async def apply(
    ledger: LedgerServiceStub, claim: Claim, *operations: Operation
) -> Sequence[OperationResult]:
    """Apply operations as one request."""
    answer: ApplyOperationsResponse = await ledger.ApplyOperations(
        ApplyOperationsRequest(claim=wire(claim), operations=operations), timeout=TIMEOUT_SECONDS
    )
    return answer.results


async def outcomes(ledger: LedgerServiceStub, claim: Claim, *operations: Operation) -> list[str]:
    """Apply operations as one request; the outcomes by their names, `*` marks a replay."""
    return [
        outcome_of(result) + "*" * result.replayed
        for result in await apply(ledger, claim, *operations)
    ]


def outcome_of(result: OperationResult) -> str:
    """The name of an outcome without its prefix."""
    return OperationOutcome.Name(result.outcome).removeprefix("OPERATION_OUTCOME_")


async def new_user(
    ledger: LedgerServiceStub,
    claim: Claim,
    gift: str | None = "1000",
    assets: Sequence[str] = (USDT, BTC),
) -> UUID:
    """A user with accounts and some play money."""
    user = uuid4()
    await ledger.EnsureAccounts(
        EnsureAccountsRequest(claim=wire(claim), user_id=str(user), asset_ids=assets),
        timeout=TIMEOUT_SECONDS,
    )
    if gift is not None:
        assert await outcomes(ledger, claim, faucet(user, gift)) == ["APPLIED"]
    return user


async def balances(ledger: LedgerServiceStub, user: UUID) -> dict[str, tuple[str, str]]:
    """Posted and held of a user's accounts, by the asset's symbol."""
    answer = await ledger.ListAccounts(
        ListAccountsRequest(user_id=str(user)), timeout=TIMEOUT_SECONDS
    )
    accounts: Sequence[Account] = answer.accounts
    return {
        account.posted.asset_id.rpartition(":")[2]: (account.posted.value, account.held.value)
        for account in accounts
    }


def later() -> Timestamp:
    """A time that is not over in this test, until `expire` lets it be."""
    at = Timestamp()
    at.FromDatetime(datetime.now(UTC) + timedelta(seconds=LATER_SECONDS))
    return at


async def expire(database: Database, in_seconds: float = 0) -> None:
    """Let the time of all holds that have one be over soon, however slow their making was."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(
            "UPDATE ledger.transfers SET expires_at = clock_timestamp() + make_interval(secs => $1)"
            " WHERE state = 'pending' AND expires_at IS NOT NULL",
            in_seconds,
        )
    finally:
        await owner.close()


async def as_owner(database: Database, statement: str) -> None:
    """Do what only the database's owner can."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
