"""The doors of the ledger: read the message, ask the use case, write the answer."""

import grpc.aio

from chassis.errors import read_field
from kernel.identifiers import parse_uuid
from kernel.money import check_asset_id
from kernel.sharding import Claim
from ledger.application import Applying, Ledger, Reading
from ledger.domain.accounts import check_asset_ids
from ledger.domain.history import read_page_size, read_token, write_token
from ledger.domain.operations import Request
from ledger.wire import (
    account_message,
    answer_message,
    asset_message,
    performance_message,
    read_marks,
    read_operations,
    read_past,
    trade_message,
)
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc


class LedgerServicer(ledger_pb2_grpc.LedgerServiceServicer):
    """The LedgerService."""

    def __init__(self, ledger: Ledger, applying: Applying, reading: Reading) -> None:
        self._ledger = ledger
        self._applying = applying
        self._reading = reading

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
        return ledger_pb2.EnsureAccountsResponse(accounts=map(account_message, accounts))

    async def ApplyOperations(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.ApplyOperationsRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.ApplyOperationsRequest, ledger_pb2.ApplyOperationsResponse
        ],
    ) -> ledger_pb2.ApplyOperationsResponse:
        """Apply operations with the next batch."""
        answers = await self._applying.apply(
            Request(
                claim=read_field("claim", Claim.of, request.claim),
                operations=read_operations(request.operations),
            )
        )
        return ledger_pb2.ApplyOperationsResponse(results=map(answer_message, answers))

    async def ListAssets(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.ListAssetsRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.ListAssetsRequest, ledger_pb2.ListAssetsResponse
        ],
    ) -> ledger_pb2.ListAssetsResponse:
        """Give the registry."""
        assets = await self._reading.list_assets()
        return ledger_pb2.ListAssetsResponse(assets=map(asset_message, assets))

    async def ListAccounts(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.ListAccountsRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.ListAccountsRequest, ledger_pb2.ListAccountsResponse
        ],
    ) -> ledger_pb2.ListAccountsResponse:
        """Give a user's accounts."""
        user_id = read_field("user_id", parse_uuid, request.user_id)
        accounts = await self._ledger.list_accounts(user_id)
        return ledger_pb2.ListAccountsResponse(accounts=map(account_message, accounts))

    async def ListTrades(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.ListTradesRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.ListTradesRequest, ledger_pb2.ListTradesResponse
        ],
    ) -> ledger_pb2.ListTradesResponse:
        """Give a page of a user's trades."""
        trades, following = await self._reading.list_trades(
            read_field("user_id", parse_uuid, request.user_id),
            read_token(request.page_token),
            read_page_size(request.page_size),
            may_be_old=request.may_be_old,
        )
        return ledger_pb2.ListTradesResponse(
            trades=map(trade_message, trades),
            next_page_token=write_token(following) if following else "",
        )

    async def GetPerformance(  # noqa: N802 (gRPC's name)
        self,
        request: ledger_pb2.GetPerformanceRequest,
        context: grpc.aio.ServicerContext[
            ledger_pb2.GetPerformanceRequest, ledger_pb2.GetPerformanceResponse
        ],
    ) -> ledger_pb2.GetPerformanceResponse:
        """Compute how a user's trading went."""
        performance = await self._reading.performance(
            read_field("user_id", parse_uuid, request.user_id),
            read_field("currency_asset_id", check_asset_id, request.currency_asset_id),
            read_marks("marks", request.marks),
            read_past(request.past),
            may_be_old=request.may_be_old,
        )
        return performance_message(performance)
