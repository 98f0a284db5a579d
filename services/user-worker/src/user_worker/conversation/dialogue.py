"""What the dialogue waits for, kept where a move of the shard does not lose it.

Redis away is no outage here: nothing is kept then, nothing is found, and the user is asked to start
again. See `user_worker.domain.sessions` for how a job that runs twice understands its line twice.
"""

from contextlib import suppress
from dataclasses import replace

from user_worker.conversation.context import Context
from user_worker.domain.sessions import Session
from user_worker.errors import DependencyDown


async def wait_for(context: Context, session: Session) -> None:
    """Take the next typed line as the answer."""
    with suppress(DependencyDown):
        await context.services.sessions.keep(context.job.user_id, session)


async def waited_for(context: Context) -> Session | None:
    """Say what this job's line answers, if anything."""
    try:
        session = await context.services.sessions.read(context.job.user_id)
    except DependencyDown:
        return None
    if session is None or session.answered_by not in (None, context.job.job_id):
        return None
    return session


async def answered(context: Context) -> None:
    """Wait no longer: this job has all it needed."""
    session = await waited_for(context)
    if session is not None and session.answered_by is None:
        await wait_for(context, replace(session, answered_by=context.job.job_id))


async def end(context: Context) -> None:
    """Wait no longer, and keep nothing of it; what Redis cannot drop now goes by itself soon."""
    with suppress(DependencyDown):
        await context.services.sessions.end(context.job.user_id)
