"""`/livez` and `/readyz`, answered from what the process knows, without asking anybody.

A probe that asked PostgreSQL or the API server would have kubelet restart a healthy operator
because something else is down. Live: the event loop answers, a leader's last pass is not too long
ago, and its watches are not stale. Ready: everything was opened; a stand-by is ready too, it is one
so that it can lead at once.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from chassis.errors import CannotStart
from chassis.telemetry import split_address


@asynccontextmanager
async def serving_health(address: str, is_live: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve the probes; gives the port. Raises CannotStart when the address is taken."""

    async def answer_live(_request: web.Request) -> web.Response:
        if is_live():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the last pass is too long ago, or a watch is stale\n")

    async def answer_ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.add_routes([web.get("/livez", answer_live), web.get("/readyz", answer_ready)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    host, port = split_address(address)
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise CannotStart(f"cannot serve health on {address}: {error.strerror}.") from None
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
