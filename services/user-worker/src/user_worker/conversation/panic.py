"""/panic: stop everything at once and freeze trading, until the user says otherwise.

    /panic          stopped and frozen; nothing is asked before
    /panic off      trade again?  `panic:resume:<freeze>` does it, `panic:stay` does not
    panic:ask       the same question, from a button of any message

The answer names the freeze it was asked about: an older question's button, and a press that is
replayed, end no later freeze but ask anew.

What is frozen is decided by the database, in the transactions that accept orders; the line that
other answers show is only a reminder.
"""

from uuid import UUID

from kernel.identifiers import MalformedIdentifier, parse_uuid
from user_worker.conversation import anything_else, dialogue
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, below, change, send
from user_worker.conversation.refusals import ASK_TO_RESUME
from user_worker.conversation.texts import Texts
from user_worker.domain.freezing import Frozen
from user_worker.domain.jobs import Command, Press
from user_worker.domain.replies import Button, Reply

KIND = "panic"
RESUME, STAY = f"{KIND}:resume", f"{KIND}:stay"
_OFF_WORDS = frozenset({"off", "aus", "stop", "resume", "ende"})
_STOPPED = ("orders", "resting", "plans", "copies", "offers")


async def answer(context: Context, command: Command) -> list[Reply]:
    """Stop everything; with "off", ask whether to trade again."""
    if command.arguments.strip().lower() in _OFF_WORDS:
        return send(context, await _question(context))
    frozen = await context.services.freezes.freeze(
        context.claim, context.job.job_id, context.job.user_id
    )
    if frozen.stopped.resting:
        context.services.resting.look_again(context.claim)
    await dialogue.answered(context)
    return send(context, _frozen(context.texts, frozen))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Ask whether to trade again, or take the answer."""
    is_ours = press.message_key.startswith(f"{KIND}:")
    freezes, user_id = context.services.freezes, context.job.user_id
    if press.data == ASK_TO_RESUME:
        question = await _question(context)
        return (change if is_ours else below)(context, press, question)
    if press.data == STAY and is_ours:
        return change(context, press, Page(KIND, await line(context) or _free(context.texts)))
    freeze_id = _freeze_of(press.data)
    if freeze_id is not None and is_ours:
        is_over = await freezes.thaw(context.claim, user_id, freeze_id)
        page = Page(KIND, context.texts.html("panic-over")) if is_over else await _question(context)
        return change(context, press, page)
    return await anything_else.stale_press(context, press)


async def line(context: Context) -> str:
    """Say that the user's trading is frozen; nothing when it is not."""
    since = await context.services.freezes.frozen_since(context.job.user_id)
    if since is None:
        return ""
    return context.texts.html("frozen-line", moment=context.texts.moment(since))


async def _question(context: Context) -> Page:
    texts = context.texts
    freeze_id = await context.services.freezes.standing(context.job.user_id)
    if freeze_id is None:
        return Page(KIND, _free(texts))
    buttons = (
        Button(texts.plain("button-resume-trading"), f"{RESUME}:{freeze_id}"),
        Button(texts.plain("button-stay-frozen"), STAY),
    )
    return Page(KIND, texts.html("panic-resume"), (buttons,))


def _freeze_of(data: str) -> UUID | None:
    verb, _, name = data.rpartition(":")
    try:
        return parse_uuid(name) if verb == RESUME else None
    except MalformedIdentifier:
        return None


def _free(texts: Texts) -> str:
    return texts.html("panic-not-frozen")


def _frozen(texts: Texts, frozen: Frozen) -> Page:
    stopped = frozen.stopped
    counts = {kind: getattr(stopped, kind) for kind in _STOPPED}
    lines = [
        texts.html(f"panic-{kind}", count=str(count)) for kind, count in counts.items() if count
    ]
    paragraphs = [texts.html("panic-frozen"), "\n".join(lines or [texts.html("panic-nothing")])]
    if stopped.submitted:
        paragraphs.append(texts.html("panic-submitted", count=str(stopped.submitted)))
    paragraphs.append(texts.html("panic-until"))
    button = Button(texts.plain("button-resume-trading"), ASK_TO_RESUME)
    return Page(KIND, "\n\n".join(paragraphs), ((button,),))
