"""Prices, asked of the exchange for each request (Binance's public dialect)."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import aiohttp
import msgspec
from tests.load.baseline.errors import PricesBusy
from tests.load.baseline.store import CURRENCY

SYMBOLS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "TON", "LTC")
TIMEOUT_SECONDS = 5.0
RETRY_SECONDS_MAX = 2.0
"""The longest that a user is kept waiting because the exchange asked for patience."""


class Prices:
    """The exchange."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/api/v3/ticker/bookTicker"

    async def of(self, symbols: Sequence[str]) -> dict[str, Decimal]:
        """Ask for the middles of the books, in one call. Raises PricesBusy."""
        pairs = msgspec.json.encode([f"{symbol}{CURRENCY}" for symbol in symbols]).decode()
        for is_last in (False, True):
            try:
                async with self._http.get(
                    self._url,
                    params={"symbols": pairs},
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                ) as response:
                    if response.status == 200:
                        books = await response.json()
                        return {
                            book["symbol"].removesuffix(CURRENCY): _middle(book) for book in books
                        }
                    asked = float(response.headers.get("Retry-After", "1"))
            except (TimeoutError, aiohttp.ClientError) as error:
                raise PricesBusy from error
            if is_last or asked > RETRY_SECONDS_MAX:
                break
            await asyncio.sleep(asked)
        raise PricesBusy


def _middle(book: dict[str, str]) -> Decimal:
    return (Decimal(book["bidPrice"]) + Decimal(book["askPrice"])) / 2
