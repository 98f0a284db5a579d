"""Kraken spot: `GET /0/public/Ticker`, among other things the best bid and ask of each pair.

Documented at docs.kraken.com/api/docs/rest-api/get-ticker-information. Pairs of USDT are written
`XBTUSDT`: two symbols have names of their own here. The answer is always 200: `error` lists what is
wrong, `result` has per pair `a` and `b`, each [price, whole lots, lots] as strings. A pair it does
not trade makes it refuse the whole call. One call a second per address is what it asks for. The
answer states no time.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pricing.exchanges.dialect import Answer, Request, decode, middle
from pricing.exchanges.errors import (
    PAUSE_SECONDS_DEFAULT,
    Garbled,
    NoAnswer,
    PairUnlisted,
    Throttled,
)

_SYMBOLS = {"BTC": "XBT", "DOGE": "XDG"}
_THROTTLED = ("EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EService: Throttled")
_UNLISTED = "EQuery:Unknown asset pair"


class Kraken:
    """See dialect.Dialect."""

    name = "kraken"

    def pair(self, symbol: str, currency: str) -> str:
        """Name a pair."""
        return _SYMBOLS.get(symbol, symbol) + currency

    def request(self, pairs: Sequence[str] | None) -> Request:
        """Ask for pairs."""
        return Request("/0/public/Ticker", {} if pairs is None else {"pair": ",".join(pairs)})

    def read(self, answer: Answer) -> dict[str, Decimal | None]:
        """Read the books."""
        if answer.status != 200:
            raise NoAnswer(f"it refuses with status {answer.status}")
        content = decode(answer.body)
        if not isinstance(content, dict):
            raise Garbled("the answer is no object")
        _check_errors(content.get("error"))
        result = content.get("result")
        if not isinstance(result, dict):
            raise Garbled("the answer has no result")
        return {
            pair: middle(_best(book, "b"), _best(book, "a")) if isinstance(book, dict) else None
            for pair, book in result.items()
        }


def _check_errors(errors: object) -> None:
    if not isinstance(errors, list):
        raise Garbled("the answer does not say whether it is an error")
    texts = [error for error in errors if isinstance(error, str)]
    if any(text.startswith(_THROTTLED) for text in texts):
        raise Throttled("it says too many", delay_seconds=PAUSE_SECONDS_DEFAULT)
    if any(text.startswith(_UNLISTED) for text in texts):
        raise PairUnlisted("it does not trade one of the pairs")
    if errors:
        raise NoAnswer("it refuses with an error")


def _best(book: Mapping[str, object], side: str) -> object:
    levels = book.get(side)
    return levels[0] if isinstance(levels, list) and levels else None
