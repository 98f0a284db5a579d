"""TLS before a server that speaks none, as many a provider has it.

The embedded servers are built without TLS. What reaches the front is a client's own TLS, and what
passes it is the server's own protocol. PostgreSQL's clients ask in plaintext whether they may begin
with TLS; a front for PostgreSQL answers yes, and to a client that does not ask nothing.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.fakes.authority import Pair
from tests.fakes.relay import pass_on

POSTGRES_ASKS = bytes([0, 0, 0, 8, 4, 210, 22, 47])
"""Its length, and the number that stands where a version would."""
CUT_TURNS = 20
"""Of the loop, until both ends of a cut connection have heard of it; it takes some three each."""


class TlsFront:
    """Passes on to a port of this machine. Made by `tls_front`."""

    def __init__(self, behind: int, *, postgres: bool = False) -> None:
        self._behind = behind
        self._postgres = postgres
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.versions: list[str | None] = []
        """Which TLS each connection had that was let in."""

    def show(self, pair: Pair) -> None:
        """Show this certificate at every new connection; those that stand stay."""
        with tempfile.TemporaryDirectory() as folder:
            files = pair.write(Path(folder)).files
            self._context.load_cert_chain(files[0], files[1])

    async def cut(self) -> None:
        """End every connection, as a proxy does that is replaced."""
        for writer in self._writers:
            writer.transport.abort()
        # Clients in this loop hear of it in its next turns, however long the machine stands still.
        for _ in range(CUT_TURNS):
            await asyncio.sleep(0)

    async def serve(self) -> asyncio.Server:
        """Listen on a free port."""
        context = None if self._postgres else self._context
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(writer.transport.abort)
                if self._postgres:
                    if await reader.readexactly(len(POSTGRES_ASKS)) != POSTGRES_ASKS:
                        return
                    writer.write(b"S")
                    await writer.start_tls(self._context)
                self.versions.append(writer.get_extra_info("ssl_object").version())
                self._writers.add(writer)
                stack.callback(self._writers.discard, writer)
                await pass_on(reader, writer, ("127.0.0.1", self._behind))


@contextlib.asynccontextmanager
async def tls_front(behind: int, pair: Pair, *, postgres: bool = False) -> AsyncIterator[TlsFront]:
    """Serve a front before a port of this machine."""
    front = TlsFront(behind, postgres=postgres)
    front.show(pair)
    server = await front.serve()
    try:
        yield front
    finally:
        server.close()
        await front.cut()
