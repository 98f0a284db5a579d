"""What users type for something that is traded, found or suggested. No I/O.

    BTC   $btc   #BTC   BTC/USDT   btcusdt   btc-usd   bitcoin

Only plain ASCII finds anything by itself. Letters that look like ours but are not (Cyrillic, Greek,
full width) are never taken for ours: what they look like is suggested, and the user presses a
button or types again.
"""

import difflib
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

TYPED_CHARACTERS_MAX = 40
"""Longer names nothing that is traded."""
SUGGESTIONS_MAX = 6
_CLOSE_ENOUGH = 0.7
"""Of difflib's ratio: one wrong letter in a symbol of four."""

CURRENCY = "USDT"
_CURRENCIES = (CURRENCY, "USD", "USDC")
_NAMES = {
    "BITCOIN": "BTC",
    "XBT": "BTC",
    "ETHEREUM": "ETH",
    "ETHER": "ETH",
    "SOLANA": "SOL",
    "RIPPLE": "XRP",
    "DOGECOIN": "DOGE",
    "CARDANO": "ADA",
    "AVALANCHE": "AVAX",
    "CHAINLINK": "LINK",
    "POLKADOT": "DOT",
    "LITECOIN": "LTC",
    "BINANCE": "BNB",
    "TRON": "TRX",
    "TONCOIN": "TON",
    "UNISWAP": "UNI",
    "POLYGON": "POL",
    "STELLAR": "XLM",
    "COSMOS": "ATOM",
    "MONERO": "XMR",
}
_LOOKALIKES = str.maketrans(
    "АВСЕНІЈКМОРЅТХУԚԜΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹ",
    "ABCEHIJKMOPSTXYQWABEZHIKMNOPTYXC",
)
"""Capital letters of Cyrillic and Greek that look like those of ASCII."""


@dataclass(frozen=True, slots=True)
class Found:
    """Exactly this one."""

    symbol: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """Nothing by that name, with what may have been meant."""

    suggestions: tuple[str, ...] = ()
    has_lookalikes: bool = False
    """Whether letters were typed that only look like ours."""


def find_symbol(typed: str, symbols: Collection[str]) -> Found | NotFound:
    """Find what was typed among the symbols that are traded. Never raises."""
    text = typed.strip()
    if not text or len(text) > TYPED_CHARACTERS_MAX:
        return NotFound()
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text).upper().translate(_LOOKALIKES)
        visible = "".join(c for c in plain if unicodedata.category(c) not in {"Cf", "Cc", "Mn"})
        found = _find_plain(visible, symbols) if visible.isascii() else NotFound()
        meant = (found.symbol,) if isinstance(found, Found) else found.suggestions
        return NotFound(meant, has_lookalikes=True)
    return _find_plain(text.upper(), symbols)


def _find_plain(text: str, symbols: Collection[str]) -> Found | NotFound:
    name = text[1:].lstrip() if text[:1] in ("$", "#") else text
    if not name:
        return NotFound()
    for candidate in (name, _NAMES.get(name, ""), *_without_currency(name)):
        if candidate in symbols:
            return Found(candidate)
    beginning = sorted(symbol for symbol in symbols if symbol.startswith(name))
    beginning += sorted(
        symbol for full, symbol in _NAMES.items() if full.startswith(name) and symbol in symbols
    )
    close = difflib.get_close_matches(name, list(symbols), SUGGESTIONS_MAX, _CLOSE_ENOUGH)
    return NotFound(tuple(dict.fromkeys([*beginning, *close]))[:SUGGESTIONS_MAX])


def _without_currency(name: str) -> list[str]:
    return [
        name.removesuffix(currency).rstrip("/-_: ")
        for currency in _CURRENCIES
        if name.endswith(currency)
    ]
