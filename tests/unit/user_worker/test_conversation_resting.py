"""/limit, /stop, /tp, /orders and their buttons: what is said, and what stands on the wall."""

from decimal import Decimal
from uuid import UUID

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import ANN, BEN, CLAIM, FakePreferences

from user_worker.conversation.book import Conversation, needs_proof
from user_worker.conversation.texts import LANGUAGES
from user_worker.domain.jobs import Press
from user_worker.domain.orders import Money, OrderState, Refusal, Refused, Share, Side, Wish
from user_worker.domain.replies import EditText
from user_worker.domain.resting import (
    Condition,
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.errors import DependencyDown

LIMIT = "limit buy BTC $100 at 60000"


def the_order(chat: Chat) -> RestingOrder:
    """The newest offered."""
    resting = chat.services.resting
    order_id = list(resting.orders)[-1]
    return resting._seen(order_id)


async def placed(chat: Chat, line: str = LIMIT) -> UUID:
    """Place one; gives its id."""
    await chat.command(line)
    await chat.press("✓ Confirm")
    return the_order(chat).order_id


@pytest.mark.parametrize(
    ("line", "wish", "condition"),
    [
        (
            LIMIT,
            Wish(Side.BUY, "BTC", Money(Decimal(100))),
            Condition(RestingKind.LIMIT, Direction.AT_OR_BELOW, Decimal(60_000), 604_800),
        ),
        (
            "stop BTC 50% 55000 24h",
            Wish(Side.SELL, "BTC", Share(Decimal("0.5"))),
            Condition(RestingKind.STOP, Direction.AT_OR_BELOW, Decimal(55_000), 86_400),
        ),
        (
            "tp BTC all 80000 10m",
            Wish(Side.SELL, "BTC", Share(Decimal(1))),
            Condition(RestingKind.TAKE_PROFIT, Direction.AT_OR_ABOVE, Decimal(80_000), 600),
        ),
        (
            "stop buy bitcoin $100 @120000 30d",
            Wish(Side.BUY, "BTC", Money(Decimal(100))),
            Condition(RestingKind.STOP, Direction.AT_OR_ABOVE, Decimal(120_000), 2_592_000),
        ),
    ],
)
async def test_a_whole_line_makes_the_offer(line: str, wish: Wish, condition: Condition) -> None:
    """With what it waits for, what it gives and that nothing is set aside."""
    chat = Chat()
    text = await chat.command(line)

    offered = the_order(chat)
    assert (wish, condition) == (offered.draft.wish, offered.condition)
    assert RestingState.OFFERED is offered.state
    assert "Now: 97,123.46 USDT" in text
    assert "Nothing is set aside while it waits" in text
    assert ["rest", "unrest"] == [b.data.partition(":")[0] for b in chat.keyboard[0]]


async def test_a_line_is_gone_on_with_until_it_is_whole() -> None:
    """Typed or pressed, each answer to the question before."""
    chat = Chat()
    assert "Buy or sell" in await chat.command("limit")
    assert "What do you want to buy" in await chat.press("Buy")
    assert "How much BTC" in await chat.write("btc")
    assert "At which price" in await chat.write("$100")
    assert ["96,152.22 (\u22121%)", "95,180.98 (\u22122%)", "92,267.28 (\u22125%)"] == [
        button.text for button in chat.buttons
    ]
    assert "60,000.00" in await chat.write("60000")
    assert Wish(Side.BUY, "BTC", Money(Decimal(100))) == the_order(chat).draft.wish
    assert "start again" in await chat.write("$100")


async def test_an_offer_can_be_pressed_together() -> None:
    """Every question has its buttons, which carry all that was said."""
    chat = Chat()
    await chat.command("stop")
    await chat.press("BTC")
    await chat.press("50%")
    await chat.press("92,267.28 (\u22125%)")

    assert Wish(Side.SELL, "BTC", Share(Decimal("0.5"))) == the_order(chat).draft.wish
    assert Decimal("92267.28") == the_order(chat).condition.price


async def test_the_expiry_is_chosen_in_place() -> None:
    """A preset makes the same offer anew; the chosen one is marked."""
    chat = Chat()
    await chat.command(LIMIT)
    assert ["10 min", "1 h", "24 h", "✓ 7 d", "30 d"] == [b.text for b in chat.keyboard[1]]
    await chat.press("1 h")

    assert 3600 == the_order(chat).condition.lasts_seconds
    assert isinstance(chat.messages[0], EditText)
    assert "✓ 1 h" in [b.text for b in chat.keyboard[1]]


@pytest.mark.parametrize("line", ["limit buy BTC $100 at 60,000", "limit buy BTC 1,234 at 60000"])
async def test_what_can_be_read_in_two_ways_is_asked(line: str) -> None:
    """Prices as amounts; each button says one reading."""
    chat = Chat()
    assert "two ways" in await chat.command(line)
    assert 2 == len(chat.buttons)
    assert not chat.services.resting.orders
    await chat.say(Press(chat.buttons[0].data, chat.message_key, "press"))
    assert 1 == len(chat.services.resting.orders)


async def test_what_cannot_be_read_is_asked_again() -> None:
    """With an example."""
    chat = Chat()
    assert "cannot read that as a price" in await chat.command("limit buy BTC $100 at soon")
    assert "More than 100%" in await chat.command("stop BTC 200% at 60000")
    assert "Nothing called" in await chat.command("stop NONSENSE 20% at 60000")
    assert not chat.services.resting.orders


async def test_a_confirmed_offer_waits_and_says_so_in_its_place() -> None:
    """Pressing again says the same."""
    chat = Chat()
    await chat.command(LIMIT)
    confirm = chat.buttons[0].data
    text = await chat.press("✓ Confirm")
    assert "Limit buy of BTC</b> waits" in text
    assert "Until" in text
    assert the_order(chat).draft.receipt in text
    assert "It waits." == chat.toast.text
    assert text == await chat.say(Press(confirm, "resting:1", "press"))
    assert RestingState.WAITING is the_order(chat).state


async def test_a_price_that_is_met_already_is_said() -> None:
    """A limit order would be carried out at once."""
    chat = Chat()
    assert "met already" in await chat.command("limit buy BTC $100 at 98000")
    assert "met already" not in await chat.command(LIMIT)


@pytest.mark.parametrize("reason", [Refused.ALREADY_PAST, Refused.OUT_OF_REACH])
async def test_a_refused_price_is_told_with_the_present_one(reason: Refused) -> None:
    """And that nothing was changed."""
    chat = Chat()
    chat.services.resting.refusal = Refusal(reason, Decimal(97_123), "USDT")
    text = await chat.command("stop BTC 50% 98000")
    assert "97,123.00 USDT" in text
    assert "Nothing was changed" in text


async def test_more_than_may_wait_is_refused_at_the_press() -> None:
    """The offer stays one."""
    chat = Chat()
    chat.services.resting.waiting_max = 1
    await placed(chat)
    await chat.command(LIMIT)
    assert "At most 1 of your orders" in await chat.press("✓ Confirm")
    assert RestingState.OFFERED is the_order(chat).state


async def test_what_waits_is_cancelled_from_its_own_message() -> None:
    """And can be asked for again, with the same words."""
    chat = Chat()
    order_id = await placed(chat)
    assert "is cancelled" in await chat.press("Cancel")
    assert RestingState.CANCELLED is chat.services.resting.orders[order_id].state
    await chat.press("Ask again")
    assert the_order(chat).condition.price == Decimal(60_000)
    assert the_order(chat).order_id != order_id


async def test_an_offer_is_withdrawn_or_runs_out() -> None:
    """Each says so, and confirms no more."""
    chat = Chat()
    await chat.command(LIMIT)
    confirm = chat.buttons[0].data
    assert "withdrawn" in await chat.press("Cancel")
    assert "withdrawn" in await chat.say(Press(confirm, "resting:1", "press"))
    await chat.command(LIMIT)
    chat.services.trading.expire()
    assert "run out" in await chat.press("✓ Confirm")


async def test_cancelling_what_has_triggered_shows_the_receipt() -> None:
    """And that it was too late."""
    chat = Chat()
    order_id = await placed(chat)
    chat.services.resting.trigger(order_id, OrderState.FILLED)
    text = await chat.press("Cancel")
    assert "Bought" in text
    assert "met before" in chat.toast.text


async def test_a_receipt_says_that_it_waits_and_later_what_became_of_it() -> None:
    """Under the same id."""
    chat = Chat()
    order_id = await placed(chat)
    receipt = the_order(chat).draft.receipt
    assert "waits for its price" in await chat.command(f"receipt {receipt}")
    chat.services.resting.end(order_id, RestingState.EXPIRED)
    assert "has run out" in await chat.command(f"receipt {receipt}")
    chat.services.resting.trigger(order_id, OrderState.FILLED)
    assert "Bought" in await chat.command(f"receipt {receipt}")
    chat.user_id = BEN
    assert "no receipt" in await chat.command(f"receipt {receipt}")


async def test_an_offer_has_no_receipt() -> None:
    """It is nothing yet."""
    chat = Chat()
    await chat.command(LIMIT)
    assert "no receipt" in await chat.command(f"receipt {the_order(chat).draft.receipt}")


async def test_a_rejected_one_is_asked_for_again_at_the_price_it_waited_for() -> None:
    """Never as an order at once."""
    chat = Chat()
    order_id = await placed(chat)
    chat.services.resting.trigger(order_id, OrderState.REJECTED)
    await chat.command(f"receipt {the_order(chat).draft.receipt}")
    text = await chat.press("Ask again")
    assert "Nothing is set aside" in text
    assert the_order(chat).order_id != order_id
    assert the_order(chat).condition.price == Decimal(60_000)


async def test_orders_lists_what_waits_and_what_is_under_way() -> None:
    """In pages, the newest first; a cancelled one goes in place."""
    chat = Chat()
    assert "Nothing waits" in await chat.command("orders")
    for price in range(60_000, 60_008):
        await placed(chat, f"limit buy BTC $100 at {price}")
    under_way = await placed(chat)
    chat.services.resting.trigger(under_way)

    text = await chat.command("orders")
    assert "Orders that wait: 8" in text
    assert "is under way" in text
    assert text.index("60,007.00") < text.index("60,002.00")
    assert "60,001.00" not in text
    second = await chat.press("Older »")
    assert "60,001.00" in second
    assert "is under way" not in second
    text = await chat.press("✗ BTC 60,000.00")
    assert "Orders that wait: 7" in text
    assert "Cancelled." == chat.toast.text


async def test_a_made_up_page_or_order_is_nobodys() -> None:
    """Whatever the button says."""
    chat = Chat()
    for data in ("orders:x", "orders:-1", "orders:99999", "rest:1", "unrest:", "alert:1"):
        await chat.say(Press(data, "orders:1", "press"))
        assert chat.toast.alert
    await placed(chat)
    order_id = the_order(chat).order_id
    chat.user_id = BEN
    await chat.say(Press(f"unrest:{order_id}", "orders:1", "press"))
    assert chat.toast.alert
    assert RestingState.WAITING is the_order(chat).state


async def test_what_moves_money_or_stops_it_is_proven() -> None:
    """Confirming, cancelling, removing an alert."""
    chat = Chat()
    for data in ("rest:1", "unrest:1", "alert:1"):
        await chat.say(Press(data, "resting:1", "press"))
        assert chat.last_job is not None
        assert needs_proof(chat.last_job)


async def test_prices_away_are_said_at_once() -> None:
    """Of whichever side."""
    chat = Chat()
    chat.services.pricing.is_away = True
    assert "cannot get at the prices" in await chat.command(LIMIT)
    chat.services.pricing.is_away = False
    chat.services.resting.failures = [DependencyDown("venue", "away")]
    assert "cannot get at the prices" in await chat.command(LIMIT)
    chat.services.resting.failures = [DependencyDown("database", "away")]
    with pytest.raises(DependencyDown):
        await chat.command(LIMIT)


async def test_a_job_that_runs_again_makes_no_second_offer() -> None:
    """Nor does the answer to a question."""
    chat = Chat()
    await chat.command("limit buy BTC $100")
    text = await chat.write("60000")
    assert text == await chat.again()
    assert 1 == len(chat.services.resting.orders)


async def test_a_set_aside_confirmation_is_seen_through() -> None:
    """The user is told that it waits."""
    chat = Chat()
    order_id = await placed(chat)
    assert chat.last_job is not None
    conversation = Conversation(chat.services.as_services())
    await conversation.see_through(chat.last_job, CLAIM)
    assert [(ANN, order_id)] == chat.services.resting.told_of


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_said_in_every_language(language: str) -> None:
    """Each kind and side, each state."""
    chat = Chat(preferences=FakePreferences(languages={ANN: language}))
    for line in ("limit", "stop", "tp"):
        for side in ("buy", "sell"):
            await chat.command(f"{line} {side} BTC")
            await chat.command(f"{line} {side} BTC $100")
            await chat.command(f"{line} {side} BTC $100 at 60000")
            await chat.say(Press(chat.buttons[0].data, "resting:1", "press"))
            order_id = the_order(chat).order_id
            await chat.command("orders")
            chat.services.resting.end(order_id, RestingState.EXPIRED)
            await chat.command(f"receipt {the_order(chat).draft.receipt}")
            for button in chat.buttons:
                assert len(button.data.encode()) <= 64
