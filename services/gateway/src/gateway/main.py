"""The one place where everybody of the gateway is introduced to everybody."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from chassis import telemetry
from chassis.ending import end_tasks
from chassis.errors import ServiceError
from chassis.grpc_server import serving
from chassis.migrations import folder_of, require_applied, require_placement
from chassis.postgres import Pool, open_pool
from chassis.process import ready_line
from chassis.rate_limit import TokenBucket
from chassis.redis import Redis, open_redis
from chassis.streams import append_many
from chassis.tls import require_files
from gateway.admission_rules import parse_rules
from gateway.application import (
    Acceptance,
    Append,
    BatchLimits,
    Delivery,
    NoticeHold,
    Notices,
    Replaying,
    SayLimits,
    Sending,
    SendLimits,
    StreamPusher,
)
from gateway.domain import AcceptedJob, Lane
from gateway.errors import TelegramFailure, TokenRefused, WrongToken
from gateway.housekeeping import keep_house
from gateway.inbound_limit import InboundLimit
from gateway.menu import show_menu
from gateway.polling import Poller
from gateway.postgres import (
    AdmissionLimits,
    BacklogLimits,
    Directory,
    Forgetting,
    Housekeeping,
    Inbox,
    Lateness,
    LatenessLimits,
    Leases,
    Outbox,
    Places,
    Pollers,
    SetAsideJobs,
    UndoneJobs,
    read_stream_key,
)
from gateway.servicer import GatewayServicer
from gateway.settings import Settings, TelegramSettings, check
from gateway.telegram import Telegram, bot_id_of
from gateway.translation import ALLOWED_UPDATES
from gateway.webhook_address import tell_webhook
from kernel.names import jobs_stream
from kernel.seals import seal
from kernel.sharding import ShardKey
from purser.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server

MAY_CALL = {"purser.gateway.v1.GatewayService": {"user-worker"}}
"""Who may call what; the README says why."""

_log = telemetry.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that serves."""

    address: str
    """Where workers reach it, `host:port`."""
    webhook_address: str | None
    """Where Telegram reaches it; None while it polls."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Gateway]:
    """Open, wire and serve; at the end drain and close in reverse. Raises CannotStart."""
    check(settings)
    async with AsyncExitStack() as stack:
        telling = await stack.enter_async_context(telemetry.start("gateway", settings.telemetry))
        require_files(settings.server.tls)
        bot_id = bot_id_of(settings.telegram.bot_token)
        pool = await open_pool(settings.postgres, "purser-gateway")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "gateway", folder_of("gateway"))
        await require_placement(pool)
        redis = open_redis(settings.redis)
        stack.push_async_callback(redis.aclose)
        telegram = _telegram(settings)
        stack.push_async_callback(telegram.close)
        await _check_token(telegram)
        directory = _directory(settings, pool)
        await directory.ensure_spare_shards()
        inbox = Inbox(pool, bot_id, Places(bot_id, directory, _backlog_limits(settings)))
        stream_key = await read_stream_key(pool)
        pusher = StreamPusher(
            _appender(redis, stream_key, settings), settings.flow.stream_buffer_jobs_max
        )
        acceptance = Acceptance(
            inbox,
            InboundLimit(
                redis,
                bot_id,
                settings.flow.inbound_per_user_per_second,
                settings.flow.inbound_per_user_burst,
            ),
            pusher,
            telegram,
            BatchLimits(
                settings.flow.accept_batch_max,
                settings.flow.accept_wait_milliseconds,
                settings.flow.accept_queue_max,
            ),
            settings.admission.turned_away_text,
        )
        gateway_id = uuid4()
        outbox = Outbox(pool, gateway_id, settings.flow.send_lease_seconds)
        leases = Leases(
            pool,
            gateway_id,
            settings.flow.send_lease_seconds,
            settings.flow.send_rows_per_look_max,
        )
        hold = NoticeHold(Lateness(pool, _lateness_limits(settings)))
        sending = _sending(settings, leases, telegram, redis, hold)
        delivery = Delivery(
            outbox,
            sending,
            BatchLimits(
                settings.flow.deliver_batch_max,
                settings.flow.deliver_wait_milliseconds,
                settings.flow.deliver_queue_max,
            ),
        )
        set_aside = SetAsideJobs(pool, settings.flow.user_undone_jobs_max)
        servicer = GatewayServicer(
            delivery,
            UndoneJobs(pool, settings.flow.fetch_bytes_max, stream_key),
            Notices(outbox, sending),
            Forgetting(pool),
            set_aside,
            Replaying(set_aside, pusher),
        )

        background = await stack.enter_async_context(_Background())
        # Ends in reverse: no new updates, no new calls, what was taken in is written, then sent.
        stack.push_async_callback(sending.aclose, settings.server.drain_timeout_seconds)
        stack.push_async_callback(delivery.batcher.aclose)
        stack.push_async_callback(acceptance.aclose)
        for lane in Lane:
            background.start(sending.sweep(lane))
        background.start(pusher.run())
        background.start(show_menu(telegram))
        background.start(
            keep_house(_housekeeping(settings, pool), settings.retention.purge_every_seconds)
        )
        server = await stack.enter_async_context(
            serving(
                settings.server,
                lambda server: add_GatewayServiceServicer_to_server(servicer, server),
                telling,
                MAY_CALL,
            )
        )
        webhook_address = None
        if settings.telegram.mode == "webhook":
            webhook_address = await stack.enter_async_context(_webhook(settings, acceptance))
            if settings.telegram.webhook_url and settings.telegram.webhook_secret:
                background.start(
                    tell_webhook(
                        telegram,
                        settings.telegram.webhook_url,
                        settings.telegram.webhook_secret,
                        ALLOWED_UPDATES,
                        settings.telegram.webhook_connections_max,
                    )
                )
        else:
            lease = Pollers(pool, bot_id, gateway_id)
            polling = background.start(
                _poller(settings.telegram, telegram, acceptance, lease).run()
            )
            stack.push_async_callback(_end, polling)
        yield Gateway(server.address, webhook_address)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with running(settings) as gateway:
        addresses = {"address": gateway.address}
        if gateway.webhook_address is not None:
            addresses["webhook_address"] = gateway.webhook_address
        ready_line("gateway", **addresses)
        await stop.wait()


class _Background:
    """Tasks for the time of a block; one that fails ends the block with its exception."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run until the block ends."""
        task = self._group.create_task(work)
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await end_tasks(self._tasks)
        await self._group.__aexit__(kind, error, trace)


async def _end(task: asyncio.Task[None]) -> None:
    await end_tasks({task})


def _telegram(settings: Settings) -> Telegram:
    return Telegram(
        settings.telegram.bot_token,
        settings.telegram.telegram_api_url,
        connections_max=settings.telegram.telegram_connections_max,
        request_timeout_seconds=settings.telegram.request_timeout_seconds,
    )


async def _check_token(telegram: Telegram) -> None:
    """Refuse to start with a token Telegram does not know; go on while Telegram is away."""
    try:
        await telegram.check_token()
    except TokenRefused:
        raise WrongToken from None
    except TelegramFailure as failure:
        _log.warning("telegram_away", failure=str(failure))


def _directory(settings: Settings, pool: Pool) -> Directory:
    admission = settings.admission
    return Directory(
        pool,
        admission.pool,
        AdmissionLimits(
            admission.users_max, admission.sign_ups_per_minute_max, admission.users_per_shard
        ),
        parse_rules(admission.admission_rules),
    )


def _backlog_limits(settings: Settings) -> BacklogLimits:
    flow = settings.flow
    return BacklogLimits(
        user_jobs_max=flow.user_undone_jobs_max,
        user_urgent_jobs_max=flow.user_urgent_jobs_max,
        shard_jobs_max=flow.shard_undone_jobs_max,
        rush_seconds=flow.backlog_rush_seconds,
    )


def _appender(redis: Redis, stream_key: bytes, settings: Settings) -> Append:
    async def append(jobs: Sequence[AcceptedJob]) -> Sequence[bytes | ServiceError]:
        named = [(jobs_stream(ShardKey(job.pool, job.shard)), job.payload) for job in jobs]
        return await append_many(
            redis,
            [(stream, seal(stream_key, stream, payload)) for stream, payload in named],
            settings.flow.stream_entries_max,
        )

    return append


def _lateness_limits(settings: Settings) -> LatenessLimits:
    flow = settings.flow
    return LatenessLimits(
        answer_seconds=flow.notices_held_answer_seconds,
        late_chats=flow.notices_held_late_chats,
        shard_jobs=flow.notices_held_shard_jobs,
    )


def _sending(
    settings: Settings, leases: Leases, telegram: Telegram, redis: Redis, hold: NoticeHold
) -> Sending:
    flow = settings.flow
    return Sending(
        leases,
        telegram,
        hold,
        TokenBucket(redis, "notices", flow.notices_per_second, flow.notices_burst),
        TokenBucket(redis, "chat", flow.notices_per_chat_per_second, flow.notices_burst),
        SendLimits(
            lease_seconds=flow.send_lease_seconds,
            request_timeout_seconds=settings.telegram.request_timeout_seconds,
            sweep_seconds=flow.send_sweep_seconds,
            rows_in_memory_max=flow.send_rows_in_memory_max,
            rows_per_look_max=flow.send_rows_per_look_max,
            chats_per_sweep_max=flow.send_chats_per_sweep_max,
            answers_concurrent_max=flow.send_answers_concurrent_max,
            notices_concurrent_max=flow.send_notices_concurrent_max,
            mark_batch_max=flow.send_mark_batch_max,
            say=SayLimits(
                attempts_max=flow.send_attempts_max,
                age_seconds_max=flow.send_age_seconds_max,
                press_age_seconds_max=flow.press_answer_age_seconds_max,
                backoff_seconds_max=flow.send_backoff_seconds_max,
            ),
        ),
    )


def _housekeeping(settings: Settings, pool: Pool) -> Housekeeping:
    ages = settings.retention
    return Housekeeping(
        pool,
        {
            "updates_seen": ages.updates_seen_seconds,
            "inbox": ages.jobs_done_seconds,
            "inbox_set_aside": ages.jobs_set_aside_seconds,
            "outbox": ages.outbox_done_seconds,
            "rejected_updates": ages.rejected_updates_seconds,
            "messages": ages.messages_seconds,
        },
    )


def _poller(
    settings: TelegramSettings, telegram: Telegram, acceptance: Acceptance, lease: Pollers
) -> Poller:
    return Poller(
        telegram,
        acceptance,
        lease,
        lease_seconds=settings.poll_lease_seconds,
        wait_seconds=settings.poll_wait_seconds,
        updates_max=settings.poll_updates_max,
        failure_seconds_max=settings.poll_failure_seconds_max,
    )


@asynccontextmanager
async def _webhook(settings: Settings, acceptance: Acceptance) -> AsyncIterator[str]:
    # Here rather than above: a gateway that polls needs no HTTP server.
    from gateway.webhook import listening

    assert settings.telegram.webhook_secret is not None  # noqa: S101 (`check` saw to it)
    async with listening(
        acceptance,
        settings.telegram.webhook_secret,
        settings.telegram.webhook_address,
        settings.telegram.webhook_bytes_max,
    ) as address:
        yield address
