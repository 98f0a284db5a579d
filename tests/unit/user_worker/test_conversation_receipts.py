"""From the offer on: confirming, withdrawing, and the receipt in every state."""

import re
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.unit.user_worker.conversing import BUY_100, Chat, wishes
from tests.unit.user_worker.fakes import BEN, CLAIM, FakePreferences
from tests.unit.user_worker.fakes_orders import draft_of, order_of

from user_worker.conversation import notices, receipt, refusals
from user_worker.conversation.texts import LANGUAGES, texts_in
from user_worker.domain.jobs import Press
from user_worker.domain.orders import (
    DraftState,
    OrderState,
    Refusal,
    Refused,
    Share,
    Side,
    Wish,
)
from user_worker.domain.replies import EditText, SendText
from user_worker.trading_ports import EndEvent


async def test_confirming_puts_the_receipt_in_the_place_of_the_offer() -> None:
    """What was spent, what was received after the fee, and the receipt's id."""
    chat = Chat()
    await chat.command("buy BTC $100")
    offer = chat.message_key
    text = await chat.press("✓ Confirm")

    (order,) = chat.services.trading.confirmed.values()
    assert isinstance(chat.messages[0], EditText)
    assert offer == chat.message_key
    assert "<b>Bought 0.000999 BTC</b> for 100 USDT" in text
    assert "Fee: 0.000001 BTC" in text
    assert "Nov 26, 2026, 12:00 UTC" in text
    assert order.draft.receipt in text
    assert f"<code>/receipt {order.draft.receipt.replace('-', '')}</code>" in text
    assert f"Done. Receipt {order.draft.receipt}" == chat.toast.text


async def test_pressing_twice_shows_the_same_receipt() -> None:
    """There is one order."""
    chat = Chat()
    await chat.command("buy BTC $100")
    offer, confirm = chat.message_key, chat.buttons[0].data
    first = await chat.press("✓")

    assert first == await chat.say(Press(confirm, offer, "press-2"))
    assert 1 == len(chat.services.trading.confirmed)


async def test_another_user_meets_nothing_behind_the_button() -> None:
    """Neither confirm, cancel nor ask again, and the owner's offer stays open."""
    chat = Chat()
    await chat.command("buy BTC $100")
    draft_id = next(iter(chat.services.trading.drafts))
    stranger = Chat(chat.services, FakePreferences(), user_id=BEN)
    for kind in ("confirm", "cancel", "again"):
        await stranger.say(Press(f"{kind}:{draft_id}", "draft:1", "press"))
        assert [] == stranger.messages
        assert stranger.toast.alert

    assert DraftState.OPEN is chat.services.trading.drafts[draft_id].state


async def test_a_press_too_late_says_so_and_offers_the_same_anew() -> None:
    """The new offer has its own id; the old one stays ended."""
    chat = Chat()
    await chat.command("buy BTC $100")
    chat.services.trading.expire()
    text = await chat.press("✓")
    assert "run out. No BTC was bought, nothing was changed" in text
    assert "Too late" in chat.toast.text
    await chat.press("Ask again")

    assert [BUY_100, BUY_100] == wishes(chat)
    assert [DraftState.EXPIRED, DraftState.OPEN] == [
        draft.state for draft in chat.services.trading.drafts.values()
    ]


async def test_a_withdrawn_offer_cannot_be_confirmed() -> None:
    """Both are said in its place."""
    chat = Chat()
    await chat.command("sell 50% BTC")
    confirm = chat.buttons[0].data
    assert "This offer is withdrawn. No BTC was sold" in await chat.press("Cancel")
    await chat.say(Press(confirm, chat.message_key, "press"))

    assert "is withdrawn" in chat.text
    assert not chat.services.trading.confirmed


async def test_a_cancel_after_the_confirm_shows_the_receipt() -> None:
    """Too late to withdraw."""
    chat = Chat()
    await chat.command("buy BTC $100")
    cancel, key = chat.buttons[1].data, chat.message_key
    await chat.press("✓")
    text = await chat.say(Press(cancel, key, "press"))

    assert "Bought" in text
    assert "Too late" in chat.toast.text


async def test_a_pending_order_says_what_is_set_aside_and_can_be_looked_at_again() -> None:
    """Unknown is not failed."""
    chat = Chat()
    chat.services.trading.ends_as = OrderState.SUBMITTED
    await chat.command("buy BTC $100")
    text = await chat.press("✓")
    assert "is under way" in text
    assert "Set aside for it: 100 USDT" in text

    (draft_id,) = chat.services.trading.confirmed
    order = chat.services.trading.confirmed[draft_id]
    chat.services.trading.confirmed[draft_id] = order_of(order.draft, OrderState.FILLED)
    assert "Bought" in await chat.press("Look again")


@pytest.mark.parametrize("reason", [Refused.PRICE_MOVED, Refused.INSUFFICIENT_FUNDS, None])
async def test_a_failed_order_says_why_and_that_nothing_was_spent(reason: Refused | None) -> None:
    """And offers to ask again at the price of now."""
    chat = Chat()
    chat.services.trading.ends_as, chat.services.trading.refused = OrderState.REJECTED, reason
    await chat.command("buy BTC $100")
    text = await chat.press("✓")

    assert "No BTC was bought" in text
    assert "Nothing was spent" in text
    sentence = refusals.sentence(texts_in("en"), Refusal(reason or Refused.TOO_LATE))
    assert sentence in text
    assert ["Ask again"] == [button.text for button in chat.buttons]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("side", Side)
def test_every_order_has_a_receipt_in_every_state(
    language: str, state: OrderState, side: Side
) -> None:
    """It is what notices say as well; a filled one whose amounts are not told claims none."""
    draft = draft_of(Wish(side, "BTC", Share(Decimal(1))))
    order = order_of(draft, state, Refused.TOO_LATE)
    page = receipt.page(texts_in(language), order)

    assert draft.receipt in page.text
    assert page.keyboard
    bare = receipt.text(texts_in(language), replace(order, spent=None, received=None, fee=None))
    assert "100" not in bare or not state.is_final


async def test_the_press_of_an_unknown_message_is_answered_below() -> None:
    """A key the gateway has lost costs no answer."""
    chat = Chat()
    await chat.command("buy BTC $100")
    text = await chat.say(Press(chat.buttons[0].data, "", "press"))

    assert "Bought" in text
    assert isinstance(chat.messages[0], SendText)


async def test_cancel_withdraws_every_open_offer_and_ends_the_dialogue() -> None:
    """And says how many there were."""
    chat = Chat()
    await chat.command("buy BTC $100")
    await chat.command("buy ETH $100")
    assert "(2)" in await chat.command("cancel")
    assert "nothing to cancel" in await chat.command("cancel")
    await chat.command("buy BTC")
    assert "never mind" in await chat.command("cancel")
    assert "never mind" in await chat.again()

    assert "start again" in await chat.write("$100")


async def test_receipts_are_found_however_they_are_typed_and_only_ones_own() -> None:
    """Case, hyphen and misread letters are forgiven."""
    chat = Chat()
    await chat.command("buy BTC $100")
    (draft,) = chat.services.trading.drafts.values()
    receipt_id, confirm = draft.receipt, chat.buttons[0].data
    assert f"no receipt {receipt_id}" in await chat.command(f"receipt {receipt_id}")
    await chat.say(Press(confirm, "draft:1", "press"))
    for typed in (receipt_id, receipt_id.lower().replace("-", " "), receipt_id.replace("0", "o")):
        assert "Bought" in await chat.command(f"receipt {typed}")
    assert "Bought" in await chat.write(receipt_id)
    assert "cannot be a receipt" in await chat.command("receipt nonsense!")

    stranger = Chat(chat.services, FakePreferences(), user_id=BEN)
    assert "no receipt" in await stranger.command(f"receipt {receipt_id}")


async def test_the_newest_receipts_are_a_press_away() -> None:
    """With how each ended; none yet is said."""
    chat = Chat()
    assert "no receipts yet" in await chat.command("receipt")
    await chat.command("buy BTC $100")
    await chat.press("✓")
    await chat.command("receipt")
    assert chat.buttons[0].text.startswith("✓ Buy BTC · ")

    assert "Bought" in await chat.press("✓ Buy")


async def test_a_button_never_carries_more_than_it_may() -> None:
    """An amount too long for the data is asked for again."""
    chat = Chat()
    await chat.command("buy " + "1" * 38 + "." + "1" * 18)
    for button in chat.buttons:
        assert len(button.data.encode()) <= 64
        assert button.data.startswith("buy:")


def test_a_draft_confirms_under_an_id_that_fits_a_button() -> None:
    """The kind, a colon and a UUID."""
    assert len(f"confirm:{UUID(int=0)}".encode()) <= 64


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notice_says_what_the_receipt_says(language: str) -> None:
    """In the language of the confirmation, under a key of its own, with the same buttons."""
    order = order_of(draft_of(BUY_100), OrderState.FILLED)
    (notice,) = notices.notice_of(EndEvent(uuid4(), CLAIM, order, ""), language)

    assert isinstance(notice, SendText)
    assert receipt.text(texts_in(language), order) == notice.text
    assert receipt.keyboard(texts_in(language), order) == notice.keyboard
    assert re.fullmatch("[a-z0-9:._-]{1,64}", notice.message_key)
