"""How a market order is executed on paper: spread, slippage, fee, limits. Pure functions.

Both sides of the market stand half a spread from the quote. How much worse a larger order fares is
the constant-product curve of automated market makers (Zhang, Chen, Park: "Formal Specification of
Constant Product Market Maker Model and Implementation", 2018; `getInputPrice` there), taken as the
model of a book that is full again before the next order. With a depth D of quote currency on each
side, a buyer at the ask price a

    receives  r = s / (a (1 + s/D))         for spending s
    spends    s = a r / (1 - a r / D)       for receiving r

and a seller at the bid price b the reverse, with w = b s for the worth of what is given:

    receives  r = w / (1 + w/D)
    spends    s = (r / (1 - r/D)) / b

So an order of one percent of D is executed one percent worse than a small one: to first order a
linear impact, Kyle's lambda ("Continuous Auctions and Insider Trading", Econometrica 53, 1985) with
1/D for it. The curve was preferred to a square root of the size because it is rational: it is
computed exactly and turned around exactly, nothing is searched for, and no order can empty the
market. Buying and selling again at one quote never gains, whatever the sizes: r a <= s and r <= w.

Each amount is exact until it is rounded once, in the venue's favour: what is received down, what is
spent and the fee up, to the decimals of its asset.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from kernel.money import FRACTION_DIGITS_MAX, divide_down, divide_up, multiply_up
from pricing.domain import Quote
from pricing.paper_venue.domain import (
    Amount,
    Fill,
    Instrument,
    Order,
    Refusal,
    Refused,
    Side,
    Size,
    Terms,
)

BASIS_POINTS = 10_000


def execute(
    order: Order, instrument: Instrument, quote: Quote, terms: Terms, now: datetime
) -> Fill | Refused:
    """Decide an order at a quote."""
    size = Size(order.spend.value, order.receive_max)
    outcome = preview(order.side, size, instrument, quote, terms, now)
    if isinstance(outcome, Fill) and outcome.received.value < order.receive_min.value:
        return Refused(Refusal.SLIPPAGE)
    return outcome


def preview(
    side: Side,
    size: Size,
    instrument: Instrument,
    quote: Quote,
    terms: Terms,
    now: datetime,
) -> Fill | Refused:
    """Say what a market order of this size would do at a quote."""
    # Ahead of this clock by as much is no better: it was set back, and nothing renews the quote.
    if abs(now - quote.stated_at) > terms.quote_age_max:
        return Refused(Refusal.STALE_PRICE)
    market = _Market(side, instrument, _touch(side, quote.price, terms))
    spent = _spent(market, size, terms.worth_max)
    if spent is None or market.worth(spent) > terms.worth_max:
        return Refused(Refusal.TOO_LARGE, Amount(instrument.currency.asset_id, terms.worth_max))
    received = market.receive(spent)
    if size.receive_max is not None:
        received = min(received, size.receive_max)
    fee = _fee(received, instrument.received(side).decimals, terms)
    # What is left of the least units of an asset may be nothing.
    if market.worth(spent) < terms.worth_min or fee >= received:
        return Refused(Refusal.TOO_SMALL, Amount(instrument.currency.asset_id, terms.worth_min))
    asset_id = instrument.received(side).asset_id
    return Fill(
        spent=Amount(instrument.spent(side).asset_id, spent),
        received=Amount(asset_id, received),
        fee=Amount(asset_id, fee),
        price=_price(side, spent, received),
    )


@dataclass(frozen=True, slots=True)
class _Market:
    """The side of the market an order meets; `touch` is its best price, a or b above."""

    side: Side
    instrument: Instrument
    touch: Fraction

    def worth(self, spent: Decimal) -> Fraction:
        """Value what is given, in quote currency at the touch."""
        return Fraction(spent) if self.side is Side.BUY else Fraction(spent) * self.touch

    def receive(self, spent: Decimal) -> Decimal:
        """Give what is received for spending so much: r, rounded down."""
        worth = self.worth(spent)
        received = worth / (1 + worth / Fraction(self.instrument.depth))
        if self.side is Side.BUY:
            received /= self.touch
        return _down(received, self.instrument.received(self.side).decimals)

    def spend_for(self, received: Decimal, worth_max: Decimal) -> Decimal | None:
        """Give what must be spent to receive so much: s, rounded up.

        None when it is worth more than `worth_max`, or more than the whole depth.
        """
        worth = Fraction(received) * (self.touch if self.side is Side.BUY else 1)
        left = 1 - worth / Fraction(self.instrument.depth)
        if left <= 0 or worth / left > worth_max:
            return None
        spent = worth / left
        if self.side is Side.SELL:
            spent /= self.touch
        return _up(spent, self.instrument.spent(self.side).decimals)


def _touch(side: Side, price: Decimal, terms: Terms) -> Fraction:
    """Step half a spread away from the quote, against the order."""
    away = terms.half_spread_basis_points * (1 if side is Side.BUY else -1)
    return Fraction(price) * (BASIS_POINTS + away) / BASIS_POINTS


def _spent(market: _Market, size: Size, worth_max: Decimal) -> Decimal | None:
    """Settle what is spent: what the most to receive takes, within what may be spent.

    None when only an amount to receive was named and it takes more than `worth_max`.
    """
    needed = None
    if size.receive_max is not None:
        needed = market.spend_for(size.receive_max, worth_max)
    if size.spend is None or needed is None:
        return needed if size.spend is None else size.spend
    return min(needed, size.spend)


def _fee(received: Decimal, decimals: int, terms: Terms) -> Decimal:
    rate = Decimal(terms.fee_basis_points).scaleb(-4)
    return multiply_up(received, rate, decimals)


def _price(side: Side, spent: Decimal, received: Decimal) -> Decimal:
    """Give the price of a unit for people to read. Rounded up, so that it is never nothing."""
    if side is Side.BUY:
        return divide_up(spent, received, FRACTION_DIGITS_MAX)
    return divide_up(received, spent, FRACTION_DIGITS_MAX)


def _down(value: Fraction, decimals: int) -> Decimal:
    return divide_down(Decimal(value.numerator), Decimal(value.denominator), decimals)


def _up(value: Fraction, decimals: int) -> Decimal:
    return divide_up(Decimal(value.numerator), Decimal(value.denominator), decimals)
