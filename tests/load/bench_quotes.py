"""Quotes per second from a worker's local copy, beside asking pricing for each.

The copy is the worker's own (`LocalPricing`), kept fresh by a real stream from a real pricing; the
asking goes through gRPC to the same pricing, one caller and many at once. The ratio is why a worker
keeps a copy.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.e2e.live_run import running
from tests.load.figures import tell

from chassis.grpc_client import ClientSettings, open_channel
from user_worker.application.quotes import LocalPricing, QuotesPace
from user_worker.clients import BooksClient, PricingClient
from user_worker.domain.pauses import Pauses

SECONDS = 3.0
CALLERS = 32
SYMBOLS = ("BTC", "ETH", "SOL", "DOGE")
_PACE = QuotesPace(
    fresh_seconds=3.0,
    asked_again_seconds=1.0,
    instruments_seconds=300.0,
    after_outage=Pauses(0.1, 2.0),
)


async def bench(_asked: object) -> bool:
    """Measure and tell."""
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with running(Path(folder), "--port", "0") as run:
            addresses = [f"127.0.0.1:{run.report.ports[name]}" for name in ("pricing", "ledger")]
            async with (
                open_channel(addresses[0], ClientSettings()) as pricing,
                open_channel(addresses[1], ClientSettings()) as ledger,
            ):
                source = PricingClient(pricing, 3.0)
                copy = LocalPricing(source, BooksClient(ledger, 3.0), _PACE)
                keeping = asyncio.create_task(copy.run())
                await _until_there(copy)
                local = await _per_second(copy.quote, 1)
                alone = await _per_second(lambda symbol: source.quotes([symbol]), 1)
                many = await _per_second(lambda symbol: source.quotes([symbol]), CALLERS)
                keeping.cancel()
    tell("quotes from the local copy", local, "1/s", times_asking=round(local / many, 1))
    tell("quotes asked for through gRPC", alone, "1/s", callers=1)
    tell("quotes asked for through gRPC", many, "1/s", callers=CALLERS)
    return True


async def _until_there(copy: LocalPricing) -> None:
    for symbol in SYMBOLS:
        assert await copy.quote(symbol) is not None


async def _per_second(ask: Callable[[str], Awaitable[object]], callers: int) -> float:
    """Ask from so many callers for some seconds."""
    began = time.perf_counter()
    until = began + SECONDS

    async def caller() -> int:
        asked = 0
        while time.perf_counter() < until:
            for symbol in SYMBOLS:
                await ask(symbol)
            asked += len(SYMBOLS)
            if asked % 1000 == 0:
                await asyncio.sleep(0)  # the stream goes on meanwhile
        return asked

    counts = await asyncio.gather(*(caller() for _ in range(callers)))
    return sum(counts) / (time.perf_counter() - began)
