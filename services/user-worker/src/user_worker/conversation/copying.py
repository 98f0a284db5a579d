"""/copy: copying another's trades, and letting others copy one's own.

    /copy                  both lists              `copy:stop:<copy>`, `copy:unshare`
    /copy share            what others would see   `copy:share`
    /copy stop sharing     no more
    /copy 7K3M-9Q2X        for how much a trade?   `copy:new:<code>:<amount>`
    /copy 7K3M-9Q2X $50    the offer               `copy:confirm:<copy>`, `copy:drop:<copy>`

An amount no purchase can be made for is refused at once, by the venue's word.
A code is all a follower ever learns of a leader, and a number is all a leader learns of followers.
"""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from kernel.identifiers import MalformedIdentifier, parse_uuid
from user_worker.conversation import anything_else, choosing, panic, refusals
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, change, rows_of, send
from user_worker.conversation.settings import slippage_of, slippage_said
from user_worker.conversation.texts import Texts
from user_worker.domain import rules
from user_worker.domain.amounts import Ambiguous, Unreadable, read_size, size_text
from user_worker.domain.jobs import Command, Press
from user_worker.domain.orders import Money, Refusal, Share, Units, read_receipt
from user_worker.domain.replies import Button, Reply
from user_worker.domain.rules import Copy, CopyProblem, CopyState, TooMany
from user_worker.domain.symbols import CURRENCY
from user_worker.errors import DependencyDown

KIND = "copy"
SHARE, UNSHARE = f"{KIND}:share", f"{KIND}:unshare"
PRESETS = ("$20", "$50", "$100", "$500")
_SHARE_WORDS = frozenset({"share", "teilen"})
_PRICE_SIDES = frozenset({"pricing", "venue"})
"""Dependencies whose outage is told at once: a price is asked for anew, not waited for."""
_STOP_WORDS = frozenset({"stop sharing", "stop", "unshare", "nicht mehr teilen", "stopp"})


async def answer(context: Context, command: Command) -> list[Reply]:
    """List, share, stop sharing, or go as far towards copying as what was typed allows."""
    words = " ".join(command.arguments.split())
    if not words:
        return send(context, await _list(context))
    if words.lower() in _SHARE_WORDS:
        return send(context, await _ask_to_share(context))
    if words.lower() in _STOP_WORDS:
        return send(context, await _unshare(context))
    code, _, amount = words.partition(" ")
    return send(context, await _begin(context, code, amount))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Share, offer, confirm or stop."""
    verb, *rest = press.data.split(":")[1:] or [""]
    if verb == "new":
        code, amount, *_ = [*rest, "", ""]
        return change(context, press, await _begin(context, code, amount))
    if press.data == SHARE and press.message_key.startswith(f"{KIND}:"):
        share = await context.services.shares.share(context.claim, context.job.user_id)
        return change(context, press, _shared(context.texts, share))
    if press.data == UNSHARE and press.message_key.startswith(f"{KIND}:"):
        return change(context, press, await _unshare(context))
    copy_id = _copy_id_of(rest)
    if copy_id is None or verb not in _CHANGES:
        return await anything_else.stale_press(context, press)
    return await _CHANGES[verb](context, press, copy_id)


async def _ask_to_share(context: Context) -> Page:
    texts = context.texts
    share = await context.services.shares.of_user(context.job.user_id)
    if share is not None:
        return _shared(texts, share)
    button = Button(texts.plain("button-share"), SHARE)
    return Page(KIND, texts.html("share-ask"), ((button,),))


def _shared(texts: Texts, share: rules.Share) -> Page:
    text = texts.html("share-code", code=share.code, followers=str(share.followers))
    return Page(KIND, text, ((Button(texts.plain("button-unshare"), UNSHARE),),))


async def _unshare(context: Context) -> Page:
    was_shared = await context.services.shares.stop(context.claim, context.job.user_id)
    return Page(KIND, context.texts.html("share-stopped" if was_shared else "share-none"))


async def _begin(context: Context, code: str, amount: str) -> Page:
    texts, known = context.texts, read_receipt(code)
    if known is None:
        return Page(KIND, texts.html("copy-usage"))
    match read_size(amount, "") if amount else None:
        case None:
            return _ask_amount(texts, known, [texts.html("copy-how-much")], PRESETS)
        case Units(value) | Money(value):
            return await _offer(context, known, value)
        case Ambiguous(grouped, decimal):
            readings = [size_text(Money(reading.value)) for reading in (grouped, decimal)]
            return _ask_amount(texts, known, [texts.html("amount-ambiguous")], readings)
        case Unreadable(problem):
            said = [texts.html(f"amount-{problem.value}", symbol=CURRENCY)]
            return _ask_amount(texts, known, [*said, texts.html("copy-how-much")], PRESETS)
        case Share():
            lines = [texts.html("copy-no-share"), texts.html("copy-how-much")]
            return _ask_amount(texts, known, lines, PRESETS)


def _ask_amount(texts: Texts, code: str, lines: list[str], amounts: Sequence[str]) -> Page:
    buttons = [Button(amount, f"{KIND}:new:{code}:{amount}") for amount in amounts]
    return Page(KIND, "\n".join(lines), rows_of(buttons, len(buttons)))


async def _offer(context: Context, code: str, spend: Decimal) -> Page:
    texts, user_id, copies = context.texts, context.job.user_id, context.services.copies
    offered: Copy | CopyProblem | Refusal | None
    offered = await copies.of_job(user_id, context.job.job_id)
    if offered is None:
        try:
            refusal = await context.services.resolver.spend_refused(spend)
        except DependencyDown as outage:
            if outage.dependency not in _PRICE_SIDES:
                raise
            return choosing.prices_away(context)
        if refusal is not None:
            lines = [refusals.sentence(texts, refusal), texts.html("copy-how-much")]
            return _ask_amount(texts, code, lines, PRESETS)
        offered = await copies.offer(
            *(context.claim, context.job.job_id, user_id, code, spend, await slippage_of(context))
        )
    if isinstance(offered, CopyProblem):
        return _problem(texts, offered)
    if isinstance(offered, Refusal):
        return _refused(texts, offered)
    return _offer_page(context, offered)


def _offer_page(context: Context, offered: Copy) -> Page:
    texts = context.texts
    fresh = texts.duration(context.services.copy_fresh_seconds)
    slippage = slippage_said(texts, offered.slippage_basis_points)
    lines = [
        texts.html("copy-offer", code=offered.code),
        "",
        texts.html("copy-buys", amount=texts.amount(offered.spend), currency=CURRENCY),
        texts.html("copy-sells"),
        texts.html("copy-rules", slippage=slippage, fresh=fresh),
        "",
        texts.html("copy-seen"),
        "",
        texts.html("plan-valid", until=texts.clock(offered.expires_at)),
    ]
    buttons = (
        Button(texts.plain("button-confirm"), f"{KIND}:confirm:{offered.copy_id}"),
        Button(texts.plain("button-cancel"), f"{KIND}:drop:{offered.copy_id}"),
    )
    return Page(KIND, "\n".join(lines), (buttons,))


async def _confirm(context: Context, press: Press, copy_id: UUID) -> list[Reply]:
    texts = context.texts
    came = await context.services.copies.confirm(
        context.claim, context.job.user_id, copy_id, texts.language
    )
    match came:
        case TooMany(limit):
            return change(context, press, Page(KIND, texts.html("copy-too-many", count=str(limit))))
        case CopyProblem() as problem:
            return change(context, press, _problem(texts, problem))
        case Refusal() as refusal:
            return change(context, press, _refused(texts, refusal))
        case Copy(state=CopyState.ACTIVE) as copy:
            text = texts.html("copy-active", code=copy.code)
            button = Button(texts.plain("button-copies"), f"do:{KIND}")
            return change(context, press, Page(KIND, text, ((button,),)))
        case Copy(state=state):
            return change(context, press, Page(KIND, texts.html(f"copy-{state.value}")))
        case None:
            return _not_yours(context, press)


async def _drop(context: Context, press: Press, copy_id: UUID) -> list[Reply]:
    copy = await context.services.copies.end(context.claim, context.job.user_id, copy_id)
    if copy is None:
        return _not_yours(context, press)
    return change(context, press, Page(KIND, context.texts.html("copy-dropped")))


async def _stop(context: Context, press: Press, copy_id: UUID) -> list[Reply]:
    copy = await context.services.copies.end(context.claim, context.job.user_id, copy_id)
    if copy is None:
        return _not_yours(context, press)
    toast = context.texts.plain("copy-stopped-short")
    return change(context, press, await _list(context), toast)


_CHANGES = {"confirm": _confirm, "drop": _drop, "stop": _stop}


def _not_yours(context: Context, press: Press) -> list[Reply]:
    return [answer_to(press, context.texts.plain("copy-not-yours"), alert=True)]


def _problem(texts: Texts, problem: CopyProblem) -> Page:
    return Page(KIND, f"{texts.html(f'copy-{problem.value}')} {texts.html('nothing-changed')}")


def _refused(texts: Texts, refusal: Refusal) -> Page:
    text = f"{refusals.sentence(texts, refusal)} {texts.html('nothing-changed')}"
    return Page(KIND, text)


async def _list(context: Context) -> Page:
    texts, services, user_id = context.texts, context.services, context.job.user_id
    share, copies = await services.shares.of_user(user_id), await services.copies.of_user(user_id)
    frozen = await panic.line(context)
    lines = [frozen] if frozen else []
    lines.append(texts.html("copy-list" if copies else "copy-none"))
    lines += [
        texts.html(
            "copy-line",
            number=str(number),
            code=copy.code,
            amount=texts.amount(copy.spend),
            currency=CURRENCY,
        )
        for number, copy in enumerate(copies, 1)
    ]
    if share is not None:
        followers = str(share.followers)
        lines += ["", texts.html("share-line", code=share.code, followers=followers)]
    lines += ["", texts.html("copy-usage")]
    buttons = [
        Button(texts.plain("button-copy-stop", number=str(number)), f"{KIND}:stop:{copy.copy_id}")
        for number, copy in enumerate(copies, 1)
    ]
    if share is not None:
        buttons.append(Button(texts.plain("button-unshare"), UNSHARE))
    return Page(KIND, "\n".join(lines), rows_of(buttons, 1))


def _copy_id_of(rest: list[str]) -> UUID | None:
    try:
        return parse_uuid(":".join(rest))
    except MalformedIdentifier:
        return None
