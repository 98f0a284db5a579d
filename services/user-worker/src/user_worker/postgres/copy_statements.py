"""The statements of `copies`."""

_COLUMNS = """
c.copy_id, c.user_id, c.leader_id, c.share_id, s.code, c.spend, c.slippage_basis_points,
c.expires_at, c.language,
CASE WHEN c.state = 'offered' AND c.expires_at <= clock_timestamp() THEN 'expired' ELSE c.state
END AS state
"""
_SELECT = f"""
SELECT {_COLUMNS} FROM worker.copies c JOIN worker.shares s ON s.share_id = c.share_id
"""  # noqa: S608 (columns of ours)

READ = f"{_SELECT} WHERE c.copy_id = $1 AND c.user_id = $2"
TAKE = f"{READ} AND c.pool = $3 AND c.shard = $4 FOR UPDATE OF c"
OF_JOB = f"{_SELECT} WHERE c.job_id = $1 AND c.user_id = $2"
OF_USER = f"{_SELECT} WHERE c.user_id = $1 AND c.state = 'active' ORDER BY c.made_at"
FIND_SHARE = "SELECT share_id, user_id FROM worker.shares WHERE code = $1 AND ended_at IS NULL"
LOCK_SHARE = "SELECT pg_advisory_xact_lock(hashtextextended('worker.shares:' || $1::uuid::text, 0))"
COUNT_COPIES = "SELECT count(*) FROM worker.copies WHERE user_id = $1 AND state = 'active'"
COUNT_FOLLOWERS = "SELECT count(*) FROM worker.copies WHERE share_id = $1 AND state = 'active'"
IS_COPIED_ALREADY = """
SELECT EXISTS (SELECT FROM worker.copies
    WHERE user_id = $1 AND share_id = $2 AND state = 'active')
"""
FORGET_OLD_OFFERS = """
DELETE FROM worker.copies WHERE user_id = $1 AND pool = $2 AND shard = $3 AND began_at IS NULL
    AND made_at < clock_timestamp() - interval '1 day'
"""
OFFER = """
INSERT INTO worker.copies (copy_id, job_id, user_id, pool, shard, share_id, leader_id, spend,
    slippage_basis_points, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10))
ON CONFLICT (job_id) DO NOTHING
"""
CONFIRM = """
UPDATE worker.copies SET state = 'active', language = $2, began_at = clock_timestamp()
WHERE copy_id = $1
"""
END = """
UPDATE worker.copies SET state = 'ended', ended_at = clock_timestamp()
WHERE copy_id = $1 AND user_id = $2 AND pool = $3 AND shard = $4 AND state <> 'ended'
"""

_IS_UNDEALT = """
o.state = 'filled' AND o.accepted_at >= c.began_at AND d.rule IS DISTINCT FROM 'copy'
AND NOT EXISTS (SELECT FROM worker.copied m
    WHERE m.copy_id = c.copy_id AND m.leader_order_id = o.order_id)
"""
# The clock is read once, so that the index of filled orders is searched by it. What is fresh is
# read only of leaders with something new, which is why the second part asks for the first's.
TO_TAKE = f"""
SELECT claims.n, {_COLUMNS}, trade.order_id AS leader_order_id, trade.side, trade.symbol
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
JOIN worker.copies c ON c.pool = claims.pool AND c.shard = claims.shard AND c.state = 'active'
JOIN worker.shares s ON s.share_id = c.share_id AND s.ended_at IS NULL
CROSS JOIN LATERAL (
    SELECT o.user_id FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
    WHERE o.user_id = c.leader_id
        AND o.ended_at > (SELECT clock_timestamp() - make_interval(secs => $3)) AND {_IS_UNDEALT}
    ORDER BY o.ended_at DESC LIMIT 1) AS busy
CROSS JOIN LATERAL (
    SELECT o.order_id, o.trade_number, d.side, d.symbol, row_number() OVER earlier AS place,
        max(o.ended_at) OVER earlier AS turn_at
    FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
    WHERE o.user_id = busy.user_id
        AND o.ended_at > (SELECT clock_timestamp() - make_interval(secs => $4)) AND {_IS_UNDEALT}
        AND o.trade_number < coalesce((
            SELECT min(e.trade_number)
            FROM worker.orders e JOIN worker.drafts ed ON ed.draft_id = e.order_id
            WHERE e.user_id = o.user_id AND e.ended_at IS NULL AND ed.symbol = d.symbol),
            o.trade_number + 1)
    WINDOW earlier AS (PARTITION BY d.symbol ORDER BY o.trade_number)
    ORDER BY place, turn_at LIMIT $5) AS trade
WHERE NOT EXISTS (SELECT FROM worker.freezes f WHERE f.user_id = c.leader_id)
ORDER BY c.copy_id, trade.turn_at, trade.trade_number
"""  # noqa: S608 (columns of ours)
"""What each copy has not dealt with: the first trade of each symbol before the second of any.

In the order of the leader's trades of the symbol, and the symbols' among each other by their ends.
None comes before one that has a lower number and is to end yet.
"""

STAKES = """
SELECT sale.spent AS sold, sale.held_before, coalesce(copied.held, 0) AS copied,
    EXISTS (SELECT FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
        WHERE o.user_id = $4 AND o.ended_at IS NULL AND d.rule_id = $3 AND d.symbol = $2)
        AS is_under_way
FROM worker.orders sale
LEFT JOIN worker.holdings copied ON copied.holder_id = $3 AND copied.symbol = $2
WHERE sale.order_id = $1
"""
IS_MARKED = """
SELECT EXISTS (SELECT FROM worker.copied WHERE copy_id = $1 AND leader_order_id = $2)
"""
MARK = """
INSERT INTO worker.copied (copy_id, leader_order_id, pool, shard, outcome)
VALUES ($1, $2, $3, $4, $5)
"""

FORGOTTEN_AT_ONCE_MAX = 10_000
"""Old marks of a shard removed by one look: more than are made between two, and a fraction of a
second's work."""
WITH_COPIES_OR_MARKS = """
SELECT claims.n FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
WHERE (SELECT true FROM worker.copies c
        WHERE c.pool = claims.pool AND c.shard = claims.shard AND c.state = 'active' LIMIT 1)
    OR (SELECT true FROM worker.copied m WHERE m.pool = claims.pool AND m.shard = claims.shard
        AND m.taken_at < (SELECT clock_timestamp() - interval '7 days')
        ORDER BY m.taken_at LIMIT 1)
"""
"""Shards with copies, or with old marks of copies that ended."""
# Of each leader the newest that are too old to be copied, back to a day ago: a bounded number,
# whatever he trades.
MARK_MISSED = f"""
WITH missed AS (
    INSERT INTO worker.copied (copy_id, leader_order_id, pool, shard, outcome)
    SELECT c.copy_id, o.order_id, c.pool, c.shard, 'missed'
    FROM worker.copies c CROSS JOIN LATERAL (
        SELECT order_id, accepted_at, state FROM worker.orders
        WHERE user_id = c.leader_id AND state = 'filled'
            AND ended_at > (SELECT clock_timestamp() - interval '1 day')
            AND ended_at <= (SELECT clock_timestamp() - make_interval(secs => $3))
        ORDER BY ended_at DESC LIMIT $4) AS o
    JOIN worker.drafts d ON d.draft_id = o.order_id
    WHERE c.pool = $1 AND c.shard = $2 AND c.state = 'active' AND {_IS_UNDEALT}
    ON CONFLICT DO NOTHING
    RETURNING copy_id, leader_order_id)
SELECT c.copy_id, c.user_id, c.language, s.code, count(*) AS count,
    max(missed.leader_order_id::text) AS last_order_id
FROM missed JOIN worker.copies c ON c.copy_id = missed.copy_id
JOIN worker.shares s ON s.share_id = c.share_id
GROUP BY c.copy_id, c.user_id, c.language, s.code
"""  # noqa: S608 (conditions of ours)
END_OF_SHARES = """
UPDATE worker.copies c SET state = 'ended', ended_at = clock_timestamp()
FROM worker.shares s
WHERE s.share_id = c.share_id AND s.ended_at IS NOT NULL
    AND c.pool = $1 AND c.shard = $2 AND c.state = 'active'
RETURNING c.copy_id, c.user_id, c.language, s.code
"""
FORGET_OLD_MARKS = f"""
DELETE FROM worker.copied WHERE (copy_id, leader_order_id) IN (
    SELECT copy_id, leader_order_id FROM worker.copied WHERE pool = $1 AND shard = $2
        AND taken_at < (SELECT clock_timestamp() - interval '7 days')
    ORDER BY taken_at LIMIT {FORGOTTEN_AT_ONCE_MAX})
"""  # noqa: S608 (a number of ours)
