"""A room that asks for certificates, and callers that show them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.awake import awake_clock
from tests.fakes.authority import Pair

from chassis.grpc_client import ClientSettings, reason_of
from chassis.grpc_server import Server, ServerSettings, serving
from chassis.telemetry import Telemetry
from chassis.tls_files import TlsSettings

Code = grpc.StatusCode
MAY_CALL = {"test.Room": {"friend"}, "test.Room/Other": {"guest"}}


async def _echo(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(0.02)
    return request


async def _peer(request: bytes, context: Any) -> bytes:
    return str(context.peer()).encode()


async def _stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for _ in range(int(request)):
        yield b"x"
        await asyncio.sleep(0.02)


def _add(server: grpc.aio.Server) -> None:
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(_echo),
        "Other": grpc.unary_unary_rpc_method_handler(_echo),
        "Unnamed": grpc.unary_unary_rpc_method_handler(_echo),
        "Peer": grpc.unary_unary_rpc_method_handler(_peer),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    handlers = [
        grpc.method_handlers_generic_handler("test.Room", methods),
        grpc.method_handlers_generic_handler("test.Hidden", methods),
    ]
    server.add_generic_rpc_handlers(tuple(handlers))


@asynccontextmanager
async def room(files: TlsSettings, **settings: Any) -> AsyncIterator[Server]:
    """Serve with a certificate; `MAY_CALL` says whom."""
    chosen = ServerSettings(tls=files, drain_timeout_seconds=1, **settings)
    async with serving(chosen, _add, Telemetry("room", None, []), MAY_CALL) as server:
        yield server


def client(pair: Pair, folder: Path) -> ClientSettings:
    """Call with a certificate."""
    return ClientSettings(tls=pair.write(folder))


async def answer(channel: grpc.aio.Channel, method: str = "Room/Unary") -> bytes:
    """Call, and be answered."""
    return bytes(await channel.unary_unary(f"/test.{method}")(b"hello", timeout=3))


async def refusal(
    channel: grpc.aio.Channel, method: str = "Room/Unary"
) -> tuple[grpc.StatusCode, str]:
    """Call, and be refused: the status and the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(channel, method)
    return caught.value.code(), reason_of(caught.value)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something, at most five seconds in which the machine runs."""
    with awake_clock() as clock:
        while not await condition():
            assert clock() < 5
            await asyncio.sleep(0.02)


async def is_refused(channel: grpc.aio.Channel) -> bool:
    """Whether a call is refused by now."""
    try:
        await answer(channel)
    except grpc.aio.AioRpcError:
        return True
    return False


def bare_channel(server: Server, pair: Pair, *, shows: bool = True) -> grpc.aio.Channel:
    """Dial without our client's own checks of its certificate."""
    shown = (pair.key, pair.certificate) if shows else (None, None)
    credentials = grpc.ssl_channel_credentials(pair.authority, *shown)
    return grpc.aio.secure_channel(server.address, credentials)
