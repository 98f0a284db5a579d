"""`python -m devbox.telegram`: one line when it serves, one sentence when it cannot."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

WAIT_SECONDS = 20.0
TOKEN = "42:from-the-environment"


@asynccontextmanager
async def started(
    *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The simulator as a process, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_serves_until_it_is_told_to_stop() -> None:
    """It prints its address, takes the token from the environment, and SIGTERM ends it cleanly."""
    arguments = ("-m", "devbox.telegram", "--port", "0")
    async with started(*arguments, environment={"SIMULATOR_TOKEN": TOKEN}) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), WAIT_SECONDS)
        url = line.decode().split()[-1]
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{url}/bot{TOKEN}/getMe") as response,
        ):
            content = await response.json()

        process.send_signal(signal.SIGTERM)
        output, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)

    assert content["result"]["id"] == 42
    assert (process.returncode, output, errors) == (0, b"", b"")


async def test_a_taken_port_is_told_in_a_sentence() -> None:
    """No traceback: the port, the reason, the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with started("-m", "devbox.telegram", "--port", str(port)) as process:
            _, errors = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)

    assert process.returncode == 1
    assert errors.decode() == (
        f"The simulator cannot listen on port {port}: address already in use. Try --port 0.\n"
    )


async def test_it_runs_without_aiogram() -> None:
    """The shapes come from a file; importing the simulator imports no bot library."""
    code = "import sys, devbox.telegram; sys.exit('aiogram' in sys.modules)"
    async with started("-c", code) as process:
        await asyncio.wait_for(process.communicate(), WAIT_SECONDS)

    assert process.returncode == 0
