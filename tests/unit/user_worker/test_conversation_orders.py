"""From "buy" to the offer: what is asked, what is offered, and what changes nothing."""

from decimal import Decimal

import pytest
from tests.unit.user_worker.conversing import BUY_100, Chat, wishes

from user_worker.conversation import refusals
from user_worker.conversation.texts import LANGUAGES, texts_in
from user_worker.domain.jobs import Press
from user_worker.domain.orders import (
    Money,
    Refusal,
    Refused,
    Share,
    Side,
    Units,
    Wish,
)
from user_worker.domain.replies import EditText
from user_worker.errors import DependencyDown


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("buy BTC $100", BUY_100),
        ("buy $100 BTC", BUY_100),
        ("buy $100 of bitcoin", BUY_100),
        ("buy 0.5 btc", Wish(Side.BUY, "BTC", Units(Decimal("0.5")))),
        ("buy 0,5 btc", Wish(Side.BUY, "BTC", Units(Decimal("0.5")))),
        ("sell 50% ETH", Wish(Side.SELL, "ETH", Share(Decimal("0.5")))),
        ("sell all eth", Wish(Side.SELL, "ETH", Share(Decimal(1)))),
    ],
)
async def test_an_order_in_one_line_is_offered_at_once(line: str, wish: Wish) -> None:
    """Every amount, the fee, the bound and the end of the offer are said; nothing is done yet."""
    chat = Chat()
    text = await chat.command(line)

    assert [wish] == wishes(chat)
    assert not chat.services.trading.confirmed
    net = "99.9 USDT" if wish.side is Side.SELL else "0.000999 BTC"
    assert f"You get about: <b>{net}</b>" in text
    for part in ("You give", "Price: 100,000.00", "Fee:", "At least", "1\u00a0%"):
        assert part in text
    assert "2 minutes, until 12:02:00 UTC" in text
    assert "Simulated" in text
    assert ["✓ Confirm", "Cancel"] == [button.text for button in chat.buttons]
    assert chat.message_key.startswith("draft:")


async def test_an_order_is_understood_without_a_slash_too() -> None:
    """In both languages."""
    chat = Chat()
    await chat.write("Buy BTC $100")
    await chat.write("kaufe BTC $100")
    await chat.write("verkaufe 50% BTC")

    assert [BUY_100, BUY_100, Wish(Side.SELL, "BTC", Share(Decimal("0.5")))] == wishes(chat)


async def test_what_is_missing_is_asked_for_and_the_typed_answers_are_understood() -> None:
    """Which, then how much; afterwards the dialogue waits for nothing."""
    chat = Chat()
    assert "What do you want to buy" in await chat.command("buy")
    assert "buy:BTC" in {button.data for button in chat.buttons}
    text = await chat.write("btc")
    assert "How much BTC" in text
    assert "10,000 USDT to spend" in text
    assert "You get about" in await chat.write("$100")
    assert [BUY_100] == wishes(chat)

    assert "start again" in await chat.write("$100")
    assert 1 == len(wishes(chat))


async def test_an_amount_said_before_the_symbol_is_not_asked_for_again() -> None:
    """By button or typed."""
    chat = Chat()
    await chat.command("buy $100")
    await chat.press("BTC")
    assert [BUY_100] == wishes(chat)

    await chat.command("buy $100")
    await chat.write("BTC")
    assert [BUY_100, BUY_100] == wishes(chat)


async def test_the_presets_need_no_session() -> None:
    """Their buttons carry all they need, and the offer takes the question's place."""
    chat = Chat()
    await chat.command("sell BTC")
    question = chat.message_key
    assert ["25%", "50%", "all", "$50", "$100", "$500"] == [b.text for b in chat.buttons]
    chat.services.sessions.kept.clear()
    await chat.press("50%")

    assert [Wish(Side.SELL, "BTC", Share(Decimal("0.5")))] == wishes(chat)
    assert isinstance(chat.messages[0], EditText)
    assert question == chat.message_key


async def test_without_redis_the_dialogue_goes_on_by_buttons_and_asks_to_start_again() -> None:
    """Redis away is no outage of the conversation."""
    chat = Chat()
    chat.services.sessions.is_away = True
    assert "How much BTC" in await chat.command("buy BTC")
    await chat.press("$100")
    assert [BUY_100] == wishes(chat)

    await chat.command("buy BTC")
    assert "start again" in await chat.write("$100")
    assert 1 == len(wishes(chat))


async def test_a_job_that_runs_again_understands_its_line_the_same_way() -> None:
    """The first run's end of the dialogue is not in its own way; and there is one draft."""
    chat = Chat()
    await chat.command("buy BTC")
    first = await chat.write("$100")

    assert first == await chat.again()
    assert [BUY_100] == wishes(chat)

    await chat.command("buy")
    asked = await chat.write("eth")
    assert asked == await chat.again()


async def test_a_symbol_written_in_place_of_an_amount_is_a_change_of_mind() -> None:
    """It starts over with that; an amount beside it is taken as well."""
    chat = Chat()
    await chat.command("buy BTC")
    assert "How much ETH" in await chat.write("eth")
    assert "How much BTC" in await chat.write("bitcoin")
    await chat.write("$5 SOL")

    assert [Wish(Side.BUY, "SOL", Money(Decimal(5)))] == wishes(chat)


async def test_a_new_order_ends_an_older_dialogue() -> None:
    """A later amount is not taken for what was asked before."""
    chat = Chat()
    await chat.command("buy ETH")
    await chat.command("buy BTC $100")

    assert "start again" in await chat.write("50")
    assert [BUY_100] == wishes(chat)


async def test_an_ambiguous_amount_is_asked_about_with_both_readings() -> None:
    """Money is never guessed."""
    chat = Chat()
    assert "I do not guess" in await chat.command("buy BTC 1,234")
    assert ["1234 BTC", "1.234 BTC"] == [button.text for button in chat.buttons]
    assert not wishes(chat)
    await chat.press("1.234")

    assert [Wish(Side.BUY, "BTC", Units(Decimal("1.234")))] == wishes(chat)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("buy BTC -5", "below zero"),
        ("buy BTC 0", "Zero is nothing"),
        ("buy BTC nan", "cannot read"),
        ("buy BTC inf", "cannot read"),
        ("buy BTC 1e999", "cannot read"),
        ("buy BTC \u202e5", "do not trust"),
        ("buy BTC \uff15", "do not trust"),
        ("buy BTC \u0665", "do not trust"),
        ("buy BTC 101%", "More than 100%"),
        ("buy BTC 0." + "1" * 19, "more digits"),
        ("buy BTC " + "9" * 70, "longer than any amount"),
        ("buy BTC 5 eth", "none of them"),
        ("buy \u0412\u0422\u0421 $5", "only look like"),
        ("buy NOPE $5", "is traded here"),
        ("buy D $5", "Did you mean"),
        ("buy " + "x" * 4000, "is traded here"),
        ("buy <b> $5", "&lt;b&gt;"),
    ],
)
async def test_bad_input_gets_a_clear_sentence_and_changes_nothing(
    line: str, sentence: str
) -> None:
    """In either language; and the next amount is still understood where one was asked for."""
    chat = Chat()
    text = await chat.command(line)

    assert sentence in text
    assert len(text) < 1000
    assert not wishes(chat)
    german = Chat(language_code="de")
    assert text != await german.command(line)
    assert not wishes(german)


async def test_after_an_unreadable_amount_the_next_one_is_taken() -> None:
    """The dialogue waits on."""
    chat = Chat()
    await chat.command("buy BTC minus five")
    await chat.write("$100")

    assert [BUY_100] == wishes(chat)


@pytest.mark.parametrize(
    "data",
    [
        *("size:buy:BTC:-5", "size:buy:BTC:1,234", "size:buy:BTC:", "size:buy:NOPE:5", "size:buy"),
        *("size:steal:BTC:5", "buy:NOPE", "sell:", "buy", "size:buy:BTC:1e9", "do:forget", "do:"),
        *("confirm:1", "again:x", "receipt:zzz", "chart:BTC:5y", "portfolio:1h", "history:-1"),
    ],
)
async def test_forged_data_of_a_button_changes_nothing(data: str) -> None:
    """Anyone can send any data."""
    chat = Chat()
    await chat.say(Press(data, "ask:1", "press"))

    assert [] == chat.messages
    assert chat.toast.alert
    assert not chat.services.trading.drafts


async def test_a_refusal_has_its_sentence_its_bound_and_a_way_on() -> None:
    """Nothing was changed, and that is said."""
    chat = Chat()
    chat.services.trading.refusal = Refusal(Refused.TOO_SMALL, Decimal(1), "USDT")
    text = await chat.command("buy BTC $0.5")

    assert "the least is 1 USDT. Nothing was changed." in text
    assert "buy:BTC" in {button.data for button in chat.buttons}


async def test_digits_and_what_is_missing_are_called_by_their_names() -> None:
    """Eight digits are not 8 BTC, and who sells has nothing to sell, not to spend."""
    chat = Chat()
    chat.services.trading.refusal = Refusal(Refused.TOO_PRECISE, Decimal(8), "BTC")
    assert "than BTC is traded with: the most is 8." in await chat.command("buy BTC 0.000000001")
    chat.services.trading.refusal = Refusal(Refused.NOTHING_TO_SPEND, symbol="BTC")
    assert "not have enough BTC for that" in await chat.command("sell BTC all")

    assert "10,000 BTC to sell" in await chat.command("sell BTC")


async def test_somebody_with_nothing_to_buy_with_is_shown_the_way_to_the_play_money() -> None:
    """Not everybody begins with /start."""
    chat = Chat()
    chat.services.trading.refusal = Refusal(Refused.NOTHING_TO_SPEND)
    await chat.command("buy BTC $5")
    assert ["Start", "Price of BTC"] == [button.text for button in chat.buttons]
    await chat.command("sell BTC all")

    assert ["Price of BTC"] == [button.text for button in chat.buttons]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_a_sentence_with_and_without_its_bound(language: str) -> None:
    """In every language."""
    texts = texts_in(language)
    for reason in Refused:
        assert refusals.sentence(texts, Refusal(reason))
        assert refusals.sentence(texts, Refusal(reason, Decimal("1.5"), "BTC"))


async def test_a_chosen_slippage_is_what_is_proposed_with() -> None:
    """One per cent without a choice."""
    chat = Chat()
    await chat.command("buy BTC $100")
    chat.preferences.slippages[chat.user_id] = 50
    await chat.command("buy BTC $100")

    assert [100, 50] == chat.services.trading.slippages


async def test_an_outage_of_the_prices_is_told_at_once_and_others_are_waited_for() -> None:
    """A price is asked for anew; books that are away must not be guessed around."""
    chat = Chat()
    chat.services.trading.failures = [DependencyDown("venue", "away")]
    assert "cannot get at the prices" in await chat.command("buy BTC $100")

    chat.services.trading.failures = [DependencyDown("ledger", "away")]
    with pytest.raises(DependencyDown):
        await chat.command("buy BTC $100")
    chat.services.pricing.is_away = True
    assert "cannot get at the prices" in await chat.command("buy BTC $100")
    assert not wishes(chat)
