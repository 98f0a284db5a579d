"""The books."""

from collections.abc import Sequence
from uuid import UUID

import grpc.aio

from kernel.money import parse_amount
from kernel.sharding import Claim
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from user_worker.clients.asked import asked
from user_worker.ports import Balance
from user_worker.wire import claim_to


class LedgerClient:
    """The books."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked. May raise RequestRefused."""
        response = await asked(
            "ledger",
            self._stub.EnsureAccounts(
                ledger_pb2.EnsureAccountsRequest(
                    claim=claim_to(claim), user_id=str(user_id), asset_ids=asset_ids
                ),
                timeout=self._timeout_seconds,
            ),
        )
        return [
            Balance(
                asset_id=account.posted.asset_id,
                posted=parse_amount(account.posted.value),
                held=parse_amount(account.held.value),
            )
            for account in response.accounts
        ]
