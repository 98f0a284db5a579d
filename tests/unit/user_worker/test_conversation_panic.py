"""/panic: what it says, what is refused while it lasts, and how it ends."""

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import ANN, CLAIM, job_of

from kernel.sharding import Claim
from user_worker.conversation import refusals
from user_worker.conversation.book import needs_proof
from user_worker.conversation.texts import LANGUAGES, texts_in
from user_worker.domain.freezing import Stopped
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Refusal, Refused


async def test_panic_freezes_at_once_and_says_what_it_stopped() -> None:
    """No question before; what is at the market is said not to be called back."""
    chat = Chat()
    chat.services.freezes.stopped = Stopped(offers=2, orders=1, submitted=3)
    text = await chat.command("panic")

    assert ANN in chat.services.freezes.frozen
    assert "frozen" in text
    assert "Offers withdrawn: 2" in text
    assert "given up before they reached the market: 1" in text
    assert "at the market already: 3" in text
    assert "Plans" not in text
    assert ["panic:ask"] == [button.data for button in chat.buttons]


async def test_nothing_to_stop_is_said_too() -> None:
    """The freeze stands all the same."""
    chat = Chat()
    assert "nothing to stop" in await chat.command("panic")
    assert ANN in chat.services.freezes.frozen


@pytest.mark.parametrize(("resting", "expected"), [(2, [CLAIM]), (0, [])])
async def test_the_watch_is_told_when_something_waited_for_a_price(
    resting: int, expected: list[Claim]
) -> None:
    """What the freeze has cancelled would be watched until its price is met, which may be never."""
    chat = Chat()
    chat.services.freezes.stopped = Stopped(resting=resting)
    await chat.command("panic")
    assert expected == chat.services.resting.looked_again


async def test_while_frozen_no_offer_is_made_and_the_first_pages_say_so() -> None:
    """Each with the way back."""
    chat = Chat()
    assert "frozen" not in await chat.command("start")
    await chat.command("panic")

    assert "You froze your trading" in await chat.command("buy BTC $100")
    assert {} == chat.services.trading.drafts
    assert ["Resume trading"] == [button.text for button in chat.buttons]
    assert "frozen since Nov 26, 2026, 12:00 UTC" in await chat.command("start")
    assert "frozen since" in await chat.command("portfolio")
    assert "frozen since" in await chat.command("orders")
    assert "You froze your trading" in await chat.command("limit buy BTC $100 at 60000")
    assert {} == chat.services.resting.orders


async def test_a_freeze_ends_by_a_second_press_only() -> None:
    """The first asks; staying frozen is the other answer."""
    chat = Chat()
    await chat.command("panic")
    assert "Trade again?" in await chat.press("Resume trading")
    assert "frozen since" in await chat.press("Stay frozen")
    assert ANN in chat.services.freezes.frozen

    await chat.command("panic off")
    assert "no longer frozen" in await chat.press("Resume trading")
    assert {} == chat.services.freezes.frozen
    assert "You get about" in await chat.command("buy BTC $100")
    assert "not frozen" in await chat.command("panic off")


async def test_what_asked_about_one_freeze_does_not_end_a_later_one() -> None:
    """An older question's button, nor a press that is replayed: it asks anew."""
    chat = Chat()
    await chat.command("panic")
    await chat.command("panic off")
    question = next(button for button in chat.buttons if button.text == "Resume trading")
    await chat.command("panic")
    text = await chat.say(Press(question.data, "panic:1", "p"))

    assert ANN in chat.services.freezes.frozen
    assert "Trade again?" in text
    assert "no longer frozen" in await chat.press("Resume trading")


@pytest.mark.parametrize("message_key", ["", "start:1", "draft:1"])
async def test_a_press_under_another_message_ends_no_freeze(message_key: str) -> None:
    """Only the question's own button does."""
    chat = Chat()
    await chat.command("panic")
    await chat.command("panic off")
    resume = next(button for button in chat.buttons if button.text == "Resume trading")
    await chat.say(Press(resume.data, message_key, "p"))

    assert ANN in chat.services.freezes.frozen
    assert chat.toast.alert


async def test_a_job_that_runs_again_freezes_under_its_own_id() -> None:
    """So that it can be answered as before."""
    chat = Chat()
    first = await chat.command("panic")
    assert first == await chat.again()
    assert 1 == len(set(chat.services.freezes.jobs))


def test_what_freezes_and_thaws_is_worked_as_the_inbox_has_it() -> None:
    """No stream's word is enough for it."""
    assert needs_proof(job_of(Command("panic"), seq=2))
    assert needs_proof(job_of(Press("panic:resume"), seq=2))
    assert not needs_proof(job_of(Command("price"), seq=2))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reason_of_what_a_freeze_gave_up_has_a_sentence(language: str) -> None:
    """In every language."""
    assert "/panic off" in refusals.sentence(texts_in(language), Refusal(Refused.FROZEN))
