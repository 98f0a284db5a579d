-- How the venue learns that users belong to another shard.
--
-- An order is its user's, so its shard is where the user lives now; the columns pool and shard of a row with a user say only
-- where the order was decided, and such rows still never change. A tombstone has no user: it is the shard's, and goes along
-- when it is named.

ALTER TABLE venue.orders DROP CONSTRAINT orders_user_id_pool_shard_fkey;
ALTER TABLE venue.users DROP CONSTRAINT users_user_id_pool_shard_key;
ALTER TABLE venue.orders ADD FOREIGN KEY (user_id) REFERENCES venue.users;

-- An order is decided where its user lives at that moment.
CREATE FUNCTION venue.check_home() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM venue.users u WHERE u.user_id = NEW.user_id AND u.pool = NEW.pool AND u.shard = NEW.shard
    ) THEN
        RAISE EXCEPTION 'an order of a user of another shard' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_begin_at_home BEFORE INSERT ON venue.orders
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION venue.check_home();

COMMENT ON COLUMN venue.orders.shard IS 'With the pool: where the order was decided. Of a tombstone, which knows no user: the shard it belongs to.';
COMMENT ON TABLE venue.users IS 'The shard each user belongs to; move_users alone changes it. A valid epoch of another shard cannot order for the user, nor for orders he sent before.';

-- Of a user, and of a tombstone, the shard may change and nothing else, in a transaction that has taken both shards from
-- their owners.
DROP TRIGGER users_stay ON venue.users;
CREATE TRIGGER users_stay BEFORE UPDATE ON venue.users FOR EACH ROW EXECUTE FUNCTION placement.check_move();
CREATE TRIGGER users_are_never_deleted BEFORE DELETE ON venue.users
    FOR EACH ROW EXECUTE FUNCTION venue.refuse_change();
DROP TRIGGER orders_stay ON venue.orders;
CREATE TRIGGER orders_stay BEFORE UPDATE ON venue.orders
    FOR EACH ROW WHEN (OLD.state <> 'tombstoned') EXECUTE FUNCTION venue.refuse_change();
CREATE TRIGGER tombstones_stay BEFORE UPDATE ON venue.orders
    FOR EACH ROW WHEN (OLD.state = 'tombstoned') EXECUTE FUNCTION placement.check_move();
CREATE TRIGGER orders_are_never_deleted BEFORE DELETE ON venue.orders
    FOR EACH ROW EXECUTE FUNCTION venue.refuse_change();

-- Say that users of one shard are another one's from now on, and so are those of the orders named that are tombstones; gives
-- how many users the venue knows. Those that are there already stay so. Users of a third shard are refused: whoever asks
-- knows less than the venue.
CREATE FUNCTION venue.move_users(
    p_users uuid[], p_orders uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_moved integer;
BEGIN
    PERFORM placement.revoke_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    UPDATE venue.users SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    UPDATE venue.orders SET pool = p_to_pool, shard = p_to_shard
    WHERE order_id = ANY (p_orders) AND state = 'tombstoned' AND pool = p_from_pool AND shard = p_from_shard;
    IF EXISTS (
        SELECT FROM venue.users
        WHERE user_id = ANY (p_users) AND (pool, shard) IS DISTINCT FROM (p_to_pool, p_to_shard)
    ) THEN
        RAISE EXCEPTION 'the venue knows a user in another shard than %/%', p_from_pool, p_from_shard USING ERRCODE = 'PM001';
    END IF;
    RETURN v_moved;
END $$;

REVOKE ALL ON FUNCTION venue.move_users FROM PUBLIC;
GRANT USAGE ON SCHEMA venue TO purser_user_mover;
GRANT EXECUTE ON FUNCTION venue.move_users TO purser_user_mover;
