"""A way from this machine to a Service in the cluster, on any cluster: `kubectl port-forward`.

It ends when its pod ends, or when a connection through it is reset; then it is begun anew on the
same local port, so whoever uses it only reconnects.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.binaries import component_path
from tests.cluster.podrunner.runner import cancel_until_done

from devbox.ports import free_port

BEGIN_SECONDS_MAX = 30.0
"""Until the first one stands: its pod is there and Ready when it is asked for."""
AGAIN_SECONDS = 0.3
"""Between the end of one and the next."""
STOP_SECONDS = 5.0


@asynccontextmanager
async def forwarded(kubeconfig: Path, namespace: str, target: str, port: int) -> AsyncIterator[int]:
    """The local port that leads to `target` (such as `service/purser-simulator`) for as long as
    the context lasts. Raises TimeoutError when it does not stand in time.
    """
    local = free_port()
    command = [
        str(component_path("kubectl")),
        f"--kubeconfig={kubeconfig}",
        f"--namespace={namespace}",
        "port-forward",
        "--address=127.0.0.1",
        target,
        f"{local}:{port}",
    ]
    stands = asyncio.Event()
    forwarding = asyncio.create_task(_again_and_again(command, stands))
    try:
        async with asyncio.timeout(BEGIN_SECONDS_MAX):
            await stands.wait()
        yield local
    finally:
        await cancel_until_done(forwarding)


async def _again_and_again(command: list[str], stands: asyncio.Event) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                if line.startswith(b"Forwarding from"):
                    stands.set()
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        await asyncio.sleep(AGAIN_SECONDS)
