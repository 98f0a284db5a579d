"""Cards and charts: a price, its age, what one can do with it; and what is said without one."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import NOW, candles_of

from user_worker.domain.jobs import Press
from user_worker.domain.market import Quote
from user_worker.domain.pictures import CandlesPicture
from user_worker.domain.replies import EditText, SendPhoto, SendText
from user_worker.errors import DependencyDown, PictureFailed

QUOTE = Quote("BTC", Decimal("97123.456"), "USDT", True, 2.0)
DAY = ["95000", "99000", "94000", "97000"] * 24


def chat_with(quote: Quote | None = QUOTE, *, language_code: str = "en") -> Chat:
    """A chat in a world with a day of candles of BTC."""
    chat = Chat(language_code=language_code)
    chat.services.pricing.known = quote
    chat.services.pricing.history["BTC", 15] = candles_of("BTC", DAY)
    return chat


@pytest.mark.parametrize("typed", ["BTC", "$btc", "#BTC", "BTC/USDT", "btcusdt", "bitcoin"])
async def test_a_pasted_ticker_gives_the_same_card_as_price(typed: str) -> None:
    """Price, what it did in a day, its age, and that it is simulated."""
    chat = chat_with()
    text = await chat.write(typed)

    assert text == await chat.command(f"price {typed}")
    assert "97,123.46 USDT" in text
    assert "▲ +2.24\u00a0% in 24 hours" in text
    assert "High 99,000.00 · low 94,000.00" in text
    assert "2 seconds ago" in text
    assert "Simulated price" in text
    waiting = ["limit:BTC", "stop:BTC", "alerts:BTC"]
    expected = ["buy:BTC", "sell:BTC", *waiting, "chart:BTC:1d", "price:BTC"]
    assert expected == [b.data for b in chat.buttons]


async def test_a_card_speaks_the_users_language() -> None:
    """Numbers too."""
    text = await chat_with(language_code="de").write("BTC")

    assert "97.123,46 USDT" in text
    assert "+2,24\u00a0% in 24 Stunden" in text
    assert "vor 2 Sekunden" in text


async def test_a_real_price_is_not_called_simulated_and_a_fall_points_down() -> None:
    """The sign is a minus, not a hyphen."""
    text = await chat_with(replace(QUOTE, is_simulated=False, price=Decimal(93000))).write("BTC")

    assert "imulated" not in text
    assert "▼ \u22122.11\u00a0%" in text
    assert "low 93,000.00" in text


async def test_a_price_that_hardly_moved_points_neither_way() -> None:
    """What is shown as 0.00 % did not fall."""
    text = await chat_with(replace(QUOTE, price=Decimal("94999.99"))).write("BTC")

    assert "± 0.00\u00a0%" in text


async def test_a_stale_price_is_shown_with_its_age_and_cannot_be_traded_on() -> None:
    """No Buy, no Sell; Refresh stays."""
    chat = chat_with(replace(QUOTE, age_seconds=600))
    text = await chat.write("BTC")

    assert "97,123.46" in text
    assert "10 minutes ago" in text
    assert "too old to trade on" in text
    assert ["chart:BTC:1d", "price:BTC"] == [button.data for button in chat.buttons]


async def test_refresh_changes_the_card_in_its_place() -> None:
    """And says so for a moment."""
    chat = chat_with()
    await chat.write("BTC")
    card = chat.message_key
    chat.services.pricing.known = replace(QUOTE, price=Decimal(98000))
    text = await chat.press("Refresh")

    assert "98,000.00" in text
    assert isinstance(chat.messages[0], EditText)
    assert card == chat.message_key
    assert not chat.toast.alert


async def test_less_than_a_day_of_candles_is_said_to_be_less() -> None:
    """A change is never told for a time it is not known of."""
    chat = chat_with()
    chat.services.pricing.history["BTC", 15] = candles_of("BTC", DAY[:20])
    text = await chat.write("BTC")

    assert "24 hours" not in text
    assert "since 07:00 UTC" in text


async def test_candles_older_than_a_day_are_not_part_of_it() -> None:
    """Gaps reach further back than they seem to."""
    chat = chat_with()
    chat.services.pricing.history["BTC", 15] = candles_of(
        "BTC", ["1"] * 10, until=NOW - timedelta(days=2)
    )
    text = await chat.write("BTC")

    assert "97,123.46" in text
    assert "High" not in text


async def test_without_a_price_a_sentence_says_so() -> None:
    """Unknown is not zero."""
    text = await chat_with(None).write("BTC")

    assert "no price for BTC just now" in text


async def test_when_the_prices_are_away_the_answer_does_not_wait() -> None:
    """A user's line is not held up by an outage of the prices."""
    chat = chat_with()
    await chat.write("BTC")
    chat.services.pricing.is_away = True
    for answer in (
        await chat.command("price BTC"),
        await chat.command("chart BTC"),
        await chat.write("$btc"),
        await chat.say(Press("card:BTC", "start:1", "press")),
        await chat.say(Press("price:BTC", "price:1", "press")),
        await chat.say(Press("chart:BTC:1d", "price:1", "press")),
        await chat.say(Press("buy:BTC", "price:1", "press")),
        await chat.say(Press("size:buy:BTC:$5", "ask:1", "press")),
    ):
        assert "cannot get at the prices" in answer


async def test_an_outage_of_the_candles_costs_the_day_and_not_the_card() -> None:
    """The price is there."""
    chat = chat_with()

    async def away(*_: object) -> None:
        raise DependencyDown("pricing", "no candles")

    chat.services.pricing.candles = away  # type: ignore[method-assign, assignment]
    text = await chat.write("BTC")

    assert "97,123.46" in text
    assert "High" not in text


async def test_a_start_without_prices_still_starts() -> None:
    """The wallet and the balance do not hang on a price."""
    chat = chat_with()
    chat.services.pricing.is_away = True
    text = await chat.command("start")

    assert "10,000 USDT" in text
    assert "no price for BTC" in text


async def test_price_without_a_symbol_asks_and_the_buttons_answer_in_place() -> None:
    """Each names its symbol."""
    chat = chat_with()
    assert "The price of what?" in await chat.command("price")
    await chat.press("BTC")

    assert "97,123.46" in chat.text
    assert isinstance(chat.messages[0], EditText)


async def test_a_lookalike_ticker_is_suggested_and_not_taken() -> None:
    """Cyrillic letters are not ours."""
    chat = chat_with()
    assert "only look like" in await chat.write("\u0412\u0422\u0421")
    await chat.press("BTC")

    assert "97,123.46" in chat.text


async def test_the_price_below_a_message_lets_it_stand() -> None:
    """A receipt is not overwritten by a card."""
    chat = chat_with()
    text = await chat.say(Press("card:BTC", "draft:1", "press"))

    assert "97,123.46" in text
    assert isinstance(chat.messages[0], SendText)


async def test_a_press_under_a_picture_is_answered_below_it() -> None:
    """A picture's message cannot become a text."""
    chat = chat_with()
    for key in ("chart:1", "equity:1"):
        await chat.say(Press("price:BTC", key, "press"))
        assert [SendText] == [type(message) for message in chat.messages]


@pytest.mark.parametrize(
    ("line", "interval", "count"),
    [
        ("chart BTC", 15, 96),
        ("chart BTC 1h", 1, 60),
        ("chart 4H btc", 5, 48),
        ("chart BTC 1w", 240, 42),
    ],
)
async def test_a_chart_is_a_picture_of_the_span_that_was_asked(
    line: str, interval: int, count: int
) -> None:
    """With a button for each span, the shown one marked."""
    chat = chat_with()
    chat.services.pricing.history["BTC", interval] = candles_of(
        "BTC", ["95000"] * 200, interval_minutes=interval
    )
    text = await chat.command(line)

    (picture,) = chat.services.pictures.drawn
    assert isinstance(picture, CandlesPicture)
    assert interval == picture.candles.interval_minutes
    assert count == len(picture.candles.candles)
    assert picture.note == "simulated prices"
    assert "95,000.00 USDT" in picture.subtitle
    assert isinstance(chat.messages[0], SendPhoto)
    assert "95,000.00 USDT" in text
    assert "Simulated" in text
    assert 1 == sum(button.text.startswith("✓") for button in chat.buttons)


async def test_another_span_is_another_picture() -> None:
    """A picture's message cannot be changed."""
    chat = chat_with()
    await chat.command("chart BTC")
    await chat.press("1 week")

    assert "✓ 1 week" in [button.text for button in chat.buttons]
    assert [SendPhoto] == [type(message) for message in chat.messages]
    await chat.press("Buy")
    assert [SendText] == [type(message) for message in chat.messages]


async def test_a_span_there_is_none_of_is_answered_with_those_there_are() -> None:
    """The symbol was understood, and need not be typed again."""
    chat = chat_with()
    assert "cannot draw" in await chat.command("chart btc 5m")
    assert "chart:BTC:1h" in {button.data for button in chat.buttons}
    await chat.press("4 h")
    assert [SendPhoto] == [type(message) for message in chat.messages]

    assert "is traded here" in await chat.command("chart nope 5m")


async def test_a_chart_without_candles_says_so() -> None:
    """In the picture and under it."""
    chat = chat_with()
    text = await chat.command("chart ETH")

    assert "no prices of ETH" in text
    (picture,) = chat.services.pictures.drawn
    assert isinstance(picture, CandlesPicture)
    assert "No prices yet" == picture.nothing


async def test_when_drawing_fails_the_caption_is_said_without_its_picture() -> None:
    """The figures matter more."""
    chat = chat_with()
    chat.services.pictures.failures = [PictureFailed("late")]
    text = await chat.command("chart BTC")

    assert "97,000.00 USDT" in text
    assert isinstance(chat.messages[0], SendText)


async def test_what_stands_in_a_picture_is_text_and_not_markup() -> None:
    """Its labels write figures in the user's language."""
    chat = chat_with(language_code="de")
    await chat.command("chart BTC")

    (picture,) = chat.services.pictures.drawn
    assert "BTC · 1 Tag" == picture.title
    assert "97.000,00" == picture.labels.amount(Decimal(97000))
    assert "12,5\u00a0%" == picture.labels.percent(Decimal("0.125"))
    assert "12:00" == picture.labels.time(NOW)
    assert "26. Nov." == picture.labels.day(NOW)
