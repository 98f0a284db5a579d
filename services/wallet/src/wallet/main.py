"""The one place where everybody of wallet is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chassis import telemetry
from chassis.grpc_server import Server, serving
from chassis.migrations import folder_of, require_applied
from chassis.postgres import open_pool
from chassis.process import ready_line
from chassis.tls import require_files
from purser.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from wallet.application import Custody, check_key
from wallet.hardening import forbid_dumps
from wallet.key_encryption import FileKeyEncryption
from wallet.postgres import PostgresVault
from wallet.servicer import WalletServicer
from wallet.settings import Settings

MAY_CALL = {"purser.wallet.v1.WalletService": {"user-worker"}}
"""Who may call what; the README says why."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Server]:
    """Open, wire and serve; at the end drain and close in reverse. Raises CannotStart.

    The key is read and compared with the database's canary before anybody can ask for a wallet.
    """
    key_encryption = FileKeyEncryption(settings.key_encryption_key_file)
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(telemetry.start("wallet", settings.telemetry))
        require_files(settings.server.tls)
        pool = await open_pool(settings.postgres, "purser-wallet")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "wallet", folder_of("wallet"))
        vault = PostgresVault(pool)
        await check_key(vault, key_encryption)
        servicer = WalletServicer(Custody(vault, key_encryption))
        yield await stack.enter_async_context(
            serving(
                settings.server,
                lambda server: add_WalletServiceServicer_to_server(servicer, server),
                telling,
                MAY_CALL,
            )
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    forbid_dumps()
    async with running(settings) as server:
        ready_line("wallet", address=server.address)
        await stop.wait()
