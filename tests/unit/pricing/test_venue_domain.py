"""What makes two orders the same one, and how the venue's instruments are read."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from kernel.money import AssetId
from pricing.paper_venue.domain import (
    Amount,
    Asset,
    Instrument,
    Order,
    Side,
    fingerprint,
    read_instruments,
)
from pricing.paper_venue.errors import MalformedVenue

USDT, BTC = AssetId("paper:USDT"), AssetId("paper:BTC")
ORDER = Order(
    UUID(int=1),
    UUID(int=2),
    Side.BUY,
    "BTC",
    Amount(USDT, Decimal(100)),
    Amount(BTC, Decimal("0.001")),
    None,
)


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": UUID(int=3)},
        {"user_id": UUID(int=3)},
        {"side": Side.SELL},
        {"symbol": "ETH"},
        {"spend": Amount(BTC, Decimal(100))},
        {"spend": Amount(USDT, Decimal("100.000001"))},
        {"receive_min": Amount(USDT, Decimal("0.001"))},
        {"receive_min": Amount(BTC, Decimal(0))},
        {"receive_max": Decimal("0.001")},
    ],
)
def test_every_field_of_an_order_is_in_its_fingerprint(change: dict[str, Any]) -> None:
    """The same id with another body must be noticed, whichever part differs."""
    assert fingerprint(ORDER) != fingerprint(replace(ORDER, **change))


def test_an_amount_written_otherwise_is_the_same_amount() -> None:
    """Callers may write zeros; the order is the same."""
    spelt = replace(ORDER, spend=Amount(USDT, Decimal("100.000")))

    assert fingerprint(ORDER) == fingerprint(spelt)


def test_a_fingerprint_stays_what_it_is() -> None:
    """Rows are compared with it for ever: another spelling needs another version."""
    expected = "2fc0cda6d5c3d99c"

    assert expected == fingerprint(ORDER).hex()[:16]


def test_instruments_are_read_with_their_assets() -> None:
    """Assets are named as the ledger's registry names play money."""
    instruments = read_instruments(["BTC:8:400000000"], "USDT", 6)

    bitcoin = Instrument("BTC", Asset(BTC, 8), Asset(USDT, 6), Decimal(400_000_000))
    assert {"BTC": bitcoin} == instruments


@pytest.mark.parametrize(
    "line",
    [
        "",
        "BTC",
        "BTC:8",
        "btc:8:1000",
        "BTC:19:1000",
        "BTC:-1:1000",
        "BTC:8:0",
        "BTC:8:1e9",
        "BTC:8:1000.5",
        "BTC:8:1000000000000000",
        "BTC:8:\u0661",
        "BTC:8:1000:1",
    ],
)
def test_a_malformed_instrument_is_refused_with_a_right_one(line: str) -> None:
    """One sentence for the person who wrote it; his text in ASCII."""
    with pytest.raises(MalformedVenue, match="for example BTC:8:400000000") as refusal:
        read_instruments([line], "USDT", 6)

    assert str(refusal.value).isascii()


@pytest.mark.parametrize("lines", [["BTC:8:1", "BTC:8:2"], ["USDT:6:1"]])
def test_a_symbol_is_traded_once_and_never_for_itself(lines: list[str]) -> None:
    """Which of the two would hold, and what would it be worth?"""
    with pytest.raises(MalformedVenue, match="twice"):
        read_instruments(lines, "USDT", 6)
