"""A clear sentence for whatever is no command we know."""

from user_worker.conversation.context import Context
from user_worker.conversation.texts import visible
from user_worker.domain.jobs import Command, Press, Unsupported
from user_worker.domain.replies import AnswerPress, Reply, SendText


async def unknown_command(context: Context, command: Command) -> list[Reply]:
    """Say that there is no such command."""
    return [SendText(context.texts.html("unknown-command", name=visible(command.name)))]


async def stale_press(context: Context, press: Press) -> list[Reply]:
    """Say that the button does nothing any more, or never did."""
    return [AnswerPress(press.press_id, context.texts.plain("stale-press"), alert=True)]


async def unsupported(context: Context, thing: Unsupported) -> list[Reply]:
    """Say that this kind of message is of no use here."""
    return [SendText(context.texts.html(f"unsupported-{thing.kind.value}"))]
