"""One job's execution, put together of fakes."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import CLAIM, FakePreferences, job_of
from tests.unit.user_worker.fakes_work import FakeAttempts, FakeInbox

from user_worker.application.execution import Ending, Execution, Tries, Turn
from user_worker.conversation.book import Conversation
from user_worker.conversation.context import Context
from user_worker.domain.jobs import Command, Input, Job, Press
from user_worker.domain.pauses import Pauses
from user_worker.domain.replies import Reply, SendText

SOON = Pauses(0.001, 0.002)
Handler = Callable[[Context, Command], Awaitable[list[Reply]]]


def execution(
    inbox: FakeInbox,
    handler: Handler,
    *,
    attempts: FakeAttempts | None = None,
    slots: int = 4,
    after_outage: Pauses = SOON,
) -> Execution:
    """Wire an execution whose only command is `do`."""
    return Execution(
        Conversation(FakeServices().as_services(), commands={"do": handler}),
        inbox,
        attempts or FakeAttempts(),
        asyncio.Semaphore(slots),
        Tries(3, 0.2, after_failure=SOON, after_outage=after_outage),
    )


def later(what: Input, **fields: str) -> Job:
    """Make a job that is not the user's first."""
    return job_of(what, seq=2, **fields)  # type: ignore[arg-type]


def accepted(inbox: FakeInbox, *, language_code: str = "en") -> Job:
    """Put a job that does `do` into the inbox."""
    job = later(Command("do"), language_code=language_code)
    inbox.accepted.append(job)
    return job


async def work(
    inbox: FakeInbox, handler: Handler, *, job: Job | None = None, draining: bool = False
) -> Ending:
    """Work one job to its end."""
    drain = asyncio.Event()
    if draining:
        drain.set()
    return await execution(inbox, handler).work(
        Turn(job or accepted(inbox), CLAIM, FakePreferences(), drain)
    )


def turn(job: Job, *, may_have_run: bool = False) -> Turn:
    """Give a job its turn."""
    return Turn(job, CLAIM, FakePreferences(), asyncio.Event(), may_have_run)


class Failing:
    """A handler that raises what it is given, one a call, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, _context: Context, _input: Command | Press) -> list[Reply]:
        """Answer `do`."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return [SendText("done")]
