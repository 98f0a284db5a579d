"""Wallet is the only process that ever sees a private key: whom the network lets to it, and whom it
answers.
"""

import grpc
import grpc.aio
import pytest
from tests.node.forwarding import forwarded
from tests.node.house import NodeHouse, channel_as

from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

KNOCK = """
import socket
try:
    socket.create_connection(("purser-wallet", 50051), timeout=4).close()
    print("open")
except TimeoutError:
    print("closed")
"""


@pytest.mark.parametrize(
    ("part", "found"),
    [("user-worker", "open"), ("gateway", "closed"), ("ledger", "closed"), ("pricing", "closed")],
)
async def test_the_network_lets_workers_alone_to_the_wallet(
    house: NodeHouse, part: str, found: str
) -> None:
    """From inside the pods, by the Service's name."""
    pod = (await house.release.pods(part))[0]["metadata"]["name"]
    told = await house.release.kubectl("exec", pod, "--", "python", "-c", KNOCK)
    assert found == told.strip()


@pytest.mark.parametrize("part", ["gateway", "ledger", "pricing"])
async def test_the_wallet_refuses_who_is_no_worker(house: NodeHouse, part: str) -> None:
    """By its certificate, had it come through the network all the same."""
    assert grpc.StatusCode.PERMISSION_DENIED == await _asked_by(house, part)


async def test_the_wallet_hears_a_worker(house: NodeHouse) -> None:
    """It understands the question, and finds it lacking."""
    assert grpc.StatusCode.INVALID_ARGUMENT == await _asked_by(house, "user-worker")


async def _asked_by(house: NodeHouse, part: str) -> grpc.StatusCode:
    release = house.release
    open_channel = await channel_as(release, part, "wallet")
    way = forwarded(release.kubeconfig, release.namespace, "service/purser-wallet", 50051)
    async with way as port, open_channel(f"127.0.0.1:{port}") as channel:
        wallet = wallet_pb2_grpc.WalletServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wallet.EnsureWallet(wallet_pb2.EnsureWalletRequest(), timeout=10)
        code: grpc.StatusCode = refused.value.code()
        return code
