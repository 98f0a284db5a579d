"""Users, and the front that brings what they do: it sends an update until it is acknowledged, under
the same id, as Telegram does.

They start, ask for offers, confirm them (at once, twice, late, after cancelling), sell, and repeat
themselves; they set plans, tell each other codes and copy each other, stop it all and go on. What
they press is what the answers offered them.
"""

import asyncio
import re
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
PLANS = (
    ("BTC", "$50 BTC every 5 seconds"),
    ("ETH", "$20 ETH every 8 seconds 2 times"),
    ("BTC", "0.001 BTC every 5 seconds 3 times"),
    ("ETH", "$6000 ETH every 3 seconds 6 times"),
)
"""Each with what it buys."""
SPENDS = ("$1.50", "$20", "$150", "$150", "$900", "$6000")
GOES_ON_SECONDS = 0.4
OFFERS_REMEMBERED_MAX = 4
BUTTONS_REMEMBERED_MAX = 6
_OFFERS = {
    "confirm:": "cancel:",
    "rest:": "unrest:",
    "dca:confirm:": "dca:drop:",
    "copy:confirm:": "copy:drop:",
}
"""How the data of what confirms an offer begins, and of what withdraws it."""
_BUTTONS = ("dca:pause:", "dca:resume:", "dca:cancel:", "copy:unshare", "copy:stop:")
_MEANT = (
    "rest:",
    "confirm:",
    "copy:share",
    "copy:confirm:",
    "dca:confirm:",
    "panic:ask",
    "panic:resume:",
)
"""Whoever asked for these mostly presses them."""
_CODE = re.compile("/copy ([0-9A-Z]{4}-[0-9A-Z]{4}) ")
"""As the answer to who shares his trades has it."""


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

    async def send(self, user_id: UUID, what: Input, after_seconds: float) -> None:
        """Bring an update, some time from now, until it is acknowledged."""
        if after_seconds:
            await asyncio.sleep(after_seconds)
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


class Board:
    """Where everybody tells by which code he can be copied."""

    def __init__(self, share_of_rules: float) -> None:
        self.share_of_rules = share_of_rules
        """How much of what people do in this world is about plans, copies and freezes."""
        self.codes: list[str] = []
        self.readers: list[Callable[[str], None]] = []

    def tell(self, code: str, by: Callable[[str], None]) -> None:
        """Have all the others read a code, unless they did."""
        if code not in self.codes:
            self.codes.append(code)
            for read in self.readers:
                if read != by:
                    read(code)


class Person:
    """One user."""

    def __init__(self, front: Front, random: Random, market: Market, board: Board) -> None:
        self._market = market
        self._board = board
        board.readers.append(self._read)
        self._buttons: list[str] = []
        self.user_id = uuid_of(random)
        self._front = front
        self._random = random
        self._offers: list[str] = []
        self._sent: set[asyncio.Task[None]] = set()

    def hear(self, replies: Sequence[Reply]) -> None:
        """Read what the bot says: remember the buttons, pass on a code."""
        for reply in replies:
            if not isinstance(reply, SendText | EditText):
                continue
            data = [button.data for row in reply.keyboard for button in row]
            self._offers += [one for one in data if one.startswith(tuple(_OFFERS))]
            self._buttons += [one for one in data if one.startswith(_BUTTONS)]
            for one in data:
                if one.startswith(_MEANT):
                    self._go_on(Press(one, _message_of(one), "press"))
            if "copy:unshare" in data and (code := _CODE.search(reply.text)):
                self._board.tell(code[1], self._read)
                symbol, plan = self._random.choice(PLANS)
                self._go_on(Command("dca", plan))
                self._go_on(Command("sell", f"{symbol} 50%"), 15 * GOES_ON_SECONDS)
                self._go_on(Command("sell", f"{symbol} all"), 25 * GOES_ON_SECONDS)
        del self._offers[:-OFFERS_REMEMBERED_MAX], self._buttons[:-BUTTONS_REMEMBERED_MAX]

    async def live(self, actions: int, rest_seconds: float) -> None:
        """Do some things, one after another, without always waiting for answers."""
        random = self._random
        await asyncio.sleep(random.uniform(0.0, 2.0))
        self._say(Command("start"))
        if random.random() < self._board.share_of_rules:
            self._say(Command("copy", "share"))
        for _ in range(actions):
            await asyncio.sleep(random.expovariate(1 / rest_seconds))
            self._do(random.random())
        while self._sent:
            await asyncio.wait(self._sent)

    def _do(self, drawn: float) -> None:
        random = self._random
        if self._offers and drawn < 0.65:
            self._take_up(random.choice(self._offers))
        elif random.random() < self._board.share_of_rules:
            self._rule()
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

    def _take_up(self, offer: str) -> None:
        random = self._random
        if random.random() < 0.8:
            self._offers.remove(offer)
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            self._press(offer)
        if random.random() < 0.15:
            kind = next(kind for kind in _OFFERS if offer.startswith(kind))
            self._press(offer.replace(kind, _OFFERS[kind]))

    def _rule(self) -> None:
        """Set a plan, copy or be copied, change what was set, or stop it all."""
        random = self._random
        drawn = random.random()
        if self._buttons and drawn < 0.2:
            self._press(random.choice(self._buttons))
        elif self._board.codes and drawn < 0.4:
            self._read(random.choice(self._board.codes))
        elif drawn < 0.6:
            self._say(Command("dca", random.choice(PLANS)[1]))
        elif drawn < 0.75:
            self._wait_for_a_price()
        elif drawn < 0.8:
            self._say(Command("copy", "share"))
        elif drawn < 0.92:
            self._say(Command(random.choice(("panic", "panic", "dca", "copy"))))
        elif drawn < 0.96:
            self._say(Command("panic", "off"))
        else:
            self._say(Command("copy", "stop sharing"))

    def _read(self, code: str) -> None:
        """Copy whoever shares by a code, perhaps."""
        self._go_on(Command("copy", f"{code} {self._random.choice(SPENDS)}"))

    def _go_on(self, what: Input, mean_seconds: float = GOES_ON_SECONDS) -> None:
        """Do by and by what follows from what was done, or think better of it."""
        if self._random.random() < 0.75:
            self._say(what, after_seconds=self._random.expovariate(1 / mean_seconds))

    def _press(self, data: str) -> None:
        self._say(Press(data, _message_of(data), "press"))

    def _wait_for_a_price(self) -> None:
        """Name a price near the present one: one of two is met within the run."""
        random = self._random
        if random.random() < 0.15:
            self._go_on(Command("panic"), 8 * GOES_ON_SECONDS)
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

    def _say(self, what: Input, after_seconds: float = 0.0) -> None:
        task = asyncio.create_task(self._front.send(self.user_id, what, after_seconds))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)


def _message_of(data: str) -> str:
    """The message a button is under, as far as anybody asks."""
    return f"{data.partition(':')[0]}:x"
