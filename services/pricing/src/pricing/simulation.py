"""A simulated market that is a pure function of seed, symbol and time.

The logarithm of a price is a random walk, so prices are a geometric random walk and never reach
zero. Walking step by step would need a beginning and a memory; instead the walk is built from the
top by midpoints (Lévy's construction of Brownian motion): an era of 2^21 steps, 24 days at a step
a second, begins and ends at points drawn around the symbol's base price, and the middle of every
interval lies at the mean of its ends plus a normal deviation whose variance is the step's times a
quarter of the interval's length. Any step is reached in 21 halvings, so any replica, also one
that was just started, says the same price for the same step. Over seconds to days it moves with
the chosen volatility; over eras it keeps to the neighbourhood of its base price.

Its past is computed as it is told: `history` walks down the same tree once for a stretch of steps,
so that a step costs about two draws instead of twenty-one, and takes the exponential only of the
first, highest, lowest and last position of a minute (a higher position is never a lower price).

All of it is whole numbers and Decimal: a float's logarithm may differ in its last bit between two
machines, and then two replicas would differ. A deviation is the sum of twelve uniform numbers minus
six (Irwin-Hall), normal enough for a market, and bounded.
"""

import asyncio
import decimal
import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from kernel.money import MalformedAmount, parse_amount
from pricing.domain import Candle, Quote, Source, Traded, is_symbol, round_price
from pricing.errors import MalformedMarket

ERA_LEVELS = 21
"""Halvings from an era to a step: 2^21 steps."""
VOLATILITY_PERCENT_MAX = 1000
"""More is not a market but noise: a tenth of the price each second day."""
_UNIFORMS = struct.Struct("<12H")
_MEAN = 12 * 65535 // 2
_ONE_DEVIATION = 65536
"""The standard deviation of the sum of twelve uniform 16-bit numbers."""
_LOG_UNIT = 10**12
"""Positions are whole numbers of 10^-12 in the logarithm of the price."""
_ERA_DEVIATION = _LOG_UNIT * 15 // 100
"""Eras begin within about 15 % of the base price, two thirds of the time."""
_SECONDS_PER_YEAR = 365 * 24 * 3600
_EXACT_ENOUGH = decimal.Context(prec=40, rounding=decimal.ROUND_HALF_EVEN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One simulated symbol: the price it keeps near and how far it moves in a year."""

    symbol: str
    base_price: Decimal
    volatility: Decimal
    """Standard deviation of the logarithm over a year: 0.6 is 60 %."""

    @property
    def digits(self) -> int:
        """Digits after the point in its prices: as many as the base price is written with."""
        exponent = self.base_price.as_tuple().exponent
        return -exponent if isinstance(exponent, int) and exponent < 0 else 0


class SimulatedMarket:
    """The source of simulated quotes."""

    def __init__(
        self, seed: str, currency: str, instruments: Iterable[Instrument], step: timedelta
    ) -> None:
        self._currency = currency
        self._step = step
        self._walks = {i.symbol: _Walk(seed, i, step) for i in instruments}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it knows."""
        return tuple(self._walks)

    @property
    def instruments(self) -> tuple[Traded, ...]:
        """What it states prices for, with the digits they are shown with."""
        return tuple(
            Traded(symbol, self._currency, walk.instrument.digits, Source.SIMULATED)
            for symbol, walk in self._walks.items()
        )

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State the prices of the step that `now` lies in, without the unknown symbols."""
        number = (now - _EPOCH) // self._step
        stated_at = _EPOCH + number * self._step
        return [
            Quote(symbol, self._currency, walk.price(number), stated_at, Source.SIMULATED)
            for symbol in symbols
            if (walk := self._walks.get(symbol)) is not None
        ]

    def history(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """Compute the whole minutes of a symbol from `begin` to before `end`, oldest first.

        The same candles that would have been collected had somebody listened at every step; a
        minute without a step (a step may last a minute) has none. Empty for an unknown symbol.
        """
        walk = self._walks.get(symbol)
        if walk is None:
            return []
        first = -((_EPOCH - begin) // self._step)
        minutes: dict[datetime, list[int]] = {}
        for number, position in enumerate(walk.positions(first, -((_EPOCH - end) // self._step))):
            at = _EPOCH + (first + number) * self._step
            minutes.setdefault(at.replace(second=0, microsecond=0), []).append(position)
        return [
            Candle(symbol, self._currency, Source.SIMULATED, minute, *walk.candle(positions))
            for minute, positions in minutes.items()
        ]

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """Compute `history` beside the event loop: an hour takes some thirty milliseconds."""
        return await asyncio.to_thread(self.history, symbol, begin, end)


class _Walk:
    """The walk of one symbol."""

    def __init__(self, seed: str, instrument: Instrument, step: timedelta) -> None:
        self.instrument = instrument
        self._key = hashlib.sha256(f"{seed}\0{instrument.symbol}".encode()).digest()
        seconds = Decimal(step // timedelta(microseconds=1)) / 1_000_000
        variance_per_step = instrument.volatility**2 * seconds / _SECONDS_PER_YEAR
        # By level: how far the middle of an interval of 2^level steps deviates.
        self._deviations = [
            int((variance_per_step * 2**level / 4).sqrt(_EXACT_ENOUGH) * _LOG_UNIT)
            for level in range(ERA_LEVELS + 1)
        ]

    def price(self, step: int) -> Decimal:
        """State the price of a step."""
        return self._price_at(self._position(step))

    def candle(self, positions: Sequence[int]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Give the first, the highest, the lowest and the last price of some positions."""
        open_, high, low, close = (
            self._price_at(position)
            for position in (positions[0], max(positions), min(positions), positions[-1])
        )
        return open_, high, low, close

    def positions(self, first: int, end: int) -> list[int]:
        """Find where the walk is at each step from `first` to before `end`."""
        found: list[int] = []
        for era in range(first >> ERA_LEVELS, (end - 1 >> ERA_LEVELS) + 1):
            low = self._deviate("era", era, _ERA_DEVIATION)
            high = self._deviate("era", era + 1, _ERA_DEVIATION)
            self._descend(era << ERA_LEVELS, ERA_LEVELS, (low, high), (first, end), found)
        return found

    def _descend(
        self,
        start: int,
        level: int,
        ends: tuple[int, int],
        wanted: tuple[int, int],
        found: list[int],
    ) -> None:
        """Collect the wanted steps of one interval of 2^level steps, in order."""
        if start >= wanted[1] or start + (1 << level) <= wanted[0]:
            return
        low, high = ends
        if level == 0:
            found.append(low)
            return
        middle_step = start + (1 << (level - 1))
        middle = (low + high) // 2
        middle += self._deviate("step", middle_step, self._deviations[level])
        self._descend(start, level - 1, (low, middle), wanted, found)
        self._descend(middle_step, level - 1, (middle, high), wanted, found)

    def _price_at(self, place: int) -> Decimal:
        position = Decimal(place) / _LOG_UNIT
        factor = position.exp(_EXACT_ENOUGH)
        price = _EXACT_ENOUGH.multiply(self.instrument.base_price, factor)
        return round_price(price, self.instrument.digits)

    def _position(self, step: int) -> int:
        """Find where the walk is at a step: the logarithm of price over base price."""
        era, offset = divmod(step, 1 << ERA_LEVELS)
        low = self._deviate("era", era, _ERA_DEVIATION)
        high = self._deviate("era", era + 1, _ERA_DEVIATION)
        start = step - offset
        for level in range(ERA_LEVELS, 0, -1):
            if step == start:
                break
            middle_step = start + (1 << (level - 1))
            middle = (low + high) // 2
            middle += self._deviate("step", middle_step, self._deviations[level])
            if step < middle_step:
                high = middle
            else:
                low, start = middle, middle_step
        return low

    def _deviate(self, kind: str, place: int, deviation: int) -> int:
        """Draw the deviation that belongs to one place: the same for ever."""
        draw = hashlib.blake2b(f"{kind}/{place}".encode(), key=self._key, digest_size=24).digest()
        uniforms: tuple[int, ...] = _UNIFORMS.unpack(draw)
        return (sum(uniforms) - _MEAN) * deviation // _ONE_DEVIATION


def read_instruments(lines: Sequence[str]) -> list[Instrument]:
    """Read "BTC:64000.00:55": symbol, base price, percent it moves in a year.

    Raises MalformedMarket with a sentence for the person who wrote it.
    """
    instruments: dict[str, Instrument] = {}
    for line in lines:
        instrument = _read_instrument(line)
        if instrument.symbol in instruments:
            raise MalformedMarket(f"the simulated market names {instrument.symbol} twice")
        instruments[instrument.symbol] = instrument
    return list(instruments.values())


def _read_instrument(line: str) -> Instrument:
    malformed = MalformedMarket(
        f"the simulated market's {line!a} is not SYMBOL:BASE_PRICE:PERCENT_PER_YEAR, "
        "for example BTC:64000.00:55"
    )
    parts = line.split(":")
    if len(parts) != 3 or not is_symbol(parts[0]):
        raise malformed
    try:
        base_price, percent = parse_amount(parts[1]), parse_amount(parts[2])
    except MalformedAmount:
        raise malformed from None
    if base_price <= 0 or not 0 < percent <= VOLATILITY_PERCENT_MAX:
        raise malformed
    return Instrument(parts[0], base_price, volatility=percent / 100)
