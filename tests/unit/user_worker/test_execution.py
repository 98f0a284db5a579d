"""One job from its turn to its end."""

import asyncio
from uuid import uuid4

import pytest
from tests.unit.user_worker.executing import SOON, Failing, accepted, execution, later, turn, work
from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import ANN, CLAIM, SHARD, until
from tests.unit.user_worker.fakes_work import FakeAttempts, FakeInbox

from user_worker.application.execution import ERROR_CHARACTERS_MAX, Ending, Execution, Tries
from user_worker.conversation.book import Conversation
from user_worker.conversation.context import Context
from user_worker.domain.jobs import Command, Press
from user_worker.domain.pauses import Pauses
from user_worker.domain.replies import Reply, SendText
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.ports import Outcome

pytestmark = pytest.mark.virtual_time


async def test_a_job_ends_with_its_replies() -> None:
    """One run, one Deliver."""
    inbox = FakeInbox()

    assert Ending.ENDED is await work(inbox, Failing())
    (delivery,) = inbox.deliveries
    assert (SendText("done"),) == delivery.replies
    assert Outcome.DONE is delivery.outcome


async def test_an_outage_is_not_a_failed_try() -> None:
    """A dependency that is away for long costs time, never the job."""
    inbox = FakeInbox()
    handler = Failing(*[DependencyDown("wallet", "down") for _ in range(20)])

    assert Ending.ENDED is await work(inbox, handler)
    assert 21 == handler.calls
    assert Outcome.DONE is inbox.deliveries[0].outcome


async def test_three_unexpected_errors_set_a_job_aside_politely() -> None:
    """The user reads an apology without a cause, operators the error without its secrets."""
    inbox = FakeInbox()
    secret = "0x" + "ab" * 32
    handler = Failing(*[ValueError(f"key {secret} " + "x" * 5000) for _ in range(5)])
    job = accepted(inbox, language_code="de")

    assert Ending.ENDED is await work(inbox, handler, job=job)
    assert 3 == handler.calls
    (delivery,) = inbox.deliveries
    assert Outcome.SET_ASIDE is delivery.outcome
    (reply,) = delivery.replies
    assert isinstance(reply, SendText)
    assert "tut mir leid" in reply.text
    assert str(job.job_id) in reply.text
    assert "ValueError" not in reply.text
    assert delivery.error.startswith("ValueError: key")
    assert "ab" * 32 not in delivery.error
    assert len(delivery.error) <= ERROR_CHARACTERS_MAX


async def test_two_unexpected_errors_are_forgiven() -> None:
    """The third try may succeed."""
    inbox = FakeInbox()

    await work(inbox, Failing(ValueError(), KeyError()))
    assert Outcome.DONE is inbox.deliveries[0].outcome


async def test_a_handler_that_hangs_is_a_failed_try(capsys: pytest.CaptureFixture[str]) -> None:
    """An attempt has a named bound. A worker that stood still meets it too: no stack trace says
    anything about that.
    """
    inbox = FakeInbox()

    async def hang(_context: Context, _command: Command) -> list[Reply]:
        await asyncio.Event().wait()
        return []

    await work(inbox, hang)
    assert Outcome.SET_ASIDE is inbox.deliveries[0].outcome
    assert inbox.deliveries[0].error == "AttemptTimedOut: no answer within 0.2 s"
    told = "".join(capsys.readouterr())
    assert 3 == told.count("job_timed_out")
    assert "Traceback" not in told


async def test_a_handlers_own_time_limit_is_a_defect_with_a_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only the attempt's own bound is told without one."""
    await work(FakeInbox(), Failing(TimeoutError(), TimeoutError()))
    told = "".join(capsys.readouterr())
    assert 2 == told.count("job_failed")
    assert "Traceback" in told


async def test_a_lost_claim_ends_the_work_at_once() -> None:
    """In the handler or in Deliver."""
    inbox = FakeInbox()
    handler = Failing(ClaimLost("stale"))
    with pytest.raises(ClaimLost):
        await work(inbox, handler)
    assert 1 == handler.calls

    inbox.epochs[SHARD] = CLAIM.epoch + 1
    with pytest.raises(ClaimLost):
        await work(inbox, Failing())
    assert [] == inbox.deliveries


async def test_deliver_is_repeated_for_as_long_as_the_gateway_is_away() -> None:
    """The handler is not run again for it."""
    inbox = FakeInbox(failures=[DependencyDown("gateway", "down") for _ in range(20)])
    handler = Failing()

    assert Ending.ENDED is await work(inbox, handler)
    assert 1 == handler.calls
    assert 21 == inbox.calls


async def test_a_job_the_inbox_does_not_know_is_forgotten() -> None:
    """The stream invented it."""
    assert Ending.UNKNOWN is await work(FakeInbox(), Failing(), job=later(Command("do")))


async def test_refused_replies_become_an_apology() -> None:
    """A reply above a limit is our mistake; the user still gets an answer, the job still ends."""
    inbox = FakeInbox(refuse_replies=1)

    assert Ending.ENDED is await work(inbox, Failing())
    (delivery,) = inbox.deliveries
    assert Outcome.SET_ASIDE is delivery.outcome
    assert 1 == len(delivery.replies)
    assert "replies[0]" in delivery.error


async def test_a_refused_apology_ends_the_job_without_words() -> None:
    """A user's line never stops."""
    inbox = FakeInbox(refuse_replies=2)

    assert Ending.ENDED is await work(inbox, Failing())
    assert ((), Outcome.SET_ASIDE) == (inbox.deliveries[0].replies, inbox.deliveries[0].outcome)


async def test_a_drain_cuts_short_the_rest_after_an_outage() -> None:
    """The next owner tries again; this one need not wait for it."""
    inbox = FakeInbox()

    assert Ending.ABANDONED is await work(
        inbox, Failing(DependencyDown("wallet", "down")), draining=True
    )
    assert [] == inbox.deliveries


async def test_a_resting_job_keeps_no_other_user_waiting() -> None:
    """With one slot only, a job whose dependency is down lets another through."""
    inbox = FakeInbox()
    stuck = accepted(inbox)
    quick = later(Command("help"))
    inbox.accepted.append(quick)
    one_slot = execution(
        inbox, Failing(DependencyDown("wallet", "down")), slots=1, after_outage=Pauses(30, 30)
    )
    resting = asyncio.create_task(one_slot.work(turn(stuck)))
    await asyncio.sleep(0.01)

    async with asyncio.timeout(1):
        assert Ending.ENDED is await one_slot.work(turn(quick))
    resting.cancel()


async def test_a_job_its_owners_died_of_is_set_aside_without_running() -> None:
    """Counted before it runs, so that what kills the process cannot kill for ever."""
    inbox, attempts, handler = FakeInbox(), FakeAttempts(), Failing()
    deadly = accepted(inbox)
    attempts.begun[deadly.job_id] = 3

    ending = await execution(inbox, handler, attempts=attempts).work(
        turn(deadly, may_have_run=True)
    )
    assert (Ending.ENDED, 0) == (ending, handler.calls)
    assert Outcome.SET_ASIDE is inbox.deliveries[0].outcome
    assert "begun 3 times" in inbox.deliveries[0].error
    assert {} == attempts.begun


async def test_a_job_met_at_a_claim_is_counted_before_it_runs_and_forgiven_when_it_ends() -> None:
    """While it runs the count stands in the database."""
    inbox, attempts = FakeInbox(), FakeAttempts()
    job = accepted(inbox)
    during: list[int] = []

    async def look(_context: Context, _command: Command) -> list[Reply]:
        during.append(attempts.begun[job.job_id])
        return []

    await execution(inbox, look, attempts=attempts).work(turn(job, may_have_run=True))
    assert [1] == during
    assert {} == attempts.begun


async def test_an_outage_takes_the_count_back() -> None:
    """Owners that come and go while a dependency is down do not condemn a job."""
    inbox, attempts = FakeInbox(), FakeAttempts()
    job = accepted(inbox)
    resting = execution(
        inbox,
        Failing(DependencyDown("wallet", "down")),
        attempts=attempts,
        after_outage=Pauses(30, 30),
    )
    task = asyncio.create_task(resting.work(turn(job, may_have_run=True)))
    await asyncio.sleep(0.01)

    assert {} == attempts.begun
    assert 2 == attempts.calls
    task.cancel()


async def test_a_job_that_has_run_is_not_condemned_while_the_gateway_is_away() -> None:
    """Whatever ends its owners now, it is not the job."""
    inbox, attempts = FakeInbox(), FakeAttempts()
    job = accepted(inbox)
    inbox.failures = [DependencyDown("gateway", "down")]
    waiting = execution(inbox, Failing(), attempts=attempts, after_outage=Pauses(30, 30))
    task = asyncio.create_task(waiting.work(turn(job, may_have_run=True)))
    await until(lambda: inbox.calls)

    assert {} == attempts.begun
    task.cancel()


async def test_a_fresh_job_is_not_counted() -> None:
    """It costs no write in the usual case."""
    inbox, attempts = FakeInbox(), FakeAttempts()

    await execution(inbox, Failing(), attempts=attempts).work(turn(accepted(inbox)))
    assert 0 == attempts.calls


async def test_an_order_of_a_confirmation_that_is_set_aside_is_told_of() -> None:
    """Also when it died with its owners, and however long the database is away."""
    services, inbox, attempts = FakeServices(), FakeInbox(), FakeAttempts()
    services.trading.failures = [DependencyDown("database", "down")] * 5
    draft_id = uuid4()
    conversation = Conversation(services.as_services(), presses={"confirm": Failing()})
    works = Execution(
        conversation, inbox, attempts, asyncio.Semaphore(4), Tries(3, 0.2, SOON, SOON)
    )
    for data in (f"confirm:{draft_id}", "confirm:nothing", f"cancel:{draft_id}"):
        job = later(Press(data))
        inbox.accepted.append(job)
        attempts.begun[job.job_id] = 3
        await works.work(turn(job, may_have_run=True))

    assert [(ANN, draft_id)] == services.trading.told_of
    assert {Outcome.SET_ASIDE} == {delivery.outcome for delivery in inbox.deliveries}
    assert 3 == len(inbox.deliveries)


async def test_a_mistake_in_seeing_a_job_through_does_not_stop_the_users_line() -> None:
    """The job ends all the same."""
    services, inbox, attempts = FakeServices(), FakeInbox(), FakeAttempts()
    services.trading.failures = [ValueError("a mistake")]
    job = later(Press(f"confirm:{uuid4()}"))
    inbox.accepted.append(job)
    attempts.begun[job.job_id] = 3
    works = Execution(
        Conversation(services.as_services()),
        inbox,
        attempts,
        asyncio.Semaphore(4),
        Tries(3, 0.2, SOON, SOON),
    )

    assert Ending.ENDED is await works.work(turn(job, may_have_run=True))
    assert Outcome.SET_ASIDE is inbox.deliveries[0].outcome
