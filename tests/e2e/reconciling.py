"""Reads all the books as an auditor would and says what does not agree.

Each check is one statement that gives the rows that are wrong, so that a failure names them. They
cross the rooms' schemas, which no role of Purser may do: the connection is the database owner's.
Orders that are still on their way are right in any of the states a saga passes through; what has
ended must agree everywhere.
"""

from typing import Any

CHECKS = {
    "the books of each asset sum to zero": """
        SELECT asset_id, sum(amount) FROM ledger.entries GROUP BY 1 HAVING sum(amount) <> 0
    """,
    "what an account has posted is the sum of its entries": """
        SELECT a.account_id, a.asset_id, a.posted, coalesce(e.amount, 0)
        FROM ledger.accounts a
        LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM ledger.entries
                   WHERE account_id IS NOT NULL GROUP BY 1) e USING (account_id)
        WHERE a.posted <> coalesce(e.amount, 0)
    """,
    "what an account holds back is the sum of its pending debits": """
        SELECT a.account_id, a.asset_id, a.held, coalesce(p.amount, 0)
        FROM ledger.accounts a
        LEFT JOIN (SELECT debit_account_id, sum(amount) AS amount FROM ledger.transfers
                   WHERE state = 'pending' GROUP BY 1) p ON p.debit_account_id = a.account_id
        WHERE a.held <> coalesce(p.amount, 0)
    """,
    "no account is below zero": """
        SELECT account_id, posted, held FROM ledger.accounts WHERE posted < held OR held < 0
    """,
    "each user of the paper world had the faucet's gift once": """
        SELECT a.user_id, count(*) FROM ledger.transfers t
        JOIN ledger.accounts a ON a.account_id = t.credit_account_id
        WHERE t.operation = 'faucet' GROUP BY 1 HAVING count(*) > 1
    """,
    "a filled order is in the books once, with the venue's amounts": """
        SELECT o.order_id, o.spent, o.received, o.fee, v.state, v.spent, v.received, v.fee,
               t.spent, t.received, t.fee
        FROM worker.orders o
        LEFT JOIN venue.orders v USING (order_id)
        LEFT JOIN ledger.trades t USING (order_id)
        WHERE o.state = 'filled'
          AND (v.state IS DISTINCT FROM 'filled'
               OR (o.spent, o.received, o.fee) IS DISTINCT FROM (v.spent, v.received, v.fee)
               OR (o.spent, o.received, o.fee) IS DISTINCT FROM (t.spent, t.received, t.fee))
    """,
    "a filled order's hold was posted with what was spent": """
        SELECT o.order_id, t.state, t.posted_amount FROM worker.orders o
        LEFT JOIN ledger.transfers t ON t.order_id = o.order_id AND t.operation = 'hold'
        WHERE o.state = 'filled'
          AND (t.state IS DISTINCT FROM 'posted' OR t.posted_amount IS DISTINCT FROM o.spent)
    """,
    "a rejected order holds nothing, spent nothing and was not executed": """
        SELECT o.order_id, o.refused, t.state, v.state FROM worker.orders o
        LEFT JOIN ledger.transfers t ON t.order_id = o.order_id AND t.operation = 'hold'
        LEFT JOIN venue.orders v ON v.order_id = o.order_id
        WHERE o.state = 'rejected'
          AND (coalesce(t.state, 'voided') <> 'voided' OR coalesce(v.state, 'refused') = 'filled')
    """,
    "what the venue executed is a trade or an order on its way": """
        SELECT v.order_id FROM venue.orders v
        LEFT JOIN ledger.trades t USING (order_id)
        LEFT JOIN worker.orders o USING (order_id)
        WHERE v.state = 'filled' AND t.order_id IS NULL
          AND (o.order_id IS NULL OR o.ended_at IS NOT NULL)
    """,
    "each trade is one order that the venue executed": """
        SELECT t.order_id FROM ledger.trades t
        LEFT JOIN venue.orders v USING (order_id)
        LEFT JOIN worker.orders o USING (order_id)
        WHERE v.state IS DISTINCT FROM 'filled' OR o.order_id IS NULL
    """,
    "what users and copies hold by their trades is what was bought less what was sold": """
        SELECT holder_id, symbol, h.trades, h.held, t.trades, t.held
        FROM worker.holdings h FULL JOIN (
            SELECT holder_id, d.symbol, count(*) AS trades,
                   sum(CASE d.side WHEN 'buy' THEN o.received - o.fee ELSE -o.spent END) AS held
            FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
            CROSS JOIN LATERAL (
                VALUES (o.user_id), (CASE d.rule WHEN 'copy' THEN d.rule_id END)
            ) AS holder (holder_id)
            WHERE o.spent IS NOT NULL AND holder_id IS NOT NULL GROUP BY 1, 2
        ) t USING (holder_id, symbol)
        WHERE (h.trades, h.held) IS DISTINCT FROM (t.trades, t.held)
    """,
    "trades of a symbol are numbered from 1, each with what the ones before it left": """
        SELECT * FROM (
            SELECT o.order_id, o.trade_number, o.held_before, row_number() OVER earlier AS number,
                   coalesce(sum(CASE d.side WHEN 'buy' THEN o.received - o.fee ELSE -o.spent END)
                       OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS held
            FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
            WHERE o.spent IS NOT NULL
            WINDOW earlier AS (PARTITION BY o.user_id, d.symbol ORDER BY o.trade_number)
        ) t WHERE (trade_number, held_before) IS DISTINCT FROM (number, held)
    """,
    "each order is a draft that was confirmed": """
        SELECT o.order_id, d.state FROM worker.orders o
        JOIN worker.drafts d ON d.draft_id = o.order_id WHERE d.state <> 'confirmed'
    """,
}
OPEN_ORDERS = "SELECT count(*) FROM worker.orders WHERE ended_at IS NULL"


async def assert_reconciled(connection: Any) -> None:
    """Fail unless all books agree, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        wrong = {
            claim: [tuple(row) for row in rows[:5]]
            for claim, statement in CHECKS.items()
            if (rows := await connection.fetch(statement))
        }
    assert wrong == {}
