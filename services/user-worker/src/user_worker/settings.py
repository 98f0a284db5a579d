"""What can be set, from the environment, each with the reason for its default.

A field is read from `USER_WORKER_<FIELD>`, else from `PURSER_<FIELD>`. The shared parts
(PostgreSQL, Redis, the server, telemetry) are documented where they are defined, in the chassis.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from chassis.grpc_client import ClientSettings
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.redis import BLOCK_MILLISECONDS_MAX, RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings

PREFIX = "USER_WORKER"

Seconds = Annotated[float, Meta(gt=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=100_000)]


class OwnershipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How shards are owned."""

    lease_seconds: Seconds = 3.0
    """How long a silent worker keeps its shards: the longest its users wait after a crash. Three
    heartbeats, so that two may be lost."""

    lease_margin_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.25
    """How much earlier this side gives up: more than two clocks drift apart within a lease."""

    heartbeat_seconds: Seconds = 1.0
    """A third of the lease."""

    placement_poll_seconds: Seconds = 1.0
    """How long a lost notification goes unnoticed."""

    placement_gather_seconds: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """How long to wait for more notifications before looking: many shards ring together."""

    orphan_seconds: Seconds = 3.0
    """How long a shard nobody serves waits for its desired owner or the operator before any worker
    takes it."""

    orphan_above_limit_seconds: Seconds = 10.0
    """The same for a worker that is full: one with room goes first, but serving beats the limit."""

    orphans_per_round_max: Count = 4
    """Orphans taken per poll, so that several workers share what a dead one leaves."""

    claims_at_once_max: Count = 2
    """Claims under way at the same time; each may wait a second for the writes of the old owner."""

    shards_per_worker_max: Count = 40
    """The soft limit while no UserShard says another: 2000 users of one process."""

    shard_drain_timeout_seconds: Seconds = 20.0
    """How long running jobs may take when a shard is handed over, while no UserShard says another.
    """

    placement_connections_max: Annotated[int, Meta(ge=2, le=20)] = 4
    """Connections kept apart for placement, so that a heartbeat never queues behind users' work:
    two more than claims_at_once_max."""

    session_database_url: Secret | None = None
    """An address that goes around a transaction pooler, for LISTEN. Without it DATABASE_URL is
    used; if that is a pooler, nothing is heard and the poll finds changes within its second."""


class ReadingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are read."""

    stream_wait_seconds: Annotated[float, Meta(gt=0, le=BLOCK_MILLISECONDS_MAX / 1000)] = 0.25
    """How long one read waits: the longest a newly claimed shard's stream goes unread."""

    stream_entries_max: Count = 400
    """Entries per read over all shards together (at least one of each): usually 120 KB, at worst,
    with the largest jobs a gateway makes, 25 MiB."""

    stream_restart_seconds: Seconds = 30.0
    """How often streams are read again from their beginning, to find entries left behind. Cheap:
    ended jobs are gone."""

    stream_restart_after_drop_seconds: Seconds = 1.0
    """The same when copies were dropped and there is room again."""

    inbox_poll_seconds: Seconds = 1.0
    """How long a job the stream lost goes unnoticed."""

    inbox_gather_seconds: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """How long to wait for more reasons before asking out of turn: a gap often fills itself."""

    inbox_jobs_per_shard_max: Annotated[int, Meta(ge=1, le=500)] = 100
    """Undone jobs per shard and answer; the next answer brings the next ones."""

    clearing_entries_max: Count = 10_000
    """Ended entries remembered for removal; more are left for the next reading from the start."""


class WorkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are worked."""

    attempts_at_once_max: Count = 64
    """Jobs being worked at the same moment by this process, resting ones not counted: enough to
    keep one event loop busy, few enough not to flood the services behind."""

    user_waiting_jobs_max: Count = 16
    """Copies of one user's waiting jobs in memory; the inbox keeps the rest."""

    shard_waiting_bytes_max: Annotated[int, Meta(ge=65_536)] = 1_048_576
    """Bytes of waiting jobs per shard beyond each user's next one: some 3000 usual jobs, and 40 MiB
    for a full worker whose users all write as much as they can."""

    job_tries_max: Annotated[int, Meta(ge=1, le=100)] = 3
    """Unexpected errors before a job is set aside; outages are not counted."""

    attempt_timeout_seconds: Seconds = 15.0
    """How long one attempt may take; longer than the calls it makes, each of which has its own
    deadline."""

    pause_after_failure_seconds: Seconds = 0.5
    """The first pause after an unexpected error; doubles up to pause_longest_seconds."""

    pause_after_outage_seconds: Seconds = 0.1
    """The first pause after an outage: most are a restart and over soon."""

    pause_longest_seconds: Seconds = 2.0
    """The cap of all pauses: the longest a user waits once a dependency is back."""


class TradingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How drafts are kept and orders carried out."""

    draft_lifetime_seconds: Seconds = 120.0
    """How long a draft can be confirmed: two minutes to read and decide. The price it was made at
    is bounded by the slippage, not by this."""

    user_open_drafts_max: Annotated[int, Meta(ge=1, le=100)] = 5
    """Drafts of one user that wait for him; a newer one cancels the oldest."""

    submit_within_seconds: Seconds = 60.0
    """How long after its confirmation an order may still go to the venue. Longer than a takeover
    and most outages; short enough that nobody has given it up and ordered again."""

    confirm_wait_seconds: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """How long a confirmation waits for the order's end before it says "I will tell you". Shorter
    than attempt_timeout_seconds."""

    user_orders_under_way_max: Count = 10
    """Orders of one user that have not ended. One above it ends at once, refused."""

    shard_orders_under_way_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """The same of a shard: ten for each of fifty users. It bounds what a takeover resumes."""

    order_steps_at_once_max: Count = 64
    """Requests and records for orders at the same moment in this process, resting ones not counted.
    """

    orders_poll_seconds: Seconds = 5.0
    """How long an order nobody carries out goes unnoticed; after a claim they are looked for at
    once."""

    pause_after_trouble_seconds: Seconds = 1.0
    """The first pause after an answer that cannot be; doubles up to pause_in_trouble_longest."""

    pause_in_trouble_longest_seconds: Seconds = 60.0
    """The cap of those: it takes a person to mend it."""

    notices_poll_seconds: Seconds = 1.0
    """How long an order's end may wait to be told when the end itself did not wake the relay."""

    plans_poll_seconds: Seconds = 1.0
    """How long a run of a plan that is due goes unnoticed."""

    plan_period_min_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 3600.0
    """The shortest time between two runs. Less is for tests: each run takes an order and a notice.
    """

    user_plans_max: Count = 10
    """Active and paused plans of one user."""

    copies_poll_seconds: Seconds = 1.0
    """How long a leader's trade goes unnoticed."""

    copy_fresh_seconds: Seconds = 600.0
    """How long after it was filled a trade is still copied: a takeover and most outages are over,
    and the price is not another day's. The texts say it."""

    user_copies_max: Count = 5
    """Leaders one user copies."""

    leader_followers_max: Count = 200
    """Users who copy one leader: each of his trades becomes so many orders."""

    quote_fresh_seconds: Seconds = 3.0
    """A price stated less long ago is given from the local copy, candles read less long ago again.
    Some three changes of a stream."""

    quote_asked_again_seconds: Seconds = 1.0
    """How long the answer to a question for an older price is good for everybody."""

    instruments_seconds: Seconds = 300.0
    """How long the list of what is traded is remembered; it changes with a deployment only."""


class WatchingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How prices are waited for."""

    user_resting_orders_max: Count = 50
    """Orders of one user that wait for a price: more than anybody looks through, and with fifty
    users and forty shards 100,000 in a worker."""

    user_alerts_max: Count = 50
    """The same of alerts."""

    look_again_seconds: Seconds = 1.0
    """Between two looks at an order whose price is met and that cannot trigger yet."""

    watch_poll_seconds: Seconds = 0.25
    """How long a shard just claimed goes unnoticed, and a candidate whose time has come: looking
    costs no I/O."""

    trigger_batch_max: Count = 100
    """What one transaction triggers or expires: some 20 ms of it."""

    trigger_shards_at_once_max: Count = 4
    """Those transactions at the same moment; jobs use the same connections."""

    limit_previews_at_once_max: Count = 16
    """Questions to the venue about limit orders at the same moment in this process."""

    watch_page_rows: Count = 1000
    """What one read brings when a shard's watches are read."""

    expiry_poll_seconds: Seconds = 5.0
    """How long after its time an order that waited in vain may be told of. The trigger itself asks
    the clock: none is too late."""

    forget_poll_seconds: Seconds = 60.0
    """How often is looked for what ended long ago, to remove it; at once while there is more."""


class ConversationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How users are talked with."""

    dialogue_seconds: Seconds = 900.0
    """How long the bot waits for the answer to its question: an interruption, not another day."""

    stale_quote_seconds: Seconds = 10.0
    """An older price is called too old to trade on. The venue decides; this is its default."""


class AddressSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The services behind this one, as gRPC targets ("dns:///gateway:50051", "127.0.0.1:50051")."""

    gateway_address: str
    """Where jobs come from and end."""

    pricing_address: str
    """Prices."""

    wallet_address: str
    """Custody."""

    ledger_address: str
    """The books."""

    venue_address: str
    """Where orders are executed: on paper, pricing's own address."""

    service_timeout_seconds: Seconds = 3.0
    """The deadline of one call: longer than a store's longest transaction (1 s) and a queue in
    front of it."""


class JobsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `jobs` needs; a worker's own settings hold it."""

    pool: str
    """The pool whose jobs are listed, "<namespace>.<name>" of its UserShard."""

    gateway_address: str
    """Who keeps them, as a gRPC target."""

    service_timeout_seconds: Seconds = 3.0
    """How long to ask, again while nobody answers."""

    client: ClientSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker can be told."""

    name: str
    """What placement knows this worker as: on a cluster the pod's name, which the StatefulSet gives
    the next pod again."""

    pool: str
    """The pool of users it works for, "<namespace>.<name>" of its UserShard."""

    ownership: OwnershipSettings = OwnershipSettings()
    reading: ReadingSettings = ReadingSettings()
    work: WorkSettings = WorkSettings()
    trading: TradingSettings = TradingSettings()
    watching: WatchingSettings = WatchingSettings()
    conversation: ConversationSettings = ConversationSettings()
    addresses: AddressSettings
    postgres: PostgresSettings
    redis: RedisSettings
    server: ServerSettings
    client: ClientSettings
    telemetry: TelemetrySettings
