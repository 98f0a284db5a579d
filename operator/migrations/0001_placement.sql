-- Which worker owns which shard, and the fence every store asks before it writes.
--
-- The operator writes desired_owner and the pools' policy; workers claim and release; nobody else changes a row. Every
-- transition of a shard or a worker is one function here, so that a role needs no right on those tables beyond reading
-- them. Time is this database's (clock_timestamp()). A lease is one row per worker, never one per shard.

DO $$ BEGIN CREATE ROLE purser_operator NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A member may ask the fence. Each store's own migration makes its role a member.
DO $$ BEGIN CREATE ROLE purser_store NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A member may register as a worker, claim and release.
DO $$ BEGIN CREATE ROLE purser_shard_owner NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A member may make shards.
DO $$ BEGIN CREATE ROLE purser_shard_maker NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
ALTER ROLE purser_operator SET transaction_timeout = '5s';

CREATE SCHEMA placement;

CREATE TABLE placement.pools (
    pool text PRIMARY KEY CHECK (length(pool) BETWEEN 3 AND 317 AND pool ~ '^[a-z0-9][a-z0-9.-]*[a-z0-9]$'),
    users_per_shard integer NOT NULL CHECK (users_per_shard BETWEEN 1 AND 1000),
    accept_new_users boolean NOT NULL,
    shards_per_worker_max integer NOT NULL CHECK (shards_per_worker_max BETWEEN 1 AND 1000),
    drain_timeout_seconds integer NOT NULL CHECK (drain_timeout_seconds BETWEEN 1 AND 600),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE placement.pools IS 'The policy of each UserShard as its control loop last wrote it.';

CREATE TABLE placement.workers (
    pool text NOT NULL,
    worker text NOT NULL CHECK (length(worker) BETWEEN 1 AND 253),
    incarnation uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    draining boolean NOT NULL DEFAULT false,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pool, worker)
);
COMMENT ON TABLE placement.workers IS 'One row per worker that ever registered and was not yet forgotten; alive while lease_until is ahead.';

CREATE TABLE placement.shards (
    pool text NOT NULL,
    shard integer NOT NULL CHECK (shard >= 0),
    epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    owner text,
    owner_incarnation uuid,
    desired_owner text,
    users integer NOT NULL DEFAULT 0 CHECK (users >= 0),
    ownerless_since timestamptz DEFAULT clock_timestamp(),
    PRIMARY KEY (pool, shard),
    CHECK ((owner IS NULL) = (owner_incarnation IS NULL)),
    CHECK ((owner IS NULL) = (ownerless_since IS NOT NULL))
);
COMMENT ON COLUMN placement.shards.users IS 'How many users the directory has put there, as it last told: for people who look, nothing is decided by it.';
COMMENT ON COLUMN placement.shards.epoch IS 'Raised by each claim; a write under an older one is refused.';

-- The advisory lock that orders claims and writes of a shard. A collision of two shards costs waiting, never safety.
CREATE FUNCTION placement.lock_key(p_pool text, p_shard integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN hashtextextended(p_pool || '/' || p_shard::text, 5927);

-- Refuse unless (shard, epoch) is the newest claim, and keep it so until this transaction ends.
--
-- Two statements on purpose: the lock first, then the epoch read with a snapshot of its own (VOLATILE under READ
-- COMMITTED). Reading inside the write's statement would use a snapshot from before the wait and let a stale write through.
CREATE FUNCTION placement.fence(p_pool text, p_shard integer, p_epoch bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_epoch bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the fence needs READ COMMITTED' USING ERRCODE = 'PF002';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(placement.lock_key(p_pool, p_shard));
    SELECT epoch INTO v_epoch FROM placement.shards WHERE pool = p_pool AND shard = p_shard;
    -- A missing epoch is refused first: compared with a missing shard, NULL would equal NULL.
    IF p_epoch IS NULL OR p_epoch < 1 OR v_epoch IS DISTINCT FROM p_epoch THEN
        RAISE EXCEPTION 'stale epoch % of shard %/%', p_epoch, p_pool, p_shard
            USING ERRCODE = 'PF001', DETAIL = format('newest epoch is %s', coalesce(v_epoch::text, 'none'));
    END IF;
END $$;

-- The fence for a batch of claims: one boolean per claim, in order, instead of an exception. Locks are taken in one
-- order, so that two batches cannot wait for each other.
CREATE FUNCTION placement.fence_batch(p_pools text[], p_shards integer[], p_epochs bigint[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_key bigint;
    v_result boolean[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the fence needs READ COMMITTED' USING ERRCODE = 'PF002';
    END IF;
    FOR v_key IN
        SELECT DISTINCT placement.lock_key(c.pool, c.shard)
        FROM unnest(p_pools, p_shards) AS c (pool, shard) ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock_shared(v_key);
    END LOOP;
    SELECT array_agg(coalesce(s.epoch = c.epoch AND c.epoch >= 1, false) ORDER BY c.place) INTO v_result
    FROM unnest(p_pools, p_shards, p_epochs) WITH ORDINALITY AS c (pool, shard, epoch, place)
    LEFT JOIN placement.shards s ON s.pool = c.pool AND s.shard = c.shard;
    RETURN coalesce(v_result, '{}');
END $$;

-- Make a shard if it is not there.
CREATE FUNCTION placement.ensure_shard(p_pool text, p_shard integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO placement.shards (pool, shard) VALUES (p_pool, p_shard) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('placement', p_pool);
    END IF;
END $$;

-- A lease outlives its worker by at most this; a longer one would keep a dead worker's shards from everybody.
CREATE FUNCTION placement.lease_end(p_lease_seconds double precision) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_lease_seconds IS NULL OR NOT p_lease_seconds BETWEEN 0.01 AND 60 THEN
        RAISE EXCEPTION 'a lease lasts 0.01 to 60 seconds, not %', p_lease_seconds USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN clock_timestamp() + make_interval(secs => p_lease_seconds);
END $$;

-- Tell how many users shards have. Rows are locked in the shards' order, as assignments do.
CREATE FUNCTION placement.tell_users(p_pool text, p_shards integer[], p_users integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM placement.shards WHERE pool = p_pool AND shard = ANY (p_shards) ORDER BY shard FOR NO KEY UPDATE;
    UPDATE placement.shards s SET users = t.users
    FROM unnest(p_shards, p_users) AS t (shard, users)
    WHERE s.pool = p_pool AND s.shard = t.shard;
END $$;

-- Register a run of a worker and begin its lease. A younger run of the same name replaces the older one, whose shards are then free.
CREATE FUNCTION placement.register_worker(p_pool text, p_worker text, p_incarnation uuid, p_lease_seconds double precision) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO placement.workers AS w (pool, worker, incarnation, lease_until)
    VALUES (p_pool, p_worker, p_incarnation, placement.lease_end(p_lease_seconds))
    ON CONFLICT (pool, worker) DO UPDATE
    SET incarnation = excluded.incarnation, lease_until = excluded.lease_until, draining = false,
        registered_at = clock_timestamp();
    PERFORM pg_notify('placement', p_pool);
END $$;

-- Extend a lease. False: this run is not registered any more, or its lease is over; it must drop its shards and register anew.
CREATE FUNCTION placement.heartbeat(p_pool text, p_worker text, p_incarnation uuid, p_lease_seconds double precision) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE placement.workers SET lease_until = placement.lease_end(p_lease_seconds)
    WHERE pool = p_pool AND worker = p_worker AND incarnation = p_incarnation AND lease_until > clock_timestamp();
    RETURN FOUND;
END $$;

-- Say that this run wants no more shards.
CREATE FUNCTION placement.drain_worker(p_pool text, p_worker text, p_incarnation uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE placement.workers SET draining = true WHERE pool = p_pool AND worker = p_worker AND incarnation = p_incarnation;
    PERFORM pg_notify('placement', p_pool);
END $$;

-- End a run that has released its shards.
CREATE FUNCTION placement.deregister_worker(p_pool text, p_worker text, p_incarnation uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM placement.workers WHERE pool = p_pool AND worker = p_worker AND incarnation = p_incarnation;
    PERFORM pg_notify('placement', p_pool);
END $$;

-- Claim a shard: the new epoch, or NULL when the shard is not free for this worker.
--
-- Free is a shard without an owner whose lease lives. The desired owner may claim a free shard at once, any other live worker only
-- after p_orphan_seconds without an owner: serving never waits for the operator.
CREATE FUNCTION placement.claim_shard(
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
              (SELECT o.lease_until FROM placement.workers o
               WHERE o.pool = s.pool AND o.worker = s.owner AND o.incarnation = s.owner_incarnation),
              '-infinity'
          )
      )
    RETURNING s.epoch INTO v_epoch;
    RETURN v_epoch;
END $$;

-- Give a shard up. False: it was not held under this epoch any more.
CREATE FUNCTION placement.release_shard(p_pool text, p_shard integer, p_worker text, p_incarnation uuid, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE placement.shards SET owner = NULL, owner_incarnation = NULL, ownerless_since = clock_timestamp()
    WHERE pool = p_pool AND shard = p_shard AND owner = p_worker AND owner_incarnation = p_incarnation AND epoch = p_epoch;
    IF FOUND THEN
        PERFORM pg_notify('placement', p_pool);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Name the worker that shall own a shard, if the plan was made from what still stands. False: it was not; observe again.
CREATE FUNCTION placement.assign_shard(p_pool text, p_shard integer, p_expected text, p_desired text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE placement.shards SET desired_owner = p_desired
    WHERE pool = p_pool AND shard = p_shard AND desired_owner IS NOT DISTINCT FROM p_expected;
    IF FOUND THEN
        PERFORM pg_notify('placement', p_pool);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Forget the workers of a pool whose lease has been over for p_seconds and that own nothing; how many.
CREATE FUNCTION placement.forget_workers(p_pool text, p_seconds double precision) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_forgotten integer;
BEGIN
    DELETE FROM placement.workers w
    WHERE w.pool = p_pool AND w.lease_until < clock_timestamp() - make_interval(secs => greatest(p_seconds, 60))
      AND NOT EXISTS (
          SELECT FROM placement.shards s
          WHERE s.pool = w.pool AND s.owner = w.worker AND s.owner_incarnation = w.incarnation
      );
    GET DIAGNOSTICS v_forgotten = ROW_COUNT;
    RETURN v_forgotten;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA placement FROM PUBLIC;
GRANT USAGE ON SCHEMA placement TO purser_operator, purser_store, purser_shard_owner, purser_shard_maker;
GRANT EXECUTE ON FUNCTION placement.fence, placement.fence_batch TO purser_store;
GRANT EXECUTE ON FUNCTION placement.register_worker, placement.heartbeat, placement.drain_worker,
    placement.deregister_worker, placement.claim_shard, placement.release_shard TO purser_shard_owner;
GRANT EXECUTE ON FUNCTION placement.ensure_shard, placement.tell_users TO purser_shard_maker;
GRANT EXECUTE ON FUNCTION placement.assign_shard, placement.forget_workers TO purser_operator;
GRANT SELECT ON placement.pools, placement.workers, placement.shards TO purser_operator, purser_shard_owner;
GRANT SELECT ON placement.pools TO purser_shard_maker;
-- No DELETE: a pool outlives its UserShard, as its users do.
GRANT INSERT, UPDATE ON placement.pools TO purser_operator;
