-- What each user has of each symbol by his trades, and each copy by the trades it made, kept with every trade: a copied sale is
-- measured by it, and no history is read for it.
--
-- A trade counts from when it is recorded that the venue executed it, not from its end: only after that record are the books
-- asked to post it, and only what they posted can be sold. So whatever a sale may have sold was counted before the sale was,
-- however late the record of its own end comes.

CREATE TABLE worker.holdings (
    holder_id uuid NOT NULL,
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    trades bigint NOT NULL CHECK (trades >= 1),
    held numeric(78, 18) NOT NULL,
    PRIMARY KEY (holder_id, symbol)
);
COMMENT ON TABLE worker.holdings IS 'What was bought of a symbol less what was sold of it, by a user or, of that, by one of his copies. Counts orders; what somebody has is the ledger''s to say.';
COMMENT ON COLUMN worker.holdings.holder_id IS 'A user, or a copy.';
COMMENT ON COLUMN worker.holdings.trades IS 'How many trades it counts: the number of the last one.';

ALTER TABLE worker.orders
    ADD COLUMN trade_number bigint CHECK (trade_number >= 1),
    ADD COLUMN held_before numeric(78, 18),
    ADD CHECK ((trade_number IS NULL) = (held_before IS NULL));
COMMENT ON COLUMN worker.orders.trade_number IS 'Which of its user''s trades of its symbol it is, counted from 1 without a gap in the order in which executions were recorded. Unknown of those that ended a day before there was this column.';
COMMENT ON COLUMN worker.orders.held_before IS 'What its user had of the symbol by the trades numbered before it.';

-- The row of the holding is locked until the trade that counts is committed. So numbers are in the order of commits: whoever sees
-- a trade sees all that are numbered before it.
CREATE FUNCTION worker.count_trade() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    draft worker.drafts;
    change numeric;
BEGIN
    SELECT * INTO STRICT draft FROM worker.drafts WHERE draft_id = NEW.order_id;
    change := CASE draft.side WHEN 'buy' THEN NEW.received - NEW.fee ELSE -NEW.spent END;
    INSERT INTO worker.holdings AS h (holder_id, symbol, trades, held) VALUES (NEW.user_id, draft.symbol, 1, change)
    ON CONFLICT (holder_id, symbol) DO UPDATE SET trades = h.trades + 1, held = h.held + excluded.held
    RETURNING trades, held - change INTO NEW.trade_number, NEW.held_before;
    IF draft.rule = 'copy' THEN
        INSERT INTO worker.holdings AS h (holder_id, symbol, trades, held) VALUES (draft.rule_id, draft.symbol, 1, change)
        ON CONFLICT (holder_id, symbol) DO UPDATE SET trades = h.trades + 1, held = h.held + excluded.held;
    END IF;
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION worker.count_trade() FROM PUBLIC;
-- Fires after orders_follow_the_arrows, by its name: no order comes here twice.
CREATE TRIGGER orders_of_holdings BEFORE UPDATE ON worker.orders
    FOR EACH ROW WHEN (NEW.state = 'executed' AND OLD.state <> 'executed') EXECUTE FUNCTION worker.count_trade();

-- What was traded before. Numbers for those alone that may still be copied: all are read, few are written.
ALTER TABLE worker.orders DISABLE TRIGGER orders_follow_the_arrows;
WITH trades AS (
    SELECT o.order_id, o.ended_at, row_number() OVER earlier AS number,
        coalesce(sum(CASE d.side WHEN 'buy' THEN o.received - o.fee ELSE -o.spent END) OVER (
            earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS held_before
    FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
    WHERE o.state IN ('executed', 'filled')
    WINDOW earlier AS (PARTITION BY o.user_id, d.symbol ORDER BY coalesce(o.ended_at, 'infinity'), o.order_id))
UPDATE worker.orders o SET trade_number = trades.number, held_before = trades.held_before
FROM trades
WHERE o.order_id = trades.order_id AND (trades.ended_at IS NULL OR trades.ended_at > now() - interval '1 day');
ALTER TABLE worker.orders ENABLE TRIGGER orders_follow_the_arrows;

INSERT INTO worker.holdings (holder_id, symbol, trades, held)
SELECT holder.id, d.symbol, count(*), sum(CASE d.side WHEN 'buy' THEN o.received - o.fee ELSE -o.spent END)
FROM worker.orders o JOIN worker.drafts d ON d.draft_id = o.order_id
CROSS JOIN LATERAL (VALUES (o.user_id), (CASE d.rule WHEN 'copy' THEN d.rule_id END)) AS holder (id)
WHERE o.state IN ('executed', 'filled') AND holder.id IS NOT NULL
GROUP BY holder.id, d.symbol;

CREATE INDEX orders_open_of_user ON worker.orders (user_id) WHERE ended_at IS NULL;

GRANT SELECT ON worker.holdings TO purser_worker;
