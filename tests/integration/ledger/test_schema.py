"""What the ledger's schema refuses by itself, whoever asks."""

from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.postgres import Connection
from devbox.database import Database

FORBIDDEN = (
    "UPDATE ledger.users SET shard = 1",
    "UPDATE ledger.accounts SET user_id = gen_random_uuid()",
    "UPDATE ledger.accounts SET posted_max = NULL",
    "UPDATE ledger.transfers SET amount = 1",
    "DELETE FROM ledger.transfers",
    "DELETE FROM ledger.accounts",
    "DELETE FROM ledger.idempotency_keys",
    "UPDATE ledger.idempotency_keys SET outcome = 'applied'",
    "INSERT INTO ledger.assets (asset_id, symbol, decimals) VALUES ('paper:X', 'X', 2)",
    "CREATE TABLE ledger.mine ()",
    "SELECT * FROM wallet.wallets",
    "SELECT * FROM wallet.audit_log",
    "SELECT * FROM pricing.candles",
    "SELECT * FROM placement.shards",
    "SELECT placement.claim_shard('default.main', 0, 'me', gen_random_uuid(), 0)",
)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Connection]:
    """The database's owner."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[Connection]:
    """The ledger's own role."""
    connection = await asyncpg.connect(database.url("purser_ledger"))
    yield connection
    await connection.close()


async def opened(connection: Connection, asset_id: str = "paper:BTC", posted: str = "0") -> UUID:
    """Open an account for a new user."""
    user, account = uuid4(), uuid4()
    await connection.execute(
        "INSERT INTO ledger.users (user_id, pool, shard) VALUES ($1, 'default.main', 0)", user
    )
    await connection.execute(
        "INSERT INTO ledger.accounts (account_id, user_id, asset_id, kind, posted)"
        " VALUES ($1, $2, $3, 'spot', $4)",
        account, user, asset_id, Decimal(posted),
    )  # fmt: skip
    return account


async def post(
    connection: Connection, debit: UUID | str, credit: UUID | str, value: str, **more: object
) -> UUID:
    """Write a posted transfer; a side that is text is a system account."""
    columns: dict[str, object] = {
        "transfer_id": uuid4(),
        "operation": "faucet",
        "state": "posted",
        "asset_id": "paper:BTC",
        "amount": Decimal(value),
        "posted_amount": Decimal(value),
        "debit_system" if isinstance(debit, str) else "debit_account_id": debit,
        "credit_system" if isinstance(credit, str) else "credit_account_id": credit,
    } | more
    if columns["state"] == "posted":
        columns["resolved_at"] = await connection.fetchval("SELECT clock_timestamp()")
    places = ", ".join(f"${k}" for k in range(1, len(columns) + 1))
    await connection.execute(
        f"INSERT INTO ledger.transfers ({', '.join(columns)}) VALUES ({places})",  # noqa: S608 (names of this file)
        *columns.values(),
    )
    return UUID(str(columns["transfer_id"]))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("posted = -0.000000000000000001", "held_within_posted"),
        ("posted = -1, held = -1", "held_never_negative"),
        ("posted = 'NaN'", "posted_never_negative"),
        ("held = -1", "held_never_negative"),
        ("held = 1.000000000000000001", "held_within_posted"),
        ("held = 'NaN'", "held_within_posted"),
    ],
)
async def test_no_balance_goes_below_zero_or_below_its_holds(
    change: str, constraint: str, ledger: Connection
) -> None:
    """Not even by the last unit; NaN, which PostgreSQL ranks above all numbers, is no way out."""
    account = await opened(ledger, posted="1")

    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await ledger.execute(f"UPDATE ledger.accounts SET {change} WHERE account_id = $1", account)  # noqa: S608

    assert refusal.value.constraint_name == constraint


async def test_balances_keep_38_digits_before_the_point_and_18_after(ledger: Connection) -> None:
    """The whole range of an amount on the wire comes back to the last unit."""
    widest = "9" * 38 + "." + "9" * 18
    account = await opened(ledger, posted=widest)

    assert Decimal(widest) == await ledger.fetchval(
        "SELECT posted FROM ledger.accounts WHERE account_id = $1", account
    )


async def test_books_sum_to_zero_per_asset_by_construction(ledger: Connection) -> None:
    """Two entries per posted transfer and none for a pending one."""
    account = await opened(ledger)
    await post(ledger, "faucet", account, "5")
    await post(ledger, account, "fees", "0.000000000000000001")
    await post(
        ledger, account, "venue", "2",
        operation="hold", state="pending", posted_amount=None, order_id=uuid4(),
    )  # fmt: skip

    entries = await ledger.fetch(
        "SELECT asset_id, count(*), sum(amount) FROM ledger.entries GROUP BY 1"
    )

    assert [("paper:BTC", 4, Decimal(0))] == [tuple(row) for row in entries]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": Decimal(-1)},
        {"amount": Decimal("NaN"), "posted_amount": Decimal("NaN")},
        {"posted_amount": Decimal(2)},
        {"posted_amount": None},
        {"asset_id": "paper:ETH"},
        {"credit_system": "fees"},
        {"operation": "hold"},
    ],
    ids=["negative", "NaN", "more than held", "posted nothing", "asset", "two credits", "no order"],
)
async def test_a_transfer_that_makes_no_sense_is_refused(
    wrong: dict[str, object], ledger: Connection
) -> None:
    """Each by a constraint of its own: no code path needs to be trusted with it."""
    account = await opened(ledger)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await post(ledger, "faucet", account, "1", **wrong)


async def test_a_transfer_cannot_go_from_an_account_to_itself(ledger: Connection) -> None:
    """It would be a hold nobody can see the end of."""
    account = await opened(ledger)

    with pytest.raises(asyncpg.CheckViolationError):
        await post(ledger, account, account, "1")


async def test_an_order_is_held_once(ledger: Connection) -> None:
    """Two holds for one order would take the money twice."""
    account, order = await opened(ledger), uuid4()
    hold = {"operation": "hold", "state": "pending", "posted_amount": None, "order_id": order}
    await post(ledger, account, "venue", "1", **hold)

    with pytest.raises(asyncpg.UniqueViolationError, match="one_hold_per_order"):
        await post(ledger, account, "venue", "1", **hold)


async def test_what_was_resolved_stays_so_also_for_the_owner(
    ledger: Connection, owner: Connection
) -> None:
    """Pending ends once, by either of two racing resolvers; no migration rewrites it either."""
    transfer = await post(ledger, "faucet", await opened(ledger), "1")

    for statement in (
        "UPDATE ledger.transfers SET state = 'voided', posted_amount = NULL WHERE transfer_id = $1",
        "DELETE FROM ledger.transfers WHERE transfer_id = $1",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement, transfer)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.assets SET decimals = 2 WHERE asset_id = 'paper:BTC'",
        "UPDATE ledger.assets SET asset_id = 'evm:1:native' WHERE asset_id = 'paper:BTC'",
        "DELETE FROM ledger.assets WHERE asset_id = 'paper:LTC'",
    ],
)
async def test_an_assets_id_and_decimals_never_change(statement: str, owner: Connection) -> None:
    """Amounts are kept in them."""
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(statement)


async def test_the_ledgers_role_can_do_no_more_than_it_must(ledger: Connection) -> None:
    """It cannot move a user, take back what was written, or look into another room."""
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ledger.execute(statement)


async def test_the_ledgers_transactions_are_bounded(ledger: Connection) -> None:
    """A stopped ledger must not hold a shard's lock and block a takeover."""
    assert await ledger.fetchval("SHOW transaction_timeout") == "1s"
