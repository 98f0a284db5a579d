"""Custody."""

from uuid import UUID

import grpc.aio

from kernel.sharding import Claim
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from user_worker.clients.asked import asked
from user_worker.wire import claim_to


class WalletClient:
    """Custody."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = wallet_pb2_grpc.WalletServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> str:
        """Make or find the user's wallet; gives its address. May raise RequestRefused."""
        response = await asked(
            "wallet",
            self._stub.EnsureWallet(
                wallet_pb2.EnsureWalletRequest(claim=claim_to(claim), user_id=str(user_id)),
                timeout=self._timeout_seconds,
            ),
        )
        address: str = response.address
        return address
