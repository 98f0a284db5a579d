"""How a user's trading went: every formula, with where it comes from. No I/O.

Everything is in one currency, and about the trades in that currency. Cost is average cost (see
`ledger.domain.positions`, with its sources). Unknown is None, never zero: a figure that needs a
price nobody gave is unknown.

The figures hang together, to the last unit, as long as the user has only deposited, traded and paid
trading fees, and values need no rounding:

    equity = net deposits + realised PnL + unrealised PnL

A fee charged outside a trade, in the currency, is in `fees` and lowers the equity alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from kernel.money import AssetId, exact
from ledger.domain.rounding import divide_half_even, multiply_half_even

MARKS_MAX = 100
"""The contract's limit, also for each past time."""
PAST_TIMES_MAX = 400
"""The contract's limit: a chart's width in points."""
RATIO_DIGITS = 6
"""Of ratios: a ten-thousandth of a percent."""

Marks = Mapping[AssetId, Decimal]
"""Units of the currency per unit of an asset."""


@dataclass(frozen=True, slots=True)
class MarkedTime:
    """Prices at one past time."""

    at: datetime
    marks: Marks


@dataclass(frozen=True, slots=True)
class Holding:
    """What a user has of one asset, and what of it was bought with the currency."""

    asset_id: AssetId
    posted: Decimal
    held: Decimal
    cost: Decimal
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Flow:
    """The sum of a user's entries of one asset and operation between two past times."""

    asset_id: AssetId
    operation: str
    point: int
    """The first past time that includes them; as many as there are times when none does."""
    amount: Decimal
    """Credits are positive."""


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """One asset a user holds."""

    asset_id: AssetId
    quantity: Decimal
    held: Decimal
    cost: Decimal | None
    """None of the currency itself."""
    value: Decimal | None
    """Quantity times mark, rounded to the currency's decimals half to even; None without a mark."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The value of everything at one time."""

    at: datetime
    equity: Decimal | None
    net_deposits: Decimal


@dataclass(slots=True)
class Tally:
    """What deposits and closing trades come to, told in the order of time."""

    deposits: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    gross_profit: Decimal = Decimal(0)
    gross_loss: Decimal = Decimal(0)
    winning: int = 0
    losing: int = 0
    even: int = 0
    max_drawdown: Decimal = Decimal(0)
    max_drawdown_ratio: Decimal | None = None
    _peak: Decimal = field(default=Decimal(0), repr=False)

    def deposit(self, amount: Decimal) -> None:
        """Count a deposit; use inside `exact()`."""
        self.deposits += amount
        self._see_balance()

    def close(self, pnl: Decimal) -> None:
        """Count a closing trade; use inside `exact()`.

        Maximum drawdown is the largest fall from an earlier peak (Magdon-Ismail and Atiya, "Maximum
        Drawdown", Risk 17(10), 2004), here of the realised balance: deposits plus realised PnL. A
        deposit lifts balance and peak alike, so it neither hides a loss nor makes one; that is why
        the peak is kept of the realised PnL alone. The ratio is the fall as a share of the balance
        at its peak, deposits up to the fall included.
        """
        self.realised += pnl
        if pnl > 0:
            self.winning += 1
            self.gross_profit += pnl
        elif pnl < 0:
            self.losing += 1
            self.gross_loss -= pnl
        else:
            self.even += 1
        self._peak = max(self._peak, self.realised)
        fall = self._peak - self.realised
        if fall > self.max_drawdown:
            self.max_drawdown = fall
            top = self.deposits + self._peak
            self.max_drawdown_ratio = (
                min(divide_half_even(fall, top, RATIO_DIGITS), Decimal(1)) if top > 0 else None
            )
        self._see_balance()

    def _see_balance(self) -> None:
        # Without a fall so far the ratio is known as soon as there is a peak to fall from.
        if self.max_drawdown_ratio is None and not self.max_drawdown:
            self.max_drawdown_ratio = Decimal(0) if self.deposits + self._peak > 0 else None

    @property
    def closing(self) -> int:
        """How many trades closed something."""
        return self.winning + self.losing + self.even

    @property
    def win_rate(self) -> Decimal | None:
        """Winning over closing trades (Tharp, "Trade Your Way to Financial Freedom", ch. 7)."""
        if not self.closing:
            return None
        return divide_half_even(Decimal(self.winning), Decimal(self.closing), RATIO_DIGITS)

    @property
    def profit_factor(self) -> Decimal | None:
        """Gross profit over gross loss (Vince, "Portfolio Management Formulas", 1990)."""
        if not self.gross_loss:
            return None
        return divide_half_even(self.gross_profit, self.gross_loss, RATIO_DIGITS)

    def expectancy(self, decimals: int) -> Decimal | None:
        """The mean PnL of a closing trade: win rate times mean win less loss rate times mean loss
        (Tharp, ch. 7). Rounded to `decimals` half to even."""
        if not self.closing:
            return None
        return divide_half_even(self.realised, Decimal(self.closing), decimals)


@dataclass(frozen=True, slots=True)
class Performance:
    """How trading went. All figures are in the currency unless they say otherwise."""

    currency: AssetId
    positions: Sequence[HeldPosition]
    equity: Decimal | None
    unrealised_pnl: Decimal | None
    trades: int
    tally: Tally
    expectancy: Decimal | None
    fees: Mapping[AssetId, Decimal]
    points: Sequence[EquityPoint]


@dataclass(frozen=True, slots=True)
class Record:
    """What the books say of one user, all of it read at one moment."""

    holdings: Sequence[Holding]
    """Ordered by asset."""
    flows: Sequence[Flow]
    trades: int
    """How many orders were filled in the currency."""
    tally: Tally


def measure(
    record: Record, currency: AssetId, decimals: int, marks: Marks, past: Sequence[MarkedTime]
) -> Performance:
    """Compute the figures. `decimals` are the currency's; `past` is oldest first."""
    with exact():
        valuer = _Valuer(currency, decimals)
        positions = [
            HeldPosition(
                holding.asset_id,
                holding.posted,
                holding.held,
                None if holding.asset_id == currency else holding.cost,
                valuer.value(holding.asset_id, holding.posted, marks),
            )
            for holding in record.holdings
            if holding.posted or holding.cost or holding.asset_id == currency
        ]
        return Performance(
            currency=currency,
            positions=positions,
            equity=_sum(position.value for position in positions),
            unrealised_pnl=_sum(_unrealised(p) for p in positions if p.cost is not None),
            trades=record.trades,
            tally=record.tally,
            expectancy=record.tally.expectancy(decimals),
            fees=_fees(record.flows),
            points=_points(record, valuer, past),
        )


def _unrealised(position: HeldPosition) -> Decimal | None:
    """Value at the mark less average cost: what selling everything now would realise, before its
    fee."""
    if position.value is None or position.cost is None:
        return None
    return position.value - position.cost


def _points(record: Record, valuer: "_Valuer", past: Sequence[MarkedTime]) -> list[EquityPoint]:
    """Value what was posted at each past time, and say what had been deposited by then."""
    flows = sorted(record.flows, key=lambda flow: flow.point)
    opened_at = min((holding.opened_at for holding in record.holdings), default=None)
    balances: dict[AssetId, Decimal] = {}
    deposits, place, points = Decimal(0), 0, []
    for number, time in enumerate(past):
        while place < len(flows) and flows[place].point <= number:
            flow = flows[place]
            balances[flow.asset_id] = balances.get(flow.asset_id, Decimal(0)) + flow.amount
            if flow.operation == "faucet" and flow.asset_id == valuer.currency:
                deposits += flow.amount
            place += 1
        equity = None
        if opened_at is not None and opened_at <= time.at:
            equity = _sum(
                valuer.value(asset_id, balance, time.marks)
                for asset_id, balance in balances.items()
            )
        points.append(EquityPoint(time.at, equity, deposits))
    return points


def _fees(flows: Sequence[Flow]) -> dict[AssetId, Decimal]:
    fees: dict[AssetId, Decimal] = {}
    for flow in sorted(flows, key=lambda flow: flow.asset_id):
        if flow.operation == "fee":
            fees[flow.asset_id] = fees.get(flow.asset_id, Decimal(0)) - flow.amount
    return fees


@dataclass(frozen=True, slots=True)
class _Valuer:
    currency: AssetId
    decimals: int

    def value(self, asset_id: AssetId, quantity: Decimal, marks: Marks) -> Decimal | None:
        """Value a quantity; nothing of something is worth nothing whatever its price."""
        if asset_id == self.currency:
            return quantity
        if not quantity:
            return Decimal(0)
        mark = marks.get(asset_id)
        return None if mark is None else multiply_half_even(quantity, mark, self.decimals)


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """Add up; one unknown makes the sum unknown."""
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total
