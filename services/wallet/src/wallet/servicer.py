"""The doors of wallet: read the message, ask the use case, write the answer."""

import grpc.aio

from chassis.errors import read_field
from kernel.identifiers import parse_uuid
from kernel.sharding import Claim
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from wallet.application import Custody


class WalletServicer(wallet_pb2_grpc.WalletServiceServicer):
    """The WalletService."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody

    async def EnsureWallet(  # noqa: N802 (gRPC's name)
        self,
        request: wallet_pb2.EnsureWalletRequest,
        context: grpc.aio.ServicerContext[
            wallet_pb2.EnsureWalletRequest, wallet_pb2.EnsureWalletResponse
        ],
    ) -> wallet_pb2.EnsureWalletResponse:
        """Make the user's wallet or find it."""
        wallet = await self._custody.ensure_wallet(
            read_field("claim", Claim.of, request.claim),
            read_field("user_id", parse_uuid, request.user_id),
        )
        return wallet_pb2.EnsureWalletResponse(
            wallet_id=str(wallet.wallet_id), address=wallet.address, created=wallet.created
        )
