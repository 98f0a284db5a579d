"""From a wish and a price to the exact amounts of a resting order, computed once. No I/O.

What can be said without a price is `sizing.first_question`'s. The rest follows from the price that
is waited for, not from the present one:

    limit buy  $100   spend 100; receive at least what that buys at the limit, rounded up
    limit buy  0.5    receive 0.5; spend what that costs at the limit, rounded up, at most
    limit sell 0.5    spend 0.5; receive at least what that brings at the limit, rounded up
    limit sell $100   spend the units whose sale at the limit brings 100, rounded up; as above

so the venue itself never executes worse than the limit. A stop and a take-profit are market orders
when they trigger: their bounds are the same at the trigger price, less the user's slippage.

The amounts are before the fee, which is taken from what is received; what it will be about is
reckoned from a preview's.
"""

from decimal import Decimal

from kernel.money import (
    FRACTION_DIGITS_MAX,
    divide_down,
    divide_up,
    exact,
    multiply_down,
    multiply_up,
)
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Draft, Refusal, Refused, Side, Wish
from user_worker.domain.resting import Condition, RestingKind
from user_worker.domain.sizing import BASIS_POINTS, Asset, Preview, Question, Terms, assets_of

REACH = Decimal(1000)
"""How many times the present price, or which part of it, may be waited for: further off it is a
slip of the hand, and the amounts would leave what can be reckoned."""


def resting_terms(
    wish: Wish,
    instrument: Instrument,
    available: Decimal,
    question: Question,
    condition: Condition,
    preview: Preview,
    slippage_basis_points: int,
) -> Terms | Refusal:
    """Turn a condition into what the user is offered.

    `question` is the answer of `first_question`, `preview` that of the venue to `worth_question`.
    """
    spent, received = assets_of(wish.side, instrument)
    is_limit = condition.kind is RestingKind.LIMIT
    slippage = Decimal(0 if is_limit else slippage_basis_points)
    with exact():
        more, less = (BASIS_POINTS + slippage).scaleb(-4), (BASIS_POINTS - slippage).scaleb(-4)
    spend = question.spend
    if spend is None:
        spend = _cost(wish.side, question.receive or Decimal(0), condition.price, spent)
    receive = _worth(wish.side, spend, condition.price, received)
    if not receive or not spend:
        return Refusal(Refused.TOO_SMALL)
    if spend > available:
        return Refusal(Refused.INSUFFICIENT_FUNDS, available, spent.symbol)
    receive_max = None
    if question.receive is not None and wish.side is Side.BUY:
        receive = receive_min = receive_max = question.receive
        spend = min(multiply_up(spend, more, spent.decimals), spent.rounded_down(available))
    elif is_limit:
        receive_min = _worth_at_least(wish.side, spend, condition.price, received)
    else:
        receive_min = max(multiply_down(receive, less, received.decimals), _smallest(received))
    rate = divide_up(preview.fee, preview.received, FRACTION_DIGITS_MAX)
    fee = min(multiply_up(receive, rate, received.decimals), receive)
    return Terms(
        spend=spent.coins(spend),
        receive=received.coins(receive),
        fee=received.coins(fee),
        receive_min=receive_min,
        receive_max=receive_max,
        price=condition.price,
    )


def worth_question(
    wish: Wish, instrument: Instrument, question: Question, condition: Condition, quoted: Decimal
) -> Question:
    """Find what to ask the venue now, to learn whether it would take an order when it triggers.

    Its bounds are in currency, so it is asked about as much of that as the order will be worth: by
    the price that is waited for, or now when that is met already.
    """
    if condition.direction.is_met(condition.price, quoted):
        return question
    spent, received = assets_of(wish.side, instrument)
    if wish.side is Side.BUY:
        cost = question.spend or _cost(
            Side.BUY, question.receive or Decimal(0), condition.price, spent
        )
        return Question(spend=max(cost, _smallest(spent)))
    worth = question.receive or _worth(
        Side.SELL, question.spend or Decimal(0), condition.price, received
    )
    return Question(receive=max(worth, _smallest(received)))


def is_in_reach(named: Decimal, quoted: Decimal) -> bool:
    """Say whether somebody may have meant a price, by the present one."""
    with exact():
        return quoted <= named * REACH and named <= quoted * REACH


def look_question(draft: Draft) -> Question:
    """Find what to ask the venue when a draft's price is met."""
    if draft.receive_max is not None:
        return Question(receive=draft.receive_max)
    return Question(spend=draft.spend.value)


def is_within_limit(draft: Draft, preview: Preview) -> bool:
    """Say whether the venue would execute a draft at this moment, by its own bounds."""
    return preview.received >= draft.receive_min and preview.spent <= draft.spend.value


def _cost(side: Side, receive: Decimal, price: Decimal, spent: Asset) -> Decimal:
    cost = multiply_up if side is Side.BUY else divide_up
    return cost(receive, price, spent.decimals)


def _worth(side: Side, spend: Decimal, price: Decimal, received: Asset) -> Decimal:
    worth = divide_down if side is Side.BUY else multiply_down
    return worth(spend, price, received.decimals)


def _worth_at_least(side: Side, spend: Decimal, price: Decimal, received: Asset) -> Decimal:
    worth = divide_up if side is Side.BUY else multiply_up
    return worth(spend, price, received.decimals)


def _smallest(asset: Asset) -> Decimal:
    return Decimal(1).scaleb(-asset.decimals)
