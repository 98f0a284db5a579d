"""/dca and /copy: what is understood, offered, listed and refused."""

from decimal import Decimal

import pytest
from tests.unit.user_worker.conversing import Chat
from tests.unit.user_worker.fakes import ANN, BEN, job_of

from user_worker.conversation.book import needs_proof
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Money, Refusal, Refused, Side, Units, Wish
from user_worker.domain.plan_words import AskedPlan, read_plan
from user_worker.domain.replies import EditText
from user_worker.domain.rules import CopyProblem, CopyState, Plan, PlanState, TooMany
from user_worker.errors import DependencyDown

BUY_50 = Wish(Side.BUY, "BTC", Money(Decimal(50)))
CODE = "7K3M-9Q2X"


def plan_of(chat: Chat) -> Plan:
    """The only plan."""
    (plan,) = chat.services.plans.plans.values()
    return plan


@pytest.mark.parametrize(
    ("typed", "order", "period", "runs"),
    [
        ("$50 BTC daily", "$50 BTC", 86_400, None),
        ("BTC $50 every 6 hours", "BTC $50", 21_600, None),
        ("every week 0.001 btc 10 times", "0.001 btc", 604_800, 10),
        ("$50 BTC täglich 5x", "$50 BTC", 86_400, 5),
        ("$50 BTC jeden Tag 5 mal", "$50 BTC", 86_400, 5),
        ("$50 BTC alle 6 Stunden", "$50 BTC", 21_600, None),
        ("$50 BTC alle 2 Wochen", "$50 BTC", 1_209_600, None),
        ("$50 btc 12h", "$50 btc", 43_200, None),
        ("$50 btc every 90s", "$50 btc", 90, None),
        ("$50 BTC", "$50 BTC", None, None),
        ("alle BTC", "alle BTC", None, None),
        ("$50 BTC TÄGLICH", "$50 BTC", 86_400, None),
        ("$50 BTC da\u0130ly", "$50 BTC da\u0130ly", None, None),
        ("$50 BTC \u017ftündlich", "$50 BTC \u017ftündlich", None, None),
        ("$50 BTC 90\u017f", "$50 BTC 90\u017f", None, None),
        ("$50 BTC every 90 \u017fec", "$50 BTC every 90 \u017fec", None, None),
        ("", "", None, None),
    ],
)
def test_a_plan_is_told_apart(typed: str, order: str, period: int | None, runs: int | None) -> None:
    """How often and how many times, in any place and both languages."""
    assert AskedPlan(order, period, runs) == read_plan(typed)


async def test_a_plan_in_one_line_is_offered_and_confirmed_by_a_press() -> None:
    """What it buys, how often, for how long and under which rules."""
    chat = Chat()
    text = await chat.command("dca $50 BTC daily 10 times")
    for part in (
        "BTC for 50 USDT every day",
        "10 purchases",
        "0.0005 BTC",
        "60 minutes",
        "Simulated",
    ):
        assert part in text
    assert (BUY_50, 86_400, 10, PlanState.OFFERED) == (
        *(plan_of(chat).wish, plan_of(chat).period_seconds),
        *(plan_of(chat).runs_max, plan_of(chat).state),
    )
    assert "active" in await chat.press("✓ Confirm")
    assert PlanState.ACTIVE is plan_of(chat).state
    assert isinstance(chat.messages[0], EditText)


async def test_a_job_that_runs_again_offers_the_same_plan() -> None:
    """Though the price is away by now."""
    chat = Chat()
    await chat.command("dca 0.001 BTC weekly")
    chat.services.resolver.failure = DependencyDown("venue", "down")
    assert "0.001 BTC every week" in await chat.again()
    assert Wish(Side.BUY, "BTC", Units(Decimal("0.001"))) == plan_of(chat).wish


async def test_how_often_is_asked_by_buttons() -> None:
    """In the place of the question; nothing is lost on the way."""
    chat = Chat()
    assert "how often" in await chat.command("dca $50 bitcoin 3 times")
    assert ["every hour", "every day", "every week"] == [b.text for b in chat.buttons]
    await chat.press("every week")

    assert (BUY_50, 604_800, 3) == (
        *(plan_of(chat).wish, plan_of(chat).period_seconds),
        plan_of(chat).runs_max,
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dca BTC daily", "Try <code>/dca"),
        ("dca daily", "Try <code>/dca"),
        ("dca $50 daily", "Try <code>/dca"),
        ("dca 50% BTC daily", "fixed amount"),
        ("dca $-5 BTC daily", "below zero"),
        ("dca $1,234 BTC daily", "two ways"),
        ("dca $50 NOPE daily", "Nothing called"),
        ("dca $50 BTC every 5 minutes", "too often"),
        ("dca $50 BTC every 9 weeks", "too often or too seldom"),
        ("dca $50 BTC daily 0 times", "1 to 10000"),
        ("dca $50 BTC daily 10001 times", "1 to 10000"),
    ],
)
async def test_what_is_no_plan_is_answered_and_nothing_is_kept(line: str, said: str) -> None:
    """With what would be one."""
    chat = Chat()
    assert said in await chat.command(line)
    assert {} == chat.services.plans.plans


async def test_what_the_venue_would_refuse_is_not_offered() -> None:
    """Nor anything while prices are away or trading is frozen."""
    chat = Chat()
    chat.services.resolver.refusal = Refusal(Refused.TOO_SMALL, Decimal(5), "USDT")
    assert "the least is 5 USDT" in await chat.command("dca $1 BTC daily")
    chat.services.resolver.failure = DependencyDown("venue", "down")
    assert "cannot get at the prices" in await chat.command("dca $50 BTC daily")
    chat.services.resolver.failure = None
    await chat.command("panic")
    assert "You froze your trading" in await chat.command("dca $50 BTC daily")

    assert {} == chat.services.plans.plans
    assert "frozen since" in await chat.command("dca")


async def test_plans_are_listed_with_buttons_that_change_them_in_place() -> None:
    """Pause, resume, cancel."""
    chat = Chat()
    assert "You have no plans" in await chat.command("dca")
    await chat.command("dca $50 BTC daily 10 times")
    await chat.press("✓ Confirm")
    assert "made: 0 of 10 · next: Nov 27, 2026, 12:00 UTC" in await chat.press("Plans")
    assert "paused" in await chat.press("⏸ Pause 1")
    assert "Paused." == chat.toast.text
    assert "next" in await chat.press("▶ Resume 1")
    assert "You have no plans" in await chat.press("✗ Cancel 1")

    assert PlanState.CANCELLED is plan_of(chat).state


async def test_a_dropped_offer_and_one_too_many_are_said() -> None:
    """Nothing is active then."""
    chat = Chat()
    await chat.command("dca $50 BTC daily")
    chat.services.plans.plans_max = 0
    assert "more there may not be" in await chat.press("✓ Confirm")
    await chat.command("dca $50 BTC daily")
    assert "Withdrawn" in await chat.press("Cancel")
    assert [] == list(await chat.services.plans.of_user(ANN))


@pytest.mark.parametrize("kind", ["dca", "copy"])
@pytest.mark.parametrize(
    "rest", ["", ":", ":confirm", ":confirm:nonsense", ":pause:{ben}", ":new", ":new:::", ":🤡:1:2"]
)
async def test_invented_presses_change_nothing(kind: str, rest: str) -> None:
    """Whatever is pressed, it is answered."""
    ben = Chat(user_id=BEN)
    await ben.command("dca $50 BTC daily")
    chat = Chat(services=ben.services)
    plan = plan_of(ben)
    await chat.say(Press(kind + rest.format(ben=plan.plan_id), f"{kind}:1", "p"))

    assert plan == plan_of(ben)
    assert "p" == chat.toast.press_id


async def test_sharing_is_explained_before_and_gives_a_code() -> None:
    """What others see is said; the code is found again."""
    chat = Chat()
    text = await chat.command("copy share")
    assert "Nobody sees who you are" in text
    assert {} == chat.services.shares.shares
    text = await chat.press("Share my trades")
    code = chat.services.shares.shares[ANN].code
    assert f"<code>{code}</code>" in text
    assert code in await chat.command("copy share")
    assert code in await chat.command("copy")
    assert "Nobody can copy you any more" in await chat.command("copy stop sharing")
    assert "not sharing" in await chat.command("copy stop sharing")


async def test_a_copy_is_offered_confirmed_listed_and_stopped() -> None:
    """Both sides' view is said in the offer."""
    chat = Chat()
    text = await chat.command("copy 7k3m9q2x $50")
    for part in (CODE, "50 USDT", "You see their trades", "and nothing of you", "10 minutes"):
        assert part in text
    assert f"You copy {CODE}" in await chat.press("✓ Confirm")
    assert f"1. {CODE}, 50 USDT" in await chat.press("Copying")
    assert "You copy nobody" in await chat.press("✗ Stop 1")
    (copy,) = chat.services.copies.copies.values()
    assert (CopyState.ENDED, Decimal(50)) == (copy.state, copy.spend)


async def test_for_how_much_is_asked_by_buttons() -> None:
    """A plain number is money here; a share of something is not understood."""
    chat = Chat()
    assert "For how much" in await chat.command(f"copy {CODE}")
    assert "50 USDT" in await chat.press("$50")
    assert "70 USDT" in await chat.command(f"copy {CODE} 70")
    assert "fixed amount" in await chat.command(f"copy {CODE} 50%")
    assert "two ways" in await chat.command(f"copy {CODE} $1,234")
    assert "1,234 USDT" in await chat.press("$1234")
    assert "cannot read that" in await chat.command(f"copy {CODE} much")
    assert "/copy share" in await chat.command("copy zzz $50")


async def test_an_amount_no_purchase_can_be_made_for_is_not_offered() -> None:
    """The least is named and others are one press away; nor is anything while prices are away."""
    chat = Chat()
    chat.services.resolver.refusal = Refusal(Refused.TOO_SMALL, Decimal(1), "USDT")
    text = await chat.command(f"copy {CODE} $0.0000001")
    assert "the least is 1 USDT" in text
    assert "$20" in [button.text for button in chat.buttons]
    chat.services.resolver.refusal = None
    chat.services.resolver.failure = DependencyDown("venue", "down")
    assert "cannot get at the prices" in await chat.press("$20")
    chat.services.resolver.failure = DependencyDown("database", "down")
    with pytest.raises(DependencyDown):
        await chat.command(f"copy {CODE} $50")
    assert {} == chat.services.copies.copies


async def test_a_job_that_runs_again_offers_the_same_copy() -> None:
    """Though the price is away by now."""
    chat = Chat()
    await chat.command(f"copy {CODE} $50")
    chat.services.resolver.failure = DependencyDown("venue", "down")
    assert "50 USDT" in await chat.again()
    assert 1 == len(chat.services.copies.copies)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "more than 2 minutes old"), ("de", "mehr als 2 Minuten alt")]
)
async def test_how_old_a_trade_may_be_is_said_as_it_is_configured(language: str, said: str) -> None:
    """In the offer."""
    chat = Chat(language_code=language)
    chat.services.copy_fresh_seconds = 120.0
    assert said in await chat.command(f"copy {CODE} $50")


@pytest.mark.parametrize("problem", CopyProblem)
async def test_why_nobody_is_copied_is_said(problem: CopyProblem) -> None:
    """When offered, or when confirmed."""
    chat = Chat()
    chat.services.copies.answer = problem
    assert "Nothing was changed" in await chat.command(f"copy {CODE} $50")
    chat.services.copies.answer = None
    await chat.command(f"copy {CODE} $50")
    chat.services.copies.answer = problem
    assert "Nothing was changed" in await chat.press("✓ Confirm")


@pytest.mark.parametrize("answer", [TooMany(5), Refusal(Refused.FROZEN)])
async def test_a_copy_past_a_limit_or_frozen_is_refused(answer: TooMany | Refusal) -> None:
    """With a sentence."""
    chat = Chat()
    await chat.command(f"copy {CODE} $50")
    chat.services.copies.answer = answer
    text = await chat.press("✓ Confirm")

    assert ("5 others" if isinstance(answer, TooMany) else "froze your trading") in text


def test_what_changes_plans_and_copies_is_worked_as_the_inbox_has_it() -> None:
    """Its buttons, and the command that may stop sharing at once."""
    for what in (Press("dca:confirm:1"), Press("copy:share"), Command("copy", "stop sharing")):
        assert needs_proof(job_of(what, seq=2))
    assert not needs_proof(job_of(Command("dca", "$50 BTC daily"), seq=2))
