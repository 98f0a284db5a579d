"""A worker's process: the real one, wired as `user_worker.main` wires it, with simulated adapters.

What is left out of `main`: the local copy of prices (a stand-in hears them), the painter, gRPC.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from tests.simulation.copies import CopyTables
from tests.simulation.copy_adapters import SimulatedCopies, SimulatedShares
from tests.simulation.freezes import FreezeTables, SimulatedFreezes
from tests.simulation.gateway import GatewayTables, SimulatedGateway
from tests.simulation.ledger import LedgerTables, SimulatedLedger
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables, SimulatedPlacement
from tests.simulation.plans import PlanTables, SimulatedPlans
from tests.simulation.redis import SimulatedSessions, SimulatedStream, Streams
from tests.simulation.seeding import at
from tests.simulation.trading import TradingTables
from tests.simulation.trading_adapters import (
    SimulatedAttempts,
    SimulatedDrafts,
    SimulatedEvents,
    SimulatedOrders,
    SimulatedPreferences,
)
from tests.simulation.venue import (
    Market,
    SimulatedFeed,
    SimulatedPricing,
    SimulatedVenue,
    SimulatedWallet,
    VenueTables,
)
from tests.simulation.waiting import (
    SimulatedAlerts,
    SimulatedResting,
    SimulatedWaiting,
    WaitingTables,
)

from user_worker import main, paces
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.copying import CopyRunner
from user_worker.application.execution import Execution
from user_worker.application.owning import Owner
from user_worker.application.planning import PlanRunner
from user_worker.application.reading import EntryClearer, InboxReader, StreamReader
from user_worker.application.recurring import Rhythm
from user_worker.application.resolving import VenueResolver
from user_worker.application.resting import RestingStores, RestingTrading
from user_worker.application.resuming import Resumer
from user_worker.application.shards import QueueBounds, Shards
from user_worker.application.telling import Teller
from user_worker.application.trading import Stores, Trading
from user_worker.application.watching import Watcher, WatchingPace
from user_worker.conversation.book import Conversation
from user_worker.conversation.context import Services
from user_worker.conversation.notices import notice_of
from user_worker.domain.carrying_out import Step, next_step
from user_worker.domain.pauses import Pauses
from user_worker.domain.pictures import CandlesPicture, PortfolioPicture
from user_worker.settings import (
    OwnershipSettings,
    ReadingSettings,
    TradingSettings,
    WatchingSettings,
    WorkSettings,
)

OWNERSHIP, READING, WATCHING, WORK, TRADING = (
    OwnershipSettings(),
    ReadingSettings(stream_wait_seconds=0.5),
    WatchingSettings(watch_poll_seconds=0.5),
    WorkSettings(),
    TradingSettings(draft_lifetime_seconds=10.0, submit_within_seconds=4.0, copy_fresh_seconds=8.0),
)
"""As in production, but that reads wait longer, and drafts expire, orders become too late and
leaders' trades too old within a run.
"""
PLAN_PERIOD_MIN_SECONDS = 3
PAGE_ROWS = 3
"""Small, so that a shard's watches are read in several pages."""


class NoPictures:
    """ports.Pictures"""

    async def candles(self, picture: CandlesPicture) -> bytes:
        """See ports."""
        raise NotImplementedError

    async def portfolio(self, picture: PortfolioPicture) -> bytes:
        """See ports."""
        raise NotImplementedError


@dataclass
class Around:
    """What is around a worker. The last ones are replaced by broken ones to check the checks."""

    network: Network
    placement: PlacementTables
    gateway: GatewayTables
    trading: TradingTables
    ledger: LedgerTables
    venue: VenueTables
    streams: Streams
    market: Market
    waiting: WaitingTables
    plans: PlanTables
    copies: CopyTables
    freezes: FreezeTables
    random: Random
    books: Callable[[Network, LedgerTables], SimulatedLedger] = SimulatedLedger
    decide: Callable[..., Step] = next_step
    watching: Callable[[Network, WaitingTables], SimulatedWaiting] = SimulatedWaiting
    planning: Callable[[Network, PlanTables], SimulatedPlans] = SimulatedPlans
    copying: Callable[[Network, CopyTables], SimulatedCopies] = SimulatedCopies
    freezing: Callable[[Network, FreezeTables], SimulatedFreezes] = SimulatedFreezes
    make_shards: Callable[..., Shards] = Shards


class Worker:
    """One run of a worker."""

    def __init__(self, around: Around, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.stop = asyncio.Event()
        """What SIGTERM sets."""
        self._around = around
        self.owner: Owner | None = None
        self.task = process.spawn(self._run())

    async def _run(self) -> None:
        around, network = self._around, self._around.network
        gateway = SimulatedGateway(network, around.gateway)
        ledger = around.books(network, around.ledger)
        venue = SimulatedVenue(network, around.venue)
        pricing = SimulatedPricing(network, around.market)
        preferences = SimulatedPreferences(network, around.trading)
        orders = SimulatedOrders(network, around.trading)
        after_outage = Pauses(WORK.pause_after_outage_seconds, WORK.pause_longest_seconds)
        after_trouble = Pauses(
            TRADING.pause_after_trouble_seconds, TRADING.pause_in_trouble_longest_seconds
        )
        pace = CarryingPace(TRADING.order_steps_at_once_max, after_outage, after_trouble)
        carrying_out = CarryingOut(orders, ledger, venue, pace, around.decide)
        waiting = around.waiting
        feed = SimulatedFeed(network, around.market, around.random)
        watcher = Watcher(
            around.watching(network, waiting),
            feed,
            venue,
            carrying_out,
            WatchingPace(
                stale_quote_seconds=10.0,
                look_again_seconds=WATCHING.look_again_seconds,
                batch_max=WATCHING.trigger_batch_max,
                previews_at_once_max=WATCHING.limit_previews_at_once_max,
                shards_at_once_max=WATCHING.trigger_shards_at_once_max,
                page_rows=PAGE_ROWS,
                looking=Rhythm(WATCHING.watch_poll_seconds, after_outage, after_trouble),
                expiring=Rhythm(WATCHING.expiry_poll_seconds, after_outage, after_trouble),
            ),
            now=lambda: at(around.placement.now()).timestamp(),
        )
        drafts = SimulatedDrafts(network, around.trading)
        resting = RestingTrading(
            RestingStores(
                drafts, SimulatedResting(network, waiting), SimulatedAlerts(network, waiting)
            ),
            ledger,
            pricing,
            venue,
            watcher,
        )
        resolver = VenueResolver(pricing, venue)
        plans = around.planning(network, around.plans)
        copies = around.copying(network, around.copies)
        conversation = Conversation(
            Services(
                pricing=pricing,
                wallet=SimulatedWallet(network, around.placement),
                ledger=ledger,
                trading=Trading(
                    Stores(drafts, orders),
                    ledger,
                    pricing,
                    venue,
                    carrying_out,
                    TRADING.confirm_wait_seconds,
                ),
                sessions=SimulatedSessions(network, around.streams),
                gateway=gateway,
                pictures=NoPictures(),
                now=lambda: at(around.placement.now()),
                resting=resting,
                freezes=around.freezing(network, around.freezes),
                resolver=resolver,
                plans=plans,
                copies=copies,
                shares=SimulatedShares(network, around.copies),
                plan_period_min_seconds=PLAN_PERIOD_MIN_SECONDS,
                copy_fresh_seconds=TRADING.copy_fresh_seconds,
            )
        )
        stream = SimulatedStream(network, around.streams)
        clearer = EntryClearer(stream, READING.clearing_entries_max)
        shards = around.make_shards(
            Execution(
                conversation,
                gateway,
                SimulatedAttempts(network, around.trading),
                asyncio.Semaphore(WORK.attempts_at_once_max),
                paces.tries(WORK),
            ),
            preferences,
            QueueBounds(WORK.user_waiting_jobs_max, WORK.shard_waiting_bytes_max),
            clearer.clear,
            carrying_out,
        )
        self.owner = Owner(
            self.name,
            SimulatedPlacement(
                network,
                around.placement,
                OWNERSHIP.shards_per_worker_max,
                OWNERSHIP.shard_drain_timeout_seconds,
            ),
            shards,
            paces.ownership_pace(OWNERSHIP, WORK),
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(carrying_out.close)
            stack.push_async_callback(shards.close)
            await main._until_owner_left(
                self.owner.run(self.stop),
                StreamReader(stream, shards, paces.stream_pace(READING, WORK)).run(),
                InboxReader(gateway, shards, paces.inbox_pace(READING)).run(),
                clearer.run(),
                Resumer(
                    orders,
                    carrying_out,
                    TRADING.shard_orders_under_way_max,
                    Rhythm(TRADING.orders_poll_seconds, after_outage, after_trouble),
                ).run(),
                PlanRunner(
                    plans,
                    resolver,
                    carrying_out,
                    Rhythm(TRADING.plans_poll_seconds, after_outage, after_trouble),
                ).run(),
                CopyRunner(
                    copies,
                    resolver,
                    pricing,
                    ledger,
                    carrying_out,
                    Rhythm(TRADING.copies_poll_seconds, after_outage, after_trouble),
                ).run(),
                feed.run(),
                watcher.run(),
                Teller(
                    SimulatedEvents(network, around.trading),
                    gateway,
                    preferences,
                    notice_of,
                    carrying_out,
                    Rhythm(TRADING.notices_poll_seconds, after_outage, after_trouble),
                ).run(),
            )
            await clearer.flush()
