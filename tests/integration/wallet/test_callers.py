"""Over TLS wallet answers workers and nobody else."""

from pathlib import Path

import grpc
import grpc.aio
import msgspec
import pytest
from tests.fakes.authority import Authority

from chassis.grpc_client import ClientSettings, open_channel, reason_of
from chassis.grpc_server import ServerSettings
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from wallet.main import running
from wallet.settings import Settings


async def test_a_worker_is_heard_and_the_gateway_is_not(settings: Settings, tmp_path: Path) -> None:
    """The gateway is not trusted with wallets: an intruder there must find this door shut."""
    authority = Authority()
    files = authority.issue("wallet").write(tmp_path / "wallet")
    guarded = msgspec.structs.replace(settings, server=ServerSettings(tls=files))
    codes = {}
    async with running(guarded) as server:
        for part in ("user-worker", "gateway"):
            caller = ClientSettings(tls=authority.issue(part).write(tmp_path / part))
            async with open_channel(server.address, caller) as channel:
                stub = wallet_pb2_grpc.WalletServiceStub(channel)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.EnsureWallet(wallet_pb2.EnsureWalletRequest(), timeout=3)
            codes[part] = (caught.value.code().name, reason_of(caught.value))
    # An empty request is malformed: who hears that got in.
    expected = {
        "user-worker": ("INVALID_ARGUMENT", "MALFORMED"),
        "gateway": ("PERMISSION_DENIED", "NOT_ALLOWED"),
    }
    assert expected == codes
