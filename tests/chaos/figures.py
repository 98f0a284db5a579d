"""Figures of a run, worked out from its history and its books; None is what could not be measured.

An update's time runs from the act to the moment Telegram has taken the last message of its answer
(the gateway's note, on the same machine's clock). A hand-over is seen in samples: it began at the
database's own time of the release and had ended when the first sample showed the new owner, so the
pause told is never shorter than it was.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.history.books import ANSWER, Books, Job
from tests.history.moving import rows_by_shard, taken_over
from tests.history.records import Heard, Phase, Pressed, Record, Said, Struck

FAULT_FELT_SECONDS = 10.0
"""A hand-over so soon after its owner was struck is no orderly one."""
FLUSH_FELT_SECONDS = 5.0
"""Updates accepted so long after a FLUSHALL are looked at."""
KILLED, FROZEN = "kill", "freeze"


@dataclass(frozen=True, slots=True)
class Update:
    """One act of a user and what came of it."""

    at: float
    shard: int
    phase: str
    accepted_at: float
    done_at: float
    answered_at: float | None

    @property
    def seconds(self) -> float | None:
        """From the act to its answer."""
        return None if self.answered_at is None else self.answered_at - self.at


@dataclass(frozen=True, slots=True)
class HandOver:
    """A shard that went from one worker to another in an orderly way."""

    shard: int
    wished_at: float
    """When the wish was first seen; then the old owner began to drain."""
    released_at: float
    claimed_at: float
    """At the latest."""
    epoch: int

    @property
    def pause(self) -> float:
        """How long nobody owned the shard, in seconds."""
        return self.claimed_at - self.released_at


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run prints beside its violations."""

    operations: dict[str, int]
    messages_heard: int
    sent_again: int
    """Messages of the bot that its outbox knows nothing of: sent, and forgotten in a crash."""
    faults: dict[str, int]
    trades: int
    resting: dict[str, int]
    """Orders that waited for a price, by what became of them."""
    by_rule: dict[str, int]
    """Orders of plans and copies."""
    answer_seconds: dict[str, list[float]]
    """By phase."""
    unmoved_seconds: dict[str, list[float]]
    """In quiet and moving phases, of shards that kept their owner in that phase."""
    pauses: list[float]
    """From a release to the next claim."""
    until_worked: list[float]
    """From a release to the end of the first job after the claim, where one waited."""
    taken_over: list[float]
    """From a worker's kill to the claim of each of its shards."""
    thawed_over: list[float]
    """The same of workers that were frozen for longer than their lease."""
    flushes: list[float]
    """From FLUSHALL to the end of the last job that it held up."""


def measure(records: Sequence[Record], books: Books) -> Figures:
    """Work everything out."""
    updates = list(updates_of(records, books))
    orderly = list(hand_overs(records))
    sent = {(answer.user, answer.message_id) for answer in books.answers}
    heard = {(r.user, r.message_id) for r in records if isinstance(r, Heard)}
    operations = Counter(
        "message" if isinstance(r, Said) else "press"
        for r in records
        if isinstance(r, Said | Pressed)
    )
    by_phase: defaultdict[str, list[float]] = defaultdict(list)
    for update in updates:
        if update.seconds is not None:
            by_phase[update.phase].append(update.seconds)
    strikes = [r for r in records if isinstance(r, Struck)]
    return Figures(
        operations=dict(operations),
        messages_heard=len(heard),
        sent_again=len(heard - sent),
        faults=dict(Counter(f"{s.kind} {_whom(s)}".strip() for s in strikes)),
        trades=len(books.trades),
        resting=dict(Counter(resting.state for resting in books.resting)),
        by_rule=dict(Counter(draft.rule for draft in books.drafts if draft.rule is not None)),
        answer_seconds=dict(by_phase),
        unmoved_seconds=_unmoved(records, updates),
        pauses=[hand_over.pause for hand_over in orderly],
        until_worked=list(_until_worked(orderly, books.jobs)),
        taken_over=list(_taken_over(records, KILLED)),
        thawed_over=list(_taken_over(records, FROZEN)),
        flushes=list(_flushes(strikes, updates)),
    )


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value that so large a share does not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else None


def updates_of(records: Sequence[Record], books: Books) -> Iterator[Update]:
    """Each act with its job: a user's n-th act is the user's n-th job."""
    phases = [record for record in records if isinstance(record, Phase)]
    acts: defaultdict[int, list[Said | Pressed]] = defaultdict(list)
    for record in records:
        if isinstance(record, Said | Pressed):
            acts[record.user].append(record)
    answered: dict[str, float] = {}
    for answer in books.answers:
        if answer.lane == ANSWER and answer.is_message and answer.done_at is not None:
            answered[answer.cause] = max(answer.done_at, answered.get(answer.cause, 0.0))
    for job in books.jobs:
        mine = sorted(acts[job.user], key=lambda act: act.update_id)
        if job.done_at is None or job.user_seq > len(mine):
            continue
        at = mine[job.user_seq - 1].at
        phase = next((p.name for p in reversed(phases) if p.at <= at), "before")
        yield Update(at, job.shard, phase, job.accepted_at, job.done_at, answered.get(job.job_id))


def _whom(struck: Struck) -> str:
    return "a worker" if "user-worker" in struck.target else struck.target


def hand_overs(records: Sequence[Record]) -> Iterator[HandOver]:
    """Each orderly hand-over."""
    strikes = [r for r in records if isinstance(r, Struck) and r.kind in (KILLED, FROZEN)]
    for shard, rows in rows_by_shard(records).items():
        wished_at, owner, released_at = 0.0, None, None
        for row in rows:
            if row.owner is None:
                released_at = row.ownerless_since
            elif row.owner == owner:
                wished_at = row.at if row.desired_owner != row.owner else wished_at
            elif owner is not None:
                # A release between two samples was not before the first of them.
                released = released_at or row.still_before_at
                struck = any(
                    s.at <= row.at <= s.over_at + FAULT_FELT_SECONDS
                    and s.target in (owner, "postgres")
                    for s in strikes
                )
                if released is not None and not struck and wished_at:
                    claimed_at = row.seen_by or row.at
                    yield HandOver(shard, wished_at, released, claimed_at, row.epoch)
                wished_at = 0.0
            if row.owner is not None:
                owner, released_at = row.owner, None


def _until_worked(hand_overs: list[HandOver], jobs: list[Job]) -> Iterator[float]:
    """Of jobs that were accepted while the shard had no owner, the first one's end."""
    for hand_over in hand_overs:
        waiting = [
            job.done_at
            for job in jobs
            if job.shard == hand_over.shard
            and job.done_at is not None
            and hand_over.wished_at <= job.accepted_at <= hand_over.claimed_at
            and job.done_at > hand_over.released_at
        ]
        if waiting:
            yield min(waiting) - hand_over.released_at


def _unmoved(records: Sequence[Record], updates: list[Update]) -> dict[str, list[float]]:
    phases = [record for record in records if isinstance(record, Phase)]
    spans = [
        (begin.name, begin.at, end.at)
        for begin, end in itertools.pairwise([*phases, Phase(math.inf, "end")])
    ]
    rows = rows_by_shard(records)
    seconds: dict[str, list[float]] = {"quiet": [], "moving": []}
    for name, begin, end in spans:
        if name not in seconds:
            continue
        moved = {shard for shard, seen in rows.items() if any(begin <= r.at < end for r in seen)}
        seconds[name] += [
            update.seconds
            for update in updates
            if begin <= update.at < end and update.shard not in moved and update.seconds is not None
        ]
    return seconds


def _taken_over(records: Sequence[Record], kind: str) -> Iterator[float]:
    for struck in records:
        if isinstance(struck, Struck) and struck.kind == kind:
            claims = taken_over(records, struck.target, struck.at)
            yield from (seconds for seconds in claims.values() if seconds is not None)


def _flushes(strikes: list[Struck], updates: list[Update]) -> Iterator[float]:
    """Held up is what took longer than nearly everything does in quiet phases."""
    quiet = percentile((u.done_at - u.accepted_at for u in updates if u.phase == "quiet"), 0.99)
    if quiet is None:
        return
    for flush in (struck for struck in strikes if struck.kind == "flush"):
        held_up = [
            update.done_at - flush.at
            for update in updates
            if update.done_at > flush.at
            and update.accepted_at < flush.at + FLUSH_FELT_SECONDS
            and update.done_at - update.accepted_at > quiet
        ]
        yield max(held_up, default=0.0)
