-- What orders by rule (plans, copied trades), and what stops all of a user's trading at once.

CREATE TABLE worker.freezes (
    user_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    job_id uuid NOT NULL,
    stopped jsonb NOT NULL,
    frozen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE worker.freezes IS 'Users whose trading is frozen: while there is a row, nothing of theirs is accepted. Gone when they trade again.';
COMMENT ON COLUMN worker.freezes.stopped IS 'How much of each kind the job stopped, so that it says the same when it runs again.';

-- Transactions that accept something for a user ask this first: a freeze takes the same lock exclusively, so it either is seen
-- here or sees what they wrote. The lock comes before any row of the user. What acts on a row that the freeze cancels (a plan, a
-- copy, a waiting order) needs no lock: the row itself says who was first.
CREATE FUNCTION worker.freeze_key(p_user uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT hashtextextended('worker.freezes:' || p_user::text, 0)
$$;
CREATE FUNCTION worker.is_frozen(p_user uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(worker.freeze_key(p_user));
    -- A statement of its own: it sees what was committed while it waited.
    RETURN EXISTS (SELECT FROM worker.freezes WHERE user_id = p_user);
END $$;

-- Whatever forgets to ask is refused here.
CREATE FUNCTION worker.check_order_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.ended_at IS NULL AND EXISTS (SELECT FROM worker.freezes WHERE user_id = NEW.user_id) THEN
        RAISE EXCEPTION 'the trading of this user is frozen' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_meet_freezes BEFORE INSERT ON worker.orders
    FOR EACH ROW EXECUTE FUNCTION worker.check_order_insert();

ALTER TABLE worker.orders ADD COLUMN is_frozen boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN worker.orders.is_frozen IS 'A freeze met it before it was submitted and brought submit_before forward: it is given up.';

ALTER TABLE worker.drafts
    ADD COLUMN rule text CHECK (rule IN ('plan', 'copy')),
    ADD COLUMN rule_id uuid,
    ADD CHECK ((rule IS NULL) = (rule_id IS NULL));
CREATE INDEX drafts_by_rule ON worker.drafts (rule_id, symbol) WHERE rule_id IS NOT NULL;
COMMENT ON COLUMN worker.drafts.rule IS 'What ordered it, when it was not the user himself: a plan or a copy, and which.';

CREATE TABLE worker.plans (
    plan_id uuid PRIMARY KEY,
    job_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    size_kind text NOT NULL CHECK (size_kind IN ('units', 'money')),
    size_value numeric(56, 18) NOT NULL CHECK (size_value > 0),
    slippage_basis_points integer NOT NULL CHECK (slippage_basis_points BETWEEN 0 AND 10000),
    period_seconds integer NOT NULL CHECK (period_seconds >= 1),
    runs_max integer CHECK (runs_max >= 1),
    runs integer NOT NULL DEFAULT 0 CHECK (runs BETWEEN 0 AND runs_max),
    state text NOT NULL DEFAULT 'offered' CHECK (state IN ('offered', 'active', 'paused', 'finished', 'cancelled')),
    language text NOT NULL DEFAULT '' CHECK (length(language) <= 35),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    next_at timestamptz,
    counted_since timestamptz,
    ended_at timestamptz,
    CHECK (state NOT IN ('active', 'paused') OR num_nulls(next_at, counted_since) = 0),
    CHECK ((state IN ('finished', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX plans_due ON worker.plans (pool, shard, next_at) WHERE state = 'active';
CREATE INDEX plans_of_user ON worker.plans (user_id, made_at);
COMMENT ON TABLE worker.plans IS 'Purchases that repeat. A run is counted in the transaction that accepts its order, or says why there is none.';
COMMENT ON COLUMN worker.plans.job_id IS 'The job that offered it; one that runs again meets its plan.';
COMMENT ON COLUMN worker.plans.runs IS 'Runs there were, the skipped ones included; a run is known by its number.';
COMMENT ON COLUMN worker.plans.expires_at IS 'Until when the offer can be confirmed.';
COMMENT ON COLUMN worker.plans.next_at IS 'When the next run is due; a multiple of the period from the first one.';
COMMENT ON COLUMN worker.plans.counted_since IS 'When it was confirmed or resumed: failures since then count towards a pause.';

CREATE TABLE worker.shares (
    share_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    code text NOT NULL UNIQUE CHECK (code ~ '^[0-9A-Z]{4}-[0-9A-Z]{4}$'),
    shared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX shares_of_user ON worker.shares (user_id) WHERE ended_at IS NULL;
COMMENT ON TABLE worker.shares IS 'Users who let others copy their trades, each by a code that whoever has it may use. Ended ones stay: copies name them.';

CREATE TABLE worker.copies (
    copy_id uuid PRIMARY KEY,
    job_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    share_id uuid NOT NULL REFERENCES worker.shares,
    leader_id uuid NOT NULL CHECK (leader_id <> user_id),
    spend numeric(56, 18) NOT NULL CHECK (spend > 0),
    slippage_basis_points integer NOT NULL CHECK (slippage_basis_points BETWEEN 0 AND 10000),
    state text NOT NULL DEFAULT 'offered' CHECK (state IN ('offered', 'active', 'ended')),
    language text NOT NULL DEFAULT '' CHECK (length(language) <= 35),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    began_at timestamptz,
    ended_at timestamptz,
    CHECK (state <> 'active' OR began_at IS NOT NULL),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX copies_once ON worker.copies (user_id, share_id) WHERE state = 'active';
CREATE INDEX copies_active ON worker.copies (pool, shard) WHERE state = 'active';
CREATE INDEX copies_of_share ON worker.copies (share_id) WHERE state = 'active';
CREATE INDEX copies_of_user ON worker.copies (user_id, made_at);
COMMENT ON TABLE worker.copies IS 'Who copies whom, for how much a trade. A row is the follower''s and in his shard; of the leader it reads only.';
COMMENT ON COLUMN worker.copies.spend IS 'What a copied purchase spends, in the currency of the venue.';

CREATE TABLE worker.copied (
    copy_id uuid NOT NULL REFERENCES worker.copies,
    leader_order_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    outcome text NOT NULL CHECK (length(outcome) BETWEEN 1 AND 64),
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (copy_id, leader_order_id)
);
CREATE INDEX copied_old ON worker.copied (pool, shard, taken_at);
COMMENT ON TABLE worker.copied IS 'Trades of leaders a copy has dealt with, each by its own mark: a high-water mark would miss what commits late. Written with the order it led to; gone a week later.';

CREATE INDEX orders_filled ON worker.orders (user_id, ended_at) WHERE state = 'filled';

-- An end stays an end; nothing begins twice.
CREATE FUNCTION worker.check_rule_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR (NEW.state = 'offered' AND OLD.state <> 'offered') THEN
        RAISE EXCEPTION 'what orders by rule never goes from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_follow_the_arrows BEFORE UPDATE ON worker.plans
    FOR EACH ROW EXECUTE FUNCTION worker.check_rule_change();
CREATE TRIGGER copies_follow_the_arrows BEFORE UPDATE ON worker.copies
    FOR EACH ROW EXECUTE FUNCTION worker.check_rule_change();

GRANT SELECT, INSERT, DELETE, UPDATE (pool, shard, job_id, stopped) ON worker.freezes TO purser_worker;
GRANT UPDATE (is_frozen, submit_before) ON worker.orders TO purser_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (state, runs, language, next_at, counted_since, ended_at) ON worker.plans TO purser_worker;
GRANT SELECT, INSERT, UPDATE (ended_at) ON worker.shares TO purser_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (state, language, began_at, ended_at) ON worker.copies TO purser_worker;
GRANT SELECT, INSERT, DELETE ON worker.copied TO purser_worker;
