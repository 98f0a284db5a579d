"""What the bot answers to whatever a user does."""

from decimal import Decimal

import pytest
from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import (
    ADDRESS,
    ANN,
    CLAIM,
    FakePreferences,
    job_of,
)

from user_worker.conversation import manual
from user_worker.conversation.book import COMMANDS, Conversation
from user_worker.domain.jobs import Command, Input, Press, Text, Unsupported, UnsupportedKind
from user_worker.domain.market import Quote
from user_worker.domain.replies import AnswerPress, EditText, Reply, SendText
from user_worker.errors import ClaimLost, DependencyDown, RequestRefused


async def say(
    what: Input,
    *,
    services: FakeServices | None = None,
    preferences: FakePreferences | None = None,
    language_code: str = "en",
    display_name: str = "Ann",
) -> list[Reply]:
    """Answer one input of Ann."""
    conversation = Conversation((services or FakeServices()).as_services())
    job = job_of(what, language_code=language_code, display_name=display_name)
    return await conversation.answer(job, CLAIM, preferences or FakePreferences())


def text_of(replies: list[Reply]) -> str:
    """Give the text of the only reply."""
    (reply,) = replies
    assert isinstance(reply, SendText)
    return reply.text


async def test_start_tells_address_balance_price_custody_and_how_to_leave() -> None:
    """One message with everything a newcomer needs."""
    text = text_of(await say(Command("start")))

    assert "Ann" in text
    assert f"<code>{ADDRESS}</code>" in text
    assert "10,000 USDT" in text
    assert "97,123.46 USDT" in text
    assert "simulated" in text
    assert "Who can move the funds" in text
    assert "To leave" in text


async def test_start_can_be_edited_later() -> None:
    """Its message has a key of its own."""
    (reply,) = await say(Command("start"))

    assert isinstance(reply, SendText)
    assert reply.message_key.startswith("start:")
    assert len(reply.message_key) <= 64


async def test_start_says_when_a_price_is_real_and_when_there_is_none() -> None:
    """Only a simulated price is called so."""
    services = FakeServices()
    services.pricing.known = Quote("BTC", Decimal(5), "USDT", False, 0.5)
    assert "simulated" not in text_of(await say(Command("start"), services=services))

    services.pricing.known = None
    assert "no price for BTC" in text_of(await say(Command("start"), services=services))


async def test_start_asks_all_three_even_when_one_fails_and_raises_the_gravest() -> None:
    """A lost claim ends everything; an outage is not a failed try."""
    services = FakeServices()
    services.wallet.failures = [DependencyDown("wallet", "down")]
    services.pricing.failures = [RequestRefused("pricing", "a bug")]
    services.ledger.failures = [ClaimLost("stale")]

    with pytest.raises(ClaimLost):
        await say(Command("start"), services=services)
    assert [1, 1, 1] == [
        services.wallet.calls,
        services.pricing.calls,
        services.ledger.calls,
    ]
    services.wallet.failures = [DependencyDown("wallet", "down")]
    services.pricing.failures = [RequestRefused("pricing", "a bug")]
    with pytest.raises(DependencyDown):
        await say(Command("start"), services=services)


@pytest.mark.parametrize("name", ["<b>Ann</b>", "</code>&amp;", "\x00\u202e<i>"])
async def test_a_users_name_never_becomes_markup(name: str) -> None:
    """What users typed is escaped."""
    text = text_of(await say(Command("start"), display_name=name))

    for piece in ("<b>Ann", "</code>&amp;<", "<i>\u2069", "\x00", "\u202e"):
        assert piece not in text


async def test_help_lists_every_command() -> None:
    """Each once, in the order of its groups."""
    text = text_of(await say(Command("help")))

    grouped = [name for names in manual.GROUPS.values() for name in names]
    assert sorted(COMMANDS) == sorted(grouped)
    places = [text.index(f"\n/{name} ") for name in grouped]
    assert sorted(places) == places


async def test_language_is_chosen_by_a_button_that_changes_its_message() -> None:
    """Asked in the old language, confirmed in the new one, remembered from then on."""
    preferences = FakePreferences()
    (asked,) = await say(Command("language"), preferences=preferences)
    assert isinstance(asked, SendText)
    (row,) = asked.keyboard
    assert ["✓ English", "Deutsch"] == [button.text for button in row]

    press = Press(row[1].data, asked.message_key, "press-1")
    edit, answer = await say(press, preferences=preferences)
    assert isinstance(edit, EditText)
    assert asked.message_key == edit.message_key
    assert "Deutsch" in edit.text
    assert ["English", "✓ Deutsch"] == [button.text for button in edit.keyboard[0]]
    assert AnswerPress("press-1", "Deutsch") == answer
    assert {ANN: "de"} == preferences.languages
    assert "kenne ich nicht" in text_of(await say(Command("nonsense"), preferences=preferences))


@pytest.mark.parametrize(
    "press",
    [
        Press("language:de", "", "p"),
        Press("language:de", "start:1", "p"),
        Press("language:xx", "language:1", "p"),
        Press("language", "language:1", "p"),
        Press("", "language:1", "p"),
        Press("sell:everything", "language:1", "p"),
        Press("🤡" * 16, "", "p"),
    ],
)
async def test_a_press_of_a_stranger_or_an_old_keyboard_changes_nothing(press: Press) -> None:
    """It is answered with a clear sentence."""
    preferences = FakePreferences()
    (answer,) = await say(press, preferences=preferences)

    assert isinstance(answer, AnswerPress)
    assert "p" == answer.press_id
    assert "send the command again" in answer.text
    assert len(answer.text) <= 200
    assert {} == preferences.languages


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (Command("nonsense"), "do not know the command"),
        (Command("<b>\x00"), "&lt;b&gt;"),
        (Text("hello \x00 \u202e"), "did not understand"),
        (Text(""), "did not understand"),
        (Unsupported(UnsupportedKind.ATTACHMENT), "pictures"),
        (Unsupported(UnsupportedKind.EDIT), "changes"),
        (Unsupported(UnsupportedKind.TOO_LONG), "longer"),
        (Unsupported(), "/help"),
    ],
)
async def test_anything_else_gets_a_clear_sentence(what: Input, expected: str) -> None:
    """Nothing is left unanswered."""
    assert expected in text_of(await say(what))


async def test_the_reported_language_is_spoken_until_one_is_chosen() -> None:
    """A German client is answered in German."""
    assert "nicht verstanden" in text_of(await say(Text("hallo"), language_code="de-AT"))
