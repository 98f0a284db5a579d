"""What to do next for an order: a pure function of what is recorded and what was answered last.

    recorded    nothing known            answered
    ACCEPTED    ask for the hold         held → record HELD; refused → record REJECTED
    HELD        record SUBMITTED, or,
                when late, tombstone     as under SUBMITTED
    SUBMITTED   inquire                  filled → EXECUTED; refused, tombstoned → GIVEN_UP;
                                         not found → submit again, or, when late, tombstone;
                                         open → wait
    EXECUTED    ask for the posting      posted → FILLED
    GIVEN_UP    ask for the voiding      voided → REJECTED

Every request carries a key made of the order's id, so asking again is always safe, and whoever
takes an order up, however often it was dropped, needs nothing but the record. Four rules keep
money right:

- SUBMITTED is recorded before the order is sent: one that was never recorded so was never sent.
- "Not found" decides nothing, since a submission may still be under way. Only the venue's durable
  word (refused, or tombstoned for good) lets the hold be voided.
- A freeze of the user's trading makes what is not SUBMITTED late, and tells it from what is late by
  itself. What is SUBMITTED may be executed already: it is asked about to its end.
- The hold is asked for until the books have answered, late or not. A hold that was asked for and is
  given up unanswered might be made after all and be held for ever.

An answer that cannot be (the books do not know the hold of an executed order) is no reason to end
anything: the order stays where it is, an operator is told, and it is asked again.
"""

import enum
from dataclasses import dataclass
from decimal import Decimal

from user_worker.domain.orders import Order, OrderState, Refused


class Ask(enum.Enum):
    """What others are asked for."""

    HOLD = "hold"
    SUBMIT = "submit"
    INQUIRE = "inquire"
    TOMBSTONE = "tombstone"
    POST = "post"
    VOID = "void"


class BooksSaid(enum.Enum):
    """How the ledger answers an operation; the same key gets the same answer again."""

    APPLIED = "applied"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    NOT_FOUND = "not-found"
    ALREADY_POSTED = "already-posted"
    ALREADY_VOIDED = "already-voided"
    EXPIRED = "expired"
    IDEMPOTENCY_MISMATCH = "idempotency-mismatch"
    SHARD_MISMATCH = "shard-mismatch"
    LIMIT_EXCEEDED = "limit-exceeded"
    OTHER = "other"
    """An answer this version has no name for."""


class VenueState(enum.Enum):
    """The state of an order at the venue."""

    NOT_FOUND = "not-found"
    OPEN = "open"
    FILLED = "filled"
    REFUSED = "refused"
    TOMBSTONED = "tombstoned"
    OTHER = "other"
    """A state this version has no name for."""


@dataclass(frozen=True, slots=True)
class VenueSaid:
    """What the venue answered of an order."""

    state: VenueState
    refused: Refused | None = None
    """With REFUSED: why; None when this version has no name for it."""
    spent: Decimal | None = None
    """With FILLED, like the next two."""
    received: Decimal | None = None
    fee: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer since the order's last change; an unanswered request leaves none."""

    ask: Ask
    said: BooksSaid | VenueSaid


class Fresh(enum.Enum):
    """Stands for an answer when SUBMITTED was recorded just now: nothing was sent before."""

    FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Record:
    """A change of state to record, with the step that led to it."""

    state: OrderState
    step: str
    outcome: str
    spent: Decimal | None = None
    received: Decimal | None = None
    fee: Decimal | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """An answer that cannot be. Nothing is decided by it."""

    answer: Answer


class Pause(enum.Enum):
    """Nothing can be done now."""

    WAIT = "wait"
    """Ask again after a while."""
    ENDED = "ended"
    """Nothing will ever have to be done."""


Step = Ask | Record | Stuck | Pause


def next_step(order: Order, last: Answer | Fresh | None, *, is_late: bool) -> Step:
    """Decide what to do; `is_late` says whether `submit_before` has passed, in database time."""
    answer = last if isinstance(last, Answer) else None
    match order.state:
        case OrderState.ACCEPTED:
            return Ask.HOLD if answer is None else _after_hold(answer)
        case OrderState.HELD:
            if answer is not None:
                return _after_venue(order, answer, is_late=is_late)
            return Ask.TOMBSTONE if is_late else Record(OrderState.SUBMITTED, "submit", "sending")
        case OrderState.SUBMITTED:
            if answer is not None:
                return _after_venue(order, answer, is_late=is_late)
            return Ask.SUBMIT if last is Fresh.FRESH else Ask.INQUIRE
        case OrderState.EXECUTED:
            return Ask.POST if answer is None else _after_post(answer)
        case OrderState.GIVEN_UP:
            return Ask.VOID if answer is None else _after_void(order, answer)
        case OrderState.FILLED | OrderState.REJECTED:
            return Pause.ENDED


def _after_hold(answer: Answer) -> Step:
    match answer.said:
        case BooksSaid.APPLIED:
            return Record(OrderState.HELD, "hold", "applied")
        case BooksSaid.INSUFFICIENT_FUNDS | BooksSaid.NOT_FOUND as said:
            # Without an account there are no funds. Refusals are kept under the key: for good.
            refused = Refused.INSUFFICIENT_FUNDS
            return Record(OrderState.REJECTED, "hold", said.value, refused=refused)
        case BooksSaid.LIMIT_EXCEEDED as said:
            refused = Refused.LIMIT_EXCEEDED
            return Record(OrderState.REJECTED, "hold", said.value, refused=refused)
        case _:
            return Stuck(answer)


def _after_venue(order: Order, answer: Answer, *, is_late: bool) -> Step:
    said = answer.said
    if not isinstance(said, VenueSaid):
        return Stuck(answer)
    match said.state:
        case VenueState.FILLED:
            return _executed(order, answer, said)
        case VenueState.REFUSED:
            refused = said.refused or Refused.NOT_TAKEN
            return _given_up(refused, f"refused:{refused.value}")
        case VenueState.TOMBSTONED:
            reason = Refused.FROZEN if order.is_frozen else Refused.TOO_LATE
            return _given_up(reason, "tombstoned")
        case VenueState.NOT_FOUND if answer.ask is Ask.INQUIRE:
            return Ask.TOMBSTONE if is_late else Ask.SUBMIT
        case VenueState.OPEN:
            return Pause.WAIT
        case _:
            return Stuck(answer)


def _executed(order: Order, answer: Answer, said: VenueSaid) -> Step:
    spent, received, fee = said.spent, said.received, said.fee
    if spent is None or received is None or fee is None:
        return Stuck(answer)
    # The hold covers no more, and the books would refuse it for ever.
    if not (0 < spent <= order.draft.spend.value and received > 0 and 0 <= fee <= received):
        return Stuck(answer)
    return Record(OrderState.EXECUTED, "venue", "filled", spent=spent, received=received, fee=fee)


def _given_up(refused: Refused, outcome: str) -> Record:
    return Record(OrderState.GIVEN_UP, "venue", outcome, refused=refused)


def _after_post(answer: Answer) -> Step:
    match answer.said:
        # Only a fill of this order posts its hold: whichever key it had, it is done.
        case BooksSaid.APPLIED | BooksSaid.ALREADY_POSTED as said:
            return Record(OrderState.FILLED, "post", said.value)
        case _:
            return Stuck(answer)


def _after_void(order: Order, answer: Answer) -> Step:
    match answer.said:
        # In each case nothing is held any more, and nothing was spent.
        case BooksSaid.APPLIED | BooksSaid.ALREADY_VOIDED | BooksSaid.EXPIRED as said:
            return Record(OrderState.REJECTED, "void", said.value, refused=order.refused)
        case _:
            return Stuck(answer)
