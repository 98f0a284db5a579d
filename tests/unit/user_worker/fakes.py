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
    Draft,
    DraftState,
    Order,
    OrderState,
    Refusal,
    Refused,
    Side,
    Units,
    Wish,
)
from user_worker.domain.ownership import Observed, ShardSeen
from user_worker.domain.performance import (
    EquityPoint,
    MarkedTime,
    Performance,
    Trade,
    TradePage,
)
from user_worker.domain.pictures import CandlesPicture, PortfolioPicture
from user_worker.domain.replies import Reply
from user_worker.domain.sessions import Session
from user_worker.errors import (
    ClaimLost,
    DependencyDown,
    JobUnknown,
    RepliesRefused,
    RequestRefused,
    TooMuch,
)
from user_worker.ports import Balance, Outcome, StreamEntry, UndoneJobs

POOL = "default.main"
SHARD = ShardKey(POOL, 0)
CLAIM = Claim(POOL, 0, 1)
ANN, BEN = UUID(int=1), UUID(int=2)
ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

_numbers = count(1)


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
        job_id=UUID(int=next(_numbers)),
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
class FakeTrading(Switch):
    """Offers at a price of 100,000 with a fee of 0.1 %, and does what it is told with an order."""

    refusal: Refusal | None = None
    ends_as: OrderState = OrderState.FILLED
    refused: Refused | None = None
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    drafts_of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    confirmed: dict[UUID, Order] = field(default_factory=dict)
    slippages: list[int] = field(default_factory=list)
    told_of: list[tuple[UUID, UUID]] = field(default_factory=list)

    async def propose(
        self, claim: Claim, job_id: UUID, user_id: UUID, wish: Wish, slippage_basis_points: int
    ) -> Draft | Refusal:
        self.pass_or_raise()
        self.slippages.append(slippage_basis_points)
        if self.refusal is not None:
            return self.refusal
        if job_id not in self.drafts_of_jobs:
            draft = draft_of(wish, user_id=user_id)
            self.drafts[draft.draft_id] = draft
            self.drafts_of_jobs[job_id] = draft.draft_id
        return self.drafts[self.drafts_of_jobs[job_id]]

    async def confirm(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str = ""
    ) -> Order | Draft | None:
        self.pass_or_raise()
        draft = await self.draft(user_id, draft_id)
        if draft is None:
            return None
        if draft.state is DraftState.OPEN:
            draft = replace(draft, state=DraftState.CONFIRMED)
            self.drafts[draft_id] = draft
            self.confirmed[draft_id] = order_of(draft, self.ends_as, self.refused)
        return self.confirmed.get(draft_id, draft)

    async def tell_of(self, claim: Claim, user_id: UUID, draft_id: UUID) -> None:
        self.pass_or_raise()
        self.told_of.append((user_id, draft_id))

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        draft = await self.draft(user_id, draft_id)
        if draft is not None and draft.state is DraftState.OPEN:
            draft = self.drafts[draft_id] = replace(draft, state=DraftState.CANCELLED)
        return draft

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        is_open = [d for d in self.drafts.values() if d.state is DraftState.OPEN]
        for draft in is_open:
            await self.cancel(claim, user_id, draft.draft_id)
        return len(is_open)

    async def draft(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        draft = self.drafts.get(draft_id)
        return draft if draft is not None and draft.user_id == user_id else None

    async def order(self, user_id: UUID, receipt: str) -> Order | None:
        return next((o for o in await self.orders(user_id, 99) if o.draft.receipt == receipt), None)

    async def orders(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        mine = [o for o in self.confirmed.values() if o.draft.user_id == user_id]
        return mine[::-1][:count_max]

    def expire(self) -> None:
        for draft_id, draft in self.drafts.items():
            if draft.state is DraftState.OPEN:
                self.drafts[draft_id] = replace(draft, state=DraftState.EXPIRED)


def draft_of(wish: Wish, *, user_id: UUID = ANN) -> Draft:
    """Make a draft that spends 100 USDT, or 0.001 of what is sold."""
    base, currency = f"paper:{wish.symbol}", "paper:USDT"
    if wish.side is Side.BUY:
        spend = Coins(currency, "USDT", Decimal(100))
        receive = Coins(base, wish.symbol, Decimal("0.001"))
        fee = Coins(base, wish.symbol, Decimal("0.000001"))
        least = Decimal("0.00099")
    else:
        spend = Coins(base, wish.symbol, Decimal("0.001"))
        receive = Coins(currency, "USDT", Decimal(100))
        fee = Coins(currency, "USDT", Decimal("0.1"))
        least = Decimal(99)
    is_exact = wish.side is Side.BUY and isinstance(wish.size, Units)
    return Draft(
        draft_id=UUID(int=(7 << 76) | next(_numbers) << 20 | 0xABCDE),
        user_id=user_id,
        wish=wish,
        spend=spend,
        receive=receive,
        fee=fee,
        receive_min=least,
        receive_max=receive.value if is_exact else None,
        price=Decimal(100_000),
        slippage_basis_points=100,
        is_simulated=True,
        made_at=NOW,
        expires_at=NOW + timedelta(seconds=120),
    )


def order_of(draft: Draft, state: OrderState, refused: Refused | None = None) -> Order:
    """Make the order of a draft as it stands in a state."""
    is_executed = state in (OrderState.EXECUTED, OrderState.FILLED)
    return Order(
        draft=draft,
        state=state,
        accepted_at=NOW,
        submit_before=NOW + timedelta(seconds=60),
        spent=draft.spend.value if is_executed else None,
        received=draft.receive.value if is_executed else None,
        fee=draft.fee.value if is_executed else None,
        refused=refused,
        ended_at=NOW if state.is_final else None,
    )


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


@dataclass
class FakeAttempts(Switch):
    begun: dict[UUID, int] = field(default_factory=dict)

    async def begin(self, claim: Claim, job_id: UUID) -> int:
        self.pass_or_raise()
        self.begun[job_id] = self.begun.get(job_id, 0) + 1
        return self.begun[job_id] - 1

    async def forgive(self, claim: Claim, job_id: UUID) -> None:
        self.pass_or_raise()
        self.begun.pop(job_id, None)


@dataclass(frozen=True)
class Delivery:
    """What a job ended with."""

    job: Job
    replies: tuple[Reply, ...]
    outcome: Outcome
    error: str


@dataclass
class FakeInbox(Switch):
    """The gateway's inbox; the first Deliver of a job decides."""

    accepted: list[Job] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    epochs: dict[ShardKey, int] = field(default_factory=dict)
    refuse_replies: int = 0
    fetches: int = 0
    jobs_per_answer_max: int = 1_000_000

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        self.fetches += 1
        if any(isinstance(failure, DependencyDown) for failure in self.failures):
            raise DependencyDown("gateway", "down")
        answers = [self._undone(claim, jobs_per_shard_max, include_cursors) for claim in claims]
        if sum(len(answer.jobs) for answer in answers) > self.jobs_per_answer_max:
            raise TooMuch("gateway", "larger than a message may be")
        return answers

    async def read_job(self, claim: Claim, job_id: UUID) -> Job:
        self.pass_or_raise()
        if self._is_stale(claim):
            raise ClaimLost(str(claim))
        ended = {delivery.job.job_id for delivery in self.deliveries}
        for job in self.accepted:
            if job.job_id == job_id and job.key == claim.key and job_id not in ended:
                return job
        raise JobUnknown(str(job_id))

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        self.pass_or_raise()
        if self._is_stale(claim):
            raise ClaimLost(str(claim))
        job = next((job for job in self.accepted if job.job_id == job_id), None)
        if job is None:
            raise JobUnknown(str(job_id))
        if replies and self.refuse_replies:
            self.refuse_replies -= 1
            raise RepliesRefused("replies[0].send_text.text")
        if job_id not in {delivery.job.job_id for delivery in self.deliveries}:
            self.deliveries.append(Delivery(job, tuple(replies), outcome, error))

    def _is_stale(self, claim: Claim) -> bool:
        return claim.epoch != self.epochs.get(claim.key, claim.epoch)

    def _undone(self, claim: Claim, jobs_max: int, include_cursors: bool) -> UndoneJobs:
        if self._is_stale(claim):
            return UndoneJobs(claim, is_stale=True)
        mine = [job for job in self.accepted if job.key == claim.key]
        done = {delivery.job.job_id for delivery in self.deliveries}
        undone = tuple(job for job in mine if job.job_id not in done)
        cursors: dict[UUID, int] = {}
        for job in mine:
            cursors[job.user_id] = cursors.get(job.user_id, 1) + (job.job_id in done)
        return UndoneJobs(claim, False, undone[:jobs_max], cursors if include_cursors else None)


@dataclass
class FakeStream(Switch):
    """Streams in memory; a read never waits longer than a moment."""

    entries: dict[ShardKey, list[tuple[bytes, Job | None]]] = field(default_factory=dict)

    def push(self, job: Job | None, *, key: ShardKey = SHARD) -> bytes:
        entry_id = f"{next(_numbers):09}-0".encode()
        self.entries.setdefault(key, []).append((entry_id, job))
        return entry_id

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        self.pass_or_raise()
        found = [
            StreamEntry(key, entry_id, job)
            for key, position in positions.items()
            for entry_id, job in [
                entry
                for entry in self.entries.get(key, [])
                if position == b"0" or entry[0] > position
            ][:entries_max]
        ]
        await asyncio.sleep(0 if found else 0.005)
        return found

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        self.pass_or_raise()
        gone = set(entry_ids)
        self.entries[key] = [e for e in self.entries.get(key, []) if e[0] not in gone]


@dataclass
class FakePlacement(Switch):
    """One pool's placement, without leases that end by themselves: `lives` says so."""

    shards: dict[ShardKey, ShardSeen] = field(default_factory=dict)
    lives: bool = True
    registered: list[UUID] = field(default_factory=list)
    released: list[Claim] = field(default_factory=list)
    is_draining: bool = False
    is_deregistered: bool = False

    def wish(self, shard: int, worker: str | None, *, can_own: bool = True) -> None:
        key = ShardKey(POOL, shard)
        old = self.shards.get(key)
        self.shards[key] = ShardSeen(
            key,
            old.epoch if old else 0,
            old.owner if old else None,
            old.owner_incarnation if old else None,
            old.ownerless_seconds if old else 0.0,
            worker,
            can_own,
        )

    async def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        self.pass_or_raise()
        self.registered.append(incarnation)
        self.lives = True
        for key, seen in self.shards.items():
            self.shards[key] = ShardSeen(
                key, seen.epoch, None, None, 0.0, seen.desired_owner, seen.desired_can_own
            )

    async def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        self.pass_or_raise()
        return self.lives

    async def drain(self, worker: str, incarnation: UUID) -> None:
        self.is_draining = True

    async def deregister(self, worker: str, incarnation: UUID) -> None:
        self.is_deregistered = True

    async def observe(self, worker: str, incarnation: UUID) -> Observed:
        return Observed(worker, incarnation, tuple(self.shards.values()), 40, 0.5)

    async def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        seen = self.shards[key]
        epoch = seen.epoch + 1
        self.shards[key] = ShardSeen(
            key, epoch, worker, incarnation, None, seen.desired_owner, seen.desired_can_own
        )
        return Claim(key.pool, key.shard, epoch)

    async def release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        seen = self.shards[claim.key]
        self.released.append(claim)
        self.shards[claim.key] = ShardSeen(
            claim.key, seen.epoch, None, None, 0.0, seen.desired_owner, seen.desired_can_own
        )
