-- A job goes along with its user by its row's columns alone, which say where it is; what its payload says of pool and shard is
-- where it was accepted. So whoever moves users neither reads nor writes a job: who could write one could trade in a user's name.

DROP FUNCTION gateway.lock_to_move(uuid[], text, integer, text, integer, integer);
DROP FUNCTION gateway.move_users(uuid[], uuid[], bytea[], text, integer, text, integer);

-- Lock users of one shard and all that says where they are, in the one order in which nobody waits for a move in a circle:
-- shards, users, pools.
--
-- PM002: somebody is not there any more, or there is no room for all of them: look anew.
CREATE FUNCTION gateway.lock_to_move(
    p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer, p_users_per_shard integer
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_users integer := cardinality(p_users);
    v_found integer;
BEGIN
    PERFORM placement.lock_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    -- In the order in which batches of updates lock them.
    PERFORM FROM gateway.users u WHERE u.user_id = ANY (p_users) ORDER BY u.telegram_id FOR NO KEY UPDATE;
    PERFORM gateway.lock_pools(ARRAY[p_from_pool, p_to_pool]);
    SELECT count(*) INTO v_found FROM gateway.users u
    WHERE u.user_id = ANY (p_users) AND u.pool = p_from_pool AND u.shard = p_from_shard;
    IF v_found <> v_users THEN
        RAISE EXCEPTION '% of % users are in shard %/%', v_found, v_users, p_from_pool, p_from_shard USING ERRCODE = 'PM002';
    END IF;
    IF NOT EXISTS (
        SELECT FROM gateway.shards s
        WHERE s.pool = p_to_pool AND s.shard = p_to_shard AND s.users + v_users <= p_users_per_shard
    ) THEN
        RAISE EXCEPTION 'no room for % users in shard %/%', v_users, p_to_pool, p_to_shard USING ERRCODE = 'PM002';
    END IF;
END $$;

-- Say that users of one shard are another one's from now on, with what waits of theirs. After lock_to_move, in the same
-- transaction. Jobs that are done stay where that was; those that were set aside go along, to be listed and replayed there.
CREATE FUNCTION gateway.move_users(
    p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_moved integer;
BEGIN
    PERFORM placement.revoke_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    UPDATE gateway.users SET pool = p_to_pool, shard = p_to_shard
    WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved <> cardinality(p_users) THEN
        RAISE EXCEPTION 'the gateway knows a user in another shard than %/%', p_from_pool, p_from_shard USING ERRCODE = 'PM001';
    END IF;
    UPDATE gateway.inbox i SET pool = p_to_pool, shard = p_to_shard
    WHERE i.pool = p_from_pool AND i.shard = p_from_shard AND i.done_at IS NULL AND i.user_id = ANY (p_users);
    UPDATE gateway.inbox i SET pool = p_to_pool, shard = p_to_shard
    WHERE i.pool = p_from_pool AND i.shard = p_from_shard AND i.outcome = 2 AND i.user_id = ANY (p_users);
    UPDATE gateway.shards SET users = users - v_moved WHERE pool = p_from_pool AND shard = p_from_shard;
    UPDATE gateway.shards SET users = users + v_moved WHERE pool = p_to_pool AND shard = p_to_shard;
    PERFORM placement.tell_users(s.pool, ARRAY[s.shard], ARRAY[s.users]) FROM gateway.shards s
    WHERE (s.pool, s.shard) IN ((p_from_pool, p_from_shard), (p_to_pool, p_to_shard));
END $$;

COMMENT ON COLUMN gateway.inbox.shard IS 'With the pool: where the job is worked; once it is done, where that was. Whoever hands a job out writes both into it.';
COMMENT ON COLUMN gateway.inbox.payload IS 'The encoded purser.gateway.v1.Job, whose pool and shard are where it was accepted; bytes, because what people type may hold NUL. Empty once forgotten.';
REVOKE ALL ON FUNCTION gateway.lock_to_move, gateway.move_users FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.lock_to_move, gateway.move_users TO purser_user_mover;
