"""The users of a house: a crowd that trades (that of `tests/chaos`), and some who queue up.

All sign up once, mixed, so that each shard has one or two who queue; the crowd has orders that wait
for a price, plans and copies. It trades while a test's `trading` lasts. Whoever queues up asks for
what needs the wallet, and then for more: while the wallet hangs, that is a backlog.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

from tests.chaos.crowd import PATIENCE_SECONDS, SIGN_UPS_PER_SECOND, Crowd
from tests.chaos.telegram import Telegram
from tests.cluster.podrunner.runner import cancel_until_done
from tests.cluster.waiting import until

EVERYBODY = range(700_000, 700_044)
QUEUING_EACH = 4
"""Every so many do not trade but queue up."""
QUEUING = EVERYBODY[::QUEUING_EACH]
ASKED = ("/start", "btc", "/history")
"""What each of those asks for; the first needs the wallet."""
RESTING_EACH = 1
"""Orders of each trader that wait for a price."""
ACTS_PER_SECOND = 3.0
"""What two busy cores serve while workers come and go beside an API server; a trade is one act of
two updates."""
ACTS_BEFORE = 6
"""Acts that are under way or done when something begins to go wrong."""


class Users:
    """Everybody who writes to the bot."""

    def __init__(self, telegram: Telegram, prices: Mapping[str, Decimal]) -> None:
        self._telegram = telegram
        traders = [user for user in EVERYBODY if user not in QUEUING]
        self._crowd = Crowd(telegram, traders, prices, seed=1)

    @property
    def impatient(self) -> int:
        """How often somebody was not answered in time."""
        return self._crowd.deeds.impatient

    async def follow(self) -> None:
        """Follow everybody's chats until cancelled."""
        await self._telegram.follow(EVERYBODY)

    async def move_in(self) -> None:
        """Let everybody sign up and be answered, and let orders wait."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._crowd.sign_up())
            for user in QUEUING:
                group.create_task(self._sign_up(user))
                await asyncio.sleep(QUEUING_EACH / SIGN_UPS_PER_SECOND)
        await self._crowd.live_by_rules()
        await self._crowd.place_resting(RESTING_EACH)

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        """The crowd acts for as long as the context lasts, which ends when all are answered."""
        enough = asyncio.Event()
        acting = asyncio.create_task(self._crowd.act(ACTS_PER_SECOND, enough=enough))
        try:
            yield
            enough.set()
            await acting
        finally:
            with suppress(Exception):  # what went wrong first is what is told
                await cancel_until_done(acting)

    async def act(self) -> None:
        """Wait until the crowd has acted for a moment from now on."""
        before = await self._acts()
        await until(self._acts, lambda acts: acts >= before + ACTS_BEFORE, "people act")

    async def queue_up(self) -> None:
        """Let those who queue ask."""
        for user in QUEUING:
            for text in ASKED:
                await self._telegram.say(user, text)

    async def _acts(self) -> int:
        return sum(self._crowd.deeds.done.values())

    async def _sign_up(self, user: int) -> None:
        said = await self._telegram.say(user, "/start")
        await self._telegram.until(
            user, lambda heard: heard.message_id > said.message_id, PATIENCE_SECONDS
        )
