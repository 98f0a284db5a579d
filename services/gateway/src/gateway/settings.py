"""Every knob of the gateway. Read once, in `main`, from `GATEWAY_…` with `PURSER_…` as fallback."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chassis.errors import BadSettings
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.redis import RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from gateway.admission_rules import parse_rules
from kernel.malformed import Malformed
from kernel.sharding import check_pool

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

DAY_SECONDS = 86_400.0


class TelegramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The bot, and how updates come."""

    bot_token: Secret
    """From @BotFather. No other part of Purser ever holds it."""

    telegram_api_url: str = "https://api.telegram.org"
    """The root of the Bot API; another one for the simulator or a Bot API server of one's own."""

    mode: Literal["polling", "webhook"] = "polling"
    """Polling works everywhere, also behind NAT. A webhook lets all replicas take updates in."""

    webhook_url: str | None = None
    """Where Telegram reaches `/telegram` of this service from outside, with https. Unset: somebody
    else tells Telegram."""

    webhook_address: str = "127.0.0.1:0"
    """Where to listen for webhook calls; behind whatever ends TLS."""

    webhook_secret: Secret | None = None
    """1 to 256 characters of A-Z, a-z, 0-9, _ and -. Telegram sends it with each call; a call
    without it is refused. Needed in mode `webhook`."""

    webhook_bytes_max: Count = 1024 * 1024
    """Of one call. Telegram's updates are a few KiB; reply chains make them larger."""

    webhook_connections_max: Annotated[int, Meta(ge=1, le=100)] = 40
    """How many calls Telegram may make at once; its own default. More per batch of the inbox."""

    poll_wait_seconds: Annotated[int, Meta(ge=0, le=50)] = 25
    """How long Telegram holds a poll without updates. Below the 30 s and 60 s after which many
    networks forget a silent connection."""

    poll_updates_max: Annotated[int, Meta(ge=1, le=100)] = 100
    """Per poll: Telegram's most."""

    poll_lease_seconds: Seconds = 4.0
    """How long after its poller died another gateway takes over. Renewed at a third of it."""

    poll_failure_seconds_max: Seconds = 15.0
    """The longest pause after failed polls; it begins at half a second and doubles."""

    request_timeout_seconds: Seconds = 8.0
    """Of one call of the Bot API. Telegram answers within a second; a picture of 1 MiB over a slow
    line takes some. Must be below `send_lease_seconds` by more than a second."""

    telegram_connections_max: Annotated[int, Meta(ge=2, le=1000)] = 100
    """Connections to Telegram: one poll, answers, notices. Apart from `connections_max`, which is
    PostgreSQL's: a budget there must not make answers queue here."""


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in."""

    pool: str = "default.main"
    """The pool newcomers are admitted to: "<namespace>.<name>" of its UserShard. Of several pools:
    the one of those whom no rule fits, or whose rules' pools take nobody."""

    admission_rules: tuple[str, ...] = ()
    """Who is admitted to another pool, comma separated, the first rule that fits first:
    `default.fast:start=vip, default.fast:premium, default.german:language=de`. See
    `gateway.admission_rules`. A pool whose UserShard does not accept new users, that nobody has
    declared, or that has met a limit below, is passed over."""

    users_max: Count = 100_000
    """Of each pool. A mistake or an attack must not fill the database; raise it as you grow."""

    sign_ups_per_minute_max: Count = 600
    """Of each pool, over all gateways. Far above an advertisement's rush, far below what would
    hurt."""

    users_per_shard: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Until a control loop has written the pool's policy to the database."""

    turned_away_text: str = "Purser takes no new passengers right now. Please try again later."
    """What a stranger is told while sign-ups are closed or too many."""


class FlowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, and how long to insist."""

    inbound_per_user_per_second: Seconds = 1.0
    """What one user may send in the long run, over all gateways. People who read what they are
    answered stay below one message in two seconds; a worker answers fifty users' 1/s each."""

    inbound_per_user_burst: Annotated[int, Meta(ge=1, le=1000)] = 30
    """How much one user may send at once before the rate counts: a handful of forwarded messages, a
    minute of impatient presses. A script that floods is past it in a second."""

    user_undone_jobs_max: Annotated[int, Meta(ge=1, le=1000)] = 40
    """What may wait of one user, over all gateways. Above the burst, so that a person meets it only
    when answers take long; at half a second a job it is twenty seconds of work, and who has sent
    more than that wants an answer, not a longer queue."""

    user_urgent_jobs_max: Annotated[int, Meta(ge=1, le=100)] = 5
    """Room for /panic above both bounds, per user: a price that falls makes everybody write, and
    nobody is to be told to wait who fears for their money. In haste it is sent a few times."""

    shard_undone_jobs_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    """What may wait of one shard. A worker ends some hundred jobs a second, so this is ten seconds
    of its work: what came above would be answered when nobody waits for it any more. Fifty users
    reach it with twenty jobs each. With several gateways it may be passed by a twentieth and a
    batch for each of them."""

    backlog_rush_seconds: Seconds = 60.0
    """Who was told to wait, because too much waits, is told again only after so long without a
    refusal. It is what the words say: a minute."""

    accept_batch_max: Annotated[int, Meta(ge=1, le=1000)] = 200
    """Updates per transaction. At 200 a batch takes some 15 ms, far below the second a transaction
    may last."""

    accept_wait_milliseconds: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """How long the first update of a batch waits for company. Under load batches fill by themselves
    while the one before is being committed."""

    accept_queue_max: Count = 5_000
    """Updates waiting for a batch; then Telegram is told to come again."""

    deliver_batch_max: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Deliver calls per transaction."""

    deliver_wait_milliseconds: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """As for accepting."""

    deliver_queue_max: Count = 1_000
    """Deliver calls waiting for a batch; then workers are told to come again."""

    stream_buffer_jobs_max: Count = 10_000
    """Jobs waiting for Redis; what does not fit is found in the inbox, a second later."""

    stream_entries_max: Count = 100_000
    """Per shard: hours of work for its users. What does not fit is found in the inbox."""

    fetch_bytes_max: Annotated[int, Meta(ge=65_536)] = 3 * 1024 * 1024
    """Jobs in one FetchJobs answer; below gRPC's 4 MiB."""

    send_lease_seconds: Seconds = 12.0
    """How long a dead gateway's chats wait for another one. Longer than a call may take."""

    send_sweep_seconds: Seconds = 1.0
    """How often to look for chats that nobody sends to."""

    send_chats_per_sweep_max: Count = 100
    """Chats taken at once; a full sweep is followed by the next one at once."""

    send_rows_in_memory_max: Count = 5_000
    """Rows of the outbox taken and not yet sent, some 2 KiB each; what comes above waits in the
    outbox for a gateway with room."""

    send_rows_per_look_max: Count = 50
    """Rows of one chat read at once."""

    send_answers_concurrent_max: Count = 64
    """Answers on their way at once: at 100 ms a call 640/s."""

    send_notices_concurrent_max: Count = 16
    """Notices on their way at once; they have places of their own so that no answer waits for
    one."""

    send_mark_batch_max: Annotated[int, Meta(ge=1, le=1000)] = 200
    """Sent rows written down per transaction."""

    send_attempts_max: Count = 60
    """Then a reply is kept as failed. With the pauses between them that is most of a day."""

    send_age_seconds_max: Seconds = DAY_SECONDS
    """An answer older than this confuses more than it tells."""

    press_answer_age_seconds_max: Seconds = 15.0
    """Telegram forgets a press after some 15 s; then nobody waits for its answer."""

    send_backoff_seconds_max: Seconds = 60.0
    """The longest pause of a chat between attempts; it begins at half a second and doubles. It is
    also how long a user may wait after Telegram has come back."""

    notices_held_answer_seconds: Seconds = 1.0
    """An answer not taken up for so long, or put off by Telegram, is late: usually it takes
    milliseconds."""

    notices_held_late_chats: Count = 20
    """With late answers in so many chats notices wait. Above what a few chats with troubles of
    their own (a flood, a slow line) come to, less than a second of what Telegram takes."""

    notices_held_shard_jobs: Count = 100
    """With so many undone jobs in one shard, a second of a worker's time, notices wait: their
    answers are about to want Telegram's attention, and the database's."""

    notices_per_second: Seconds = 25.0
    """Over all gateways and chats: Telegram bears about 30/s of bulk messages."""

    notices_per_chat_per_second: Seconds = 1.0
    """Telegram bears about one message per second and chat."""

    notices_burst: Annotated[float, Meta(ge=1)] = 5.0
    """How many notices may follow one another before the rate counts."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is over is kept."""

    updates_seen_seconds: Annotated[float, Meta(ge=DAY_SECONDS)] = 2 * DAY_SECONDS
    """Telegram repeats an update for at most 24 h: never less than that."""

    jobs_done_seconds: Seconds = 7 * DAY_SECONDS
    """Done jobs with what was typed: a week to look into a complaint, no longer, since these are
    people's words."""

    jobs_set_aside_seconds: Seconds = 30 * DAY_SECONDS
    """Jobs that could not be worked, and their replays: a month for a person to look at them."""

    outbox_done_seconds: Seconds = 7 * DAY_SECONDS
    """What was said. A notice's event id is known as long."""

    messages_seconds: Seconds = 90 * DAY_SECONDS
    """The ids of sent messages; then an edit becomes a message of its own."""

    rejected_updates_seconds: Seconds = 90 * DAY_SECONDS
    """Updates that could not be read or stored, as they came."""

    purge_every_seconds: Seconds = 60.0
    """How often to forget; a batch at a time, more often while there is more."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of the gateway's settings; the nested ones are read with the same prefix."""

    postgres: PostgresSettings
    """The database, as the role `purser_gateway`."""

    redis: RedisSettings
    """The streams of jobs and the token buckets."""

    server: ServerSettings
    """Where workers reach it."""

    telemetry: TelemetrySettings
    """What to say about itself, and where."""

    telegram: TelegramSettings
    """The bot."""

    admission: AdmissionSettings
    """Who is let in."""

    flow: FlowSettings
    """How much at once."""

    retention: RetentionSettings
    """How long what is over is kept."""


class UsersSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `python -m gateway users` needs, read from `GATEWAY_USERS_…`."""

    postgres: PostgresSettings
    """The database, as the role `purser_user_mover`: no service's role can move a user."""

    bot_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    """Whose users they are: the number before the colon of the bot's token. Unset: the only bot
    whose users are in the database."""

    at_once_max: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Moved by one transaction: a shard's worth. Both shards wait for it, some milliseconds and
    two tenths of one per user; half as many are tried when it takes too long."""

    move_tries_max: Count = 30
    """A shard's locks are free within a second unless its database suffers; then a person should
    look."""

    move_pause_seconds: Seconds = 0.2
    """After a try that moved nobody, doubling up to the next one."""

    move_pause_seconds_max: Seconds = 2.0
    """The longest such pause."""

    owners_wait_seconds: Seconds = 5.0
    """How long to wait until shards have owners: before a move the one that users are moved to,
    after it both. Usually some hundredths of a second; three seconds where a shard is new and there
    is no operator; in vain where a pool has no workers."""

    move_rest_seconds: Seconds = 1.0
    """Between two moves of many: what was interrupted is worked before the next one interrupts."""


def check(settings: Settings) -> Settings:
    """Return the settings if they fit together; raise BadSettings with a sentence per problem."""
    problems = []
    telegram, flow = settings.telegram, settings.flow
    if telegram.mode == "webhook" and not telegram.webhook_secret:
        problems.append("GATEWAY_WEBHOOK_SECRET is needed with GATEWAY_MODE=webhook.")
    if telegram.request_timeout_seconds + 1 >= flow.send_lease_seconds:
        problems.append(
            "GATEWAY_SEND_LEASE_SECONDS must exceed GATEWAY_REQUEST_TIMEOUT_SECONDS by more than 1."
        )
    try:
        check_pool(settings.admission.pool)
    except Malformed as error:
        problems.append(f"GATEWAY_POOL: {error}.")
    try:
        parse_rules(settings.admission.admission_rules)
    except Malformed as error:
        problems.append(f"GATEWAY_ADMISSION_RULES: {error}.")
    if problems:
        raise BadSettings(*problems)
    return settings
