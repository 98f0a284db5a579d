"""What a user has and what it is worth, now and at past times: for /portfolio and /profit.

The ledger computes and knows no price; pricing knows no user. So what is held and was traded is
read first, then the prices of just that, then the figures. A price that cannot be had leaves the
value it would have told unknown; it never stops the answer.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from user_worker.conversation.context import Context, together
from user_worker.domain.market import Candles, Instrument, Quote
from user_worker.domain.marking import Span, marked_times
from user_worker.domain.orders import Side
from user_worker.domain.performance import EquityPoint, Performance, Trade
from user_worker.errors import DependencyDown, RequestRefused

CURRENCY_ASSET_ID = "paper:USDT"
ASSETS_VALUED_MAX = 20
"""Assets whose prices are asked for, those held first; more stay unknown."""
TRADES_LOOKED_AT_MAX = 100
"""The newest trades, for what was held at past times and is not any more."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Valuation:
    """What was found out."""

    performance: Performance
    at: datetime
    spans: tuple[tuple[EquityPoint, ...], ...]
    """The points of each span asked for, oldest first, the present not among them."""
    without_price: tuple[str, ...]
    """Symbols of what is held and has no price now."""
    is_simulated: bool
    oldest_seconds: float
    """The age of the oldest price that was used; 0 without any."""


async def valued(context: Context, spans: Sequence[Span], *, may_be_old: bool = False) -> Valuation:
    """Value what the user has, now and over some spans.

    What `may_be_old` may lack the trades of the last seconds.
    """
    ledger, user_id, now = context.services.ledger, context.job.user_id, context.services.now()
    held, page = await together(
        ledger.performance(user_id, CURRENCY_ASSET_ID, {}, (), may_be_old=may_be_old),
        ledger.trades(user_id, TRADES_LOOKED_AT_MAX, ""),
    )
    instruments = await _instruments(context)
    wanted = [instruments[a] for a in _assets(held, page.trades) if a in instruments]
    quotes = await _quotes(context, wanted)
    # Spans of the same candles share those of the longest.
    longest = {span.interval_minutes: span for span in sorted(spans, key=lambda s: s.length)}
    known = await asyncio.gather(*(_candles(context, wanted, s) for s in longest.values()))
    candles = dict(zip(longest, known, strict=True))
    # Each time once, oldest first; where spans meet, the later one's candles tell the prices.
    past = {
        marked.at: marked
        for span in spans
        for marked in marked_times(candles[span.interval_minutes], span.times(now))
    }
    performance = await ledger.performance(
        user_id,
        CURRENCY_ASSET_ID,
        {asset_id: quote.price for asset_id, quote in quotes.items()},
        [past[at] for at in sorted(past)],
        may_be_old=may_be_old,
    )
    points = dict(zip(sorted(past), performance.points, strict=True))
    return Valuation(
        performance=performance,
        at=now,
        spans=tuple(tuple(points[at] for at in span.times(now)) for span in spans),
        without_price=tuple(
            position.symbol
            for position in performance.positions
            if position.quantity and position.value is None
        ),
        is_simulated=any(quote.is_simulated for quote in quotes.values()),
        oldest_seconds=max((quote.age_seconds for quote in quotes.values()), default=0.0),
    )


def _assets(held: Performance, trades: Sequence[Trade]) -> list[str]:
    """Give what is held and what was traded, each once, the currency left out."""
    assets = [position.asset_id for position in held.positions if position.quantity]
    assets += [
        (trade.received if trade.side is Side.BUY else trade.spent).asset_id for trade in trades
    ]
    known = [asset_id for asset_id in dict.fromkeys(assets) if asset_id != CURRENCY_ASSET_ID]
    return known[:ASSETS_VALUED_MAX]


async def _instruments(context: Context) -> Mapping[str, Instrument]:
    """Read what is traded, by asset id; nothing when the prices are away."""
    instruments = await _if_possible(context.services.pricing.instruments())
    return {i.base_asset_id: i for i in (instruments or {}).values()}


async def _quotes(context: Context, wanted: Sequence[Instrument]) -> dict[str, Quote]:
    pricing = context.services.pricing
    quotes = await asyncio.gather(*(_if_possible(pricing.quote(i.symbol)) for i in wanted))
    return {
        instrument.base_asset_id: quote
        for instrument, quote in zip(wanted, quotes, strict=True)
        if quote is not None
    }


async def _candles(
    context: Context, wanted: Sequence[Instrument], span: Span
) -> dict[str, Candles]:
    pricing = context.services.pricing
    candles = await asyncio.gather(
        *(
            _if_possible(pricing.candles(i.symbol, span.interval_minutes, span.candles))
            for i in wanted
        )
    )
    return {
        instrument.base_asset_id: known
        for instrument, known in zip(wanted, candles, strict=True)
        if known is not None
    }


async def _if_possible(call: Awaitable[Answer]) -> Answer | None:
    try:
        return await call
    except (DependencyDown, RequestRefused):
        return None
