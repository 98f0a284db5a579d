"""Two public exchanges on loopback that answer as their documentation says, or as they are told to.

Every call is counted: of quotes by exchange, of Binance's past as `klines`. What is traded and at
which price is the same on both unless a test says otherwise; `answer_with` replaces an exchange's
answers until it is given None. With `calls_per_second_max` each exchange answers 429 to what comes
above it in a second of the clock, counted as `<name> refused`, as a public API does.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KRAKEN_NAMES = {"BTC": "XBT", "DOGE": "XDG"}


@dataclass
class FakeExchanges:
    """The exchanges `binance` and `kraken`. Prices are of a pair to USDT, by symbol."""

    prices: dict[str, dict[str, str]] = field(
        default_factory=lambda: {
            name: {"BTC": "64000.00", "ETH": "3100.00", "DOGE": "0.12000"}
            for name in ("binance", "kraken")
        }
    )
    calls: Counter[str] = field(default_factory=Counter)
    delay_seconds: float = 0.0
    calls_per_second_max: int | None = None
    answers: dict[str, Handler] = field(default_factory=dict)
    url: str = ""
    _in_second: Counter[tuple[str, int]] = field(default_factory=Counter)

    def answer_with(self, name: str, handler: Handler | None) -> None:
        """Have an exchange answer in another way."""
        self.answers.pop(name, None)
        if handler is not None:
            self.answers[name] = handler

    def app(self) -> web.Application:
        """Make the server of both."""
        app = web.Application()
        app.router.add_get("/binance/api/v3/ticker/bookTicker", self._as("binance", self._binance))
        app.router.add_get("/binance/api/v3/klines", self._as("klines", self._klines))
        app.router.add_get("/kraken/0/public/Ticker", self._as("kraken", self._kraken))
        return app

    def _as(self, name: str, documented: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls[name] += 1
            if self._is_above_limit(name):
                self.calls[f"{name} refused"] += 1
                return web.json_response({"code": -1003}, status=429, headers={"Retry-After": "1"})
            await asyncio.sleep(self.delay_seconds)
            return await self.answers.get(name, documented)(request)

        return answer

    def _is_above_limit(self, name: str) -> bool:
        if self.calls_per_second_max is None:
            return False
        this = (name, int(time.monotonic()))
        if this not in self._in_second:
            others = {key: calls for key, calls in self._in_second.items() if key[0] != name}
            self._in_second = Counter(others)
        self._in_second[this] += 1
        return self._in_second[this] > self.calls_per_second_max

    async def _binance(self, request: web.Request) -> web.StreamResponse:
        traded = {f"{symbol}USDT": price for symbol, price in self.prices["binance"].items()}
        pairs = json.loads(request.query["symbols"]) if "symbols" in request.query else traded
        if not set(pairs) <= set(traded):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        books = [
            {
                "symbol": pair,
                "bidPrice": traded[pair],
                "bidQty": "431.00000000",
                "askPrice": traded[pair],
                "askQty": "9.00000000",
            }
            for pair in pairs
        ]
        return web.json_response(books)

    async def _klines(self, request: web.Request) -> web.StreamResponse:
        pair = request.query["symbol"]
        price = self.prices["binance"].get(pair.removesuffix("USDT"))
        if price is None:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        assert request.query["interval"] == "1m"
        begin, end = int(request.query["startTime"]), int(request.query["endTime"])
        first = -(-begin // 60_000) * 60_000
        opened = list(range(first, end + 1, 60_000))[: int(request.query["limit"])]
        return web.json_response(
            [
                [
                    at,
                    price,
                    price,
                    price,
                    price,
                    "148976.1",
                    at + 59_999,
                    "2434.1",
                    308,
                    "1",
                    "2",
                    "0",
                ]
                for at in opened
            ]
        )

    async def _kraken(self, request: web.Request) -> web.StreamResponse:
        traded = {
            f"{KRAKEN_NAMES.get(symbol, symbol)}USDT": price
            for symbol, price in self.prices["kraken"].items()
        }
        asked = request.query.get("pair")
        pairs = list(traded) if asked is None else asked.split(",")
        if not set(pairs) <= set(traded):
            return web.json_response({"error": ["EQuery:Unknown asset pair"]})
        books: dict[str, Any] = {
            pair: {
                "a": [traded[pair], "1", "1.000"],
                "b": [traded[pair], "1", "1.000"],
                "c": [traded[pair], "0.00067643"],
                "v": ["4083.67001100", "4412.73601799"],
                "t": [34619, 38907],
                "o": traded[pair],
            }
            for pair in pairs
        }
        return web.json_response({"error": [], "result": books})


@asynccontextmanager
async def fake_exchanges() -> AsyncIterator[FakeExchanges]:
    """Serve both on a free port of loopback."""
    exchanges = FakeExchanges()
    runner = web.AppRunner(exchanges.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        exchanges.url = f"http://{host}:{port}"
        yield exchanges
    finally:
        await runner.cleanup()
