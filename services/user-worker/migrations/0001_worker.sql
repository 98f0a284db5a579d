-- What users chose for themselves, and the role that works for them.

DO $$ BEGIN CREATE ROLE purser_worker NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A stopped worker must not keep a shard's lock from the next owner for longer than this.
ALTER ROLE purser_worker SET transaction_timeout = '1s';
-- It asks the fence before its own writes, and it registers, claims and releases.
GRANT purser_store, purser_shard_owner TO purser_worker;

CREATE SCHEMA worker;
GRANT USAGE ON SCHEMA worker TO purser_worker;

CREATE TABLE worker.preferences (
    user_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    language text NOT NULL CHECK (length(language) BETWEEN 2 AND 35),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE worker.preferences IS 'Choices of users, one row per user who made one. pool and shard are those of the claim it was written under.';
GRANT SELECT, INSERT, UPDATE ON worker.preferences TO purser_worker;

CREATE TABLE worker.attempts (
    job_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    begun integer NOT NULL DEFAULT 1 CHECK (begun >= 1),
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX attempts_by_shard ON worker.attempts (pool, shard, counted_at);
COMMENT ON TABLE worker.attempts IS 'Jobs an owner began and an earlier one may have died of; counted before they run, gone when they end.';
GRANT SELECT, INSERT, UPDATE, DELETE ON worker.attempts TO purser_worker;
