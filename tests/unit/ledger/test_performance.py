"""How trading went: the figures of small examples, computed by hand."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ledger.books import BTC, NOW, USDT

from kernel.money import AssetId, exact
from ledger.domain.performance import (
    Flow,
    Holding,
    MarkedTime,
    Performance,
    Record,
    Tally,
    measure,
)

D = Decimal
ETH = AssetId("paper:ETH")


def tally(*events: str) -> Tally:
    """Deposits are written "+100", closing trades by their PnL, in order."""
    result = Tally()
    with exact():
        for event in events:
            if event.startswith("+"):
                result.deposit(D(event))
            else:
                result.close(D(event))
    return result


def holding(asset_id: AssetId, posted: str, cost: str = "0", held: str = "0") -> Holding:
    """A holding of an account opened at NOW."""
    return Holding(asset_id, D(posted), D(held), D(cost), NOW)


def measured(
    holdings: Sequence[Holding],
    marks: dict[AssetId, Decimal],
    flows: Sequence[Flow] = (),
    past: Sequence[MarkedTime] = (),
) -> Performance:
    """Measure in USDT."""
    return measure(Record(holdings, flows, 0, Tally()), USDT, 6, marks, past)


def test_win_rate_profit_factor_and_expectancy() -> None:
    """Three wins of 60 in all, one loss of 20, one even trade."""
    closed = tally("+1000", "10", "20", "-20", "0", "30")

    assert (closed.winning, closed.losing, closed.even) == (3, 1, 1)
    assert closed.win_rate == D("0.6")
    assert closed.profit_factor == 3
    assert closed.expectancy(6) == 8
    assert closed.realised == 40


def test_without_a_closing_trade_nothing_is_known_of_them() -> None:
    """Unknown is None, never zero."""
    nothing = tally("+1000")

    assert (nothing.win_rate, nothing.profit_factor, nothing.expectancy(6)) == (None, None, None)
    assert (nothing.max_drawdown, nothing.max_drawdown_ratio) == (D(0), D(0))
    assert tally().max_drawdown_ratio is None


def test_a_profit_factor_needs_a_loss() -> None:
    """Infinite is not a number."""
    assert tally("10").profit_factor is None
    assert tally("-10").profit_factor == 0


@pytest.mark.parametrize(
    ("events", "fall", "ratio"),
    [
        (("+1000", "100", "-50", "-60", "200"), "110", "0.1"),  # from 1100 to 990
        (("+1000", "-100", "300", "-120"), "120", "0.1"),  # 1200 → 1080 beats 1000 → 900
        (("+1000", "100", "-55", "+500", "-55"), "110", "0.06875"),  # a deposit hides no loss
        (("+1000", "50", "100"), "0", "0"),
        (("-10",), "10", None),  # no peak above zero to fall from
    ],
)
def test_the_maximum_drawdown_is_the_largest_fall_from_an_earlier_peak(
    events: tuple[str, ...], fall: str, ratio: str | None
) -> None:
    """Of the realised balance; deposits lift balance and peak alike."""
    closed = tally(*events)

    assert closed.max_drawdown == D(fall)
    assert closed.max_drawdown_ratio == (None if ratio is None else D(ratio))


def test_positions_are_valued_at_the_marks_and_add_up_to_the_equity() -> None:
    """Rounded half to even to the currency's unit, each by itself, so that the column adds up."""
    result = measured(
        [holding(BTC, "0.00000001", "0.0005"), holding(ETH, "2", "100"), holding(USDT, "5")],
        {BTC: D("64250.05"), ETH: D(60)},
    )

    assert [p.value for p in result.positions] == [D("0.000643"), D(120), D(5)]
    assert result.equity == D("125.000643")
    assert result.unrealised_pnl == D("20.000143")
    assert [p.cost for p in result.positions] == [D("0.0005"), D(100), None]


@pytest.mark.parametrize(("price", "value"), [("0.0000005", "0"), ("0.0000015", "0.000002")])
def test_a_value_halfway_between_two_units_goes_to_the_even_one(price: str, value: str) -> None:
    """As the contract says."""
    assert measured([holding(BTC, "1")], {BTC: D(price)}).positions[0].value == D(value)


def test_a_missing_mark_makes_the_sums_unknown_and_only_them() -> None:
    """The other positions keep their values."""
    result = measured([holding(BTC, "1", "10"), holding(ETH, "1", "10")], {ETH: D(11)})

    assert [p.value for p in result.positions] == [None, 11]
    assert (result.equity, result.unrealised_pnl) == (None, None)


def test_what_is_not_held_needs_no_mark_and_is_no_position() -> None:
    """An account that was emptied stays open."""
    result = measured([holding(BTC, "0"), holding(USDT, "7", held="2")], {})

    assert [(p.asset_id, p.held) for p in result.positions] == [(USDT, D(2))]
    assert result.equity == 7


def test_a_user_without_accounts_has_nothing() -> None:
    """That is known: it is zero."""
    result = measured([], {})

    assert (result.equity, result.unrealised_pnl) == (D(0), D(0))
    assert result.fees == {}


def test_past_equity_counts_what_was_posted_up_to_each_time_and_tells_deposits_apart() -> None:
    """Flows are told by the first time that includes them; the last one is after all of them."""
    times = [NOW + timedelta(hours=hour) for hour in (-1, 0, 1, 2)]
    marks = [{}, {}, {BTC: D(10)}, {BTC: D(20)}]
    result = measured(
        [holding(BTC, "1"), holding(USDT, "3")],
        {BTC: D(1)},
        [
            Flow(USDT, "faucet", 1, D(100)),
            Flow(USDT, "hold", 2, D(-50)),
            Flow(BTC, "fill", 2, D(5)),
            Flow(BTC, "fee", 2, D(-1)),
            Flow(USDT, "faucet", 3, D(10)),
            Flow(USDT, "faucet", 4, D(1_000)),
        ],
        [MarkedTime(at, mark) for at, mark in zip(times, marks, strict=True)],
    )

    assert [(p.equity, p.net_deposits) for p in result.points] == [
        (None, D(0)),  # there was no account yet
        (D(100), D(100)),
        (D(90), D(100)),
        (D(140), D(110)),
    ]
    assert result.fees == {BTC: 1}


def test_a_past_time_without_the_mark_it_needs_is_unknown() -> None:
    """And the deposits are known all the same."""
    past = [MarkedTime(NOW, {}), MarkedTime(NOW, {BTC: D(2)})]
    (unknown, known) = measured([holding(BTC, "1")], {}, [Flow(BTC, "fill", 0, D(1))], past).points

    assert (unknown.equity, known.equity) == (None, D(2))


@given(
    pnls=st.lists(st.decimals(-1_000, 1_000, places=6), max_size=30),
    deposit=st.decimals(1, 1_000, places=6),
)
def test_figures_of_any_history_agree_with_their_definitions(
    pnls: list[Decimal], deposit: Decimal
) -> None:
    """Against the plain definition, quadratic and obvious."""
    closed = tally(f"+{deposit}", *map(str, pnls))
    with exact():
        curve = [sum(pnls[:count], D(0)) for count in range(len(pnls) + 1)]
        falls = [high - low for place, high in enumerate(curve) for low in curve[place:]]
        assert closed.max_drawdown == max(falls)
        assert closed.realised == closed.gross_profit - closed.gross_loss == curve[-1]
    assert closed.closing == len(pnls)
    assert closed.max_drawdown_ratio is not None
    assert 0 <= closed.max_drawdown_ratio <= 1
