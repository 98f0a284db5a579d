"""Binance spot: `GET /api/v3/ticker/bookTicker`, the best bid and ask of each pair.

Documented at developers.binance.com/docs/binance-spot-api-docs/rest-api. Pairs are written
`BTCUSDT` and asked for as a JSON list; the answer is a list of objects with prices as strings. A
pair it does not trade makes it refuse the whole call: 400 with the code -1121 (or -1100 for
characters it does not like). One call weighs 4 of the 6,000 an address may use in a minute. The
answer states no time.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from pricing.exchanges.dialect import Answer, Request, decode, middle
from pricing.exchanges.errors import Garbled, NoAnswer, PairUnlisted

_UNLISTED = frozenset({-1121, -1100})


class Binance:
    """See dialect.Dialect."""

    name = "binance"

    def pair(self, symbol: str, currency: str) -> str:
        """Name a pair."""
        return symbol + currency

    def request(self, pairs: Sequence[str] | None) -> Request:
        """Ask for pairs."""
        query = {} if pairs is None else {"symbols": msgspec.json.encode(pairs).decode()}
        return Request("/api/v3/ticker/bookTicker", query)

    def read(self, answer: Answer) -> dict[str, Decimal | None]:
        """Read the books."""
        content = decode(answer.body)
        if answer.status != 200:
            raise self.refusal(answer.status, content)
        if not isinstance(content, list):
            raise Garbled("the answer is no list")
        return {
            book["symbol"]: middle(book.get("bidPrice"), book.get("askPrice"))
            for book in content
            if isinstance(book, dict) and isinstance(book.get("symbol"), str)
        }

    @staticmethod
    def refusal(status: int, content: Any) -> NoAnswer:
        """Say what a refusal means, by the code in it."""
        code = content.get("code") if isinstance(content, dict) else None
        if isinstance(code, int) and code in _UNLISTED:
            return PairUnlisted("it does not trade one of the pairs")
        return NoAnswer(f"it refuses with status {status}")
