"""A way to the API server on which connections can die in silence.

Bytes are passed on as they are (TLS is not opened). `stall` keeps every connection that is open
then, and passes nothing on it any more: neither end is told, as when a load balancer forgets a
connection. New connections work.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

CHUNK_BYTES = 65536


class StallingWay:
    """The open connections; each has an event that is set once it is to be silent."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._silent: list[asyncio.Event] = []

    def open(self) -> int:
        """How many connections pass bytes on."""
        return sum(not event.is_set() for event in self._silent)

    def stall(self) -> int:
        """Silence what is open; how many connections that is."""
        silenced = [event for event in self._silent if not event.is_set()]
        for event in silenced:
            event.set()
        return len(silenced)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until one end closes it."""
        silent = asyncio.Event()
        self._silent.append(silent)
        there, back = await asyncio.open_connection(self._host, self._port)
        with contextlib.suppress(OSError):
            await asyncio.gather(_copy(reader, back, silent), _copy(there, writer, silent))
        self._silent.remove(silent)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event
) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        if not silent.is_set():
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def stalling_way(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[StallingWay, Path]]:
    """The way, and a kubeconfig that leads over it."""
    content = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    cluster = content["clusters"][0]["cluster"]
    address = urlsplit(cluster["server"])
    assert address.hostname
    assert address.port
    way = StallingWay(address.hostname, address.port)
    server = await asyncio.start_server(way.pass_on, "127.0.0.1", 0)
    cluster["server"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    file = folder / "over-the-way.kubeconfig"
    await asyncio.to_thread(file.write_text, json.dumps(content))
    try:
        yield way, file
    finally:
        server.close()
