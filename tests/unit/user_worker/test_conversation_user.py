"""What concerns the user himself: the first contact, choices, being forgotten."""

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import ANN, CLAIM

from user_worker.domain.jobs import Press
from user_worker.domain.replies import EditText
from user_worker.errors import DependencyDown


async def test_a_new_user_gets_his_play_money_once() -> None:
    """Whoever sends /start again meets what he has."""
    chat = Chat()
    assert "Here are <b>10,000 USDT</b> of play money" in await chat.command("start")
    again = await chat.command("start")
    assert "Here are" not in again
    assert "Your balance: <b>10,000 USDT</b>" in again

    assert {"buy:BTC", "card:BTC", "do:portfolio", "do:help"} == {b.data for b in chat.buttons}


async def test_the_buttons_of_start_say_commands() -> None:
    """And come to rest."""
    chat = Chat()
    await chat.command("start")
    assert "What you can do" in await chat.press("Help")

    assert not chat.toast.alert


@pytest.mark.parametrize("typed", ["de", " DE ", "Deutsch", "deutsch"])
async def test_a_language_can_be_named(typed: str) -> None:
    """Without a press, by its tag or its name; any other word is answered with the choice."""
    chat = Chat()
    assert "Which language" in await chat.command("language klingon")
    assert {} == chat.preferences.languages
    assert "Ich spreche jetzt Deutsch" in await chat.command(f"language {typed}")
    assert {ANN: "de"} == chat.preferences.languages

    assert ["English", "✓ Deutsch"] == [button.text for button in chat.buttons]


async def test_settings_change_in_place() -> None:
    """The language at once, the slippage for the next offer."""
    chat = Chat()
    text = await chat.command("settings")
    key = chat.message_key
    assert "Slippage: 1\u00a0%" in text
    assert "Slippage: 0.5\u00a0%" in await chat.press("0.5")
    assert isinstance(chat.messages[0], EditText)
    assert key == chat.message_key
    assert {ANN: 50} == chat.preferences.slippages
    german = await chat.press("Deutsch")
    assert "Kursabweichung: 0,5\u00a0%" in german
    assert ["English", "✓ Deutsch", "✓ 0,5\u00a0%", "1\u00a0%", "3\u00a0%"] == [
        button.text for button in chat.buttons
    ]

    assert {ANN: "de"} == chat.preferences.languages


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ("settings:slippage:50", "start:1"),
        ("settings:slippage:50", ""),
        ("settings:slippage:10000", "settings:1"),
        ("settings:slippage:\u0665\u0660", "settings:1"),
        ("settings:slippage:", "settings:1"),
        ("settings:language:xx", "settings:1"),
        ("settings", "settings:1"),
        ("forget:yes", "start:1"),
        ("forget:yes", ""),
        ("forget:maybe", "forget:1"),
    ],
)
async def test_a_choice_counts_only_under_its_own_message(data: str, key: str) -> None:
    """Anyone can send any data."""
    chat = Chat()
    await chat.say(Press(data, key, "press"))

    assert chat.toast.alert
    assert [] == chat.messages
    assert {} == chat.preferences.slippages
    assert {} == chat.preferences.languages
    assert [] == chat.preferences.forgotten


async def test_forget_asks_and_says_what_is_kept_and_why() -> None:
    """Nothing is erased before the press that means it."""
    chat = Chat()
    text = await chat.command("forget")
    assert "Kept: the books" in text
    assert "would not add up" in text
    assert "Nothing was erased" in await chat.press("Keep")

    assert [] == chat.preferences.forgotten
    assert [] == chat.services.gateway.forgotten


async def test_forgetting_erases_choices_dialogue_and_what_the_gateway_keeps() -> None:
    """In the user's language until the end, and again without harm."""
    chat = Chat()
    chat.preferences.slippages[ANN] = 50
    await chat.command("buy BTC")
    await chat.command("forget")
    assert "Done" in await chat.press("Forget me")
    assert "Done" in await chat.again()

    assert {} == chat.preferences.slippages
    assert {} == chat.services.sessions.kept
    assert {ANN} == set(chat.preferences.forgotten) == set(chat.services.gateway.forgotten)
    assert {CLAIM} == set(chat.services.resting.looked_again)


async def test_an_outage_while_forgetting_is_tried_again_and_never_half_done_in_silence() -> None:
    """Redis alone is not waited for: what it keeps goes by itself."""
    chat = Chat()
    await chat.command("forget")
    chat.services.gateway.failures = [DependencyDown("gateway", "away")]
    with pytest.raises(DependencyDown):
        await chat.press("Forget me")
    await chat.command("forget")
    chat.services.sessions.is_away = True

    assert "Done" in await chat.press("Forget me")
    assert [ANN] == chat.services.gateway.forgotten
