"""Random operations by concurrent callers through two ledgers, against a tiny model.

Callers send batches to either ledger at once, some of them twice, some with keys of others. The
model is the plainest bookkeeping one can write: a dictionary of balances. It cannot know in which
order concurrent requests were applied, so it takes the answers as they came and asks whether *some*
order explains them: applied effects, each counted once by its key, must add up to the balances the
ledger shows, and no refusal may contradict what never changes. The books' own invariants are asked
in the middle of the storm and after it.
"""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.books import assert_books_balance
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    apply,
    balances,
    buy,
    faucet,
    fee,
    hold,
    linked,
    new_user,
    outcome_of,
    release,
    sell,
)
from tests.integration.stores import ClaimShard

from chassis.postgres import Connection
from devbox.database import Database
from kernel.sharding import Claim
from purser.ledger.v1.ledger_pb2 import Operation, OperationResult
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

CALLERS, REQUESTS, USERS, ORDERS = 8, 30, 4, 25


@dataclass(slots=True)
class Model:
    """What must be true, told by the answers."""

    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The first answer to each key: outcome and transfer."""
    applied: dict[str, Operation] = field(default_factory=dict)
    """What had an effect, by key."""
    first_times: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def hear(self, operation: Operation, result: OperationResult) -> None:
        """Take one answer in; fail when it contradicts an earlier one."""
        key, outcome = operation.idempotency_key, outcome_of(result)
        known = self.answers.setdefault(key, (outcome, result.transfer_id))
        assert known == (outcome, result.transfer_id), f"{key} was answered {known}"
        self.first_times[key] += not result.replayed
        assert self.first_times[key] <= 1, f"{key} was applied twice"
        if outcome == "APPLIED":
            self.applied[key] = operation

    def balances(self, user: UUID) -> dict[str, tuple[Decimal, Decimal]]:
        """Posted and held by asset, of the effects that were answered APPLIED."""
        posted: dict[str, Decimal] = defaultdict(Decimal)
        held: dict[str, dict[str, Decimal]] = defaultdict(dict)
        mine = [o for o in self.applied.values() if _user_of(o) == str(user)]
        for operation in mine:
            match operation.WhichOneof("kind"):
                case "faucet":
                    _add(posted, operation.faucet.amount, 1)
                case "fee":
                    _add(posted, operation.fee.amount, -1)
                case "hold":
                    amount = operation.hold.amount
                    held[operation.hold.order_id][amount.asset_id] = Decimal(amount.value)
        for operation in mine:
            match operation.WhichOneof("kind"):
                case "fill":
                    fill = operation.fill
                    (asset_id,) = held.pop(fill.order_id)
                    assert asset_id == fill.spent.asset_id
                    _add(posted, fill.spent, -1)
                    _add(posted, fill.received, 1)
                    _add(posted, fill.fee, -1)
                case "release":
                    held.pop(operation.release.order_id)
        total: dict[str, Decimal] = defaultdict(Decimal)
        for pending in held.values():
            for asset_id, value in pending.items():
                total[asset_id] += value
        return {
            asset_id.rpartition(":")[2]: (posted[asset_id], total[asset_id])
            for asset_id in posted.keys() | total.keys()
        }


def _add(posted: dict[str, Decimal], amount: object, sign: int) -> None:
    posted[amount.asset_id] += sign * Decimal(amount.value)  # type: ignore[attr-defined]


def _user_of(operation: Operation) -> str:
    user: str = getattr(operation, operation.WhichOneof("kind") or "").user_id
    return user


class Storm:
    """Callers that do not wait for each other."""

    def __init__(self, seed: int, claims: dict[UUID, Claim]) -> None:
        self.random = random.Random(seed)
        self.claims = claims
        self.model = Model()
        self.orders = {user: [uuid4() for _ in range(ORDERS)] for user in claims}
        self.sent: list[tuple[Claim, list[Operation]]] = []

    async def call(self, ledgers: list[LedgerServiceStub]) -> None:
        """Be one caller."""
        for _ in range(REQUESTS):
            claim, operations = self.request()
            for _ in range(self.random.choice((1, 1, 2))):
                ledger = self.random.choice(ledgers)
                results = await apply(ledger, claim, *operations)
                # A key's mistaken use leaves no trace, nor does what was linked to it.
                traceless = {"IDEMPOTENCY_MISMATCH"}
                if traceless & set(map(outcome_of, results)):
                    traceless.add("LINKED_FAILED")
                for operation, result in zip(operations, results, strict=True):
                    if result.replayed or outcome_of(result) not in traceless:
                        self.model.hear(operation, result)

    def request(self) -> tuple[Claim, list[Operation]]:
        """Make a request, or repeat one that somebody sent or is sending."""
        if self.sent and self.random.random() < 0.2:
            return self.random.choice(self.sent)
        user = self.random.choice(list(self.claims))
        operations = [self.operation(user) for _ in range(self.random.randint(1, 5))]
        if len(operations) > 1 and self.random.random() < 0.4:
            linked(*operations)
        made = self.claims[user], operations
        self.sent.append(made)
        return made

    def operation(self, user: UUID) -> Operation:
        """Make any operation about the user's few orders."""
        order = self.random.choice(self.orders[user])
        value = str(self.random.randint(1, 400))
        spent = str(self.random.randint(1, 200))
        match self.random.randrange(8):
            case 0:
                return faucet(user, value)
            case 1:
                return fee(user, value)
            case 2 | 3:
                return hold(user, order, value)
            case 4:
                return hold(user, order, "0.01", "paper:BTC")
            case 5:
                return buy(user, order, spent, "0.05", "0.0001")
            case 6:
                return sell(user, order, "0.01", "70", "0.07")
            case _:
                return release(user, order)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_concurrent_callers_do_the_books_agree_with_the_answers(
    seed: int, serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Two ledgers, eight callers, four users in two shards, a hundred orders, duplicates."""
    claims = [await claim_shard(0), await claim_shard(1)]
    owner = await asyncpg.connect(database.owner_url)
    async with serve() as one, serve() as other:
        users = {
            await new_user(one, claim, gift=None): claim
            for claim in claims
            for _ in range(USERS // 2)
        }
        storm = Storm(seed, users)
        watching = asyncio.create_task(_watch(owner))
        await asyncio.gather(*(storm.call([one, other]) for _ in range(CALLERS)))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for user in users:
            shown = {
                asset: (Decimal(posted), Decimal(held))
                for asset, (posted, held) in (await balances(other, user)).items()
            }
            expected = storm.model.balances(user)
            assert {asset: both for asset, both in shown.items() if any(both)} == {
                asset: both for asset, both in expected.items() if any(both)
            }
    assert len(storm.model.applied) > 50
    assert {outcome for outcome, _ in storm.model.answers.values()} >= {
        "APPLIED", "INSUFFICIENT_FUNDS", "NOT_FOUND", "LINKED_FAILED",
    }  # fmt: skip
    await assert_books_balance(owner)
    await owner.close()


async def _watch(owner: Connection) -> None:
    """Ask the invariants again and again while callers are under way."""
    while True:
        await assert_books_balance(owner)
        await asyncio.sleep(0.05)
