"""People who trade: each does one thing at a time and waits for its answer, as people do.

The crowd acts at a steady rate, whoever is idle; a person who is not answered loses patience after
a while and does something else later, which changes nothing about what was sent: it must be worked.
"""

import asyncio
import itertools
import math
import random
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.chaos.telegram import Telegram
from tests.history.records import Heard

PATIENCE_SECONDS = 40.0
"""Longer than any recovery that is promised."""
READING_SECONDS = (0.3, 0.8)
"""Before a button is pressed; a press in the same millisecond is no person's."""
SIGN_UPS_PER_SECOND = 20.0
CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}")
PLANNING_EACH, PLAN_PERIOD_SECONDS = 20, 20
"""Every so many have a plan, which buys so often."""
COPYING_EACH, FOLLOWERS = 20, 2
"""Of every so many one is copied by the next ones."""
PLACING_AT_ONCE_MAX = 16
SYMBOLS = ("BTC", "ETH", "SOL")
BUY, SELL = "/buy {symbol} ${amount}", "/sell 50% {symbol}"


@dataclass(slots=True)
class Deeds:
    """What the crowd did."""

    done: dict[str, int] = field(default_factory=dict)
    impatient: int = 0
    """How often nobody answered in time."""
    rules: int = 0
    """Plans and copies that were confirmed."""
    resting: int = 0
    """Orders that were placed to wait for a price."""
    nobody_idle: int = 0
    """How often it was somebody's turn and everybody still waited."""


class Crowd:
    """All the people of a run."""

    def __init__(
        self,
        telegram: Telegram,
        users: Sequence[int],
        prices: Mapping[str, Decimal],
        seed: int,
    ) -> None:
        """Take the `prices` as those of the moment, whenever they are looked at."""
        self.deeds = Deeds()
        self._telegram = telegram
        self._prices = prices
        self._users = users
        self._chance = random.Random(seed)  # must be the same in every run
        self._idle = list(users)
        self._planners = users[::PLANNING_EACH]
        self._deeds: list[tuple[int, Callable[[int], Coroutine[Any, Any, None]], str]] = [
            (50, self._buy, "buy"),
            (14, self._sell, "sell"),
            (8, self._press_again_and_again, "press again and again"),
            (5, self._think_better, "cancel"),
            (11, self._ask("btc"), "price"),
            (6, self._ask("/history"), "history"),
            (5, self._ask("/profit"), "profit"),
            (1, self._ask("/portfolio"), "portfolio"),
            (6, self._rest, "wait for a price"),
            (3, self._unrest, "cancel what waits"),
        ]

    async def sign_up(self) -> None:
        """Let everybody start and be answered."""
        async with asyncio.TaskGroup() as group:
            for user in self._users:
                group.create_task(self._ask("/start")(user))
                await asyncio.sleep(1 / SIGN_UPS_PER_SECOND)

    async def live_by_rules(self) -> None:
        """Let some have plans, and some copy others."""
        async with asyncio.TaskGroup() as group:
            for user in self._planners:
                group.create_task(self._plan(user))
            for first in range(1, len(self._users) - FOLLOWERS, COPYING_EACH):
                leader, *followers = self._users[first : first + 1 + FOLLOWERS]
                group.create_task(self._lead(leader, followers))

    async def panic(self) -> None:
        """Let those who have plans stop all of their trading."""
        async with asyncio.TaskGroup() as group:
            for user in self._planners:
                group.create_task(self._ask("/panic")(user))

    async def place_resting(self, each: int) -> None:
        """Let everybody place so many orders that wait for a price."""
        placing = asyncio.Semaphore(PLACING_AT_ONCE_MAX)

        async def place(user: int) -> None:
            for _ in range(each):
                async with placing:
                    await self._rest(user)

        async with asyncio.TaskGroup() as group:
            for user in self._users:
                group.create_task(place(user))

    async def act(
        self, rate: float, seconds: float = math.inf, enough: asyncio.Event | None = None
    ) -> None:
        """Act so often a second for so long, or until somebody says that it is enough; returns when
        everybody has been answered.
        """
        begin = time.monotonic()
        weights = [weight for weight, _, _ in self._deeds]
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
                if number >= rate * seconds or (enough is not None and enough.is_set()):
                    break
                _, deed, name = self._chance.choices(self._deeds, weights)[0]
                if not self._idle:
                    self.deeds.nobody_idle += 1
                    continue
                user = self._idle.pop(self._chance.randrange(len(self._idle)))
                self.deeds.done[name] = self.deeds.done.get(name, 0) + 1
                group.create_task(self._do(deed, user))

    async def _do(self, deed: Callable[[int], Coroutine[Any, Any, None]], user: int) -> None:
        try:
            await deed(user)
        finally:
            self._idle.append(user)

    async def _buy(self, user: int) -> None:
        await self._trade(user, self._order())

    async def _sell(self, user: int) -> None:
        await self._trade(user, SELL.format(symbol=self._chance.choice(SYMBOLS)))

    async def _press_again_and_again(self, user: int) -> None:
        await self._trade(user, self._order(), presses=self._chance.randint(2, 4))

    async def _think_better(self, user: int) -> None:
        card = await self._asked(user, self._order())
        if card is not None:
            await self._press(user, card, "cancel:", 1)

    async def _trade(
        self, user: int, text: str, presses: int = 1, button: str = "confirm:"
    ) -> Heard | None:
        card = await self._asked(user, text)
        return None if card is None else await self._press(user, card, button, presses)

    async def _press(self, user: int, card: Heard, kind: str, presses: int) -> Heard | None:
        """Press until something changes; an offer that cannot be had has no such button."""
        data = next((data for data in card.buttons if data.startswith(kind)), None)
        if data is None:
            return None
        await asyncio.sleep(self._chance.uniform(*READING_SECONDS))
        for _ in range(presses):
            await self._telegram.press(user, card.message_id, data)
        # A changed message, or a new one where it could not be changed any more.
        return await self._until(
            user,
            lambda heard: (
                heard.message_id > card.message_id
                or (heard.message_id == card.message_id and heard.edited)
            ),
        )

    async def _plan(self, user: int) -> None:
        card = await self._asked(user, f"/dca $5 BTC every {PLAN_PERIOD_SECONDS}s")
        if card is not None and await self._press(user, card, "dca:confirm:", 1) is not None:
            self.deeds.rules += 1

    async def _lead(self, leader: int, followers: Sequence[int]) -> None:
        card = await self._asked(leader, "/copy share")
        shared = None if card is None else await self._press(leader, card, "copy:share", 1)
        code = None if shared is None else CODE.search(shared.text)
        if code is None:
            return
        for follower in followers:
            card = await self._asked(follower, f"/copy {code[0]} $5")
            if card is not None and await self._press(follower, card, "copy:confirm:", 1):
                self.deeds.rules += 1

    async def _rest(self, user: int) -> None:
        """Place an order that waits: half of them would trigger within a run."""
        symbol = self._chance.choice(SYMBOLS)
        away = Decimal(self._chance.randint(5, 400)) / 10_000
        kind, price = self._chance.choice(
            (
                ("/limit", self._prices[symbol] * (1 - away)),
                ("/stop", self._prices[symbol] * (1 + away)),
            )
        )
        text = f"{kind} buy {symbol} ${self._chance.randint(5, 20)} at {price:.4f} 1h"
        if await self._trade(user, text, button="rest:") is not None:
            self.deeds.resting += 1

    async def _unrest(self, user: int) -> None:
        """Cancel the newest order that waits, if there is one."""
        listed = await self._asked(user, "/orders")
        if listed is not None:
            await self._press(user, listed, "unrest:", 1)

    def _ask(self, text: str) -> Callable[[int], Coroutine[Any, Any, None]]:
        async def ask(user: int) -> None:
            await self._asked(user, text)

        return ask

    async def _asked(self, user: int, text: str) -> Heard | None:
        said = await self._telegram.say(user, text)
        return await self._until(user, lambda heard: heard.message_id > said.message_id)

    async def _until(self, user: int, found: Callable[[Heard], bool]) -> Heard | None:
        heard = await self._telegram.until(user, found, PATIENCE_SECONDS)
        if heard is None:
            self.deeds.impatient += 1
        return heard

    def _order(self) -> str:
        symbol = self._chance.choice(SYMBOLS)
        return BUY.format(symbol=symbol, amount=self._chance.randint(5, 20))
