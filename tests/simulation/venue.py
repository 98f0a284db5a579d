"""The paper venue in memory: its real rules of execution, the first outcome of every order id, and
the worker's port in front. Beside it the prices it executes at.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from tests.simulation.network import CALL_TIMEOUT_SECONDS, Network
from tests.simulation.placement import PlacementTables
from tests.simulation.seeding import at

from chassis.errors import MalformedRequest
from kernel.identifiers import parse_uuid
from kernel.sharding import Claim, ShardKey
from pricing import domain as prices
from pricing.paper_venue import domain as paper
from pricing.paper_venue.execution import execute, preview
from pricing.paper_venue.wire import (
    Instruments,
    outcome_to_message,
    preview_to_message,
    read_order,
    read_preview,
)
from purser.venue.v1 import venue_pb2
from user_worker.clients import VenueClient
from user_worker.domain.market import Candles, Instrument, Quote
from user_worker.errors import DependencyDown, RequestRefused
from user_worker.trading_ports import StatedQuote

Read = TypeVar("Read")

TERMS = paper.Terms(5, 10, Decimal(1), Decimal(1_000_000), timedelta(seconds=10))
INSTRUMENTS = paper.read_instruments(("BTC:8:400000000", "ETH:18:200000000"), "USDT", 6)
STARTS = {"BTC": Decimal(97_000), "ETH": Decimal(3_400)}
TICK_SECONDS = 1.0


class Market:
    """Prices that jump every second; sometimes past what a user has confirmed."""

    def __init__(self, random: Random, now: Callable[[], float]) -> None:
        self._random = random
        self._now = now
        self._paths = {symbol: [price] for symbol, price in STARTS.items()}

    def quote(self, symbol: str) -> prices.Quote | None:
        """The price of now."""
        if symbol not in self._paths:
            return None
        tick = self.tick()
        stated_at = at(tick * TICK_SECONDS)
        return prices.Quote(
            symbol, "USDT", self.price(symbol, tick), stated_at, prices.Source.SIMULATED
        )

    def tick(self) -> int:
        """The number of the present price."""
        return int(self._now() // TICK_SECONDS)

    def price(self, symbol: str, tick: int) -> Decimal:
        """A price there was, or is."""
        path = self._paths[symbol]
        while len(path) <= tick:
            share = self._random.choice((-3, -1, 0, 0, 1, 3, 25, -25)) * self._random.random()
            path.append(round(path[-1] * (1 + Decimal(share) / 1000), 2))
        return path[tick]


class SimulatedFeed:
    """resting_ports.QuoteFeed: each new price, heard a little later, or not at all while pricing is
    away.
    """

    def __init__(self, network: Network, market: Market, random: Random) -> None:
        self._network = network
        self._market = market
        self._random = random
        self._listeners: list[Callable[[Sequence[StatedQuote]], None]] = []
        self._newest: dict[str, StatedQuote] = {}

    def listen(self, listener: Callable[[Sequence[StatedQuote]], None]) -> None:
        """See resting_ports."""
        self._listeners.append(listener)

    def latest(self, symbol: str) -> StatedQuote | None:
        """See resting_ports."""
        return self._newest.get(symbol)

    async def run(self) -> None:
        """Hear prices until cancelled."""
        while True:
            if not self._network.weather.is_down("pricing"):
                for symbol in STARTS:
                    quote = self._market.quote(symbol)
                    if quote is not None:
                        stated_at = quote.stated_at.timestamp()
                        heard = StatedQuote(symbol, quote.price, "USDT", True, stated_at)
                        self._newest[symbol] = heard
                for listener in self._listeners:
                    listener(list(self._newest.values()))
            await asyncio.sleep(TICK_SECONDS * self._random.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class Kept:
    """venue.orders"""

    key: ShardKey
    outcome: paper.Outcome
    fingerprint: bytes | None


@dataclass
class VenueTables:
    """Schema `venue`."""

    placement: PlacementTables
    market: Market
    users: dict[UUID, ShardKey] = field(default_factory=dict)
    orders: dict[UUID, Kept] = field(default_factory=dict)

    def submit(self, claim: Claim, order: paper.Order) -> paper.Outcome:
        """Execute an order once, and give its first outcome. Raises ClaimLost, RequestRefused."""
        self.placement.fence(claim)
        kept = self.orders.get(order.order_id)
        mark = paper.fingerprint(order)
        if kept is None:
            if self.users.setdefault(order.user_id, claim.key) != claim.key:
                raise RequestRefused("venue", "SHARD_MISMATCH")
            kept = Kept(claim.key, self._decide(order), mark)
            self.orders[order.order_id] = kept
        if kept.key != claim.key:
            raise RequestRefused("venue", "SHARD_MISMATCH")
        if kept.outcome.state is not paper.State.TOMBSTONED and kept.fingerprint != mark:
            raise RequestRefused("venue", "ANOTHER_ORDER")
        return kept.outcome

    def tombstone(self, claim: Claim, order_id: UUID) -> paper.Outcome:
        """Give an order up unless it has an outcome. Raises ClaimLost, RequestRefused."""
        self.placement.fence(claim)
        stone = Kept(claim.key, paper.Outcome(paper.State.TOMBSTONED), None)
        kept = self.orders.setdefault(order_id, stone)
        if kept.key != claim.key:
            raise RequestRefused("venue", "SHARD_MISMATCH")
        return kept.outcome

    def inquire(self, order_id: UUID) -> paper.Outcome | None:
        """An order's outcome; None when it was never seen."""
        kept = self.orders.get(order_id)
        return None if kept is None else kept.outcome

    def preview(self, side: paper.Side, symbol: str, size: paper.Size) -> paper.Preview:
        """What an order would do now."""
        instrument, quote = INSTRUMENTS.get(symbol), self.market.quote(symbol)
        if instrument is None or quote is None:
            return paper.Preview(paper.Refused(paper.Refusal.UNKNOWN_SYMBOL), None)
        now = at(self.placement.now())
        return paper.Preview(preview(side, size, instrument, quote, TERMS, now), quote)

    def _decide(self, order: paper.Order) -> paper.Outcome:
        instrument, quote = INSTRUMENTS.get(order.symbol), self.market.quote(order.symbol)
        if instrument is None or quote is None:
            return paper.Outcome(paper.State.REFUSED, refusal=paper.Refusal.UNKNOWN_SYMBOL)
        result = execute(order, instrument, quote, TERMS, at(self.placement.now()))
        if isinstance(result, paper.Fill):
            return paper.Outcome(paper.State.FILLED, fill=result)
        return paper.Outcome(paper.State.REFUSED, refusal=result.reason)


class SimulatedVenue(VenueClient):
    """trading_ports.Venue: the worker's own client, with a venue behind the simulated network."""

    def __init__(self, network: Network, tables: VenueTables) -> None:
        self._stub: Any = VenueDoor(network, tables)
        self._timeout_seconds = CALL_TIMEOUT_SECONDS


class VenueDoor:
    """VenueService: reads requests and writes answers as the real one does."""

    def __init__(self, network: Network, tables: VenueTables) -> None:
        self._network = network
        self._tables = tables

    async def PreviewOrder(  # noqa: N802 (gRPC's name)
        self, request: venue_pb2.PreviewOrderRequest, **_: float
    ) -> venue_pb2.PreviewOrderResponse:
        """Say what an order would do."""
        tables = self._tables
        answer = await self._network.call(
            "venue", "preview", lambda: tables.preview(*_read(read_preview, request))
        )
        return preview_to_message(answer)

    async def SubmitOrder(  # noqa: N802
        self, request: venue_pb2.SubmitOrderRequest, **_: float
    ) -> venue_pb2.SubmitOrderResponse:
        """Execute an order once."""
        tables, claim = self._tables, Claim.of(request.claim)
        outcome = await self._network.call(
            "venue",
            f"submit {request.order_id} under {claim}",
            lambda: tables.submit(claim, _read(read_order, request)),
        )
        return venue_pb2.SubmitOrderResponse(outcome=outcome_to_message(outcome))

    async def InquireOrder(  # noqa: N802
        self, request: venue_pb2.InquireOrderRequest, **_: float
    ) -> venue_pb2.InquireOrderResponse:
        """Tell what became of an order."""
        tables, order_id = self._tables, parse_uuid(request.order_id)
        outcome = await self._network.call(
            "venue", f"inquire {order_id}", lambda: tables.inquire(order_id)
        )
        return venue_pb2.InquireOrderResponse(outcome=outcome_to_message(outcome))

    async def TombstoneOrder(  # noqa: N802
        self, request: venue_pb2.TombstoneOrderRequest, **_: float
    ) -> venue_pb2.TombstoneOrderResponse:
        """Give an order up."""
        tables, claim = self._tables, Claim.of(request.claim)
        order_id = parse_uuid(request.order_id)
        outcome = await self._network.call(
            "venue",
            f"tombstone {order_id} under {claim}",
            lambda: tables.tombstone(claim, order_id),
        )
        return venue_pb2.TombstoneOrderResponse(outcome=outcome_to_message(outcome))


def _read(read: Callable[[Any, Instruments], Read], request: object) -> Read:
    """Read a request. Raises RequestRefused where the real door says what is malformed."""
    try:
        return read(request, INSTRUMENTS)
    except MalformedRequest as malformed:
        raise RequestRefused("venue", str(malformed)) from None


class SimulatedPricing:
    """ports.Pricing: a copy in the worker's memory, which answers while pricing is away for a
    moment and then says so.
    """

    def __init__(self, network: Network, market: Market) -> None:
        self._network = network
        self._market = market
        self._instruments = {
            symbol: Instrument(
                symbol,
                "USDT",
                2,
                instrument.base.asset_id,
                instrument.base.decimals,
                instrument.currency.asset_id,
                instrument.currency.decimals,
            )
            for symbol, instrument in INSTRUMENTS.items()
        }

    async def instruments(self) -> Mapping[str, Instrument]:
        """See ports."""
        return self._instruments

    async def quote(self, symbol: str) -> Quote | None:
        """See ports."""
        if self._network.weather.is_down("pricing"):
            raise DependencyDown("pricing", "away")
        quote = self._market.quote(symbol)
        return None if quote is None else Quote(symbol, quote.price, "USDT", True, 0.3)

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """See ports."""
        return Candles(symbol, "USDT", interval_minutes, True, ())


class SimulatedWallet:
    """ports.Wallet"""

    def __init__(self, network: Network, placement: PlacementTables) -> None:
        self._network = network
        self._placement = placement

    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> str:
        """See ports."""
        await self._network.call("wallet", "wallet", lambda: self._placement.fence(claim))
        return "0x52908400098527886E0F7030069857D2E4169EE7"
