"""/dca: purchases that repeat, from the first word to the list with its buttons.

    /dca                        the list        `dca:<pause|resume|cancel>:<plan>` in place
    /dca $50 BTC                how often?      `dca:new:<symbol>:<size>:<seconds>:<times>`
    /dca $50 BTC daily          the offer       `dca:confirm:<plan>`, `dca:drop:<plan>`

Whose plan it is, whether it can still be confirmed and when it runs is decided in the database. The
offer asks the venue what the purchase would do now, so that one it would never take is refused at
once; what it costs then is the price of then.
"""

from uuid import UUID

from kernel.identifiers import MalformedIdentifier, parse_uuid
from user_worker.conversation import anything_else, choosing, panic, refusals
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, change, rows_of, send
from user_worker.conversation.plan_words import PERIODS, patience_said, period_said, what_said
from user_worker.conversation.settings import slippage_of, slippage_said
from user_worker.domain.amounts import Ambiguous, Unreadable, read_size, size_text, told_apart
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Money, Refusal, Refused, Share, Side, Size, Units, Wish
from user_worker.domain.plan_words import PERIOD_SECONDS_MAX, RUNS_MAX, AskedPlan, read_plan
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.domain.rules import Plan, PlanState, TooMany
from user_worker.domain.symbols import Found, find_symbol
from user_worker.errors import DependencyDown
from user_worker.trading_ports import Offer

KIND = "dca"
_DATA_BYTES_MAX = 64
_PRICE_SIDES = frozenset({"pricing", "venue"})


async def answer(context: Context, command: Command) -> list[Reply]:
    """List the plans, or go as far towards one as what was typed allows."""
    if not command.arguments.strip():
        return send(context, await _list(context))
    return send(context, await _begin(context, read_plan(command.arguments)))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Offer, confirm or change a plan."""
    verb, *rest = press.data.split(":")[1:] or [""]
    if verb == "new":
        size, period, runs, *_ = [*rest[1:], "", "", ""]
        plan = AskedPlan(f"{rest[0] if rest else ''} {size}", _number(period), _number(runs))
        return change(context, press, await _begin(context, plan))
    plan_id = _plan_id_of(rest)
    if plan_id is None or verb not in _CHANGES:
        return await anything_else.stale_press(context, press)
    return await _CHANGES[verb](context, press, plan_id)


async def _begin(context: Context, asked: AskedPlan) -> Page:
    texts = context.texts
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    words = told_apart(asked.order, instruments)
    size = read_size(words.amount, words.symbol.upper().lstrip("$#")) if words.amount else None
    if size is None or not words.symbol:
        return Page(KIND, texts.html("plan-usage"))
    found = find_symbol(words.symbol, instruments.keys())
    if not isinstance(found, Found):
        readable = None if isinstance(size, Unreadable | Ambiguous) else size
        return choosing.not_found(
            context, words.symbol, found, lambda symbol: _data(symbol, readable, asked)
        )
    if isinstance(size, Unreadable):
        problem = texts.html(f"amount-{size.problem.value}", symbol=found.symbol)
        return Page(KIND, f"{problem}\n{texts.html('plan-usage')}")
    if isinstance(size, Ambiguous):
        return _which_reading(context, found.symbol, size, asked)
    if isinstance(size, Share):
        return Page(KIND, texts.html("plan-no-share"))
    if asked.period_seconds is None:
        return _ask_period(context, found.symbol, size, asked)
    return await _sized(context, Wish(Side.BUY, found.symbol, size), asked)


async def _sized(context: Context, wish: Wish, asked: AskedPlan) -> Page:
    texts, least = context.texts, context.services.plan_period_min_seconds
    period = asked.period_seconds or 0
    if not least <= period <= PERIOD_SECONDS_MAX:
        bounds = {"least": texts.duration(least), "most": texts.duration(PERIOD_SECONDS_MAX)}
        return Page(KIND, texts.html("plan-period-bounds", **bounds))
    if asked.runs is not None and not 1 <= asked.runs <= RUNS_MAX:
        return Page(KIND, texts.html("plan-runs-bounds", most=str(RUNS_MAX)))
    return await _offer(context, wish, period, asked.runs)


async def _offer(context: Context, wish: Wish, period: int, runs: int | None) -> Page:
    services, user_id, job_id = context.services, context.job.user_id, context.job.job_id
    if await services.freezes.frozen_since(user_id) is not None:
        return refusals.page(context, wish, Refusal(Refused.FROZEN))
    before = await services.plans.of_job(user_id, job_id)
    if before is not None:
        return _offer_page(context, before, None)
    slippage = await slippage_of(context)
    try:
        resolved = await services.resolver.resolve(wish, slippage)
    except DependencyDown as outage:
        if outage.dependency not in _PRICE_SIDES:
            raise
        return choosing.prices_away(context)
    if isinstance(resolved, Refusal):
        return refusals.page(context, wish, resolved)
    plan = await services.plans.offer(context.claim, job_id, user_id, wish, slippage, period, runs)
    if isinstance(plan, Refusal):
        return refusals.page(context, wish, plan)
    return _offer_page(context, plan, resolved)


def _offer_page(context: Context, plan: Plan, resolved: Offer | None) -> Page:
    texts, wish = context.texts, plan.wish
    period = period_said(texts, plan.period_seconds)
    lines = [
        texts.html("plan-offer", what=what_said(texts, wish.symbol, wish.size), period=period),
        "",
        texts.html("plan-first"),
        texts.html("plan-no-end")
        if plan.runs_max is None
        else texts.html("plan-times", count=str(plan.runs_max)),
        texts.html(
            "plan-rules",
            slippage=slippage_said(texts, plan.slippage_basis_points),
            patience=patience_said(texts, plan.period_seconds),
        ),
        "",
        texts.html("plan-valid", until=texts.clock(plan.expires_at)),
    ]
    if resolved is not None:
        amount = texts.about(resolved.terms.receive.value)
        lines.insert(2, texts.html("plan-about", amount=amount, symbol=wish.symbol))
        if resolved.is_simulated:
            lines.append(texts.html("simulated-price"))
    buttons = (
        Button(texts.plain("button-confirm"), f"{KIND}:confirm:{plan.plan_id}"),
        Button(texts.plain("button-cancel"), f"{KIND}:drop:{plan.plan_id}"),
    )
    return Page(KIND, "\n".join(lines), (buttons,))


async def _confirm(context: Context, press: Press, plan_id: UUID) -> list[Reply]:
    texts = context.texts
    came = await context.services.plans.confirm(
        context.claim, context.job.user_id, plan_id, texts.language
    )
    match came:
        case TooMany(limit):
            return change(context, press, Page(KIND, texts.html("plan-too-many", count=str(limit))))
        case Refusal() as refusal:
            text = f"{refusals.sentence(texts, refusal)} {texts.html('nothing-changed')}"
            return change(context, press, Page(KIND, text))
        case Plan(state=PlanState.ACTIVE) as plan:
            text = texts.html(
                "plan-active",
                what=what_said(texts, plan.wish.symbol, plan.wish.size),
                period=period_said(texts, plan.period_seconds),
            )
            return change(context, press, Page(KIND, text, _to_list(texts.plain("button-plans"))))
        case Plan(state=state):
            text = texts.html(f"plan-{state.value}")
            return change(context, press, Page(KIND, text, _to_list(texts.plain("button-plans"))))
        case None:
            return _not_yours(context, press)


async def _drop(context: Context, press: Press, plan_id: UUID) -> list[Reply]:
    plan = await context.services.plans.cancel(context.claim, context.job.user_id, plan_id)
    if plan is None:
        return _not_yours(context, press)
    return change(context, press, Page(KIND, context.texts.html("plan-dropped")))


async def _pause(context: Context, press: Press, plan_id: UUID) -> list[Reply]:
    plan = await context.services.plans.pause(context.claim, context.job.user_id, plan_id)
    return await _changed(context, press, plan)


async def _cancel(context: Context, press: Press, plan_id: UUID) -> list[Reply]:
    plan = await context.services.plans.cancel(context.claim, context.job.user_id, plan_id)
    return await _changed(context, press, plan)


async def _resume(context: Context, press: Press, plan_id: UUID) -> list[Reply]:
    plan = await context.services.plans.resume(context.claim, context.job.user_id, plan_id)
    return await _changed(context, press, plan)


_CHANGES = {
    "confirm": _confirm,
    "drop": _drop,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
}


async def _changed(context: Context, press: Press, plan: Plan | Refusal | None) -> list[Reply]:
    if plan is None:
        return _not_yours(context, press)
    key = "refused-frozen-short" if isinstance(plan, Refusal) else f"plan-{plan.state.value}-short"
    return change(context, press, await _list(context), context.texts.plain(key))


def _not_yours(context: Context, press: Press) -> list[Reply]:
    return [answer_to(press, context.texts.plain("plan-not-yours"), alert=True)]


async def _list(context: Context) -> Page:
    texts = context.texts
    plans = await context.services.plans.of_user(context.job.user_id)
    frozen = await panic.line(context)
    lines = [*([frozen] if frozen else []), texts.html("plan-list" if plans else "plan-none")]
    lines += [_line(context, number, plan) for number, plan in enumerate(plans, 1)]
    lines += ["", texts.html("plan-usage")]
    buttons = [_row(context, number, plan) for number, plan in enumerate(plans, 1)]
    return Page(KIND, "\n".join(lines), tuple(buttons))


def _line(context: Context, number: int, plan: Plan) -> str:
    texts = context.texts
    is_paused = plan.state is PlanState.PAUSED or plan.next_at is None
    return texts.html(
        "plan-line-paused" if is_paused else "plan-line",
        number=str(number),
        what=what_said(texts, plan.wish.symbol, plan.wish.size),
        period=period_said(texts, plan.period_seconds),
        runs=str(plan.runs)
        if plan.runs_max is None
        else texts.plain("plan-runs-of", runs=str(plan.runs), most=str(plan.runs_max)),
        **({} if is_paused or plan.next_at is None else {"next": texts.moment(plan.next_at)}),
    )


def _row(context: Context, number: int, plan: Plan) -> tuple[Button, ...]:
    verb = "resume" if plan.state is PlanState.PAUSED else "pause"
    return tuple(
        Button(
            context.texts.plain(f"button-plan-{verb}", number=str(number)),
            f"{KIND}:{verb}:{plan.plan_id}",
        )
        for verb in (verb, "cancel")
    )


def _to_list(text: str) -> Keyboard:
    return ((Button(text, f"do:{KIND}"),),)


def _which_reading(context: Context, symbol: str, size: Ambiguous, asked: AskedPlan) -> Page:
    buttons = [
        Button(what_said(context.texts, symbol, reading), _data(symbol, reading, asked))
        for reading in (size.grouped, size.decimal)
    ]
    return Page(KIND, context.texts.html("amount-ambiguous"), rows_of(buttons, 2))


def _ask_period(context: Context, symbol: str, size: Units | Money, asked: AskedPlan) -> Page:
    texts = context.texts
    buttons = [
        Button(period_said(texts, seconds), _data(symbol, size, AskedPlan("", seconds, asked.runs)))
        for seconds in PERIODS
    ]
    text = texts.html("plan-how-often", what=what_said(texts, symbol, size))
    return Page(KIND, text, rows_of(buttons, len(buttons)))


def _data(symbol: str, size: Size | None, asked: AskedPlan) -> str:
    amount = "" if size is None else size_text(size)
    data = f"{KIND}:new:{symbol}:{amount}:{asked.period_seconds or ''}:{asked.runs or ''}"
    return data if len(data.encode()) <= _DATA_BYTES_MAX else f"{KIND}:new:{symbol}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _plan_id_of(rest: list[str]) -> UUID | None:
    try:
        return parse_uuid(":".join(rest))
    except MalformedIdentifier:
        return None
