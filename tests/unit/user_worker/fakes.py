"""The world of a worker in memory: what the ports promise, with switches for what can go wrong."""

# ruff: noqa: D101, D102 (user_worker.ports says what each of these promises)

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

from kernel.sharding import Claim, ShardKey
from user_worker.domain.freezing import Frozen, Stopped
from user_worker.domain.jobs import Command, Input, Job
from user_worker.domain.market import Candle, Candles, Instrument, Quote
from user_worker.domain.orders import (
    Coins,
)
from user_worker.domain.performance import (
    EquityPoint,
    MarkedTime,
    Performance,
    Trade,
    TradePage,
)
from user_worker.domain.pictures import CandlesPicture, PortfolioPicture
from user_worker.domain.sessions import Session
from user_worker.errors import (
    DependencyDown,
    RequestRefused,
)
from user_worker.ports import Balance

POOL = "default.main"
SHARD = ShardKey(POOL, 0)
CLAIM = Claim(POOL, 0, 1)
ANN, BEN = UUID(int=1), UUID(int=2)
ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

numbers = count(1)


def job_of(
    what: Input | None = None,
    *,
    user_id: UUID = ANN,
    seq: int = 1,
    key: ShardKey = SHARD,
    language_code: str = "en",
    display_name: str = "Ann",
) -> Job:
    """Make a job with an id of its own."""
    return Job(
        job_id=UUID(int=next(numbers)),
        key=key,
        user_id=user_id,
        user_seq=seq,
        accepted_at=0.0,
        input=what or Command("help"),
        language_code=language_code,
        display_name=display_name,
        size=100,
    )


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (what is waited for sets no event)
            await asyncio.sleep(0.002)


@dataclass
class Switch:
    """Makes the next calls fail with the errors given; then they work."""

    failures: list[BaseException] = field(default_factory=list)
    calls: int = 0

    def pass_or_raise(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)


def instrument_of(symbol: str, *, price_digits: int = 2, decimals: int = 8) -> Instrument:
    """Make an instrument priced in play money."""
    return Instrument(symbol, "USDT", price_digits, f"paper:{symbol}", decimals, "paper:USDT", 6)


def candles_of(
    symbol: str, prices: Sequence[str], *, interval_minutes: int = 15, until: datetime = NOW
) -> Candles:
    """Make candles that end at a time, each a point with its price."""
    interval = timedelta(minutes=interval_minutes)
    first = until - interval * len(prices)
    return Candles(
        symbol,
        "USDT",
        interval_minutes,
        True,
        tuple(
            Candle(first + interval * place, *(Decimal(price),) * 4)
            for place, price in enumerate(prices)
        ),
    )


@dataclass
class FakePricing(Switch):
    known: Quote | None = field(
        default_factory=lambda: Quote("BTC", Decimal("97123.456"), "USDT", True, 0.5)
    )
    traded: dict[str, Instrument] = field(
        default_factory=lambda: {
            symbol: instrument_of(symbol) for symbol in ("BTC", "DOGE", "DOT", "ETH", "SOL")
        }
    )
    quotes: dict[str, Quote | None] = field(default_factory=dict)
    history: dict[tuple[str, int], Candles] = field(default_factory=dict)
    is_away: bool = False

    async def instruments(self) -> Mapping[str, Instrument]:
        self._answer()
        return self.traded

    async def quote(self, symbol: str) -> Quote | None:
        self.pass_or_raise()
        self._answer()
        return self.quotes.get(symbol, self.known if symbol == "BTC" else None)

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        self._answer()
        nothing = Candles(symbol, "USDT", interval_minutes, True, ())
        known = self.history.get((symbol, interval_minutes), nothing)
        return replace(known, candles=known.candles[-count_max:])

    def _answer(self) -> None:
        if self.is_away:
            raise DependencyDown("pricing", "away")


@dataclass
class FakeWallet(Switch):
    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> str:
        self.pass_or_raise()
        return ADDRESS


NOTHING = Performance(
    currency="USDT",
    positions=(),
    equity=Decimal(0),
    net_deposits=Decimal(0),
    realised_pnl=Decimal(0),
    unrealised_pnl=Decimal(0),
    trades=0,
    winning_trades=0,
    losing_trades=0,
    even_trades=0,
    win_rate=None,
    profit_factor=None,
    expectancy=None,
    max_drawdown=Decimal(0),
    max_drawdown_ratio=None,
    fees=(),
    points=(),
)


@dataclass
class FakeLedger(Switch):
    """Knows what it is told; its performance answers past times with `equity_then`, and those
    before `begun_at` with nothing.
    """

    posted: Decimal = Decimal(10_000)
    held: Decimal = Decimal(0)
    given: set[UUID] = field(default_factory=set)
    known: Performance = NOTHING
    begun_at: datetime = NOW
    equity_then: Decimal = Decimal(10_000)
    deposits_then: Decimal = Decimal(10_000)
    past_trades: list[Trade] = field(default_factory=list)
    asked: list[tuple[dict[str, Decimal], tuple[MarkedTime, ...]]] = field(default_factory=list)

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        self.pass_or_raise()
        return [Balance(asset_id, self.posted, self.held) for asset_id in asset_ids]

    async def open_faucet(self, claim: Claim, user_id: UUID, amount: Coins) -> bool:
        is_new = user_id not in self.given
        self.given.add(user_id)
        return is_new

    async def trades(self, user_id: UUID, page_size: int, page_token: str) -> TradePage:
        if not page_token.isdecimal() and page_token:
            raise RequestRefused("ledger", "page_token")
        first = int(page_token or 0)
        last = first + page_size
        more = str(last) if last < len(self.past_trades) else ""
        return TradePage(tuple(self.past_trades[first:last]), more)

    async def performance(
        self,
        user_id: UUID,
        currency_asset_id: str,
        marks: Mapping[str, Decimal],
        past: Sequence[MarkedTime],
        *,
        may_be_old: bool = False,
    ) -> Performance:
        times = [marked.at for marked in past]
        if times != sorted(set(times)):
            raise RequestRefused("ledger", "past: expected the oldest first")
        self.asked.append((dict(marks), tuple(past)))
        return replace(
            self.known,
            points=tuple(
                EquityPoint(at, self.equity_then, self.deposits_then)
                if at >= self.begun_at
                else EquityPoint(at, None, Decimal(0))
                for at in times
            ),
        )


@dataclass
class FakePreferences(Switch):
    languages: dict[UUID, str] = field(default_factory=dict)
    slippages: dict[UUID, int] = field(default_factory=dict)
    forgotten: list[UUID] = field(default_factory=list)

    async def language(self, user_id: UUID) -> str | None:
        self.pass_or_raise()
        return self.languages.get(user_id)

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        self.pass_or_raise()
        self.languages[user_id] = language

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        return self.slippages.get(user_id)

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        self.pass_or_raise()
        self.slippages[user_id] = basis_points

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        self.pass_or_raise()
        self.languages.pop(user_id, None)
        self.slippages.pop(user_id, None)
        self.forgotten.append(user_id)


@dataclass
class FakeSessions(Switch):
    kept: dict[UUID, Session] = field(default_factory=dict)
    is_away: bool = False

    async def read(self, user_id: UUID) -> Session | None:
        self._answer()
        return self.kept.get(user_id)

    async def keep(self, user_id: UUID, session: Session) -> None:
        self._answer()
        self.kept[user_id] = session

    async def end(self, user_id: UUID) -> None:
        self._answer()
        self.kept.pop(user_id, None)

    def _answer(self) -> None:
        if self.is_away:
            raise DependencyDown("redis", "away")


@dataclass
class FakeGateway(Switch):
    forgotten: list[UUID] = field(default_factory=list)

    async def forget_user(self, claim: Claim, user_id: UUID) -> None:
        self.pass_or_raise()
        self.forgotten.append(user_id)


@dataclass
class FakePictures(Switch):
    drawn: list[CandlesPicture | PortfolioPicture] = field(default_factory=list)

    async def candles(self, picture: CandlesPicture) -> bytes:
        return self._draw(picture)

    async def portfolio(self, picture: PortfolioPicture) -> bytes:
        return self._draw(picture)

    def _draw(self, picture: CandlesPicture | PortfolioPicture) -> bytes:
        self.pass_or_raise()
        self.drawn.append(picture)
        return b"\x89PNG\r\n\x1a\n"


@dataclass
class FakeFreezes(Switch):
    frozen: dict[UUID, Frozen] = field(default_factory=dict)
    stopped: Stopped = field(default_factory=Stopped)
    """What the next freeze finds to stop."""
    jobs: list[UUID] = field(default_factory=list)

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        self.pass_or_raise()
        self.jobs.append(job_id)
        return self.frozen.setdefault(user_id, Frozen(NOW, self.stopped))

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        frozen = self.frozen.get(user_id)
        return None if frozen is None else frozen.since

    async def standing(self, user_id: UUID) -> UUID | None:
        return self.jobs[-1] if user_id in self.frozen else None

    async def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        self.pass_or_raise()
        if await self.standing(user_id) in (None, freeze_id):
            self.frozen.pop(user_id, None)
        return user_id not in self.frozen
