"""The doors of the ledger: read the message, ask the use case, write the answer."""

from decimal import Decimal

import grpc.aio

from chassis.errors import read_field
from kernel.identifiers import parse_uuid
from kernel.money import format_amount
from kernel.sharding import Claim
from ledger.application import Ledger
from ledger.domain import Account, check_asset_ids
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """The LedgerService. What is not overridden here answers UNIMPLEMENTED by itself."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def EnsureAccounts(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.EnsureAccountsRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.EnsureAccountsRequest, ledger_pb2.EnsureAccountsResponse
        ],
    ) -> ledger_pb2.EnsureAccountsResponse:
        """Make the user's accounts or find them."""
        accounts = await self._ledger.ensure_accounts(
            claim=read_field("claim", Claim.of, request.claim),
            user_id=read_field("user_id", parse_uuid, request.user_id),
            asset_ids=check_asset_ids(request.asset_ids),
        )
        return ledger_pb2.EnsureAccountsResponse(accounts=map(_account, accounts))


def _account(account: Account) -> ledger_pb2.Account:
    def amount(value: Decimal) -> money_pb2.Amount:
        return money_pb2.Amount(asset_id=account.asset_id, value=format_amount(value))

    return ledger_pb2.Account(
        account_id=str(account.account_id),
        posted=amount(account.posted),
        held=amount(account.held),
        created=account.created,
    )
