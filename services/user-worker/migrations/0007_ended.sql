-- What ended without becoming an order, or orders no more, is kept for a time and found by its age. Orders, the drafts they came of,
-- what triggered them and their steps are history of money and are kept for ever.

CREATE INDEX resting_orders_ended ON worker.resting_orders (pool, shard, ended_at) WHERE state IN ('cancelled', 'expired');
CREATE INDEX alerts_ended ON worker.alerts (pool, shard, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX plans_ended ON worker.plans (pool, shard, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX copies_ended ON worker.copies (pool, shard, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX shares_ended ON worker.shares (pool, shard, ended_at) WHERE ended_at IS NOT NULL;
-- A share goes when no copy names it: this is asked of ended copies, too.
CREATE INDEX copies_naming_share ON worker.copies (share_id);
-- Ended alerts of a user are many now that they are kept: those that wait are counted with each one that is set.
CREATE INDEX alerts_of_user_waiting ON worker.alerts (user_id) WHERE state = 'waiting';

COMMENT ON TABLE worker.resting_orders IS 'What makes a draft wait for a price: when it triggers, the order is accepted under the same id in the same transaction. One that triggered stays with its order; one that ended otherwise goes with its draft, ninety days later.';
COMMENT ON TABLE worker.alerts IS 'Prices users want to be told of, once; those that ended go after ninety days.';
COMMENT ON TABLE worker.plans IS 'Purchases that repeat. A run is counted in the transaction that accepts its order, or says why there is none. Gone ninety days after it ended; its orders stay.';
COMMENT ON TABLE worker.shares IS 'Users who let others copy their trades, each by a code that whoever has it may use. Ended ones stay as long as copies name them, and for ninety days.';
COMMENT ON TABLE worker.copies IS 'Who copies whom, for how much a trade. A row is the follower''s and in his shard; of the leader it reads only. Gone ninety days after it ended; its orders stay.';

-- Of a copy that is gone nothing is sold any more.
CREATE FUNCTION worker.forget_holdings_of_copy() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM worker.holdings WHERE holder_id = OLD.copy_id;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION worker.forget_holdings_of_copy() FROM PUBLIC;
CREATE TRIGGER copies_take_their_holdings AFTER DELETE ON worker.copies
    FOR EACH ROW EXECUTE FUNCTION worker.forget_holdings_of_copy();

GRANT DELETE ON worker.shares TO purser_worker;
