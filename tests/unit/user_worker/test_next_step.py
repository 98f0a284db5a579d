"""What is decided for an order, state by state and answer by answer."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.user_worker.fakes_orders import draft_of, order_of

from user_worker.domain.carrying_out import (
    Answer,
    Ask,
    BooksSaid,
    Fresh,
    Pause,
    Record,
    Step,
    Stuck,
    VenueSaid,
    VenueState,
    next_step,
)
from user_worker.domain.orders import Money, OrderState, Refused, Side, Wish

DRAFT = draft_of(Wish(Side.BUY, "BTC", Money(Decimal(100))))
REFUSED_BEFORE = Refused.PRICE_MOVED


def decided(
    state: OrderState, last: Answer | Fresh | None = None, *, is_late: bool = False
) -> Step:
    """Decide for an order that spends 100 USDT and stands in a state."""
    given_up = state in (OrderState.GIVEN_UP, OrderState.REJECTED)
    order = order_of(DRAFT, state, REFUSED_BEFORE if given_up else None)
    return next_step(order, last, is_late=is_late)


@pytest.mark.parametrize(
    ("state", "is_late", "expected"),
    [
        (OrderState.ACCEPTED, False, Ask.HOLD),
        (OrderState.ACCEPTED, True, Ask.HOLD),
        (OrderState.HELD, False, Record(OrderState.SUBMITTED, "submit", "sending")),
        (OrderState.HELD, True, Ask.TOMBSTONE),
        (OrderState.SUBMITTED, False, Ask.INQUIRE),
        (OrderState.SUBMITTED, True, Ask.INQUIRE),
        (OrderState.EXECUTED, True, Ask.POST),
        (OrderState.GIVEN_UP, True, Ask.VOID),
        (OrderState.FILLED, False, Pause.ENDED),
        (OrderState.REJECTED, False, Pause.ENDED),
    ],
)
def test_the_record_alone_says_how_to_go_on(
    state: OrderState, is_late: bool, expected: Step
) -> None:
    """As the next owner finds it, knowing nothing else."""
    assert expected == decided(state, is_late=is_late)


def test_what_was_never_sent_is_not_asked_about() -> None:
    """SUBMITTED was recorded just now."""
    assert Ask.SUBMIT is decided(OrderState.SUBMITTED, Fresh.FRESH)


@pytest.mark.parametrize(
    ("is_frozen", "reason"), [(True, Refused.FROZEN), (False, Refused.TOO_LATE)]
)
def test_what_is_tombstoned_says_whether_a_freeze_was_the_reason(
    is_frozen: bool, reason: Refused
) -> None:
    """A freeze makes an order late; the venue's word gives it up."""
    order = replace(order_of(DRAFT, OrderState.HELD), is_frozen=is_frozen)
    assert Ask.TOMBSTONE is next_step(order, None, is_late=True)

    answer = Answer(Ask.TOMBSTONE, VenueSaid(VenueState.TOMBSTONED))
    step = next_step(order, answer, is_late=True)
    assert Record(OrderState.GIVEN_UP, "venue", "tombstoned", refused=reason) == step


BOOKS_ANSWERS = {
    (OrderState.ACCEPTED, BooksSaid.APPLIED): (OrderState.HELD, None),
    (OrderState.ACCEPTED, BooksSaid.INSUFFICIENT_FUNDS): (
        OrderState.REJECTED,
        Refused.INSUFFICIENT_FUNDS,
    ),
    (OrderState.ACCEPTED, BooksSaid.NOT_FOUND): (OrderState.REJECTED, Refused.INSUFFICIENT_FUNDS),
    (OrderState.ACCEPTED, BooksSaid.LIMIT_EXCEEDED): (OrderState.REJECTED, Refused.LIMIT_EXCEEDED),
    (OrderState.EXECUTED, BooksSaid.APPLIED): (OrderState.FILLED, None),
    (OrderState.EXECUTED, BooksSaid.ALREADY_POSTED): (OrderState.FILLED, None),
    (OrderState.GIVEN_UP, BooksSaid.APPLIED): (OrderState.REJECTED, REFUSED_BEFORE),
    (OrderState.GIVEN_UP, BooksSaid.ALREADY_VOIDED): (OrderState.REJECTED, REFUSED_BEFORE),
    (OrderState.GIVEN_UP, BooksSaid.EXPIRED): (OrderState.REJECTED, REFUSED_BEFORE),
}
"""What ends or moves an order. Every other answer cannot be."""
ASKED_OF_BOOKS = {
    OrderState.ACCEPTED: Ask.HOLD,
    OrderState.EXECUTED: Ask.POST,
    OrderState.GIVEN_UP: Ask.VOID,
}


@pytest.mark.parametrize("said", BooksSaid)
@pytest.mark.parametrize("state", ASKED_OF_BOOKS)
def test_each_answer_of_the_books_moves_an_order_or_is_looked_at(
    state: OrderState, said: BooksSaid
) -> None:
    """Never is one that cannot be taken for an end."""
    answer = Answer(ASKED_OF_BOOKS[state], said)
    step = decided(state, answer)
    expected = BOOKS_ANSWERS.get((state, said))
    if expected is None:
        assert Stuck(answer) == step
    else:
        assert isinstance(step, Record)
        assert expected == (step.state, step.refused)
        assert said.value == step.outcome


def filled(spent: str = "100", received: str = "1", fee: str = "0.01") -> VenueSaid:
    """A fill."""
    return VenueSaid(VenueState.FILLED, None, Decimal(spent), Decimal(received), Decimal(fee))


@pytest.mark.parametrize("state", [OrderState.HELD, OrderState.SUBMITTED])
@pytest.mark.parametrize("ask", [Ask.SUBMIT, Ask.INQUIRE, Ask.TOMBSTONE])
@pytest.mark.parametrize("is_late", [False, True])
def test_the_venues_durable_word_decides_whoever_asked_for_it(
    state: OrderState, ask: Ask, is_late: bool
) -> None:
    """A tombstone may be answered with the execution that was before it."""
    said = {
        filled(): (OrderState.EXECUTED, None),
        VenueSaid(VenueState.REFUSED, Refused.STALE_PRICE): (
            OrderState.GIVEN_UP,
            Refused.STALE_PRICE,
        ),
        VenueSaid(VenueState.REFUSED): (OrderState.GIVEN_UP, Refused.NOT_TAKEN),
        VenueSaid(VenueState.TOMBSTONED): (OrderState.GIVEN_UP, Refused.TOO_LATE),
    }
    for answer, expected in said.items():
        step = decided(state, Answer(ask, answer), is_late=is_late)
        assert isinstance(step, Record)
        assert expected == (step.state, step.refused)


def test_not_found_is_not_an_outcome() -> None:
    """Asked about: sent again in time, tombstoned when late. Never anything else."""
    unknown = VenueSaid(VenueState.NOT_FOUND)
    inquired, sent = Answer(Ask.INQUIRE, unknown), Answer(Ask.SUBMIT, unknown)

    assert Ask.SUBMIT is decided(OrderState.SUBMITTED, inquired)
    assert Ask.TOMBSTONE is decided(OrderState.SUBMITTED, inquired, is_late=True)
    assert Stuck(sent) == decided(OrderState.SUBMITTED, sent)
    opened = Answer(Ask.SUBMIT, VenueSaid(VenueState.OPEN))
    assert Pause.WAIT is decided(OrderState.SUBMITTED, opened, is_late=True)


@pytest.mark.parametrize(
    "said",
    [
        filled(spent="100.000001"),
        filled(spent="0"),
        filled(received="0", fee="0"),
        filled(fee="1.01"),
        filled(fee="-0.01"),
        VenueSaid(VenueState.FILLED),
        VenueSaid(VenueState.OTHER),
    ],
)
def test_a_fill_the_books_could_never_post_is_looked_at(said: VenueSaid) -> None:
    """More than is held, nothing at all, or a state nobody knows."""
    answer = Answer(Ask.INQUIRE, said)
    assert Stuck(answer) == decided(OrderState.SUBMITTED, answer)


def test_an_answer_of_the_wrong_house_decides_nothing() -> None:
    """A mistake of ours."""
    answer = Answer(Ask.INQUIRE, BooksSaid.APPLIED)
    assert Stuck(answer) == decided(OrderState.SUBMITTED, answer)
