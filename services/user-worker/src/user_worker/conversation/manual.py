"""/help: one line for each command, grouped as people look for them."""

from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, send
from user_worker.domain.jobs import Command
from user_worker.domain.replies import Reply

KIND = "help"
GROUPS = {
    "trade": ("price", "chart", "buy", "sell", "dca", "copy", "cancel", "panic"),
    "wait": ("limit", "stop", "tp", "alerts", "orders"),
    "account": ("portfolio", "profit", "history", "receipt"),
    "you": ("start", "settings", "language", "forget", "help"),
}
"""Every command stands in one of them, which a test makes sure of."""


async def answer(context: Context, _command: Command) -> list[Reply]:
    """List the commands."""
    texts = context.texts
    paragraphs = [texts.html("help-title")]
    for group, names in GROUPS.items():
        lines = [texts.html(f"help-{name}") for name in names]
        paragraphs.append("\n".join([texts.html(f"help-group-{group}"), *lines]))
    paragraphs.append(texts.html("help-ticker"))
    return send(context, Page(KIND, "\n\n".join(paragraphs)))
