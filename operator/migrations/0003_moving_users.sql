-- Moving users between shards, of the same pool or of two: what every room does in one transaction of the role made here.
--
-- Under the epochs that hold before the move each store believes that a user is in one shard, and each owner that it knows
-- who is in its own. So a move raises the epochs of both shards: what was read or begun under the old ones is refused by
-- the fence, and whoever owns a shard then begins with what stands in the tables. Each room moves its own rows by a
-- function of its own, and each of those functions sees to the epochs itself (revoke_shards), so no room's rows can be
-- moved without. Where money and keys are, triggers say it once more (are_revoked).

DO $$ BEGIN CREATE ROLE purser_user_mover NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- While a move waits for the writes under way in its shards, later ones wait behind it: it gives up soon and tries again.
ALTER ROLE purser_user_mover SET lock_timeout = '300ms';
-- Below the stores' own second, so that what waited for a move can still be done.
ALTER ROLE purser_user_mover SET transaction_timeout = '800ms';

ALTER TABLE placement.shards ADD COLUMN revoked_in xid8;
COMMENT ON COLUMN placement.shards.revoked_in IS 'The transaction that last revoked the shard: within it, the epoch is raised once.';

-- Wait for the writes under way in some shards, and keep later ones and claims waiting until this transaction ends. In the
-- order of the keys, as fence_batch, so that two of them cannot wait for each other. Before any row is locked.
CREATE FUNCTION placement.lock_shards(p_pools text[], p_shards integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_key bigint;
BEGIN
    -- Under a snapshot from before the wait, what was written meanwhile would be overlooked.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a move needs READ COMMITTED' USING ERRCODE = 'PF002';
    END IF;
    FOR v_key IN
        SELECT DISTINCT placement.lock_key(c.pool, c.shard)
        FROM unnest(p_pools, p_shards) AS c (pool, shard) ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(v_key);
    END LOOP;
END $$;

-- Take shards from whoever owns them and raise their epochs, once in a transaction however often it is asked.
--
-- A shard goes on with the worker it is wished for at. Where that one cannot have it, it is wished for at the worker it was
-- taken from, or nobody might claim it before it counts as an orphan.
CREATE FUNCTION placement.revoke_shards(p_pools text[], p_shards integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pool text;
BEGIN
    PERFORM placement.lock_shards(p_pools, p_shards);
    FOR v_pool IN
        WITH revoked AS (
            UPDATE placement.shards s
            SET epoch = s.epoch + 1, owner = NULL, owner_incarnation = NULL, revoked_in = pg_current_xact_id(),
                ownerless_since = coalesce(s.ownerless_since, clock_timestamp()),
                desired_owner = CASE
                    WHEN EXISTS (
                        SELECT FROM placement.workers d
                        WHERE d.pool = s.pool AND d.worker = s.desired_owner
                          AND NOT d.draining AND d.lease_until > clock_timestamp()
                    ) THEN s.desired_owner
                    ELSE coalesce((
                        SELECT o.worker FROM placement.workers o
                        WHERE o.pool = s.pool AND o.worker = s.owner AND o.incarnation = s.owner_incarnation
                          AND NOT o.draining AND o.lease_until > clock_timestamp()
                    ), s.desired_owner)
                END
            FROM unnest(p_pools, p_shards) AS c (pool, shard)
            WHERE s.pool = c.pool AND s.shard = c.shard AND s.revoked_in IS DISTINCT FROM pg_current_xact_id()
            RETURNING s.pool
        )
        SELECT DISTINCT pool FROM revoked
    LOOP
        PERFORM pg_notify('placement', v_pool);
    END LOOP;
END $$;

-- Whether this transaction has revoked the shards: for the stores' triggers, which let nobody be moved otherwise, whoever asks.
CREATE FUNCTION placement.are_revoked(p_pools text[], p_shards integer[]) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bool_and(s.revoked_in IS NOT DISTINCT FROM pg_current_xact_id()), false)
    FROM unnest(p_pools, p_shards) AS c (pool, shard)
    LEFT JOIN placement.shards s ON s.pool = c.pool AND s.shard = c.shard
$$;

-- For the tables in which the shard of a row is its user's: nothing else of a row may change, and that in a transaction
-- that has taken both shards from their owners only.
CREATE FUNCTION placement.check_move() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (to_jsonb(OLD) - 'pool' - 'shard') IS DISTINCT FROM (to_jsonb(NEW) - 'pool' - 'shard')
        OR NOT placement.are_revoked(ARRAY[OLD.pool, NEW.pool], ARRAY[OLD.shard, NEW.shard])
    THEN
        RAISE EXCEPTION 'a row of %.% changes its shard only, and only with its user', TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

REVOKE ALL ON FUNCTION placement.lock_shards, placement.revoke_shards, placement.are_revoked,
    placement.check_move FROM PUBLIC;
GRANT USAGE ON SCHEMA placement TO purser_user_mover;
GRANT EXECUTE ON FUNCTION placement.lock_shards TO purser_user_mover;
GRANT SELECT ON placement.pools, placement.shards TO purser_user_mover;
