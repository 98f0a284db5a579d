-- How the books learn that users belong to another shard. Nothing but that changes: money stays where it is.

-- A user's shard changes in a transaction that has taken both shards from their owners, whoever asks.
CREATE TRIGGER users_stay BEFORE UPDATE ON ledger.users FOR EACH ROW EXECUTE FUNCTION placement.check_move();

-- Say that users of one shard are another one's from now on; gives how many the books know. Those that are there already
-- stay so. Users of a third shard are refused: whoever asks knows less than the books.
CREATE FUNCTION ledger.move_users(
    p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_moved integer;
BEGIN
    PERFORM placement.revoke_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    UPDATE ledger.users SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF EXISTS (
        SELECT FROM ledger.users
        WHERE user_id = ANY (p_users) AND (pool, shard) IS DISTINCT FROM (p_to_pool, p_to_shard)
    ) THEN
        RAISE EXCEPTION 'the ledger knows a user in another shard than %/%', p_from_pool, p_from_shard USING ERRCODE = 'PM001';
    END IF;
    RETURN v_moved;
END $$;

COMMENT ON TABLE ledger.users IS 'The shard each user belongs to; move_users alone changes it. A valid epoch of another shard cannot touch the user''s money.';
REVOKE ALL ON FUNCTION ledger.move_users FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO purser_user_mover;
GRANT EXECUTE ON FUNCTION ledger.move_users TO purser_user_mover;
