"""Introduces everybody: opens connections, wires the worker, serves, closes in reverse.

Two halves run side by side: the owner, who claims and gives up shards, and the readers, who bring
their jobs. Beside them the resumer takes up orders without a job, the watcher waits for prices, the
teller relays events, the forgetter removes what ended long ago, and the local copy of prices is
kept. The gRPC server only tells operators what is owned. On stop the owner hands everything over
first; the others go on until it has left, since a shard that waits for its turn to be released
still works.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc.aio
import msgspec

from chassis import migrations, telemetry
from chassis.ending import end_tasks
from chassis.errors import CannotStart
from chassis.grpc_client import open_channel
from chassis.grpc_server import serving
from chassis.postgres import Pool, open_pool
from chassis.process import ready_line
from chassis.redis import open_redis
from chassis.tls import require_files
from kernel.malformed import Malformed
from kernel.sharding import check_pool
from purser.worker.v1 import worker_pb2_grpc
from user_worker import paces
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.copying import CopyRunner
from user_worker.application.execution import Execution
from user_worker.application.forgetting import Forgetter
from user_worker.application.outages import note_start
from user_worker.application.owning import Owner
from user_worker.application.planning import PlanRunner
from user_worker.application.quotes import LocalPricing
from user_worker.application.reading import EntryClearer, InboxReader, StreamReader
from user_worker.application.resolving import VenueResolver
from user_worker.application.resting import RestingStores, RestingTrading
from user_worker.application.resuming import Resumer
from user_worker.application.shards import QueueBounds, Shards
from user_worker.application.telling import Teller
from user_worker.application.trading import Stores, Trading
from user_worker.application.watching import Watcher
from user_worker.clients import (
    BooksClient,
    GatewayInbox,
    LedgerClient,
    PricingClient,
    VenueClient,
    WalletClient,
)
from user_worker.conversation.book import Conversation
from user_worker.conversation.context import Services
from user_worker.conversation.notices import notice_of
from user_worker.domain.pauses import Pauses
from user_worker.pictures import ResvgPictures
from user_worker.postgres import (
    OrderLimits,
    PostgresAlerts,
    PostgresAttempts,
    PostgresCopies,
    PostgresDrafts,
    PostgresEnded,
    PostgresEvents,
    PostgresFreezes,
    PostgresOrders,
    PostgresPlacement,
    PostgresPlans,
    PostgresPreferences,
    PostgresResting,
    PostgresShares,
    PostgresWaiting,
    listen,
)
from user_worker.servicer import WorkerServicer
from user_worker.sessions import RedisSessions
from user_worker.settings import Settings
from user_worker.stream import RedisJobStream

SERVICE = "user-worker"
PACKAGE = "user_worker"
ROOM = "worker"
"""The name of its schema, and of its migrations."""
MAY_CALL = {"purser.worker.v1.WorkerService": {"operator"}}
"""Who may call what; the README says why."""
NAME_CHARACTERS_MAX = 253
"""Of a pod's name, and of placement's column."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set and everything is handed over. Raises CannotStart."""
    try:
        check_pool(settings.pool)
    except Malformed as malformed:
        raise CannotStart(f"USER_WORKER_POOL: {malformed}.") from None
    if not 1 <= len(settings.name) <= NAME_CHARACTERS_MAX:
        raise CannotStart(f"USER_WORKER_NAME: expected 1 to {NAME_CHARACTERS_MAX} characters.")
    async with AsyncExitStack() as stack:
        traced = await stack.enter_async_context(telemetry.start(SERVICE, settings.telemetry))
        require_files(settings.server.tls)
        store = await open_pool(settings.postgres, SERVICE)
        stack.push_async_callback(store.close)
        await migrations.require_applied(
            store, ROOM, migrations.folder_of(PACKAGE), package=PACKAGE
        )
        apart = msgspec.structs.replace(
            settings.postgres, connections_max=settings.ownership.placement_connections_max
        )
        placement_store = await open_pool(apart, f"{SERVICE}-placement")
        stack.push_async_callback(placement_store.close)
        redis = open_redis(settings.redis)
        stack.push_async_callback(redis.aclose)

        channels = {}
        for service in ("gateway", "pricing", "wallet", "ledger", "venue"):
            target = getattr(settings.addresses, f"{service}_address")
            channels[service] = open_channel(target, settings.client)
            stack.push_async_callback(channels[service].close)
        patience = settings.addresses.service_timeout_seconds
        inbox = GatewayInbox(channels["gateway"], patience)
        preferences = PostgresPreferences(store)
        trade = _trade(settings, store, channels)
        stack.push_async_callback(trade.carrying_out.close)
        pictures = await stack.enter_async_context(ResvgPictures())
        conversation = Conversation(
            Services(
                pricing=trade.pricing,
                wallet=WalletClient(channels["wallet"], patience),
                ledger=trade.ledger,
                trading=trade.trading,
                resting=trade.resting,
                sessions=RedisSessions(redis, settings.conversation.dialogue_seconds),
                gateway=inbox,
                pictures=pictures,
                freezes=PostgresFreezes(store),
                resolver=trade.resolver,
                plans=trade.plans,
                copies=trade.copies,
                shares=PostgresShares(store),
                stale_quote_seconds=settings.conversation.stale_quote_seconds,
                plan_period_min_seconds=settings.trading.plan_period_min_seconds,
                copy_fresh_seconds=settings.trading.copy_fresh_seconds,
            )
        )
        stream = RedisJobStream(redis, lambda: inbox.stream_key)
        clearer = EntryClearer(stream, settings.reading.clearing_entries_max)
        shards = Shards(
            Execution(
                conversation,
                inbox,
                PostgresAttempts(store),
                asyncio.Semaphore(settings.work.attempts_at_once_max),
                paces.tries(settings.work),
            ),
            preferences,
            QueueBounds(settings.work.user_waiting_jobs_max, settings.work.shard_waiting_bytes_max),
            clearer.clear,
            trade.carrying_out,
        )
        stack.push_async_callback(shards.close)
        placement = PostgresPlacement(
            placement_store,
            settings.pool,
            settings.ownership.shards_per_worker_max,
            settings.ownership.shard_drain_timeout_seconds,
        )
        owner = Owner(
            settings.name,
            placement,
            shards,
            paces.ownership_pace(settings.ownership, settings.work),
        )
        server = await stack.enter_async_context(
            serving(
                settings.server,
                lambda grpc_server: worker_pb2_grpc.add_WorkerServiceServicer_to_server(
                    WorkerServicer(owner, shards), grpc_server
                ),
                traced,
                MAY_CALL,
            )
        )
        note_start()
        ready_line(SERVICE, port=server.port, worker=settings.name, pool=settings.pool)
        await _until_owner_left(
            owner.run(stop),
            StreamReader(stream, shards, paces.stream_pace(settings.reading, settings.work)).run(),
            InboxReader(inbox, shards, paces.inbox_pace(settings.reading)).run(),
            clearer.run(),
            trade.pricing.run(),
            trade.resumer.run(),
            trade.plan_runner.run(),
            trade.copy_runner.run(),
            trade.watcher.run(),
            Teller(
                PostgresEvents(store),
                inbox,
                preferences,
                notice_of,
                trade.carrying_out,
                paces.rhythm(settings.trading.notices_poll_seconds, settings),
            ).run(),
            Forgetter(
                PostgresEnded(store),
                trade.carrying_out,
                paces.rhythm(settings.watching.forget_poll_seconds, settings),
            ).run(),
            listen(
                settings.ownership.session_database_url or settings.postgres.database_url,
                settings.pool,
                owner.wake.set,
                Pauses(settings.work.pause_after_outage_seconds, 30.0),
            ),
        )
        await clearer.flush()


async def _until_owner_left(
    owner: Coroutine[Any, Any, None], *beside: Coroutine[Any, Any, None]
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in beside]
        try:
            await group.create_task(owner)
        except asyncio.CancelledError:
            # Somebody has failed: the group tells the others once, and one may not hear it.
            await end_tasks(tasks)
            raise
        await end_tasks(tasks)


@dataclass(frozen=True, slots=True)
class _Trade:
    """What orders and prices are made of."""

    ledger: LedgerClient
    pricing: LocalPricing
    carrying_out: CarryingOut
    trading: Trading
    resting: RestingTrading
    watcher: Watcher
    resumer: Resumer
    resolver: VenueResolver
    plans: PostgresPlans
    plan_runner: PlanRunner
    copies: PostgresCopies
    copy_runner: CopyRunner


def _trade(settings: Settings, store: Pool, channels: Mapping[str, grpc.aio.Channel]) -> _Trade:
    patience, limits = settings.addresses.service_timeout_seconds, settings.trading
    ledger = LedgerClient(channels["ledger"], patience)
    books = BooksClient(channels["ledger"], patience)
    venue = VenueClient(channels["venue"], patience)
    pricing = LocalPricing(
        PricingClient(channels["pricing"], patience),
        books,
        paces.quotes_pace(settings.trading, settings.work),
    )
    drafts = PostgresDrafts(store, limits.draft_lifetime_seconds, limits.user_open_drafts_max)
    order_limits = OrderLimits(
        submit_within_seconds=limits.submit_within_seconds,
        user_under_way_max=limits.user_orders_under_way_max,
        shard_under_way_max=limits.shard_orders_under_way_max,
    )
    orders = PostgresOrders(store, order_limits)
    plans = PostgresPlans(store, order_limits, limits.draft_lifetime_seconds, limits.user_plans_max)
    copies = PostgresCopies(
        store,
        order_limits,
        offer_lifetime_seconds=limits.draft_lifetime_seconds,
        user_copies_max=limits.user_copies_max,
        followers_max=limits.leader_followers_max,
        fresh_seconds=limits.copy_fresh_seconds,
    )
    resolver = VenueResolver(pricing, venue)
    rhythm = paces.rhythm(limits.orders_poll_seconds, settings)
    carrying_out = CarryingOut(
        orders,
        books,
        venue,
        CarryingPace(limits.order_steps_at_once_max, rhythm.after_outage, rhythm.after_trouble),
    )
    watcher = Watcher(
        PostgresWaiting(store, order_limits),
        pricing,
        venue,
        carrying_out,
        paces.watching_pace(settings),
    )
    resting = RestingTrading(
        RestingStores(
            drafts,
            PostgresResting(store, settings.watching.user_resting_orders_max),
            PostgresAlerts(store, settings.watching.user_alerts_max),
        ),
        ledger,
        pricing,
        venue,
        watcher,
    )
    return _Trade(
        ledger=ledger,
        pricing=pricing,
        carrying_out=carrying_out,
        trading=Trading(
            Stores(drafts, orders),
            ledger,
            pricing,
            venue,
            carrying_out,
            limits.confirm_wait_seconds,
        ),
        resting=resting,
        watcher=watcher,
        resumer=Resumer(orders, carrying_out, limits.shard_orders_under_way_max, rhythm),
        resolver=resolver,
        plans=plans,
        plan_runner=PlanRunner(
            plans, resolver, carrying_out, paces.rhythm(limits.plans_poll_seconds, settings)
        ),
        copies=copies,
        copy_runner=CopyRunner(
            copies,
            resolver,
            pricing,
            ledger,
            carrying_out,
            paces.rhythm(limits.copies_poll_seconds, settings),
        ),
    )
