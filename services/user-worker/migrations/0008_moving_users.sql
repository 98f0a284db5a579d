-- How what users have here follows them into another shard.
--
-- All that can still change, or go, is its shard's owner's to change, so it goes along. What has become history of money
-- (confirmed drafts, ended orders, what triggered them, their steps) stays as it was written, however much there is of it:
-- it is read by its user and changed by nobody. So do events that were told and marks of copies, which go by their age.

CREATE TABLE worker.moved_users (
    user_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE worker.moved_users IS 'Where users are who were moved, by which their history is theirs: it names the shard it was made in. Who never moved has no row.';
GRANT SELECT ON worker.moved_users TO purser_worker;

-- Whether a row of a user, made in one shard, is another one's business: where the user is now. For history; what can still
-- change names the shard itself.
CREATE FUNCTION worker.is_at_home(
    p_user uuid, p_row_pool text, p_row_shard integer, p_pool text, p_shard integer
) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT m.pool = p_pool AND m.shard = p_shard FROM worker.moved_users m WHERE m.user_id = p_user),
        p_row_pool = p_pool AND p_row_shard = p_shard)
$$;

-- An end stays an end, but what has ended may change its shard until it goes by its age. Only a move changes a shard, and
-- then nothing else: the owner's role has no right to it where it matters.
DROP TRIGGER resting_orders_follow_the_arrows ON worker.resting_orders;
CREATE TRIGGER resting_orders_follow_the_arrows BEFORE UPDATE ON worker.resting_orders
    FOR EACH ROW WHEN ((OLD.pool, OLD.shard) IS NOT DISTINCT FROM (NEW.pool, NEW.shard))
    EXECUTE FUNCTION worker.check_waiting_change();
DROP TRIGGER alerts_follow_the_arrows ON worker.alerts;
CREATE TRIGGER alerts_follow_the_arrows BEFORE UPDATE ON worker.alerts
    FOR EACH ROW WHEN ((OLD.pool, OLD.shard) IS NOT DISTINCT FROM (NEW.pool, NEW.shard))
    EXECUTE FUNCTION worker.check_waiting_change();
DROP TRIGGER plans_follow_the_arrows ON worker.plans;
CREATE TRIGGER plans_follow_the_arrows BEFORE UPDATE ON worker.plans
    FOR EACH ROW WHEN ((OLD.pool, OLD.shard) IS NOT DISTINCT FROM (NEW.pool, NEW.shard))
    EXECUTE FUNCTION worker.check_rule_change();
DROP TRIGGER copies_follow_the_arrows ON worker.copies;
CREATE TRIGGER copies_follow_the_arrows BEFORE UPDATE ON worker.copies
    FOR EACH ROW WHEN ((OLD.pool, OLD.shard) IS NOT DISTINCT FROM (NEW.pool, NEW.shard))
    EXECUTE FUNCTION worker.check_rule_change();

-- Say that users of one shard are another one's from now on; gives their orders that have not ended. Safe to repeat.
--
-- Taking a shard from its owner interrupts what runs there. That is no sign against the jobs, so that they were begun is
-- not counted: else a few moves would have a long one set aside.
CREATE FUNCTION worker.move_users(
    p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer
) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_orders uuid[];
BEGIN
    PERFORM placement.revoke_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    INSERT INTO worker.moved_users (user_id, pool, shard) SELECT u, p_to_pool, p_to_shard FROM unnest(p_users) AS t (u)
    ON CONFLICT (user_id) DO UPDATE SET pool = excluded.pool, shard = excluded.shard, moved_at = clock_timestamp();
    PERFORM worker.uncount_attempts(p_from_pool, p_from_shard);
    PERFORM worker.uncount_attempts(p_to_pool, p_to_shard);
    WITH moved AS (
        UPDATE worker.orders SET pool = p_to_pool, shard = p_to_shard
        WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard AND ended_at IS NULL
        RETURNING order_id
    )
    SELECT coalesce(array_agg(order_id), '{}') INTO v_orders FROM moved;
    UPDATE worker.events e SET pool = p_to_pool, shard = p_to_shard
    WHERE e.pool = p_from_pool AND e.shard = p_from_shard AND e.relayed_at IS NULL
      AND coalesce(e.user_id, (SELECT o.user_id FROM worker.orders o WHERE o.order_id = e.order_id)) = ANY (p_users);
    -- Those offered have a draft that is not confirmed; those that wait or have ended are found by the shard.
    UPDATE worker.resting_orders SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard
      AND state IN ('waiting', 'cancelled', 'expired');
    UPDATE worker.resting_orders r SET pool = p_to_pool, shard = p_to_shard
    FROM worker.drafts d
    WHERE d.draft_id = r.order_id AND d.user_id = ANY (p_users) AND d.state <> 'confirmed' AND r.state = 'offered'
      AND r.pool = p_from_pool AND r.shard = p_from_shard;
    UPDATE worker.drafts SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard AND state <> 'confirmed';
    UPDATE worker.alerts SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    UPDATE worker.plans SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    UPDATE worker.copies SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    UPDATE worker.shares SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    UPDATE worker.freezes SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    UPDATE worker.preferences SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    RETURN v_orders;
END $$;

CREATE FUNCTION worker.uncount_attempts(p_pool text, p_shard integer) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    WITH counted_once AS (DELETE FROM worker.attempts WHERE pool = p_pool AND shard = p_shard AND begun = 1)
    UPDATE worker.attempts SET begun = begun - 1 WHERE pool = p_pool AND shard = p_shard AND begun > 1
$$;

CREATE INDEX shares_by_user ON worker.shares (user_id);

COMMENT ON COLUMN worker.orders.shard IS 'With the pool: where it is carried out; once it has ended, where that was.';
COMMENT ON COLUMN worker.drafts.shard IS 'With the pool: where it is open; once it is confirmed, where that was.';
REVOKE ALL ON FUNCTION worker.move_users, worker.uncount_attempts FROM PUBLIC;
GRANT USAGE ON SCHEMA worker TO purser_user_mover;
GRANT EXECUTE ON FUNCTION worker.move_users TO purser_user_mover;
