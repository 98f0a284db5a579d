"""What moves money or makes a user is worked as the inbox has it, whatever a stream says."""

import asyncio
from dataclasses import replace

import pytest
from tests.unit.user_worker.executing import SOON, Failing, later, turn, work
from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import BEN, POOL, job_of
from tests.unit.user_worker.fakes_work import FakeAttempts, FakeInbox

from kernel.sharding import ShardKey
from user_worker.application.execution import Ending, Execution, Tries
from user_worker.conversation.book import PRESSES, PROVEN_PRESSES, Conversation, needs_proof
from user_worker.conversation.context import Context, PressHandler
from user_worker.domain.jobs import Command, Input, Job, Press, Text
from user_worker.domain.replies import Reply
from user_worker.errors import DependencyDown

pytestmark = pytest.mark.virtual_time


async def test_a_confirmation_a_stream_invented_changes_nothing() -> None:
    """The inbox has no such job: no handler runs, nothing is set aside, nothing is delivered."""
    inbox, handler = FakeInbox(), Failing()
    forged = later(Press("confirm:00000000-0000-4000-8000-000000000001"))

    assert Ending.UNKNOWN is await pressed(inbox, handler, forged)
    assert 0 == handler.calls
    assert [] == inbox.deliveries


@pytest.mark.parametrize(
    "lie",
    [
        {"user_id": BEN},
        {"user_seq": 3},
        {"key": ShardKey(POOL, 5)},
    ],
)
async def test_a_confirmation_under_anothers_name_is_invented(lie: dict[str, object]) -> None:
    """A real job's id with another user, another place or another shard."""
    inbox, handler = FakeInbox(), Failing()
    job = later(Press("confirm:1"))
    inbox.accepted.append(job)

    assert Ending.UNKNOWN is await pressed(inbox, handler, replace(job, **lie))  # type: ignore[arg-type]
    assert 0 == handler.calls
    assert Ending.ENDED is await pressed(inbox, handler, job)


async def test_a_confirmation_is_worked_as_the_inbox_has_it() -> None:
    """What a stream says of the same job does not count."""
    inbox, seen = FakeInbox(), list[str]()
    job = later(Press("confirm:mine"))
    inbox.accepted.append(job)

    async def handler(_context: Context, press: Press) -> list[Reply]:
        seen.append(press.data)
        return []

    await pressed(inbox, handler, replace(job, input=Press("confirm:anothers")))
    assert ["confirm:mine"] == seen


async def test_a_confirmation_waits_for_an_inbox_that_is_away() -> None:
    """An outage is no answer."""
    inbox, handler = FakeInbox(), Failing()
    job = later(Press("confirm:1"))
    inbox.accepted.append(job)
    inbox.failures = [DependencyDown("gateway", "down")] * 3

    assert Ending.ENDED is await pressed(inbox, handler, job)
    assert 1 == handler.calls


@pytest.mark.parametrize("what", [Command("do"), Text("btc"), Press("card:BTC")])
async def test_a_users_first_job_is_worked_as_the_inbox_has_it(what: Input) -> None:
    """It gives the user his place in the books: an invented one would give him a wrong one."""
    inbox, handler = FakeInbox(), Failing()
    first = job_of(what)
    assert Ending.UNKNOWN is await work(inbox, handler, job=first)
    assert (0, []) == (handler.calls, inbox.deliveries)

    inbox.accepted.append(first)
    assert Ending.ENDED is await work(inbox, handler, job=first)


def test_what_needs_proof_is_named_in_one_place() -> None:
    """Every such button exists; nothing else of a known user is read twice."""
    assert PROVEN_PRESSES <= PRESSES.keys()
    for data in ("confirm:1", "forget:yes", "settings:slippage:300"):
        assert needs_proof(later(Press(data)))
    for what in (Press("cancel:1"), Text("confirm:1"), Command("forget"), Command("start")):
        assert not needs_proof(later(what))
        assert needs_proof(job_of(what))


async def pressed(inbox: FakeInbox, handler: PressHandler, job: Job) -> Ending:
    """Work a press of the button `confirm`."""
    conversation = Conversation(FakeServices().as_services(), presses={"confirm": handler})
    works = Execution(
        conversation, inbox, FakeAttempts(), asyncio.Semaphore(4), Tries(3, 0.2, SOON, SOON)
    )
    return await works.work(turn(job))
