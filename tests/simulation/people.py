"""Users, and the front that brings what they do: it sends an update until it is acknowledged, under
the same id, as Telegram does.

They start, ask for offers, confirm them (at once, twice, late, after cancelling), sell, and repeat
themselves. What they press is what the answers offered them.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from uuid import UUID

from tests.simulation.checking import Witness
from tests.simulation.gateway import GatewayTables
from tests.simulation.network import Network
from tests.simulation.seeding import uuid_of
from tests.simulation.venue import Market

from user_worker.domain.jobs import Command, Input, Press, Text
from user_worker.domain.replies import EditText, Reply, SendText
from user_worker.errors import DependencyDown

BUYS = ("BTC $100", "BTC 50%", "BTC all", "ETH $2500", "ETH 0.5", "BTC 0.01", "ETH 99%", "BTC $1")
SELLS = ("BTC all", "BTC 50%", "ETH all", "ETH 0.2", "BTC $40", "BTC 0.002")
OFFERS_REMEMBERED_MAX = 4


class Front:
    """Telegram, as far as the gateway sees it."""

    def __init__(
        self,
        network: Network,
        gateway: GatewayTables,
        witness: Witness,
        random: Random,
        update_ids: Callable[[], int],
    ) -> None:
        self._network = network
        self._gateway = gateway
        self._witness = witness
        self._random = random
        self._update_ids = update_ids

    async def send(self, user_id: UUID, what: Input) -> None:
        """Bring an update until it is acknowledged."""
        update_id = self._update_ids()
        # Two updates of one moment overtake each other.
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.05, 0.8)) * self._random.random())
        while True:
            try:
                await self._network.call(
                    "gateway",
                    f"update {update_id}: {what}",
                    lambda: self._gateway.accept(update_id, user_id, what),
                    is_plain=True,
                )
            except DependencyDown:
                await asyncio.sleep(self._random.uniform(0.2, 1.0))
                continue
            self._witness.acknowledged.add(update_id)
            return


class Person:
    """One user."""

    def __init__(self, front: Front, random: Random, market: Market) -> None:
        self._market = market
        self.user_id = uuid_of(random)
        self._front = front
        self._random = random
        self._offers: list[str] = []
        self._sent: set[asyncio.Task[None]] = set()

    def hear(self, replies: Sequence[Reply]) -> None:
        """Read what the bot says: remember the offers."""
        for reply in replies:
            if isinstance(reply, SendText | EditText):
                self._offers += [
                    button.data
                    for row in reply.keyboard
                    for button in row
                    if button.data.startswith(("confirm:", "rest:"))
                ]
        del self._offers[:-OFFERS_REMEMBERED_MAX]

    async def live(self, actions: int, rest_seconds: float) -> None:
        """Do some things, one after another, without always waiting for answers."""
        random = self._random
        await asyncio.sleep(random.uniform(0.0, 2.0))
        self._say(Command("start"))
        for _ in range(actions):
            await asyncio.sleep(random.expovariate(1 / rest_seconds))
            self._do(random.random())
        while self._sent:
            await asyncio.wait(self._sent)

    def _do(self, drawn: float) -> None:
        random = self._random
        if self._offers and drawn < 0.65:
            offer = random.choice(self._offers)
            if random.random() < 0.8:
                self._offers.remove(offer)
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                self._say(Press(offer, "draft:x", "press"))
            if random.random() < 0.15:
                cancel = offer.replace("confirm:", "cancel:").replace("rest:", "unrest:")
                self._say(Press(cancel, "draft:x", "press"))
        elif drawn < 0.68:
            self._wait_for_a_price()
        elif drawn < 0.87:
            self._say(Command("buy", random.choice(BUYS)))
        elif drawn < 0.94:
            self._say(Command("sell", random.choice(SELLS)))
        elif drawn < 0.96:
            self._say(Command("cancel"))
        elif drawn < 0.97:
            self._say(Text("buy BTC $20"))
        elif drawn < 0.98:
            self._say(Command("buy"))
        else:
            self._say(Command("start"))

    def _wait_for_a_price(self) -> None:
        """Name a price near the present one: one of two is met within the run."""
        random = self._random
        symbol = random.choice(("BTC", "ETH"))
        quote = self._market.quote(symbol)
        price = quote.price if quote is not None else Decimal(1)
        named = round(price * (1 + Decimal(random.choice((-8, -2, -1, 1, 2, 8))) / 1000), 2)
        match random.choice(("limit", "stop", "tp", "alerts")):
            case "alerts":
                self._say(Command("alerts", f"{symbol} {named}"))
            case kind:
                side = random.choice(("buy", "buy", "sell"))
                size = "$50" if side == "buy" else "50%"
                self._say(Command(kind, f"{side} {symbol} {size} at {named}"))

    def _say(self, what: Input) -> None:
        task = asyncio.create_task(self._front.send(self.user_id, what))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
