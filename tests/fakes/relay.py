"""What comes on one connection goes out on another, both ways, until either end goes."""

import asyncio
import contextlib

PIECE_BYTES = 1 << 16

Target = tuple[str, int]
"""A host and a port."""


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target
) -> None:
    """Lead a connection that was taken to a target; both ends are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(writer.close)
        with contextlib.suppress(OSError):  # either end may go at any time, and the other is told
            there, back = await asyncio.open_connection(*target)
            stack.callback(back.close)
            ways = [
                asyncio.create_task(_one_way(reader, back)),
                asyncio.create_task(_one_way(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)


async def _one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
