"""What is true of the books at every moment, whatever happened: ask it after every scenario."""

import asyncpg

from chassis.postgres import Connection
from devbox.database import Database

# Each gives the rows that contradict it; none is what one hopes for.
_CONTRADICTIONS = {
    "the entries of every asset sum to zero": """
        SELECT asset_id, sum(amount) FROM ledger.entries GROUP BY asset_id HAVING sum(amount) <> 0
    """,
    "an account's balance is the sum of its entries": """
        SELECT a.account_id, a.posted, sum(e.amount) FROM ledger.accounts a
        LEFT JOIN ledger.entries e ON e.account_id = a.account_id
        GROUP BY a.account_id HAVING a.posted <> coalesce(sum(e.amount), 0)
    """,
    "what is held is the sum of the pending holds": """
        SELECT a.account_id, a.held, sum(t.amount) FROM ledger.accounts a
        LEFT JOIN ledger.transfers t ON t.debit_account_id = a.account_id AND t.state = 'pending'
        GROUP BY a.account_id HAVING a.held <> coalesce(sum(t.amount), 0)
    """,
    "nobody has less than nothing": """
        SELECT account_id, posted, held FROM ledger.accounts
        WHERE posted < 0 OR held < 0 OR held > posted
    """,
    "the faucet gave what its entries say, and no more than it may": """
        SELECT a.account_id, a.faucet_given, sum(t.posted_amount) FROM ledger.accounts a
        JOIN ledger.assets s ON s.asset_id = a.asset_id
        LEFT JOIN ledger.transfers t
            ON t.credit_account_id = a.account_id AND t.operation = 'faucet' AND t.state = 'posted'
        GROUP BY a.account_id, s.faucet_max
        HAVING a.faucet_given <> coalesce(sum(t.posted_amount), 0)
            OR a.faucet_given > coalesce(s.faucet_max, 0)
    """,
    "a trade is a posted hold, what was received, and the fee": """
        SELECT r.order_id FROM ledger.trades r
        LEFT JOIN (
            SELECT order_id,
                array_agg(moved) FILTER (WHERE operation = 'hold') AS spent,
                array_agg(moved) FILTER (WHERE operation = 'fill') AS got,
                array_agg(moved) FILTER (WHERE operation = 'fee') AS fee
            FROM (
                SELECT order_id, operation, (asset_id, posted_amount)::text AS moved
                FROM ledger.transfers WHERE state = 'posted' AND order_id IS NOT NULL
            ) AS m GROUP BY order_id
        ) AS t USING (order_id)
        WHERE t.spent IS DISTINCT FROM ARRAY[(r.spent_asset_id, r.spent)::text]
           OR t.got IS DISTINCT FROM ARRAY[(r.received_asset_id, r.received)::text]
           OR t.fee IS DISTINCT FROM
              CASE WHEN r.fee > 0 THEN ARRAY[(r.received_asset_id, r.fee)::text] END
    """,
    "a posted hold is a trade": """
        SELECT t.order_id FROM ledger.transfers t
        WHERE t.operation = 'hold' AND t.state = 'posted'
          AND NOT EXISTS (SELECT FROM ledger.trades r WHERE r.order_id = t.order_id)
    """,
    "every effect has one key, and every applied key an effect": """
        SELECT t.transfer_id, count(k.idempotency_key) FROM ledger.transfers t
        LEFT JOIN ledger.idempotency_keys k
            ON k.transfer_id = t.transfer_id AND k.outcome = 'applied'
        WHERE t.operation <> 'fee' OR t.order_id IS NULL
        GROUP BY t.transfer_id, t.operation, t.state
        HAVING count(k.idempotency_key) <> CASE WHEN t.state = 'voided' THEN 2 ELSE 1 END
        UNION ALL
        SELECT transfer_id, 0 FROM ledger.idempotency_keys
        WHERE (outcome = 'applied') <> (transfer_id IS NOT NULL)
    """,
    "a position is what trades bought and have not sold": """
        SELECT p.user_id, p.asset_id FROM ledger.positions p
        WHERE p.quantity > (
            SELECT coalesce(sum(r.received - r.fee), 0) FROM ledger.trades r
            WHERE r.user_id = p.user_id AND r.side = 'buy' AND r.received_asset_id = p.asset_id)
    """,
}


async def assert_books_balance(connection: Connection) -> None:
    """Fail, naming what is contradicted and by which rows, unless the books are in order.

    `connection` is the database owner's; all is read at one moment, so callers may be under way.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for claim, statement in _CONTRADICTIONS.items():
            rows = [tuple(row) for row in await connection.fetch(statement)]
            assert not rows, f"not so: {claim}: {rows[:5]}"


async def assert_balanced(database: Database) -> None:
    """The same for a test's database."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        await assert_books_balance(connection)
    finally:
        await connection.close()
