"""The list of commands and buttons, and who answers what.

A new command is a module with an `answer` beside this one, a line in COMMANDS, a place in
`manual.GROUPS` and its `help-<name>` in every language. A module with buttons gives their data as
`<kind>:<rest>` and stands in PRESSES under its kind. A button `do:<command>` says a command.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kernel.sharding import Claim
from user_worker.conversation import (
    alerts,
    anything_else,
    buying,
    cancelling,
    card,
    chart,
    confirming,
    copying,
    dca,
    forgetting,
    history,
    language,
    manual,
    open_orders,
    panic,
    portfolio,
    profit,
    receipt,
    resting,
    resting_offer,
    resting_pages,
    settings,
    start,
    typed,
)
from user_worker.conversation.context import CommandHandler, Context, PressHandler, Services
from user_worker.conversation.page import answer_to
from user_worker.conversation.texts import fitting_language, texts_in
from user_worker.domain.jobs import Command, Job, Press, Text, Unsupported
from user_worker.domain.replies import Reply, SendText
from user_worker.ports import Preferences

COMMANDS: Mapping[str, CommandHandler] = MappingProxyType(
    {
        "start": start.answer,
        "price": card.answer,
        "buy": buying.answer_buy,
        "sell": buying.answer_sell,
        "limit": resting.answer_limit,
        "stop": resting.answer_stop,
        "tp": resting.answer_take_profit,
        "alerts": alerts.answer,
        "orders": open_orders.answer,
        "portfolio": portfolio.answer,
        "profit": profit.answer,
        "history": history.answer,
        "receipt": receipt.answer,
        "chart": chart.answer,
        "settings": settings.answer,
        "language": language.answer,
        "cancel": cancelling.answer,
        "panic": panic.answer,
        "dca": dca.answer,
        "copy": copying.answer,
        "forget": forgetting.answer,
        "help": manual.answer,
    }
)
SAID_BY_BUTTONS = frozenset(
    {"start", "portfolio", "profit", "history", "orders", "dca", "copy", "help"}
)
"""Commands that a `do:` button may say: none of them trades or erases anything."""


async def _said_by_button(context: Context, press: Press) -> list[Reply]:
    name = press.data.partition(":")[2]
    if name not in SAID_BY_BUTTONS:
        return await anything_else.stale_press(context, press)
    return [*await COMMANDS[name](context, Command(name)), answer_to(press)]


PRESSES: Mapping[str, PressHandler] = MappingProxyType(
    {
        "do": _said_by_button,
        card.KIND: card.pressed,
        card.BELOW: card.pressed_below,
        "buy": buying.pressed_side,
        "sell": buying.pressed_side,
        buying.SIZE: buying.pressed_size,
        confirming.CONFIRM: confirming.pressed_confirm,
        confirming.CANCEL: confirming.pressed_cancel,
        confirming.AGAIN: confirming.pressed_again,
        "limit": resting.pressed_words,
        "stop": resting.pressed_words,
        "tp": resting.pressed_words,
        resting_pages.REST: resting_offer.pressed_rest,
        resting_pages.UNREST: resting_offer.pressed_unrest,
        alerts.COMMAND: alerts.pressed_words,
        alerts.REMOVE: alerts.pressed_remove,
        open_orders.KIND: open_orders.pressed,
        receipt.KIND: receipt.pressed,
        portfolio.KIND: portfolio.pressed,
        history.KIND: history.pressed,
        chart.KIND: chart.pressed,
        settings.KIND: settings.pressed,
        language.KIND: language.pressed,
        forgetting.KIND: forgetting.pressed,
        panic.KIND: panic.pressed,
        dca.KIND: dca.pressed,
        copying.KIND: copying.pressed,
    }
)

PROVEN_PRESSES = frozenset(
    {
        confirming.CONFIRM,
        resting_pages.REST,
        resting_pages.UNREST,
        alerts.REMOVE,
        forgetting.KIND,
        settings.KIND,
        panic.KIND,
        dca.KIND,
        copying.KIND,
    }
)
"""The kinds of buttons that move money or stop it, bound what an order may cost, or erase."""
PROVEN_COMMANDS = frozenset({"panic", "copy"})
"""Commands that may do such a thing at once."""
FIRST_SEQ = 1


def needs_proof(job: Job) -> bool:
    """Say whether a job is worked only as the inbox has it, so that no stream's word is enough.

    Besides PROVEN_PRESSES and PROVEN_COMMANDS that is a user's first job. It gives him his place in
    wallet and books, in the job's shard and for good; and since a shard's line of users it does not
    know begins with the first job, none but that can be invented for another shard's user.
    """
    if job.user_seq == FIRST_SEQ:
        return True
    match job.input:
        case Press(data):
            return data.partition(":")[0] in PROVEN_PRESSES
        case Command(name):
            return name in PROVEN_COMMANDS
        case _:
            return False


class Conversation:
    """Answers jobs. Keeps nothing between them."""

    def __init__(
        self,
        services: Services,
        commands: Mapping[str, CommandHandler] = COMMANDS,
        presses: Mapping[str, PressHandler] = PRESSES,
    ) -> None:
        self._services = services
        self._commands = commands
        self._presses = presses

    async def answer(self, job: Job, claim: Claim, preferences: Preferences) -> list[Reply]:
        """Work a job and give what to say. Raises whatever its handler raises."""
        chosen = await preferences.language(job.user_id)
        context = Context(
            job=job,
            claim=claim,
            texts=texts_in(fitting_language(chosen, job.language_code)),
            services=self._services,
            preferences=preferences,
        )
        match job.input:
            case Command() as command:
                handle = self._commands.get(command.name, anything_else.unknown_command)
                return await handle(context, command)
            case Press() as press:
                kind = press.data.partition(":")[0]
                return await self._presses.get(kind, anything_else.stale_press)(context, press)
            case Text() as text:
                return await typed.answer(context, text)
            case Unsupported() as thing:
                return await anything_else.unsupported(context, thing)

    async def see_through(self, job: Job, claim: Claim) -> None:
        """See to what a job that is set aside may have begun: nobody else tells of it.

        May raise DependencyDown, ClaimLost.
        """
        match job.input:
            case Press(data) if data.partition(":")[0] == confirming.CONFIRM:
                draft_id = confirming.draft_of(data)
                if draft_id is not None:
                    await self._services.trading.tell_of(claim, job.user_id, draft_id)
            case Press(data) if data.partition(":")[0] == resting_pages.REST:
                order_id = resting_offer.order_of(data)
                if order_id is not None:
                    await self._services.resting.tell_of(claim, job.user_id, order_id)
            case _:
                return


def apology(job: Job, language: str | None) -> list[Reply]:
    """Say politely that a job could not be worked; names no cause."""
    texts = texts_in(fitting_language(language, job.language_code))
    return [SendText(texts.html("apology", reference=str(job.job_id)))]
