"""Many users of one bot: sends as a schedule says, and sees what the bot answers.

It lives in the simulated Telegram's own process: no connection stands between a user and their
chat, and what a phone would see is seen as the Bot API call is accepted. A latency counts from the
*intended* moment, so that a slow bot is not asked less and does not look better for it. Of a button
that moment is `THINK_SECONDS` after its card came.

An answer belongs to the oldest message of its user that it is a right answer to (`mix.ANSWERS`): a
bot may answer one user's messages in any order. What is a right answer to none is a refusal of the
oldest.
"""

import asyncio
import itertools
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tests.load.mix import ANSWERS, PENDING, SYMBOLS, TRADES, Kind, text_of
from tests.load.schedule import Arrival

from devbox.telegram.chats import Chat, StoredMessage
from devbox.telegram.server import Simulator
from devbox.telegram.shapes import Json

FIRST_USER = 10_000
LATE_SECONDS = 0.05
"""Sent later than this after its moment: then the driver was the bottleneck."""
SENDS_BEFORE_OTHERS = 20
"""Messages sent in a row before the rest of the process has its turn."""
THINK_SECONDS = 0.7
"""Between a card and the press of its button: a quick reader's. Faster than that no person is, and
a bot may then not know its own message's id yet."""
SALE_WORTH_MIN = 15
"""What a user must have bought, in USDT, to sell for less than 10 of it."""
SAMPLES_MAX = 5
WORTH = re.compile(r"([0-9][0-9,.]*) USDT")
"""What a card of a purchase says first of all amounts."""


@dataclass(slots=True, eq=False)
class Ask:
    """One message or press, and what came of it."""

    user: int
    kind: Kind
    intended: float
    """Monotonic seconds."""
    symbol: str
    cents: int
    answered: float | None = None
    is_refused: bool = False
    query_id: str = ""
    """Of a press."""

    @property
    def worth(self) -> Decimal:
        """Of a purchase, in USDT: no other purchase of the user is for as much."""
        return Decimal(2000 + self.cents) / 100


@dataclass(slots=True)
class Load:
    """What one schedule gave."""

    began: float
    """Monotonic seconds: the moment the schedule's times count from."""
    asks: list[Ask] = field(default_factory=list)
    late_sends: int = 0
    unasked: int = 0
    """Messages of the bot that nobody waited for: an answer given twice, or a notice."""
    refusals: Counter[str] = field(default_factory=Counter)
    """First lines of what was refused or unasked, the first few."""

    @property
    def unanswered(self) -> list[Ask]:
        """List what was never answered."""
        return [ask for ask in self.asks if ask.answered is None]

    @property
    def latencies(self) -> list[float]:
        """List the seconds each right answer took, in ascending order."""
        return sorted(
            ask.answered - ask.intended
            for ask in self.asks
            if ask.answered is not None and not ask.is_refused
        )

    @property
    def seconds(self) -> float:
        """Give the time from the begin to the last answer."""
        return max((ask.answered or 0.0 for ask in self.asks), default=self.began) - self.began


class Crowd:
    """The users of one simulated Telegram."""

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self._people = simulator.people
        self._clicks = simulator.world.clicks
        self._chance = random.Random(seed)
        self._waiting: dict[int, list[Ask]] = defaultdict(list)
        self._presses: dict[tuple[int, int], Ask] = {}
        self._bought: dict[int, dict[str, int]] = defaultdict(dict)
        self._purchases: dict[int, itertools.count[int]] = defaultdict(itertools.count)
        self._thinking = 0
        self._load = Load(time.monotonic())
        simulator.world.chats.on_changed = self._changed

    async def load(self, schedule: Sequence[Arrival], drain_seconds: float) -> Load:
        """Send everything at its moment, then wait until all is answered, `drain_seconds` at most.

        What an earlier load left unanswered is not waited for any more; when it is answered after
        all, it is known for what it is.
        """
        load = self._load = Load(time.monotonic() + 0.2)
        for number, arrival in enumerate(schedule):
            at = load.began + arrival.at
            wait = at - time.monotonic()
            if wait > 0 or number % SENDS_BEFORE_OTHERS == 0:
                await asyncio.sleep(max(0.0, wait))
            self._send(arrival, at)
        deadline = time.monotonic() + drain_seconds
        while time.monotonic() < deadline and self._is_waiting(load):  # noqa: ASYNC110  # others run
            await asyncio.sleep(0.02)
        self._settle_presses()
        return load

    def _is_waiting(self, load: Load) -> bool:
        return bool(self._thinking or load.unanswered)

    def _send(self, arrival: Arrival, at: float) -> None:
        kind, symbol = arrival.kind, self._chance.choice(SYMBOLS)
        if kind is Kind.SELL:
            held = self._bought[arrival.user]
            sellable = [name for name, worth in held.items() if worth >= SALE_WORTH_MIN]
            if sellable:
                symbol = sellable[0]
            else:
                kind = Kind.BUY
        cents = next(self._purchases[arrival.user]) if kind in TRADES else 0
        ask = Ask(arrival.user, kind, at, symbol, cents)
        self._load.asks.append(ask)
        self._load.late_sends += time.monotonic() - at > LATE_SECONDS
        self._waiting[arrival.user].append(ask)
        self._people.say(FIRST_USER + arrival.user, text_of(kind, symbol, cents))

    def _changed(self, chat: Chat, message: StoredMessage) -> None:
        user = chat.profile["id"] - FIRST_USER
        if user < 0 or not message.from_bot:
            return  # not one of the crowd, or what they say themselves
        said = message.content.get("text") or message.content.get("caption") or ""
        if PENDING.search(said):
            return  # the outcome follows
        if message.edited:
            press = self._presses.pop((user, message.message_id), None)
            if press is not None:
                self._answer(press, said)
            return
        waiting = [*self._waiting[user], *self._pressed_by(user)]
        if not waiting:
            self._load.unasked += 1
            self._sample(said)
            return
        ask = answered_by(said, waiting)
        if ask.kind is Kind.CONFIRM:
            self._presses = {at: press for at, press in self._presses.items() if press is not ask}
        else:
            self._waiting[user].remove(ask)
        self._answer(ask, said)
        if ask.kind in TRADES and not ask.is_refused:
            self._thinking += 1
            at = time.monotonic() + THINK_SECONDS
            asyncio.get_running_loop().call_later(THINK_SECONDS, self._press, ask, message, at)

    def _pressed_by(self, user: int) -> list[Ask]:
        """List whose receipt may come as a message of its own: the card could not be changed."""
        return [press for press in self._presses.values() if press.user == user]

    def _answer(self, ask: Ask, said: str) -> None:
        ask.answered = time.monotonic()
        ask.is_refused = not ANSWERS[ask.kind].search(said)
        if ask.is_refused:
            self._sample(said)
        elif ask.kind is Kind.CONFIRM:
            held = self._bought[ask.user]
            change = 20 if said.find("Bought") >= 0 else -10
            held[ask.symbol] = held.get(ask.symbol, 0) + change

    def _press(self, card: Ask, message: StoredMessage, at: float) -> None:
        self._thinking -= 1
        data = confirm_button(message.content)
        # The card is the authority: a refusal before it may have been taken for this one's.
        worth = WORTH.search(str(message.content.get("text", "")))
        ask = Ask(card.user, Kind.CONFIRM, at, card.symbol, card.cents)
        if card.kind is Kind.BUY and worth is not None:
            ask.cents = int(Decimal(worth[1].replace(",", "")) * 100) - 2000
        ask.query_id = self._people.click(
            FIRST_USER + card.user, message.message_id, data
        ).callback_query_id
        self._load.asks.append(ask)
        self._presses[card.user, message.message_id] = ask

    def _settle_presses(self) -> None:
        """A press may be answered by an alert alone: its moment is not known, that it was is."""
        for ask in self._presses.values():
            click = self._clicks.get(ask.query_id)
            if click is not None and click.answer is not None:
                ask.is_refused, ask.answered = True, ask.intended
                self._sample(str(click.answer["text"]))

    def _sample(self, said: str) -> None:
        line = said.partition("\n")[0][:60]
        if line in self._load.refusals or len(self._load.refusals) < SAMPLES_MAX:
            self._load.refusals[line] += 1


def answered_by(said: str, waiting: Sequence[Ask]) -> Ask:
    """Find which of a user's messages, oldest first, this answers. Pure.

    Cards of purchases may come in any order: their worth tells them apart.
    """
    right = [ask for ask in waiting if ANSWERS[ask.kind].search(said)]
    worth = WORTH.search(said)
    if worth is not None:
        value = Decimal(worth[1].replace(",", ""))
        right.sort(key=lambda ask: ask.kind is not Kind.BUY or ask.worth != value)
    return next(iter(right), waiting[0])


def confirm_button(content: Json) -> str:
    """Find the data of a card's button that confirms."""
    rows = content.get("reply_markup", {}).get("inline_keyboard", [])
    found = [str(button.get("callback_data", "")) for row in rows for button in row]
    return next(data for data in found if data.startswith("confirm:"))
