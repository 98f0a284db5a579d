"""End the servers that a killed run left behind, without starting anything."""

import signal

from devbox.data_folder import DataFolder
from devbox.programs import end_leftovers
from devbox.servers.postgresql import FAST_STOP_TIMEOUT_SECONDS, postgres_program
from devbox.servers.valkey import STOP_TIMEOUT_SECONDS, valkey_binary


async def end_servers(folder: DataFolder) -> int:
    """Return how many processes were ended."""
    databases = await end_leftovers(
        postgres_program("postgres"),
        folder.postgres / "cluster",
        signal.SIGINT,
        FAST_STOP_TIMEOUT_SECONDS,
    )
    return databases + await end_leftovers(
        valkey_binary(), folder.valkey, signal.SIGTERM, STOP_TIMEOUT_SECONDS
    )
