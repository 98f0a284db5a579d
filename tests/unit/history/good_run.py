"""A small run in which everything went well: what the broken histories are made of.

User 7 starts, buys for 100 USDT, presses the button twice, and is told. User 8 starts. One
stop order of user 7's waits and triggers. A plan waits for its first run, and whoever copies
user 7 has dealt with the one trade since.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from tests.history.books import (
    Account,
    Answer,
    Books,
    Copied,
    Copy,
    Draft,
    Entry,
    Execution,
    Job,
    Order,
    Plan,
    Resting,
    Step,
    Trade,
    Transfer,
)
from tests.history.records import Heard, Placed, Pressed, Quoted, Record, Said

ORDER, RESTING = "draft-1", "draft-2"
USDT, BTC = "paper:USDT", "paper:BTC"


def records() -> list[Record]:
    """What was seen from outside."""
    return [
        Placed(at=0.0, seen_by=0.01, shard=0, owner="w-0", incarnation="i-0", epoch=1),
        Said(at=1.0, user=7, update_id=1, message_id=1, text="/start"),
        Said(at=1.0, user=8, update_id=2, message_id=1, text="/start"),
        Heard(at=1.2, user=7, message_id=2, text="Hello", edited=False),
        Heard(at=1.2, user=8, message_id=2, text="Hello", edited=False),
        Said(at=2.0, user=7, update_id=3, message_id=3, text="/buy BTC $100"),
        Heard(at=2.2, user=7, message_id=4, text="Buy?", edited=False, buttons=("confirm:x",)),
        Pressed(at=3.0, user=7, update_id=4, press_id="p1", message_id=4, data=f"confirm:{ORDER}"),
        Pressed(at=3.1, user=7, update_id=5, press_id="p2", message_id=4, data=f"confirm:{ORDER}"),
        Heard(at=3.6, user=7, message_id=4, text="✓ Bought. Receipt AAAA-AAAA", edited=True),
        Placed(at=20.0, seen_by=20.01, shard=0, owner="w-1", incarnation="i-1", epoch=2),
        *(Quoted(at=float(at), symbol="BTC", price=price_at(at)) for at in range(30, 70)),
        Heard(at=60.5, user=7, message_id=5, text="✓ Sold. Receipt BBBB-BBBB", edited=False),
    ]


def price_at(at: int) -> Decimal:
    """It falls through the stop at 60."""
    return Decimal(100) if at < 60 else Decimal(80)


def books() -> Books:
    """What the stores say afterwards."""
    gift = transfer("t-gift", "faucet", "posted", None, None, "10000")
    return Books(
        jobs=[
            job("j-1", 7, 1, "/start", 1.1),
            job("j-2", 8, 1, "/start", 1.1),
            job("j-3", 7, 2, "/buy BTC $100", 2.1),
            job("j-4", 7, 3, "press:p1", 3.5),
            job("j-5", 7, 4, "press:p2", 3.55),
        ],
        answers=[
            answer("j-1", 1, 7, 2),
            answer("j-2", 2, 8, 2),
            answer("j-3", 3, 7, 4),
            answer("j-4", 4, 7, 4),
            answer("j-5", 5, 7, 4),
            replace(answer("event-1", 6, 7, 5), lane=2),
        ],
        drafts=[
            Draft(ORDER, "j-3", 7, "AAAA-AAAA", "confirmed", 122.0),
            Draft(RESTING, "j-0", 7, "BBBB-BBBB", "confirmed", 122.0),
        ],
        orders=[order(ORDER, 3.2, 3.4), order(RESTING, 60.1, 60.4)],
        steps=[
            Step(1, ORDER, 0, "accept", 1, 3.2),
            Step(2, ORDER, 0, "hold", 1, 3.3),
            Step(3, ORDER, 0, "post", 1, 3.4),
            Step(4, RESTING, 0, "accept", 2, 60.1),
            Step(5, RESTING, 0, "post", 2, 60.4),
        ],
        transfers=[
            gift,
            transfer("t-hold", "hold", "posted", ORDER, "a-usdt", "100"),
            transfer("t-fill", "fill", "posted", ORDER, None, "2"),
            transfer("t-fee", "fee", "posted", ORDER, "a-btc", "1"),
            transfer("t-hold-2", "hold", "posted", RESTING, "a-btc", "1"),
            transfer("t-fill-2", "fill", "posted", RESTING, None, "80"),
        ],
        entries=[
            *sides("t-gift", None, "a-usdt", USDT, "10000"),
            *sides("t-hold", "a-usdt", None, USDT, "100"),
            *sides("t-fill", None, "a-btc", BTC, "2"),
            *sides("t-fee", "a-btc", None, BTC, "1"),
            *sides("t-hold-2", "a-btc", None, BTC, "1"),
            *sides("t-fill-2", None, "a-usdt", USDT, "80"),
        ],
        accounts=[
            Account("a-usdt", 7, USDT, Decimal(9980), Decimal(0)),
            Account("a-btc", 7, BTC, Decimal(0), Decimal(0)),
        ],
        trades=[
            Trade(ORDER, 7, USDT, Decimal(100), BTC, Decimal(2), Decimal(1)),
            Trade(RESTING, 7, BTC, Decimal(1), USDT, Decimal(80), Decimal(0)),
        ],
        executions=[
            Execution(ORDER, "filled", Decimal(2)),
            Execution(RESTING, "filled", Decimal(80)),
        ],
        resting=[resting()],
        plans=[Plan("plan-1", "active", 0, 990.0)],
        copies=[Copy("copy-1", 7, "active", 50.0)],
        copied=[Copied("copy-1", RESTING)],
        read_at=1000.0,
    )


def job(job_id: str, user: int, user_seq: int, said: str, done_at: float | None) -> Job:
    """A job that was done."""
    return Job(job_id, user, user_seq, 0, said, 1.0, done_at, 1)


def answer(cause: str, place: int, user: int, message_id: int) -> Answer:
    """A message that was sent."""
    return Answer(1, cause, 1, place, user, 1, True, message_id, 4.0)


def order(order_id: str, accepted_at: float, ended_at: float | None) -> Order:
    """A filled order."""
    return Order(order_id, 7, 0, "filled", accepted_at, ended_at)


def resting(**changes: Any) -> Resting:
    """A stop at 90 that triggered at 60."""
    kept = Resting(RESTING, 0, "stop", "BTC", True, Decimal(90), "triggered", 10.0, 500.0, 60.1)
    return replace(kept, **changes)


def transfer(
    transfer_id: str,
    operation: str,
    state: str,
    order_id: str | None,
    debit: str | None,
    amount: str,
) -> Transfer:
    """A movement."""
    return Transfer(transfer_id, operation, state, order_id, debit, Decimal(amount))


def sides(
    transfer_id: str, debit: str | None, credit: str | None, asset: str, amount: str
) -> list[Entry]:
    """Both sides of a posted transfer."""
    return [
        Entry(transfer_id, debit, asset, -Decimal(amount)),
        Entry(transfer_id, credit, asset, Decimal(amount)),
    ]
