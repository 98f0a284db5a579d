"""What the settings say of time: how often, how long, how many at once, for each use case.

`main` hands each use case its own; a use case knows no settings.
"""

from user_worker.application.execution import Tries
from user_worker.application.owning import OwnershipPace
from user_worker.application.quotes import QuotesPace
from user_worker.application.reading import InboxPace, StreamPace
from user_worker.application.recurring import Rhythm
from user_worker.application.watching import WatchingPace
from user_worker.domain.ownership import OrphanRule
from user_worker.domain.pauses import Pauses
from user_worker.settings import (
    OwnershipSettings,
    ReadingSettings,
    Settings,
    TradingSettings,
    WorkSettings,
)


def watching_pace(settings: Settings) -> WatchingPace:
    """How often prices are looked at, and how much of what waits for them at once."""
    watching = settings.watching
    return WatchingPace(
        stale_quote_seconds=settings.conversation.stale_quote_seconds,
        look_again_seconds=watching.look_again_seconds,
        batch_max=watching.trigger_batch_max,
        previews_at_once_max=watching.limit_previews_at_once_max,
        shards_at_once_max=watching.trigger_shards_at_once_max,
        page_rows=watching.watch_page_rows,
        looking=rhythm(watching.watch_poll_seconds, settings),
        expiring=rhythm(watching.expiry_poll_seconds, settings),
    )


def rhythm(period_seconds: float, settings: Settings) -> Rhythm:
    """The period of work that recurs, and the pauses after an outage and after trouble."""
    trading = settings.trading
    return Rhythm(
        period_seconds=period_seconds,
        after_outage=after_outage(settings.work),
        after_trouble=Pauses(
            trading.pause_after_trouble_seconds, trading.pause_in_trouble_longest_seconds
        ),
    )


def tries(work: WorkSettings) -> Tries:
    """How often a job is tried, for how long, and the pauses between."""
    return Tries(
        tries_max=work.job_tries_max,
        attempt_timeout_seconds=work.attempt_timeout_seconds,
        after_failure=Pauses(work.pause_after_failure_seconds, work.pause_longest_seconds),
        after_outage=after_outage(work),
    )


def ownership_pace(ownership: OwnershipSettings, work: WorkSettings) -> OwnershipPace:
    """How long a lease lasts, how often it is renewed, and what is claimed at once."""
    return OwnershipPace(
        lease_seconds=ownership.lease_seconds,
        lease_margin_seconds=ownership.lease_margin_seconds,
        heartbeat_seconds=ownership.heartbeat_seconds,
        poll_seconds=ownership.placement_poll_seconds,
        gather_seconds=ownership.placement_gather_seconds,
        claims_at_once_max=ownership.claims_at_once_max,
        orphans=OrphanRule(
            after_seconds=ownership.orphan_seconds,
            above_limit_after_seconds=ownership.orphan_above_limit_seconds,
            per_round_max=ownership.orphans_per_round_max,
        ),
        after_outage=after_outage(work),
    )


def stream_pace(reading: ReadingSettings, work: WorkSettings) -> StreamPace:
    """How long a read waits, and how much it takes."""
    return StreamPace(
        wait_seconds=reading.stream_wait_seconds,
        entries_max=reading.stream_entries_max,
        restart_period_seconds=reading.stream_restart_seconds,
        restart_after_drop_seconds=reading.stream_restart_after_drop_seconds,
        after_outage=after_outage(work),
    )


def inbox_pace(reading: ReadingSettings) -> InboxPace:
    """How often the inbox is asked for what the stream did not bring."""
    return InboxPace(
        period_seconds=reading.inbox_poll_seconds,
        gather_seconds=reading.inbox_gather_seconds,
        jobs_per_shard_max=reading.inbox_jobs_per_shard_max,
    )


def after_outage(work: WorkSettings) -> Pauses:
    """The pauses while a dependency is away."""
    return Pauses(work.pause_after_outage_seconds, work.pause_longest_seconds)


def quotes_pace(trading: TradingSettings, work: WorkSettings) -> QuotesPace:
    """How old a local price may be, and how often it is asked for."""
    return QuotesPace(
        fresh_seconds=trading.quote_fresh_seconds,
        asked_again_seconds=trading.quote_asked_again_seconds,
        instruments_seconds=trading.instruments_seconds,
        after_outage=after_outage(work),
    )
