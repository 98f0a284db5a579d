"""/alerts: set, listed, removed."""

from decimal import Decimal

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import ANN, BEN, FakePreferences

from user_worker.conversation.texts import LANGUAGES
from user_worker.domain.jobs import Press
from user_worker.domain.orders import Refusal, Refused
from user_worker.domain.resting import Direction


@pytest.mark.parametrize(
    ("line", "price", "direction", "said"),
    [
        ("alerts BTC 100000", 100_000, Direction.AT_OR_ABOVE, "risen to"),
        ("alerts bitcoin $70000", 70_000, Direction.AT_OR_BELOW, "fallen to"),
        ("alerts BTC at 70000 usdt", 70_000, Direction.AT_OR_BELOW, "fallen to"),
    ],
)
async def test_the_present_price_says_from_where(
    line: str, price: int, direction: Direction, said: str
) -> None:
    """Set at once: nothing can be lost by it."""
    chat = Chat()
    assert said in await chat.command(line)
    (alert,) = await chat.services.resting.alerts(ANN)
    assert ("BTC", Decimal(price), direction) == (alert.symbol, alert.price, alert.direction)


async def test_what_is_missing_is_asked_for() -> None:
    """Typed or pressed."""
    chat = Chat()
    assert "At which price of BTC" in await chat.command("alerts BTC")
    assert "risen to" in await chat.write("100000")
    assert "start again" in await chat.write("$100001")
    await chat.command("price BTC")
    assert "At which price of BTC" in await chat.press("Alert")
    assert "cannot read that as a price" in await chat.write("soon")
    assert "two ways" in await chat.write("70,000")
    assert "fallen to" in await chat.press("70000")
    assert 2 == len(await chat.services.resting.alerts(ANN))


async def test_alerts_are_listed_and_removed_in_place() -> None:
    """A second press says that it is gone."""
    chat = Chat()
    assert "Alerts that wait: 0" in await chat.command("alerts")
    await chat.command("alerts BTC 100000")
    await chat.command("alerts BTC 70000")
    assert "Alerts that wait: 2" in await chat.command("alerts")
    assert ["✗ BTC ↑ 100,000.00", "✗ BTC ↓ 70,000.00"] == [b.text for b in chat.buttons]
    remove, key = chat.buttons[0].data, chat.message_key
    assert "Alerts that wait: 1" in await chat.say(Press(remove, key, "press"))
    assert "Removed." == chat.toast.text
    await chat.say(Press(remove, key, "press"))
    assert "waits no more" in chat.toast.text


async def test_nobody_removes_anothers_alert() -> None:
    """It waits on."""
    chat = Chat()
    await chat.command("alerts BTC 100000")
    (alert,) = await chat.services.resting.alerts(ANN)
    chat.user_id = BEN
    await chat.say(Press(f"alert:{alert.alert_id}", "alerts:1", "press"))
    chat.services.resting.removed.clear()
    assert "waits no more" in chat.toast.text


async def test_a_job_that_runs_again_sets_one() -> None:
    """It has the job's id."""
    chat = Chat()
    text = await chat.command("alerts BTC 100000")
    assert text == await chat.again()
    assert 1 == len(await chat.services.resting.alerts(ANN))


async def test_what_cannot_be_set_is_said() -> None:
    """The present price, one far off, one too many, no price."""
    chat = Chat()
    assert "is at 97,123.46 just now" in await chat.command("alerts BTC 97123.456")
    assert "too far" in await chat.command("alerts BTC 1")
    chat.services.resting.refusal = Refusal(Refused.TOO_MANY_ALERTS, Decimal(50))
    assert "At most 50 of your alerts" in await chat.command("alerts BTC 100000")
    chat.services.pricing.known = None
    assert "cannot get at the prices" in await chat.command("alerts BTC 100000")
    chat.services.pricing.is_away = True
    assert "cannot get at the prices" in await chat.command("alerts BTC 100000")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_said_in_every_language(language: str) -> None:
    """Set, listed, asked for."""
    chat = Chat(preferences=FakePreferences(languages={ANN: language}))
    for line in ("alerts", "alerts BTC", "alerts BTC 100000", "alerts BTC 70000", "alerts BTC x"):
        assert await chat.command(line)
