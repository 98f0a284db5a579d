"""/language: buttons to choose a language; a press keeps the choice and changes the message.

`/language de` keeps it at once. The button's data is `language:<language>`. A press counts only
under a message this command sent: its key says so, and the gateway names only the user's own
messages.
"""

from user_worker.conversation import anything_else
from user_worker.conversation.context import Context
from user_worker.conversation.texts import LANGUAGES, texts_in
from user_worker.domain.jobs import Command, Press
from user_worker.domain.replies import AnswerPress, Button, EditText, Keyboard, Reply, SendText

KIND = "language"
CHECK_MARK = "✓ "


async def answer(context: Context, command: Command) -> list[Reply]:
    """Keep the language that was named, or offer the languages."""
    texts, said = context.texts, "language-choose"
    named = _named(command.arguments)
    if named is not None:
        await context.preferences.choose_language(context.claim, context.job.user_id, named)
        texts, said = texts_in(named), "language-chosen"
    return [
        SendText(
            texts.html(said),
            keyboard=_keyboard(texts.language),
            message_key=context.message_key(KIND),
        )
    ]


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Keep the choice, and say so in the chosen language."""
    language = press.data.removeprefix(f"{KIND}:")
    if language not in LANGUAGES or not press.message_key.startswith(f"{KIND}:"):
        return await anything_else.stale_press(context, press)
    await context.preferences.choose_language(context.claim, context.job.user_id, language)
    texts = texts_in(language)
    return [
        EditText(press.message_key, texts.html("language-chosen"), keyboard=_keyboard(language)),
        AnswerPress(press.press_id, texts.plain("language-chosen-short")),
    ]


def _named(typed: str) -> str | None:
    """Find the language typed by its tag or its own name."""
    name = typed.strip().lower()
    return next((tag for tag, own in LANGUAGES.items() if name in (tag, own.lower())), None)


def _keyboard(chosen: str) -> Keyboard:
    return (
        tuple(
            Button((CHECK_MARK if language == chosen else "") + name, f"{KIND}:{language}")
            for language, name in LANGUAGES.items()
        ),
    )
