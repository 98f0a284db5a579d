"""The simulation's books answer, and end up, as the real ledger's do."""

from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import ledger_on
from tests.integration.ledger.operations import (
    TIMEOUT_SECONDS,
    buy,
    faucet,
    fee,
    hold,
    outcome_of,
    release,
    sell,
)
from tests.integration.simulation.made_orders import executed, order_of
from tests.integration.simulation.two_sides import (
    POOL,
    Asked,
    AtOnce,
    TwoSides,
    drawn,
    take_shard,
    told,
    two_sides,
)
from tests.simulation.ledger import LedgerDoor, LedgerTables, SimulatedLedger
from tests.simulation.seeding import at

from devbox.database import Database
from kernel.sharding import Claim
from ledger.settings import HousekeepingSettings
from purser.ledger.v1 import ledger_pb2
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from user_worker.clients import BooksClient, LedgerClient
from user_worker.clients.asked import asked
from user_worker.domain.orders import Coins, Order, Side
from user_worker.wire import claim_to

OPERATIONS = 450
USERS = [UUID(int=n + 1) for n in range(4)]
HOMES = (0, 0, 1, 1)
ORDERS = [UUID(int=1000 + n) for n in range(60)]
AT_ONCE = 8
"""Orders that are asked about at the same time: a key's first answer stays, so there must be new
ones all along."""
ASSETS = ("paper:USDT", "paper:BTC", "paper:ETH", "paper:NONE")
STEP_SECONDS = 8.0
EXPIRES_AFTER_SECONDS = (None, -20.0, 4.0, 20.0)
"""No sum of the steps comes within two seconds of one: a busy machine decides nothing."""
NO_SWEEP = HousekeepingSettings(expire_holds_every_seconds=3600.0)
"""No order of a worker has a hold that expires, so the simulation knows no sweep. One that is over
is given back when it is touched."""
STATE = {
    "users": "SELECT user_id, pool, shard FROM ledger.users",
    "accounts": """
        SELECT account_id, user_id, asset_id, posted, held, faucet_given FROM ledger.accounts
    """,
    "holds": """
        SELECT transfer_id, order_id, debit_account_id, asset_id, amount, posted_amount, state
        FROM ledger.transfers WHERE operation = 'hold'
    """,
    "transfers": """
        SELECT transfer_id, operation, asset_id, amount, debit_account_id, debit_system,
               credit_account_id, credit_system, order_id
        FROM ledger.transfers WHERE operation <> 'hold'
    """,
    "trades": """
        SELECT order_id, user_id, side, spent_asset_id, spent, received_asset_id, received, fee,
               realised_pnl
        FROM ledger.trades
    """,
    "positions": """
        SELECT user_id, asset_id, currency_asset_id, quantity, cost FROM ledger.positions
    """,
    "keys": """
        SELECT idempotency_key, fingerprint_version, outcome, transfer_id
        FROM ledger.idempotency_keys
    """,
}


def _state(tables: LedgerTables) -> dict[str, set[tuple[object, ...]]]:
    """The simulated tables as `STATE` reads the real ones."""
    return {
        "users": {(user_id, key.pool, key.shard) for user_id, key in tables.users.items()},
        "accounts": {
            (a.account_id, a.user_id, a.asset_id, a.posted, a.held, a.faucet_given)
            for a in tables.accounts.values()
        },
        "holds": {
            (
                h.transfer_id,
                h.order_id,
                h.account_id,
                h.asset_id,
                h.amount,
                h.posted_amount,
                h.state,
            )
            for h in tables.holds.values()
        },
        "transfers": {
            (
                t.transfer_id,
                t.operation,
                t.asset_id,
                t.amount,
                t.debit_account_id,
                t.debit_system,
                t.credit_account_id,
                t.credit_system,
                t.order_id,
            )
            for t in tables.transfers
        },
        "trades": {
            (
                t.order_id,
                t.user_id,
                t.side.value,
                t.spent.asset_id,
                t.spent.value,
                t.received.asset_id,
                t.received.value,
                t.fee,
                t.realised_pnl,
            )
            for t in tables.trades.values()
        },
        "positions": {(*key, p.quantity, p.cost) for key, p in tables.positions.items()},
        "keys": {
            (key, k.fingerprint_version, k.outcome.value, k.transfer_id)
            for key, k in tables.keys.items()
        },
    }


class _Sequence:
    """A random sequence of operations: of the worker's, and of any that callers may ask for."""

    def __init__(
        self, sides: TwoSides, random: Random, claims: list[Claim], channel: grpc.aio.Channel
    ) -> None:
        self.tables = LedgerTables(sides.placement)
        self._sides = sides
        self._random = random
        self._claims = claims
        """The newest of each shard, then those that are not."""
        network = AtOnce()
        self._doors = (LedgerDoor(network, self.tables), LedgerServiceStub(channel))
        self._sent: list[tuple[int, ledger_pb2.Operation, ledger_pb2.Operation]] = []
        """Whose, and the operation for either side."""
        simulated = SimulatedLedger(network, self.tables)
        self.asked = Asked(
            sides,
            {
                "accounts": (simulated, LedgerClient(channel, TIMEOUT_SECONDS)),
                "books": (simulated, BooksClient(channel, TIMEOUT_SECONDS)),
            },
        )

    async def begin(self) -> None:
        """Give all but the first user something to trade with; him nobody registers yet."""
        for user_id, home in zip(USERS[1:], HOMES[1:], strict=True):
            claim = self._claims[home]
            await self.asked.ask("accounts", "ensure_accounts", claim, user_id, ASSETS[:2])
            await self._give(claim, user_id, 10_000)
            other = self._claims[1 - home]
            await self.asked.ask("accounts", "ensure_accounts", other, user_id, ASSETS[:2])
        # Nothing is written for an asset there is none of, so he is a stranger still.
        claim = self._claims[HOMES[0]]
        await self.asked.ask("accounts", "ensure_accounts", claim, USERS[0], ASSETS[2:])
        await self._give(claim, USERS[0], 10_000)

    async def step(self, database: Database, done: float) -> None:
        """Do one; `done` is the share of the sequence that was done before."""
        random = self._random
        place = int(done * (len(ORDERS) - AT_ONCE)) + random.randrange(AT_ONCE)
        order_id = random.choice([ORDERS[place], ORDERS[place], ORDERS[place], *self._overdue()])
        who = place % len(USERS) if random.random() < 0.85 else random.randrange(len(USERS))
        user_id, claim = USERS[who], self._claims[HOMES[who]]
        if random.random() < 0.15:
            claim = random.choice(self._claims)
        is_new = f"order:{order_id}:hold" not in self.tables.keys
        match random.randrange(3 if is_new and random.random() < 0.5 else 15):
            case 0 | 1 | 2 | 3:
                await self.asked.ask("books", "hold", claim, self._order(order_id, user_id))
            case 4:
                some = random.choices(ASSETS, (5, 5, 2, 1), k=random.randint(1, 3))
                await self.asked.ask("accounts", "ensure_accounts", claim, user_id, some)
            case 5:
                await self._give(claim, user_id, random.choice((4000, 10_000, 10_001)))
            case 6 | 7 | 8:
                await self.asked.ask("books", "fill", claim, self._order(order_id, user_id))
            case 9:
                await self.asked.ask("books", "release", claim, self._order(order_id, user_id))
            case 10 | 11 | 12 | 13:
                await self._operate(who, order_id)
            case _:
                self._sides.pass_time(STEP_SECONDS * random.randint(1, 4))
                shard = random.randrange(2)
                if random.random() < 0.3:
                    self._claims.append(self._claims[shard])
                    self._claims[shard] = await take_shard(self._sides, database, shard)

    def _overdue(self) -> list[UUID]:
        """Orders whose holds are over, which nobody has noticed yet."""
        now = at(self._sides.now)
        return [
            hold.order_id
            for hold in self.tables.holds.values()
            if hold.state == "pending" and hold.expires_at is not None and hold.expires_at <= now
        ]

    async def _give(self, claim: Claim, user_id: UUID, value: int) -> None:
        gift = Coins(ASSETS[0], "USDT", Decimal(value))
        await self.asked.ask("accounts", "open_faucet", claim, user_id, gift)

    def _order(self, order_id: UUID, user_id: UUID) -> Order:
        """What the order always was, or at times another one under its id."""
        same = Random(order_id.int)
        random = self._random if self._random.random() < 0.1 else same
        symbol = random.choice(("BTC", "BTC", "ETH"))
        if random.random() < 0.75:
            spend = random.choice(("100", "250.5", "20", "99.5", "1000", "4000", "0.0000001"))
            order = order_of(order_id, user_id, Side.BUY, symbol, spend)
            received, charged = random.choice((("0.05", "0.00005"), ("0.00000001", "0")))
            spent = random.choice((spend, spend, "100", "99.999999"))
        else:
            spend = random.choice(("0.02", "0.001", "0.0005", "0.0001", "0.0001000005"))
            order = order_of(order_id, user_id, Side.SELL, symbol, spend)
            received, charged = random.choice((("70", "0.07"), ("3.5", "0")))
            spent = random.choice((spend, spend, "0.0005"))
        return executed(order, spent, received, charged)

    async def _operate(self, who: int, order_id: UUID) -> None:
        """Apply an operation of any kind under any key, or one that was sent before."""
        random = self._random
        made = (who, *self._made(USERS[who], order_id))
        who, ours, theirs = random.choice([*[made] * 8, *self._sent[-4:]])
        if not made[1].hold.HasField("expires_at"):
            # One with an expiry is not sent again: what was sent cannot be moved in time.
            self._sent.append(made)
        claim = self._claims[HOMES[who] if random.random() < 0.9 else -1]

        async def applied(stub: Any, operation: ledger_pb2.Operation) -> ledger_pb2.OperationResult:
            request = ledger_pb2.ApplyOperationsRequest(
                claim=claim_to(claim), operations=[operation]
            )
            call = stub.ApplyOperations(request, timeout=TIMEOUT_SECONDS)
            response: ledger_pb2.ApplyOperationsResponse = await asked("ledger", call)
            return response.results[0]

        answer = await self.asked.compare(
            f"apply({told(claim)}, {told(ours)})",
            lambda: applied(self._doors[0], ours),
            lambda: applied(self._doors[1], theirs),
        )
        if isinstance(answer, ledger_pb2.OperationResult):
            self.asked.answered[f"apply {outcome_of(answer)}{'*' * answer.replayed}"] += 1

    def _made(
        self, user_id: UUID, order_id: UUID
    ) -> tuple[ledger_pb2.Operation, ledger_pb2.Operation]:
        """Make an operation, with its expiry in either side's time."""
        random, now = self._random, self._sides.now
        kind, after = random.randrange(10), random.choice(EXPIRES_AFTER_SECONDS)
        amounts = (
            *[(ASSETS[0], "40.25"), (ASSETS[0], "7")] * 3,
            (ASSETS[1], "0.003"),
            (ASSETS[3], "1"),
        )
        asset_id, value = random.choice(amounts)
        spent = random.choice(("10", "40.25", "100"))
        number = random.choice((len(self._sent), len(self._sent), len(self._sent) // 2))
        key = f"key:{number}"

        def make(expires_at: Timestamp | None) -> ledger_pb2.Operation:
            match kind:
                case 0:
                    return faucet(user_id, value, key, asset_id)
                case 1:
                    return fee(user_id, value, key, asset_id)
                case 2:
                    return buy(user_id, order_id, spent, "0.001", "0.000001", key)
                case 3:
                    return sell(user_id, order_id, "0.003", "150", "0.15", key)
                case 4 | 5:
                    return release(user_id, order_id, key)
                case _:
                    return hold(user_id, order_id, value, asset_id, key, expires_at)

        if after is None:
            return make(None), make(None)
        return make(_stamp(at(now + after))), make(_stamp(self._sides.real_time(now + after)))


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


@pytest.mark.parametrize("seed", [0, 2])
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also to keys that come again with other contents, under stale claims, to strangers, without
    funds, when a hold is over; and both have the same rows in the end.
    """
    async with two_sides(database) as sides, ledger_on(database, NO_SWEEP) as channel:
        claims = [await take_shard(sides, database, shard) for shard in range(2)]
        claims.append(Claim(POOL, 0, claims[0].epoch + 5))
        sequence = _Sequence(sides, drawn(seed), claims, channel)
        await sequence.begin()

        for number in range(OPERATIONS):
            await sequence.step(database, number / OPERATIONS)

        ours = _state(sequence.tables)
        for table, statement in STATE.items():
            theirs = {tuple(row) for row in await sides.owner.fetch(statement)}
            assert ours[table] == theirs, table
    await assert_balanced(database)
    met = {"hold APPLIED", "hold INSUFFICIENT_FUNDS", "fill APPLIED", "release APPLIED"}
    met |= {"hold IDEMPOTENCY_MISMATCH", "hold ClaimLost", "fill NOT_FOUND", "hold SHARD_MISMATCH"}
    met |= {"apply APPLIED*", "apply EXPIRED", "apply ALREADY_POSTED", "apply ALREADY_VOIDED"}
    assert set() == met - sequence.asked.answered.keys()
