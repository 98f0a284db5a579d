"""How exchanges are asked and what is made of their answers: as documented, and as nobody would."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.exchanges.binance import Binance
from pricing.exchanges.dialect import Answer, Dialect, Request, middle
from pricing.exchanges.errors import (
    PAUSE_SECONDS_DEFAULT,
    PAUSE_SECONDS_MAX,
    Garbled,
    NoAnswer,
    PairUnlisted,
    Throttled,
    pause_seconds,
)
from pricing.exchanges.kraken import Kraken

DIALECTS: list[Dialect] = [Binance(), Kraken()]
WORDS = ["symbol", "bidPrice", "askPrice", "error", "result", "a", "b", "code"]
NO_PRICES: list[object] = [
    "-1", "0", "0.00000000", "NaN", "Infinity", "1e999", "1e5", "", " 1", "1,5", "\u0661", "1" * 99,
    None, True, 1, 1.5, [], {},
]  # fmt: skip


def ok(content: object, status: int = 200) -> Answer:
    """An answer with some content."""
    return Answer(status, json.dumps(content).encode())


def binance_book(bid: object, ask: object, pair: str = "BTCUSDT") -> dict[str, object]:
    """One of Binance's books."""
    return {"symbol": pair, "bidPrice": bid, "bidQty": "1.5", "askPrice": ask, "askQty": "2"}


def kraken_answer(**pairs: tuple[object, object]) -> dict[str, object]:
    """Kraken's answer with (bid, ask) by pair."""
    return {
        "error": [],
        "result": {
            pair: {"a": [ask, "1", "1.000"], "b": [bid, "1", "1.000"], "o": "1", "t": [1, 2]}
            for pair, (bid, ask) in pairs.items()
        },
    }


def test_pairs_are_named_as_each_exchange_names_them() -> None:
    """Kraken has its own names for two symbols."""
    assert [d.pair("BTC", "USDT") for d in DIALECTS] == ["BTCUSDT", "XBTUSDT"]
    assert [d.pair("DOGE", "USDT") for d in DIALECTS] == ["DOGEUSDT", "XDGUSDT"]
    assert [d.pair("ETH", "USDT") for d in DIALECTS] == ["ETHUSDT", "ETHUSDT"]


def test_one_request_asks_for_all_pairs() -> None:
    """Or, without pairs, for whatever is traded."""
    path = "/api/v3/ticker/bookTicker"
    assert Binance().request(["A", "B"]) == Request(path, {"symbols": '["A","B"]'})
    assert Binance().request(None) == Request(path, {})
    assert Kraken().request(["A", "B"]) == Request("/0/public/Ticker", {"pair": "A,B"})
    assert Kraken().request(None) == Request("/0/public/Ticker", {})


def test_the_middle_of_each_book_is_read_exactly() -> None:
    """Of an answer as documented, fields we do not know included."""
    binance = ok([binance_book("77297.25", "77297.26"), binance_book("1", "1", "ETHUSDT")])
    kraken = ok(kraken_answer(XBTUSDT=("77297.20000", "77297.30000"), ETHUSDT=("1", "1.00001")))

    assert {"BTCUSDT": Decimal("77297.255"), "ETHUSDT": Decimal(1)} == Binance().read(binance)
    assert {
        "XBTUSDT": Decimal("77297.25"),
        "ETHUSDT": Decimal("1.000005"),
    } == Kraken().read(kraken)


@pytest.mark.parametrize("rubbish", NO_PRICES, ids=repr)
def test_a_price_that_is_none_costs_its_pair_alone(rubbish: object) -> None:
    """On either side of the book; the neighbours are read."""
    binance = [
        binance_book(rubbish, "1"),
        binance_book("1", rubbish, "X"),
        binance_book("2", "2", "Y"),
    ]

    read = Binance().read(ok(binance))
    assert {"BTCUSDT": None, "X": None, "Y": Decimal(2)} == read
    kraken = kraken_answer(X=(rubbish, "1"), Y=("1", rubbish), Z=("2", "2"))
    assert {"X": None, "Y": None, "Z": Decimal(2)} == Kraken().read(ok(kraken))


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [("100", "102", "101"), ("100", "102.1", None), ("101", "100", None), ("5", "5", "5")],
)
def test_a_book_that_is_crossed_or_wide_says_nothing(
    bid: str, ask: str, expected: str | None
) -> None:
    """Two percent wide at most."""
    assert (None if expected is None else Decimal(expected)) == middle(bid, ask)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"7", b'"BTC"', b"\xff\xfe", b"<html>", b"[" * 100_000, b"{}"],
    ids=lambda body: repr(body[:8]),
)
def test_an_answer_of_another_shape_is_garbled(dialect: Dialect, body: bytes) -> None:
    """As a whole, and nothing else is raised."""
    with pytest.raises(Garbled):
        dialect.read(Answer(200, body))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS), inner),
    ),
    st.sampled_from([200, 400]),
)
def test_whatever_comes_is_prices_or_no_answer(
    dialect: Dialect, content: object, status: int
) -> None:
    """Nobody's rubbish ends the program."""
    try:
        read = dialect.read(ok(content, status))
    except NoAnswer:
        return
    assert all(price is None or price > 0 for price in read.values())


def test_an_unlisted_pair_is_told_from_other_refusals() -> None:
    """By the codes and words of the documentation."""
    with pytest.raises(PairUnlisted):
        Binance().read(ok({"code": -1121, "msg": "Invalid symbol."}, 400))
    with pytest.raises(PairUnlisted):
        Kraken().read(ok({"error": ["EQuery:Unknown asset pair"]}))
    others: list[tuple[Dialect, Answer]] = [
        (Binance(), ok({"code": -1000, "msg": "An unknown error occurred."}, 400)),
        (Kraken(), ok({"error": ["EService:Unavailable"], "result": {}})),
        (Kraken(), ok({}, 400)),
    ]
    for dialect, refusal in others:
        with pytest.raises(NoAnswer) as told:
            dialect.read(refusal)
        assert type(told.value) is NoAnswer


@pytest.mark.parametrize(
    "text",
    ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EService: Throttled: 1790000000"],
)
def test_kraken_says_too_many_with_status_200(text: str) -> None:
    """It is left alone for the time we chose."""
    with pytest.raises(Throttled) as told:
        Kraken().read(ok({"error": [text]}))

    assert PAUSE_SECONDS_DEFAULT == told.value.delay_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("0", 1.0),
        ("999999999", PAUSE_SECONDS_MAX),
        ("9999999999", PAUSE_SECONDS_DEFAULT),
        (None, PAUSE_SECONDS_DEFAULT),
        ("-5", PAUSE_SECONDS_DEFAULT),
        ("\u0663", PAUSE_SECONDS_DEFAULT),
        ("Wed, 21 Oct 2026 07:28:00 GMT", PAUSE_SECONDS_DEFAULT),
    ],
)
def test_the_time_to_wait_is_read_and_bounded(header: str | None, seconds: float) -> None:
    """Nonsense is our default, never nothing and never for ever."""
    assert seconds == pause_seconds(header)
