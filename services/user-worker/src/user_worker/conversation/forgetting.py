"""/forget: erase what is known of a user beyond the books, after a press that means it.

`forget:yes` and `forget:no`, counted only under the question. Every step is safe to repeat; the one
that erases texts in the gateway comes last, so that a crash before it leaves a job that runs again.
"""

from user_worker.conversation import anything_else, dialogue
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, change, send
from user_worker.domain.jobs import Command, Press
from user_worker.domain.replies import Button, Reply

KIND = "forget"
YES, NO = f"{KIND}:yes", f"{KIND}:no"


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Say what would be erased and what is kept, and ask."""
    texts = context.texts
    buttons = (
        Button(texts.plain("button-forget"), YES),
        Button(texts.plain("button-keep"), NO),
    )
    return send(context, Page(KIND, texts.html("forget-ask"), (buttons,)))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Erase, or do not."""
    if press.data not in (YES, NO) or not press.message_key.startswith(f"{KIND}:"):
        return await anything_else.stale_press(context, press)
    if press.data == NO:
        return change(context, press, Page(KIND, context.texts.html("forget-kept")))
    claim, user_id = context.claim, context.job.user_id
    await dialogue.end(context)
    await context.preferences.forget(claim, user_id)
    context.services.resting.look_again(claim)
    await context.services.gateway.forget_user(claim, user_id)
    return change(context, press, Page(KIND, context.texts.html("forget-done")))
