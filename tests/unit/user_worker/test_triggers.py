"""The prices that are waited for, against a list that is looked through from end to end."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from user_worker.domain.orders import Side
from user_worker.domain.resting import Direction, RestingKind, direction_of
from user_worker.domain.triggers import DEAD_MIN, Purpose, Triggers, Watch

SYMBOLS = ("BTC", "ETH")
PRICES = st.integers(1, 12).map(Decimal) | st.sampled_from(
    [Decimal("12345678901.000000000000000001"), Decimal("12345678901.000000000000000002")]
)
IDS = st.integers(0, 15)


def watch_of(number: int, symbol: str, direction: Direction, price: Decimal) -> Watch:
    """A watch; a number stands for one for ever."""
    return Watch(UUID(int=number), Purpose.MARKET, symbol, direction, price)


WATCHES = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(list(Direction)), PRICES),
    min_size=16,
    max_size=16,
).map(lambda drawn: [watch_of(number, *one) for number, one in enumerate(drawn)])
STEPS = st.lists(
    st.tuples(st.just("add"), IDS)
    | st.tuples(st.just("remove"), IDS)
    | st.tuples(st.just("quote"), st.tuples(st.sampled_from(SYMBOLS), PRICES)),
    max_size=60,
)


@given(WATCHES, STEPS)
def test_a_quote_takes_out_what_it_meets_and_nothing_else(
    watches: list[Watch], steps: list[tuple[str, object]]
) -> None:
    """To the last of 29 digits; whatever was added twice, removed or met before."""
    triggers, model = Triggers(), dict[UUID, Watch]()
    for step, what in steps:
        if isinstance(what, int):
            watch = watches[what]
            if step == "add":
                triggers.add(watch)
                model[watch.watch_id] = watch
            else:
                triggers.remove(watch.watch_id)
                model.pop(watch.watch_id, None)
        elif isinstance(what, tuple):
            symbol, price = what
            met = {
                watch.watch_id
                for watch in model.values()
                if watch.symbol == symbol
                and (
                    price <= watch.price
                    if watch.direction is Direction.AT_OR_BELOW
                    else price >= watch.price
                )
            }
            crossed = triggers.crossed(symbol, price)
            assert met == {watch.watch_id for watch in crossed}
            assert len(met) == len(crossed)
            for watch_id in met:
                del model[watch_id]
        assert len(model) == len(triggers)
        assert all(watch_id in triggers for watch_id in model)


def test_those_met_first_come_first() -> None:
    """The highest of those that wait for a fall, the lowest of those that wait for a rise."""
    triggers = Triggers()
    for price in (3, 1, 2):
        for direction in Direction:
            triggers.add(Watch(uuid4(), Purpose.ALERT, "BTC", direction, Decimal(price)))

    falls = triggers.crossed("BTC", Decimal("0.5"))
    rises = triggers.crossed("BTC", Decimal(9))
    assert [3, 2, 1] == [watch.price for watch in falls]
    assert [1, 2, 3] == [watch.price for watch in rises]
    assert 0 == len(triggers)


def test_what_is_removed_does_not_stay_for_ever() -> None:
    """However often it goes and comes far from any price."""
    triggers = Triggers()
    for number in range(20 * DEAD_MIN):
        triggers.add(watch_of(number, "BTC", Direction.AT_OR_ABOVE, Decimal(10 + number)))
        triggers.remove(UUID(int=number))

    (heap,) = triggers._rising.values()
    assert len(heap.entries) <= DEAD_MIN + 1
    assert [] == triggers.crossed("BTC", Decimal(10_000))


@pytest.mark.parametrize(
    ("kind", "side", "direction"),
    [
        (RestingKind.LIMIT, Side.BUY, Direction.AT_OR_BELOW),
        (RestingKind.LIMIT, Side.SELL, Direction.AT_OR_ABOVE),
        (RestingKind.STOP, Side.SELL, Direction.AT_OR_BELOW),
        (RestingKind.STOP, Side.BUY, Direction.AT_OR_ABOVE),
        (RestingKind.TAKE_PROFIT, Side.SELL, Direction.AT_OR_ABOVE),
        (RestingKind.TAKE_PROFIT, Side.BUY, Direction.AT_OR_BELOW),
    ],
)
def test_each_kind_waits_for_its_direction(
    kind: RestingKind, side: Side, direction: Direction
) -> None:
    """As people know them from exchanges."""
    assert direction is direction_of(kind, side)
