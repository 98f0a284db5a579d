"""The doors of wallet: read the message, ask the use case, write the answer."""

from uuid import UUID

import grpc.aio

from kernel.identifiers import parse_uuid
from kernel.malformed import Malformed
from kernel.sharding import Claim
from purser.shard.v1 import shard_pb2
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from wallet.application import Custody
from wallet.errors import MalformedRequest


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
        wallet = await self._custody.ensure_wallet(_claim(request.claim), _user_id(request.user_id))
        return wallet_pb2.EnsureWalletResponse(
            wallet_id=str(wallet.wallet_id), address=wallet.address, created=wallet.created
        )


def _claim(message: shard_pb2.ShardClaim) -> Claim:
    try:
        return Claim(message.pool, message.shard, message.epoch)
    except Malformed as error:
        raise MalformedRequest("claim", str(error)) from error


def _user_id(text: str) -> UUID:
    try:
        return parse_uuid(text)
    except Malformed as error:
        raise MalformedRequest("user_id", str(error)) from error
