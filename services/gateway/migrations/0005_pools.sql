-- Several pools: who is invited to which, and moving users between shards.

-- Admissions and moves change how full shards are, and both may concern several pools: their locks are taken in one order.
-- Whoever waits for one may hold rows of users, so nobody who has one may wait for such a row.
CREATE FUNCTION gateway.lock_pools(p_pools text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pool text;
BEGIN
    FOR v_pool IN SELECT DISTINCT p COLLATE "C" FROM unnest(p_pools) AS t (p) ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('gateway/' || v_pool, 5927));
    END LOOP;
END $$;

-- A job goes along with its user by its row's columns alone, which say where it is; what its payload says of pool and shard is
-- where it was accepted. So whoever moves users neither reads nor writes a job: who could write one could trade in a user's name.

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

-- A user's shard changes in a transaction that has taken both shards from their owners, whoever asks.
CREATE FUNCTION gateway.check_move() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT placement.are_revoked(ARRAY[OLD.pool, NEW.pool], ARRAY[OLD.shard, NEW.shard]) THEN
        RAISE EXCEPTION 'a user is moved with all that is theirs' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_are_moved_whole BEFORE UPDATE OF pool, shard ON gateway.users
    FOR EACH ROW WHEN ((OLD.pool, OLD.shard) IS DISTINCT FROM (NEW.pool, NEW.shard))
    EXECUTE FUNCTION gateway.check_move();

CREATE TABLE gateway.invitations (
    bot_id bigint NOT NULL,
    telegram_id bigint NOT NULL CHECK (telegram_id > 0),
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bot_id, telegram_id)
);
COMMENT ON TABLE gateway.invitations IS 'Strangers who are admitted to a pool whatever the rules and the limits say; gone when they are admitted.';
GRANT SELECT, DELETE ON gateway.invitations TO purser_gateway;

COMMENT ON TABLE gateway.users IS 'Users and where they are. Never deleted; moved by move_users alone, together with what the other rooms keep of them.';
REVOKE ALL ON FUNCTION gateway.lock_pools, gateway.lock_to_move, gateway.move_users FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.lock_pools TO purser_gateway, purser_user_mover;
GRANT USAGE ON SCHEMA gateway TO purser_user_mover;
GRANT EXECUTE ON FUNCTION gateway.lock_to_move, gateway.move_users TO purser_user_mover;
-- To look who is where, to make shards as admission does, to invite. No word of anybody's but through lock_to_move.
GRANT purser_shard_maker TO purser_user_mover;
GRANT SELECT (user_id, bot_id, telegram_id, pool, shard, last_user_seq, blocked_at, created_at) ON gateway.users TO purser_user_mover;
GRANT SELECT, INSERT ON gateway.shards TO purser_user_mover;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.invitations TO purser_user_mover;
