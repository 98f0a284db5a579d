"""/cancel: withdraw every open offer, and wait for no answer any more."""

from user_worker.conversation import dialogue
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, send
from user_worker.domain.jobs import Command
from user_worker.domain.replies import Reply

KIND = "cancelled"


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Withdraw, and say what was."""
    waited = await dialogue.waited_for(context)
    withdrawn = await context.services.trading.cancel_open(context.claim, context.job.user_id)
    await dialogue.answered(context)
    if withdrawn:
        text = context.texts.html("cancel-offers", count=str(withdrawn))
    else:
        text = context.texts.html("cancel-dialogue" if waited is not None else "cancel-nothing")
    return send(context, Page(KIND, text))
