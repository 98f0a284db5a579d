"""A worker's neighbours for the tests: a gateway and four services in memory, behind real gRPC.

The gateway is faithful where it matters here: ids and gap-free user_seq, the first Deliver of a job
decides, and every claim is checked by placement's fence in the real database. What it pushes to the
real Redis can be withheld.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc.aio
from redis.asyncio import Redis

from chassis import streams
from chassis.errors import CallerMistake, NotFound, StaleClaim, TryAgain
from chassis.grpc_server import ServerSettings, serving
from chassis.telemetry import Telemetry
from kernel.identifiers import new_uuid7
from kernel.money import format_amount
from kernel.names import jobs_stream
from kernel.seals import KEY_BYTES, seal
from kernel.sharding import ShardKey
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc, job_pb2
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2
from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from purser.shard.v1 import shard_pb2
from purser.venue.v1 import venue_pb2, venue_pb2_grpc
from purser.wallet.v1 import wallet_pb2, wallet_pb2_grpc

POOL = "default.main"
ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"

Context = Any


@dataclass
class Delivered:
    """How a job ended."""

    job: job_pb2.Job
    request: gateway_pb2.DeliverRequest
    at: float = field(default_factory=time.monotonic)
    """When it ended, on this process's monotonic clock."""

    @property
    def text(self) -> str:
        """The first text sent."""
        return next((r.send_text.text for r in self.request.replies if r.send_text.text), "")


STREAM_KEY = b"k" * KEY_BYTES


def sealed(job: job_pb2.Job, key: bytes = STREAM_KEY) -> bytes:
    """A job as a gateway puts it into the stream of its shard."""
    stream = jobs_stream(ShardKey(job.pool, job.shard))
    return seal(key, stream, job.SerializeToString())


@dataclass
class FakeGateway(gateway_pb2_grpc.GatewayServiceServicer):
    """GatewayService in memory, fenced by the real database."""

    database: "asyncpg.Pool[asyncpg.Record]"
    redis: Redis
    pushes: bool = True
    deliver_pause_seconds: float = 0.0
    jobs: dict[str, job_pb2.Job] = field(default_factory=dict)
    delivered: dict[str, Delivered] = field(default_factory=dict)
    notices: dict[str, gateway_pb2.Notice] = field(default_factory=dict)
    delivers: int = 0
    _seqs: defaultdict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    async def accept(self, user_id: UUID, shard: int, **what: Any) -> job_pb2.Job:
        """Accept what a user did into the inbox, and push it unless told not to."""
        self._seqs[user_id] += 1
        job = job_pb2.Job(
            job_id=str(new_uuid7()),
            pool=POOL,
            shard=shard,
            user_id=str(user_id),
            user_seq=self._seqs[user_id],
            display_name="Ann <3",
            **(what or {"command": job_pb2.CommandInput(name="help")}),
        )
        self.jobs[job.job_id] = job
        if self.pushes:
            stream = jobs_stream(ShardKey(POOL, shard))
            await streams.append(self.redis, stream, sealed(job))
        return job

    async def FetchJobs(  # noqa: N802 (the proto's name)
        self, request: gateway_pb2.FetchJobsRequest, context: Context
    ) -> gateway_pb2.FetchJobsResponse:
        """The undone jobs of shards."""
        answers = []
        for claim in request.claims:
            if await self._is_stale(claim):
                answers.append(
                    gateway_pb2.ShardJobs(pool=claim.pool, shard=claim.shard, stale=True)
                )
                continue
            mine = [job for job in self.jobs.values() if job.shard == claim.shard]
            undone = [job for job in mine if job.job_id not in self.delivered]
            cursors = dict.fromkeys((job.user_id for job in mine), 1)
            for job in mine:
                cursors[job.user_id] += job.job_id in self.delivered
            answers.append(
                gateway_pb2.ShardJobs(
                    pool=claim.pool,
                    shard=claim.shard,
                    jobs=undone[: request.jobs_per_shard_max or 100],
                    cursors=[
                        gateway_pb2.UserCursor(user_id=user, next_user_seq=seq)
                        for user, seq in cursors.items()
                        if request.include_cursors
                    ],
                )
            )
        return gateway_pb2.FetchJobsResponse(shards=answers, stream_key=STREAM_KEY)

    async def Deliver(  # noqa: N802
        self, request: gateway_pb2.DeliverRequest, context: Context
    ) -> gateway_pb2.DeliverResponse:
        """End a job."""
        self.delivers += 1
        if request.outcome == gateway_pb2.JOB_OUTCOME_UNSPECIFIED:
            raise CallerMistake("outcome")
        await asyncio.sleep(self.deliver_pause_seconds)
        if await self._is_stale(request.claim):
            raise StaleClaim
        job = self.jobs.get(request.job_id)
        if job is None or job.shard != request.claim.shard:
            raise NotFound("no such job in that shard")
        already = request.job_id in self.delivered
        if not already:
            self.delivered[request.job_id] = Delivered(job, request)
        return gateway_pb2.DeliverResponse(already_delivered=already)

    async def ReadJob(  # noqa: N802
        self, request: gateway_pb2.ReadJobRequest, context: Context
    ) -> gateway_pb2.ReadJobResponse:
        """One undone job."""
        if await self._is_stale(request.claim):
            raise StaleClaim
        job = self.jobs.get(request.job_id)
        if job is None or job.shard != request.claim.shard or job.job_id in self.delivered:
            raise NotFound("no such job in that shard")
        return gateway_pb2.ReadJobResponse(job=job)

    async def Notify(  # noqa: N802
        self, request: gateway_pb2.NotifyRequest, context: Context
    ) -> gateway_pb2.NotifyResponse:
        """Each event once."""
        for notice in request.notices:
            self.notices.setdefault(notice.event_id, notice)
        accepted = gateway_pb2.NOTICE_RESULT_ACCEPTED
        return gateway_pb2.NotifyResponse(results=[accepted] * len(request.notices))

    def order_of(self, user_id: UUID) -> list[int]:
        """The user's answered jobs in the order they were answered."""
        return [d.job.user_seq for d in self.delivered.values() if d.job.user_id == str(user_id)]

    async def _is_stale(self, claim: shard_pb2.ShardClaim) -> bool:
        try:
            async with self.database.acquire() as connection, connection.transaction():
                await connection.execute(
                    "SELECT placement.fence($1, $2, $3)", claim.pool, claim.shard, claim.epoch
                )
        except asyncpg.PostgresError as error:
            if error.sqlstate != "PF001":
                raise
            return True
        return False


class FakePricing(pricing_pb2_grpc.PricingServiceServicer):
    """One quote."""

    async def GetQuotes(  # noqa: N802
        self, request: pricing_pb2.GetQuotesRequest, context: Context
    ) -> pricing_pb2.GetQuotesResponse:
        """The quotes asked for."""
        return pricing_pb2.GetQuotesResponse(quotes=[_quote(s) for s in request.symbols])

    async def WatchQuotes(  # noqa: N802
        self, request: pricing_pb2.WatchQuotesRequest, context: Context
    ) -> AsyncIterator[pricing_pb2.WatchQuotesResponse]:
        """The same quotes again and again."""
        while True:
            yield pricing_pb2.WatchQuotesResponse(quotes=[_quote(s) for s in request.symbols])
            await asyncio.sleep(0.2)

    async def ListInstruments(  # noqa: N802
        self, request: pricing_pb2.ListInstrumentsRequest, context: Context
    ) -> pricing_pb2.ListInstrumentsResponse:
        """BTC."""
        btc = pricing_pb2.Instrument(symbol="BTC", currency="USDT", price_digits=2)
        return pricing_pb2.ListInstrumentsResponse(instruments=[btc])


def _quote(symbol: str) -> pricing_pb2.Quote:
    quote = pricing_pb2.Quote(
        symbol=symbol,
        currency="USDT",
        price="97123.456",
        source=pricing_pb2.QUOTE_SOURCE_SIMULATED,
    )
    quote.stated_at.GetCurrentTime()
    return quote


class FakeWallet(wallet_pb2_grpc.WalletServiceServicer):
    """One address."""

    async def EnsureWallet(  # noqa: N802
        self, request: wallet_pb2.EnsureWalletRequest, context: Context
    ) -> wallet_pb2.EnsureWalletResponse:
        """The same wallet for everybody."""
        return wallet_pb2.EnsureWalletResponse(wallet_id=str(uuid4()), address=ADDRESS)


@dataclass
class FakeLedger(ledger_pb2_grpc.LedgerServiceServicer):
    """Books of users who have 10,000 USDT each: holds, fills and releases, by their keys."""

    spent: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    received: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Per user."""
    holds: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    """User and amount per order."""
    keys: set[str] = field(default_factory=set)
    failures: list[bool] = field(default_factory=list)
    """The next operations go unanswered: after their effect (True) or before it."""

    async def ListAssets(  # noqa: N802
        self, request: ledger_pb2.ListAssetsRequest, context: Context
    ) -> ledger_pb2.ListAssetsResponse:
        """The registry."""
        return ledger_pb2.ListAssetsResponse(
            assets=[
                ledger_pb2.Asset(asset_id="paper:BTC", symbol="BTC", decimals=8),
                ledger_pb2.Asset(asset_id="paper:USDT", symbol="USDT", decimals=6),
            ]
        )

    async def EnsureAccounts(  # noqa: N802
        self, request: ledger_pb2.EnsureAccountsRequest, context: Context
    ) -> ledger_pb2.EnsureAccountsResponse:
        """An account per asset asked for."""
        held = sum((v for user, v in self.holds.values() if user == request.user_id), Decimal(0))
        return ledger_pb2.EnsureAccountsResponse(
            accounts=[
                ledger_pb2.Account(
                    account_id=str(uuid4()),
                    posted=money_pb2.Amount(
                        asset_id=asset_id,
                        value=format_amount(Decimal(10_000) - self.spent[request.user_id]),
                    ),
                    held=money_pb2.Amount(asset_id=asset_id, value=format_amount(held)),
                )
                for asset_id in request.asset_ids
            ]
        )

    async def ApplyOperations(  # noqa: N802
        self, request: ledger_pb2.ApplyOperationsRequest, context: Context
    ) -> ledger_pb2.ApplyOperationsResponse:
        """Each operation once."""
        is_applied = self.failures.pop(0) if self.failures else None
        if is_applied is False:
            raise TryAgain
        for operation in request.operations:
            if operation.idempotency_key not in self.keys:
                self.keys.add(operation.idempotency_key)
                self._apply(operation)
        if is_applied:
            raise TryAgain
        applied = ledger_pb2.OperationResult(outcome=ledger_pb2.OPERATION_OUTCOME_APPLIED)
        return ledger_pb2.ApplyOperationsResponse(results=[applied] * len(request.operations))

    def _apply(self, operation: ledger_pb2.Operation) -> None:
        match operation.WhichOneof("kind"):
            case "hold":
                hold = operation.hold
                self.holds[hold.order_id] = (hold.user_id, Decimal(hold.amount.value))
            case "fill":
                fill = operation.fill
                del self.holds[fill.order_id]
                self.spent[fill.user_id] += Decimal(fill.spent.value)
                self.received[fill.user_id] += Decimal(fill.received.value)
            case "release":
                del self.holds[operation.release.order_id]


@dataclass
class FakeVenue(venue_pb2_grpc.VenueServiceServicer):
    """Executes everything at 100,000 USDT for a BTC, without a fee, once per order id."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Submissions wait until it is set."""
    fills: dict[str, venue_pb2.OrderOutcome] = field(default_factory=dict)

    async def PreviewOrder(  # noqa: N802
        self, request: venue_pb2.PreviewOrderRequest, context: Context
    ) -> venue_pb2.PreviewOrderResponse:
        """What a purchase would do."""
        return venue_pb2.PreviewOrderResponse(
            spent=request.spend,
            received=_btc(Decimal(request.spend.value)),
            fee=_btc(Decimal(0)),
            price="100000",
        )

    async def SubmitOrder(  # noqa: N802
        self, request: venue_pb2.SubmitOrderRequest, context: Context
    ) -> venue_pb2.SubmitOrderResponse:
        """Execute a purchase."""
        await self.gate.wait()
        outcome = venue_pb2.OrderOutcome(
            state=venue_pb2.ORDER_STATE_FILLED,
            spent=request.spend,
            received=_btc(Decimal(request.spend.value)),
            fee=_btc(Decimal(0)),
        )
        return venue_pb2.SubmitOrderResponse(
            outcome=self.fills.setdefault(request.order_id, outcome)
        )

    async def InquireOrder(  # noqa: N802
        self, request: venue_pb2.InquireOrderRequest, context: Context
    ) -> venue_pb2.InquireOrderResponse:
        """What became of an order."""
        unknown = venue_pb2.OrderOutcome(state=venue_pb2.ORDER_STATE_NOT_FOUND)
        return venue_pb2.InquireOrderResponse(outcome=self.fills.get(request.order_id, unknown))


def _btc(usdt: Decimal) -> money_pb2.Amount:
    return money_pb2.Amount(asset_id="paper:BTC", value=format_amount(usdt / 100_000))


@dataclass
class World:
    """The neighbours, and what a worker must be told to find them."""

    gateway: FakeGateway
    ledger: FakeLedger
    venue: FakeVenue
    owner: "asyncpg.Pool[asyncpg.Record]"
    redis: Redis
    environ: dict[str, str]

    async def ensure_shards(self, *shards: int, desired: str | None) -> None:
        """Make shards and wish for them at a worker."""
        for shard in shards:
            await self.owner.execute("SELECT placement.ensure_shard($1, $2)", POOL, shard)
            await self.owner.execute(
                "UPDATE placement.shards SET desired_owner = $3 WHERE pool = $1 AND shard = $2",
                *(POOL, shard, desired),
            )
        await self.owner.execute("SELECT pg_notify('placement', $1)", POOL)

    async def owners(self) -> dict[int, str | None]:
        """Who owns which shard, whether the lease lives or not."""
        rows = await self.owner.fetch("SELECT shard, owner FROM placement.shards ORDER BY shard")
        return {row["shard"]: row["owner"] for row in rows}

    async def owns(self, worker: str, *shards: int) -> bool:
        """Whether exactly these shards are the worker's, in the database."""
        owners = await self.owners()
        return {shard for shard, owner in owners.items() if owner == worker} == set(shards)

    async def is_clear(self, shard: int) -> bool:
        """Whether the shard's stream is empty."""
        return await self.depth(shard) == 0

    async def depth(self, shard: int) -> int:
        """Entries left in a shard's stream."""
        return int(await self.redis.xlen(jobs_stream(ShardKey(POOL, shard))))


@asynccontextmanager
async def neighbours(owner_url: str, worker_url: str, redis_url: str) -> AsyncIterator[World]:
    """Serve the gateway and the three services on one free port."""
    telemetry = Telemetry("fake", None, [])

    async with (
        asyncpg.create_pool(owner_url, min_size=1, max_size=5) as owner,
        Redis.from_url(redis_url) as redis,
    ):
        # Abstract to mypy: they serve only what workers call.
        gateway = FakeGateway(owner, redis)  # type: ignore[abstract]
        ledger = FakeLedger()  # type: ignore[abstract]
        venue = FakeVenue()  # type: ignore[abstract]
        venue.gate.set()

        def add(server: grpc.aio.Server) -> None:
            gateway_pb2_grpc.add_GatewayServiceServicer_to_server(gateway, server)
            pricing_pb2_grpc.add_PricingServiceServicer_to_server(
                FakePricing(),  # type: ignore[abstract]
                server,
            )
            wallet_pb2_grpc.add_WalletServiceServicer_to_server(FakeWallet(), server)
            ledger_pb2_grpc.add_LedgerServiceServicer_to_server(ledger, server)
            venue_pb2_grpc.add_VenueServiceServicer_to_server(venue, server)

        settings = ServerSettings(drain_timeout_seconds=0.2)
        async with serving(settings, add, telemetry) as server:
            address = f"127.0.0.1:{server.port}"
            yield World(
                gateway,
                ledger,
                venue,
                owner,
                redis,
                {
                    "USER_WORKER_DATABASE_URL": worker_url,
                    "USER_WORKER_REDIS_URL": redis_url,
                    "USER_WORKER_POOL": POOL,
                    **{
                        f"USER_WORKER_{service}_ADDRESS": address
                        for service in ("GATEWAY", "PRICING", "WALLET", "LEDGER", "VENUE")
                    },
                },
            )


async def until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    """Wait until something holds, which may be asked in the database."""
    ends = time.monotonic() + seconds
    while True:
        result = holds()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        if time.monotonic() > ends:
            raise TimeoutError("it never came to hold")
        await asyncio.sleep(0.02)
