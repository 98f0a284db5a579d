"""Pictures to draw in tests: what the ports promise, with plain labels."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from user_worker.domain.market import Candle, Candles
from user_worker.domain.performance import EquityPoint
from user_worker.domain.pictures import CandlesPicture, Holding, Labels, PortfolioPicture

BEGIN = datetime(2026, 11, 25, 20, tzinfo=UTC)

LABELS = Labels(
    amount=lambda amount: f"{amount:,.2f}",
    percent=lambda share: f"{share * 100:.1f}%",
    time=lambda at: f"{at:%H:%M}",
    day=lambda at: f"{at.day} {at:%b}",
)


def walk(count: int, *, seed: int = 7, start: str = "97000", interval_minutes: int = 15) -> Candles:
    """Make candles that wander, the same for the same seed."""
    state, price, candles = seed, Decimal(start), []

    def step(share: int) -> Decimal:
        nonlocal state
        state = (state * 1_103_515_245 + 12_345) % 2**31
        return Decimal(start) * ((state >> 8) % 2001 - 1000) / 1000 * share / 100_000

    for number in range(count):
        opened, price = price, price + step(600)
        high = max(opened, price) + abs(step(300))
        low = min(opened, price) - abs(step(300))
        at = BEGIN + timedelta(minutes=interval_minutes * number)
        candles.append(Candle(at, opened, high, low, price))
    return Candles("BTC", "USDT", interval_minutes, True, tuple(candles))


def candles_picture(candles: Candles, *, title: str = "BTC · 15 min") -> CandlesPicture:
    """Make a picture of candles."""
    return CandlesPicture(
        candles=candles,
        labels=LABELS,
        title=title,
        subtitle="97,123.46 USDT   +1.24 % in 24 h",
        note="simulated prices",
        nothing="No prices yet",
    )


def equity(values: Sequence[int | None], *, deposits: int = 10_000) -> tuple[EquityPoint, ...]:
    """Make a point per hour."""
    return tuple(
        EquityPoint(
            BEGIN + timedelta(hours=number),
            None if value is None else Decimal(value),
            Decimal(deposits),
        )
        for number, value in enumerate(values)
    )


def portfolio_picture(
    points: tuple[EquityPoint, ...], holdings: Sequence[tuple[str, str]]
) -> PortfolioPicture:
    """Make a picture of a portfolio."""
    return PortfolioPicture(
        points=points,
        holdings=tuple(Holding(symbol, Decimal(value)) for symbol, value in holdings),
        labels=LABELS,
        title="Portfolio",
        subtitle="10,431.08 USDT   +4.31 % since the start",
        note="play money",
        equity="Value",
        deposits="Paid in",
        other="Other",
        no_points="No history yet",
        no_holdings="Nothing held yet",
    )
