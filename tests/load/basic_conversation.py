"""The conversation both bots must hold, as a user has it: what the baseline must pass to be one.

It says nothing of words beyond what `mix.ANSWERS` takes for a right answer, so a load that counts
answers counts the same things of either bot.
"""

import asyncio
import time

from tests.load.crowd import confirm_button
from tests.load.mix import ANSWERS, Kind

from devbox.telegram.chats import StoredMessage
from devbox.telegram.server import Simulator

ANSWER_SECONDS_MAX = 30.0
"""Far more than an answer takes: a bot that was killed has to import itself first."""


class Talk:
    """One user and the bot."""

    def __init__(self, simulator: Simulator, user_id: int) -> None:
        self._simulator = simulator
        self._user_id = user_id

    async def ask(self, text: str, kind: Kind) -> StoredMessage:
        """Say something; the first new message that is a right answer of this kind."""
        sent = self._simulator.people.say(self._user_id, text)
        return await self.until(kind, after=sent.message_id)

    async def trade(self, text: str, kind: Kind) -> str:
        """Ask for a trade and confirm its card; the receipt."""
        card = await self.ask(text, kind)
        await asyncio.sleep(0.5)  # a person reads it first
        data = confirm_button(card.content)
        for _ in range(2):  # a nervous thumb
            self._simulator.people.click(self._user_id, card.message_id, data)
        receipt = await self.until(Kind.CONFIRM, after=card.message_id - 1)
        return said(receipt)

    async def until(self, kind: Kind, after: int) -> StoredMessage:
        """Wait for a right answer among the messages after an id, edits included."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while time.monotonic() < deadline:
            chat = self._simulator.world.chats.get(self._user_id)
            for message in [] if chat is None else chat.messages.values():
                is_new = message.from_bot and message.message_id > after
                if is_new and ANSWERS[kind].search(said(message)):
                    return message
            await asyncio.sleep(0.02)
        raise AssertionError(f"no answer of the kind {kind}")


def said(message: StoredMessage) -> str:
    """Give the text, or the caption, of a message."""
    return str(message.content.get("text") or message.content.get("caption") or "")


async def converse(simulator: Simulator, user_id: int) -> None:
    """Hold the conversation; AssertionError when the bot does not keep up its part."""
    talk = Talk(simulator, user_id)
    welcome = said(await talk.ask("/start", Kind.START))
    assert "10,000" in welcome
    assert "0x" in welcome
    await talk.ask("/help", Kind.HELP)
    assert "64,000" in said(await talk.ask("/price BTC", Kind.PRICE))
    assert "3,100" in said(await talk.ask("eth", Kind.TICKER))
    await talk.ask("/history", Kind.HISTORY)

    assert "Bought" in await talk.trade("/buy BTC $100", Kind.BUY)
    portfolio = said(await talk.ask("/portfolio", Kind.PORTFOLIO))
    assert "BTC" in portfolio
    assert "9,900" in portfolio
    assert "Sold" in await talk.trade("/sell BTC 50%", Kind.SELL)
    history = said(await talk.ask("/history", Kind.HISTORY))
    assert (history.count("Bought"), history.count("Sold")) == (1, 1)
