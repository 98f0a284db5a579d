"""One job from its turn to its end.

    answer the user ──► deliver the replies ──► ended
      │ claim lost: raise, the shard is dropped
      │ a dependency is down: rest and try again for as long as the claim holds; not counted
      │ the inbox has no such job: nothing was changed, forget it
      │ anything else: rest and try again; after three tries set the job aside with an apology

A try is counted in memory. A job that ends the whole process would start from zero with each new
owner, so one that an earlier owner may have been working is also counted in the database, before it
runs. It is forgiven when it has run: owners that end while the gateway is away do not condemn it.

A job that is set aside may have begun something that goes on, such as an order: the apology is not
the last word on it (`Conversation.see_through`).

A stream can be written to by whoever reaches Redis. Its entries are sealed for that reason; what
moves money or cannot be undone (`book.needs_proof`) is worked as the inbox has it even so, never as
a stream told it. An invented job ends there.

An attempt holds one of the worker's slots only while it runs, never while it rests: users whose
dependency is down keep nobody else waiting. A handler may run more than once, so its effects are
safe to repeat; the replies of exactly one run are delivered, since the gateway lets the first
Deliver of a job decide.
"""

import asyncio
import enum
from contextlib import suppress
from dataclasses import dataclass

from chassis.redaction import redact_text
from chassis.telemetry import continue_trace, get_logger
from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.waiting import is_set_within
from user_worker.conversation.book import Conversation, apology, needs_proof
from user_worker.domain.jobs import Job
from user_worker.domain.pauses import Pauses
from user_worker.domain.replies import Reply
from user_worker.errors import (
    AttemptTimedOut,
    ClaimLost,
    DependencyDown,
    JobUnknown,
    RepliesRefused,
)
from user_worker.ports import Attempts, Inbox, Outcome, Preferences

ERROR_CHARACTERS_MAX = 2000
"""The gateway's bound on the error kept with a job that was set aside."""

_log = get_logger(__name__)


class Ending(enum.Enum):
    """How the work on a job stopped."""

    ENDED = "ended"
    """The inbox knows that it is done."""
    UNKNOWN = "unknown"
    """The inbox has no such job."""
    ABANDONED = "abandoned"
    """Given up for the next owner, because the shard is being drained."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often and how fast a job is tried."""

    tries_max: int
    attempt_timeout_seconds: float
    after_failure: Pauses
    after_outage: Pauses


@dataclass(frozen=True, slots=True)
class Turn:
    """A job whose turn it is, and what it is worked with."""

    job: Job
    claim: Claim
    preferences: Preferences
    draining: asyncio.Event
    """Set when the shard is being given up: cuts short a rest."""
    may_have_run: bool = False
    """Whether an earlier owner may have been working it when it died."""


@dataclass(frozen=True, slots=True)
class _Answer:
    replies: list[Reply]
    outcome: Outcome = Outcome.DONE
    error: str = ""


class Execution:
    """Works jobs; shared by all shards of the worker."""

    def __init__(
        self,
        conversation: Conversation,
        inbox: Inbox,
        attempts: Attempts,
        slots: asyncio.Semaphore,
        tries: Tries,
    ) -> None:
        self._conversation = conversation
        self._inbox = inbox
        self._attempts = attempts
        self._slots = slots
        self._tries = tries

    async def work(self, turn: Turn) -> Ending:
        """Bring a job to its end. Raises ClaimLost."""
        with continue_trace(turn.job.traceparent, "job"), metrics.JOB_SECONDS.time():
            try:
                answer = await self._answer(turn)
            except JobUnknown:
                _log.warning("job_unknown", job_id=str(turn.job.job_id), shard=str(turn.job.key))
                metrics.JOBS.labels(Ending.UNKNOWN.value).inc()
                return Ending.UNKNOWN
            if answer is None:
                return Ending.ABANDONED
            has_run = answer.outcome is Outcome.DONE
            if has_run:
                await self._forgive(turn)
            ending = await self._deliver(turn, answer)
            if not has_run:
                await self._forgive(turn)
            metrics.JOBS.labels(
                answer.outcome.value if ending is Ending.ENDED else ending.value
            ).inc()
            return ending

    async def _answer(self, turn: Turn) -> _Answer | None:
        job_id, failures = str(turn.job.job_id), 0
        after_failure = iter(self._tries.after_failure)
        after_outage = iter(self._tries.after_outage)
        missed: set[str] = set()
        while True:
            try:
                async with self._slots:
                    answer = await self._attempt_in_time(turn)
            except (ClaimLost, JobUnknown):
                raise
            except DependencyDown as outage:
                note_outage(outage, "answer")
                missed.add(outage.dependency)
                pause = next(after_outage)
            except Exception as error:  # noqa: BLE001 (logged below, with its trace)
                failures += 1
                metrics.JOB_FAILURES.inc()
                if isinstance(error, AttemptTimedOut):
                    _log.warning("job_timed_out", job_id=job_id, tries=failures, limit=str(error))
                else:
                    _log.exception("job_failed", job_id=job_id, tries=failures)
                if failures >= self._tries.tries_max:
                    return await self._set_aside(turn, f"{type(error).__name__}: {error}")
                pause = next(after_failure)
            else:
                for dependency in missed:
                    note_answer(dependency, "answer")
                return answer
            if await is_set_within(turn.draining, pause):
                return None

    async def _forgive(self, turn: Turn) -> None:
        if turn.may_have_run:
            with suppress(DependencyDown, ClaimLost):  # the row goes by its age, then
                await self._attempts.forgive(turn.claim, turn.job.job_id)

    async def _attempt_in_time(self, turn: Turn) -> _Answer:
        """Attempt it. Raises AttemptTimedOut, for one that hangs and for a worker that stood still
        meanwhile: no defect of the job has a place in a trace of that.
        """
        seconds = self._tries.attempt_timeout_seconds
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._attempt(turn)
        except TimeoutError:
            if not limit.expired():
                raise
            raise AttemptTimedOut(f"no answer within {seconds:g} s") from None

    async def _attempt(self, turn: Turn) -> _Answer:
        job, claim = turn.job, turn.claim
        if turn.may_have_run:
            begun = await self._attempts.begin(claim, job.job_id)
            if begun >= self._tries.tries_max:
                return await self._set_aside(turn, f"begun {begun} times and never ended")
        try:
            if needs_proof(job):
                job = await self._as_accepted(turn)
            return _Answer(await self._conversation.answer(job, claim, turn.preferences))
        except DependencyDown:
            if turn.may_have_run:
                await self._attempts.forgive(claim, job.job_id)
            raise

    async def _as_accepted(self, turn: Turn) -> Job:
        """Read the job in the inbox. Raises JobUnknown when there is none such in this place."""
        accepted = await self._inbox.read_job(turn.claim, turn.job.job_id)
        told = (turn.job.key, turn.job.user_id, turn.job.user_seq)
        if (accepted.key, accepted.user_id, accepted.user_seq) != told:
            raise JobUnknown(str(turn.job.job_id))
        return accepted

    async def _deliver(self, turn: Turn, answer: _Answer) -> Ending:
        job, after_outage = turn.job, iter(self._tries.after_outage)
        missed: set[str] = set()
        while True:
            try:
                async with self._slots:
                    await self._inbox.deliver(
                        turn.claim, job.job_id, answer.replies, answer.outcome, answer.error
                    )
            except JobUnknown:
                _log.warning("job_unknown", job_id=str(job.job_id), shard=str(job.key))
                return Ending.UNKNOWN
            except RepliesRefused as refusal:
                _log.warning("replies_refused", job_id=str(job.job_id), reason=str(refusal))
                if not answer.replies:
                    return Ending.UNKNOWN
                answer = await self._simpler(turn, answer, refusal)
            except DependencyDown as outage:
                note_outage(outage, "deliver")
                missed.add(outage.dependency)
                await asyncio.sleep(next(after_outage))
            else:
                for dependency in missed:
                    note_answer(dependency, "deliver")
                return Ending.ENDED

    async def _simpler(self, turn: Turn, answer: _Answer, refusal: RepliesRefused) -> _Answer:
        """Find what to say instead of refused replies: an apology, then nothing at all."""
        if answer.outcome is Outcome.DONE:
            return await self._set_aside(turn, f"RepliesRefused: {refusal}")
        return _Answer([], Outcome.SET_ASIDE, answer.error)

    async def _set_aside(self, turn: Turn, error: str) -> _Answer:
        job = turn.job
        _log.error(
            "job_set_aside",
            job_id=str(job.job_id),
            user_id=str(job.user_id),
            shard=str(job.key),
            error=error,
        )
        await self._see_through(turn)
        try:
            language = await turn.preferences.language(turn.job.user_id)
        except DependencyDown:
            language = None
        return _Answer(apology(turn.job, language), Outcome.SET_ASIDE, _kept(error))

    async def _see_through(self, turn: Turn) -> None:
        """Have the user told of what the job has begun, once that has ended."""
        after_outage, missed = iter(self._tries.after_outage), set[str]()
        while True:
            try:
                await self._conversation.see_through(turn.job, turn.claim)
            except ClaimLost:
                raise
            except DependencyDown as outage:
                note_outage(outage, "see-through")
                missed.add(outage.dependency)
                await asyncio.sleep(next(after_outage))
            except Exception:  # noqa: BLE001 (a user's line never stops)
                _log.exception("job_not_seen_through", job_id=str(turn.job.job_id))
                return
            else:
                for dependency in missed:
                    note_answer(dependency, "see-through")
                return


def _kept(error: str) -> str:
    """Make an error fit to be kept: no secrets, no NUL (PostgreSQL's text holds none), bounded."""
    return redact_text(error).replace("\0", "?")[:ERROR_CHARACTERS_MAX]
