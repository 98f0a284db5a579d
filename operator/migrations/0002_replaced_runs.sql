-- What a replaced run of a worker leaves behind, and which of two runs of one name lives.
--
-- A worker that restarts within its lease replaces its own run. Its shards had then no owner in workers, and counted as
-- ownerless since ever: anybody might take them at once, and the plan moved them back. They are ownerless since the
-- younger run registered; their desired owner claims them at once, as before.
CREATE OR REPLACE FUNCTION placement.claim_shard(
    p_pool text, p_shard integer, p_worker text, p_incarnation uuid, p_orphan_seconds double precision
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_epoch bigint;
BEGIN
    -- Under a snapshot from before the wait, a lease extended meanwhile would look over.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a claim needs READ COMMITTED' USING ERRCODE = 'PF002';
    END IF;
    -- Waits for the writes under way (each at most its role's transaction_timeout); later ones wait for this claim.
    PERFORM pg_advisory_xact_lock(placement.lock_key(p_pool, p_shard));
    UPDATE placement.shards s
    SET epoch = s.epoch + 1, owner = p_worker, owner_incarnation = p_incarnation, ownerless_since = NULL
    WHERE s.pool = p_pool AND s.shard = p_shard
      AND EXISTS (
          SELECT FROM placement.workers w
          WHERE w.pool = p_pool AND w.worker = p_worker AND w.incarnation = p_incarnation
            AND NOT w.draining AND w.lease_until > clock_timestamp()
      )
      AND NOT EXISTS (
          SELECT FROM placement.workers o
          WHERE o.pool = s.pool AND o.worker = s.owner AND o.incarnation = s.owner_incarnation
            AND o.lease_until > clock_timestamp()
      )
      AND (
          s.desired_owner IS NOT DISTINCT FROM p_worker
          OR clock_timestamp() > make_interval(secs => p_orphan_seconds) + coalesce(
              s.ownerless_since,
              (SELECT placement.run_ended_at(o, s.owner_incarnation)
               FROM placement.workers o WHERE o.pool = s.pool AND o.worker = s.owner),
              '-infinity'
          )
      )
    RETURNING s.epoch INTO v_epoch;
    RETURN v_epoch;
END $$;

-- When a run of a worker ended, or will unless it is extended: with its lease, or when a younger run replaced it.
CREATE FUNCTION placement.run_ended_at(p_worker placement.workers, p_incarnation uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_worker.incarnation = p_incarnation THEN p_worker.lease_until ELSE p_worker.registered_at END;

-- Begin another run of a process whose last one ended. False: another living process has registered under this name, and
-- replacing it would make it replace this one in turn, each of them dropping every shard. Only a process that starts
-- replaces whom it finds (register_worker): whoever started last is the worker.
CREATE FUNCTION placement.register_worker_again(
    p_pool text, p_worker text, p_incarnation uuid, p_previous uuid, p_lease_seconds double precision
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO placement.workers AS w (pool, worker, incarnation, lease_until)
    VALUES (p_pool, p_worker, p_incarnation, placement.lease_end(p_lease_seconds))
    ON CONFLICT (pool, worker) DO UPDATE
    SET incarnation = excluded.incarnation, lease_until = excluded.lease_until, draining = false,
        registered_at = clock_timestamp()
    -- p_incarnation: this call again, after its answer was lost.
    WHERE w.incarnation IN (p_previous, p_incarnation) OR w.lease_until <= clock_timestamp();
    IF FOUND THEN
        PERFORM pg_notify('placement', p_pool);
        RETURN true;
    END IF;
    RETURN false;
END $$;

COMMENT ON COLUMN placement.shards.users IS 'How many users the directory has put there, as it last told: the planner''s weight of the shard.';
REVOKE ALL ON FUNCTION placement.run_ended_at, placement.register_worker_again FROM PUBLIC;
GRANT EXECUTE ON FUNCTION placement.run_ended_at, placement.register_worker_again TO purser_shard_owner;
