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
# The clock is read once, so that the index of filled orders is searched by it.
TO_TAKE = f"""
SELECT claims.n, {_COLUMNS}, trade.order_id AS leader_order_id, trade.side, trade.symbol
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
JOIN worker.copies c ON c.pool = claims.pool AND c.shard = claims.shard AND c.state = 'active'
JOIN worker.shares s ON s.share_id = c.share_id AND s.ended_at IS NULL
CROSS JOIN LATERAL (
    SELECT o.order_id, o.ended_at, d.side, d.symbol
    FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
    WHERE o.user_id = c.leader_id
        AND o.ended_at > (SELECT clock_timestamp() - make_interval(secs => $3)) AND {_IS_UNDEALT}
    ORDER BY o.ended_at, o.order_id LIMIT $4) AS trade
WHERE NOT EXISTS (SELECT FROM worker.freezes f WHERE f.user_id = c.leader_id)
ORDER BY c.copy_id, trade.ended_at, trade.order_id
"""  # noqa: S608 (columns of ours)
"""Oldest first within each copy."""

STAKES = f"""
WITH sale AS (SELECT spent, ended_at, order_id FROM worker.orders WHERE order_id = $1),
earlier AS (
    SELECT EXISTS (
        SELECT FROM worker.copies c
        JOIN worker.orders o ON o.user_id = c.leader_id
            AND o.ended_at > (SELECT clock_timestamp() - make_interval(secs => $4))
        JOIN worker.drafts d ON d.draft_id = o.order_id, sale
        WHERE c.copy_id = $3 AND d.symbol = $2 AND {_IS_UNDEALT}
            AND (o.ended_at, o.order_id) < (sale.ended_at, sale.order_id)) AS is_waiting),
followers AS (
    SELECT sum(CASE WHEN o.state <> 'filled' THEN 0 WHEN d.side = 'buy' THEN o.received - o.fee
            ELSE -o.spent END) AS held,
        bool_or(o.ended_at IS NULL) AS is_under_way
    FROM worker.drafts d JOIN worker.orders o ON o.order_id = d.draft_id
    WHERE d.rule_id = $3 AND d.symbol = $2)
SELECT sale.spent AS sold, coalesce(followers.held, 0) AS copied,
    earlier.is_waiting OR coalesce(followers.is_under_way, false) AS is_to_wait
FROM sale, earlier, followers
"""  # noqa: S608 (conditions of ours)
HELD_BEFORE = """
SELECT coalesce(sum(CASE d.side WHEN 'buy' THEN o.received - o.fee ELSE -o.spent END), 0)
FROM worker.orders sale JOIN worker.orders o ON o.user_id = sale.user_id
    AND (o.ended_at, o.order_id) < (sale.ended_at, sale.order_id)
JOIN worker.drafts d ON d.draft_id = o.order_id
WHERE sale.order_id = $1 AND o.state = 'filled' AND d.symbol = $2
"""
"""What a leader had of a symbol before a sale of his: reads all he ever traded."""
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
