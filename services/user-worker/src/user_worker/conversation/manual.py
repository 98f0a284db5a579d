"""/help: one line for each command, in the order of the book."""

from user_worker.conversation.context import Context
from user_worker.domain.jobs import Command
from user_worker.domain.replies import Reply, SendText


async def answer(context: Context, _command: Command) -> list[Reply]:
    """List the commands."""
    lines = [context.texts.html(f"help-{name}") for name in context.commands]
    text = "\n".join([context.texts.html("help-title"), "", *lines])
    return [SendText(text, message_key=context.message_key("help"))]
