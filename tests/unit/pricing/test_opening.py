"""What the exchanges' settings may say, and what they cost whoever does not use them."""

import json
import subprocess
import sys

import pytest

from chassis.errors import CannotStart
from pricing.domain import Source, Traded
from pricing.errors import MalformedMarket
from pricing.exchanges.opening import read_instruments
from pricing.exchanges.transport import checked_base_url


def test_a_simulated_market_carries_no_http_client() -> None:
    """Importing all of pricing's own serving brings none: it is memory and a slower start."""
    program = "import sys, json, pricing.main; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout

    assert "pricing.main" in json.loads(output)
    assert {"aiohttp", "pricing.exchanges"}.isdisjoint(json.loads(output))


def test_instruments_are_read_as_written() -> None:
    """With the digits their prices are shown with."""
    assert read_instruments(["BTC:2", "DOGE:18"], "USDT") == [
        Traded("BTC", "USDT", 2, Source.EXCHANGES),
        Traded("DOGE", "USDT", 18, Source.EXCHANGES),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "BTC",
        "BTC:",
        "btc:2",
        "BTC:-1",
        "BTC:19",
        "BTC:0000000002",
        "BTC:\u0662",
        "ETH:2",
        "B:1:1",
    ],
)
def test_a_malformed_instrument_is_one_sentence(line: str) -> None:
    """It quotes the part of the setting that is wrong; a symbol named twice is wrong too."""
    with pytest.raises(MalformedMarket) as refusal:
        read_instruments(["ETH:1", line], "USDT")

    assert ascii(line) in str(refusal.value)


def test_exchanges_need_something_to_ask_for_and_not_too_much() -> None:
    """The contract's 1 to 200."""
    for lines in ([], [f"S{number}:2" for number in range(201)]):
        with pytest.raises(MalformedMarket, match="1 to 200"):
            read_instruments(lines, "USDT")


@pytest.mark.parametrize(
    "url",
    ["", "api.example.com", "ftp://example.com", "https://example.com/?a=b", "https://e.com#a"],
)
def test_an_address_nobody_can_ask_is_refused_at_the_start(url: str) -> None:
    """Rather than at every step."""
    with pytest.raises(CannotStart, match="https://"):
        checked_base_url(url)


def test_a_slash_at_the_end_of_an_address_does_not_matter() -> None:
    """Paths begin with one."""
    assert checked_base_url("https://example.com/api/") == "https://example.com/api"
