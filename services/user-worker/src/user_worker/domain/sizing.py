"""From a wish to exact amounts: "50 %" is computed here, once. No I/O.

What can be said without a price is said first (`first_question`): whether there is anything to
spend, whether the number has more digits than the asset. The venue's preview then tells what the
order would do, and `terms_of` turns it into what the user confirms:

    buy  0.5        receive 0.5; spend what that costs, plus the slippage, rounded up; the rest of
                    the hold comes back
    buy  $100       spend 100; receive whatever that buys
    buy  50%        spend half of what is available, rounded down
    sell 0.5        spend 0.5
    sell $100       spend the units whose sale brings 100 before the fee, rounded up
    sell 50%        spend half of the units available, rounded down

The slippage is the user's bound against a price that moves: what is received may be less than the
preview says by that share at most, rounded down, and never nothing. Where the user named what he
receives, the bound lies in what is spent, and he receives exactly that or nothing.

What a user asks for beyond what he has is refused, not cut. The exception is money's worth on a
sell: when spread and slippage make a holding worth a little less than the user was just shown, all
of it is sold as long as that stays within the slippage.
"""

from dataclasses import dataclass
from decimal import Decimal

from kernel.money import exact, multiply_down, multiply_up, round_down
from user_worker.domain.market import Instrument
from user_worker.domain.orders import (
    Coins,
    Money,
    Refusal,
    Refused,
    Share,
    Side,
    Units,
    Wish,
)

BASIS_POINTS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Question:
    """What the venue is asked to preview: exactly one of the two amounts."""

    spend: Decimal | None = None
    receive: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do at this moment, by the venue's word."""

    spent: Decimal
    received: Decimal
    """Before the fee."""
    fee: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    """The amounts of a draft."""

    spend: Coins
    receive: Coins
    fee: Coins
    receive_min: Decimal
    receive_max: Decimal | None
    price: Decimal


@dataclass(frozen=True, slots=True)
class Asset:
    """One side of an instrument."""

    asset_id: str
    symbol: str
    decimals: int

    def coins(self, value: Decimal) -> Coins:
        """Give an amount of it."""
        return Coins(self.asset_id, self.symbol, value)

    def rounded_down(self, value: Decimal) -> Decimal:
        """Round to what there can be of it."""
        return round_down(value, self.decimals)


def assets_of(side: Side, instrument: Instrument) -> tuple[Asset, Asset]:
    """Say what an order spends and what it receives."""
    base = Asset(instrument.base_asset_id, instrument.symbol, instrument.base_decimals)
    currency = Asset(
        instrument.currency_asset_id, instrument.currency, instrument.currency_decimals
    )
    return (currency, base) if side is Side.BUY else (base, currency)


def first_question(
    wish: Wish, instrument: Instrument, available: Decimal | None
) -> Question | Refusal:
    """Find what to ask the venue; `available` is what the user can spend of what is spent.

    None when that is not asked for, because the hold will tell: not with a Share.
    """
    spent, received = assets_of(wish.side, instrument)
    if available is not None and available <= 0:
        return Refusal(Refused.NOTHING_TO_SPEND, symbol=spent.symbol)
    match wish.size:
        case Share(share):
            if available is None:
                raise ValueError("a share of what is not known")
            spend = multiply_down(available, share, spent.decimals)
            if not spend:
                return Refusal(Refused.NOTHING_TO_SPEND, symbol=spent.symbol)
            return Question(spend=spend)
        case Units(value) | Money(value):
            pass
    named = received if isinstance(wish.size, Units) is (wish.side is Side.BUY) else spent
    if named.rounded_down(value) != value:
        return Refusal(Refused.TOO_PRECISE, Decimal(named.decimals), named.symbol)
    if named is received:
        return Question(receive=value)
    if available is not None and value > available:
        return Refusal(Refused.INSUFFICIENT_FUNDS, available, spent.symbol)
    return Question(spend=value)


def terms_of(
    wish: Wish,
    instrument: Instrument,
    available: Decimal | None,
    question: Question,
    preview: Preview,
    slippage_basis_points: int,
) -> Terms | Question | Refusal:
    """Turn the venue's preview into what the user is offered; a Question: preview that instead.

    `available` as for `first_question`.
    """
    spent, received = assets_of(wish.side, instrument)
    slippage = Decimal(slippage_basis_points)
    spend, receive_max = question.spend or preview.spent, None
    with exact():
        more, less = (BASIS_POINTS + slippage).scaleb(-4), (BASIS_POINTS - slippage).scaleb(-4)
    if not preview.received:
        return Refusal(Refused.TOO_SMALL)
    if available is not None and spend > available:
        is_worth_less = question.receive is not None and wish.side is Side.SELL
        if is_worth_less and preview.spent <= multiply_down(available, more, spent.decimals):
            return Question(spend=spent.rounded_down(available))
        return Refusal(Refused.INSUFFICIENT_FUNDS, available, spent.symbol)
    if question.receive is not None and wish.side is Side.BUY:
        receive_min = receive_max = question.receive
        # Somebody who can just pay the price seen may try it with a smaller bound.
        spend = multiply_up(preview.spent, more, spent.decimals)
        if available is not None:
            spend = min(spend, spent.rounded_down(available))
    else:
        smallest = Decimal(1).scaleb(-received.decimals)
        receive_min = max(multiply_down(preview.received, less, received.decimals), smallest)
    return Terms(
        spend=spent.coins(spend),
        receive=received.coins(preview.received),
        fee=received.coins(preview.fee),
        receive_min=receive_min,
        receive_max=receive_max,
        price=preview.price,
    )
