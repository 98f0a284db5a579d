"""What holdings cost, by average cost."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from kernel.money import exact
from ledger.domain.positions import NOTHING, Position, buy, sell

UNIT = Decimal("0.000000000000000001")
amounts = st.decimals(UNIT, Decimal(10) ** 20, places=18)


def test_the_average_of_two_purchases_is_taken_along() -> None:
    """One for 10 and one for 30 cost 20 each."""
    position = buy(buy(NOTHING, Decimal(1), Decimal(10)), Decimal(1), Decimal(30))

    assert sell(position, Decimal(1)) == (Position(Decimal(1), Decimal(20)), Decimal(20))


def test_a_share_that_does_not_come_out_even_is_rounded_down_and_the_rest_stays() -> None:
    """A third of 10, three times: the last one takes what rounding left."""
    position, first = sell(Position(Decimal(3), Decimal(10)), Decimal(1))
    position, second = sell(position, Decimal(1))
    position, third = sell(position, Decimal(1))

    assert first == Decimal("3.333333333333333333")
    assert second == Decimal("3.333333333333333333")
    assert third == Decimal("3.333333333333333334")
    assert position == NOTHING


def test_the_last_unit_of_a_large_cost_is_not_lost() -> None:
    """Where Python's default context would round it away."""
    cost = Decimal("12345678901.000000000000000001")

    assert buy(NOTHING, Decimal(2), cost).cost == cost
    assert sell(Position(Decimal(2), cost), Decimal(2))[1] == cost


def test_what_came_without_a_trade_cost_nothing() -> None:
    """Selling more than was bought takes the whole cost along, and no more."""
    assert sell(Position(Decimal(1), Decimal(10)), Decimal(5)) == (NOTHING, Decimal(10))
    assert sell(NOTHING, Decimal(1)) == (NOTHING, Decimal(0))


@given(trades=st.lists(st.tuples(st.booleans(), amounts, amounts), max_size=20))
def test_cost_is_neither_made_nor_lost(trades: list[tuple[bool, Decimal, Decimal]]) -> None:
    """What went in is what came out plus what is left; nothing is ever negative."""
    position, paid, removed = NOTHING, Decimal(0), Decimal(0)
    with exact():
        for is_buy, quantity, cost in trades:
            if is_buy:
                position = buy(position, quantity, cost)
                paid += cost
            else:
                position, taken = sell(position, quantity)
                assert taken >= 0
                removed += taken
            assert position.quantity >= 0
            assert position.cost >= 0
            assert paid == removed + position.cost
            assert position.quantity or not position.cost


@given(cost=st.integers(1, 10**38), held=st.integers(2, 10**38), share=st.fractions(0, 1))
def test_a_part_takes_its_share_of_the_cost_to_the_last_unit(
    cost: int, held: int, share: Fraction
) -> None:
    """Rounded down, by less than one unit, whatever the size."""
    sold = int((held - 1) * share)
    left, taken = sell(Position(_amount(held), _amount(cost)), _amount(sold))

    exact_share = Fraction(cost) * sold / held
    assert taken == _amount(int(exact_share))
    with exact():
        assert left == Position(_amount(held - sold), _amount(cost) - taken)


def _amount(units: int) -> Decimal:
    with exact():
        return Decimal(units).scaleb(-18)
