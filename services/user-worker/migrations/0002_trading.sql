-- Drafts, the orders they become, what was done for each order, and what users are to be told of it.
--
-- Money is never here: an order's amounts are a copy of what was agreed and of what the venue answered; the books are the
-- ledger's. Every row names the shard it was written for, and every statement that changes one names it again: a valid
-- epoch of another shard cannot touch it.

CREATE TABLE worker.drafts (
    draft_id uuid PRIMARY KEY,
    job_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    receipt text NOT NULL CHECK (receipt ~ '^[0-9A-Z]{4}-[0-9A-Z]{4}$'),
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    size_kind text NOT NULL CHECK (size_kind IN ('units', 'money', 'share')),
    size_value numeric(56, 18) NOT NULL CHECK (size_value > 0),
    spend_asset_id text NOT NULL CHECK (length(spend_asset_id) BETWEEN 3 AND 128),
    spend_symbol text NOT NULL,
    spend numeric(56, 18) NOT NULL CHECK (spend > 0),
    receive_asset_id text NOT NULL CHECK (length(receive_asset_id) BETWEEN 3 AND 128),
    receive_symbol text NOT NULL,
    receive numeric(56, 18) NOT NULL CHECK (receive > 0),
    fee numeric(56, 18) NOT NULL CHECK (fee >= 0),
    receive_min numeric(56, 18) NOT NULL CHECK (receive_min > 0),
    receive_max numeric(56, 18) CHECK (receive_max >= receive_min),
    price numeric(56, 18) NOT NULL CHECK (price > 0),
    slippage_basis_points integer NOT NULL CHECK (slippage_basis_points BETWEEN 0 AND 10000),
    is_simulated boolean NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'cancelled', 'expired')),
    UNIQUE (user_id, receipt)
);
CREATE INDEX drafts_by_user ON worker.drafts (user_id, made_at);
COMMENT ON TABLE worker.drafts IS 'Offers with every amount resolved, one per job. The confirmed ones stay for ever: they are what an order is.';
COMMENT ON COLUMN worker.drafts.job_id IS 'The cause: a job that runs again meets its draft.';
COMMENT ON COLUMN worker.drafts.receipt IS 'What the user knows it by, made of the id; unique per user.';

CREATE TABLE worker.orders (
    order_id uuid PRIMARY KEY REFERENCES worker.drafts,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    state text NOT NULL CHECK (state IN ('accepted', 'held', 'submitted', 'executed', 'given-up', 'filled', 'rejected')),
    language text NOT NULL DEFAULT '' CHECK (length(language) <= 35),
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    submit_before timestamptz NOT NULL,
    spent numeric(56, 18) CHECK (spent > 0),
    received numeric(56, 18) CHECK (received > 0),
    fee numeric(56, 18) CHECK (fee BETWEEN 0 AND received),
    refused text CHECK (length(refused) BETWEEN 1 AND 64),
    tell_later boolean NOT NULL DEFAULT false,
    ended_at timestamptz,
    CHECK ((state IN ('executed', 'filled')) = (spent IS NOT NULL AND received IS NOT NULL AND fee IS NOT NULL)),
    CHECK ((state IN ('given-up', 'rejected')) = (refused IS NOT NULL)),
    CHECK ((state IN ('filled', 'rejected')) = (ended_at IS NOT NULL))
);
CREATE INDEX orders_open ON worker.orders (pool, shard, accepted_at) WHERE ended_at IS NULL;
CREATE INDEX orders_by_user ON worker.orders (user_id, accepted_at);
COMMENT ON TABLE worker.orders IS 'Confirmed drafts, under the same id, as last recorded. Kept for ever: receipts.';
COMMENT ON COLUMN worker.orders.submit_before IS 'It is given up when the venue has not heard of it by then.';
COMMENT ON COLUMN worker.orders.tell_later IS 'The job that confirmed it has ended: its end is told by an event.';
COMMENT ON COLUMN worker.orders.language IS 'What the user was spoken to in when he confirmed; empty when unknown.';

-- The arrows of user_worker.domain.orders. An end stays an end, whoever asks.
CREATE FUNCTION worker.check_order_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('accepted', 'held'), ('accepted', 'rejected'), ('held', 'submitted'), ('held', 'executed'), ('held', 'given-up'),
        ('submitted', 'executed'), ('submitted', 'given-up'), ('executed', 'filled'), ('given-up', 'rejected')
    ) THEN
        RAISE EXCEPTION 'an order never goes from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'an ended order never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_follow_the_arrows BEFORE UPDATE ON worker.orders
    FOR EACH ROW EXECUTE FUNCTION worker.check_order_change();

CREATE TABLE worker.order_steps (
    step_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES worker.orders,
    step text NOT NULL CHECK (step IN ('accept', 'hold', 'submit', 'venue', 'post', 'void')),
    outcome text NOT NULL CHECK (length(outcome) BETWEEN 1 AND 64),
    epoch bigint NOT NULL CHECK (epoch >= 1),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (order_id, step)
);
COMMENT ON TABLE worker.order_steps IS 'What was done for each order, when and under which epoch; written with the change of state it led to, never changed.';

CREATE TABLE worker.events (
    event_id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE REFERENCES worker.orders,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    relayed_at timestamptz
);
CREATE INDEX events_unrelayed ON worker.events (pool, shard, made_at) WHERE relayed_at IS NULL;
CREATE INDEX events_relayed ON worker.events (pool, shard, relayed_at) WHERE relayed_at IS NOT NULL;
COMMENT ON TABLE worker.events IS 'Ends of orders nobody waited for, written with the end itself and relayed to the gateway, each by its own mark: a high-water mark would miss what commits late.';

GRANT SELECT, INSERT, DELETE, UPDATE (state) ON worker.drafts TO purser_worker;
GRANT SELECT, INSERT, UPDATE (state, spent, received, fee, refused, tell_later, ended_at) ON worker.orders TO purser_worker;
GRANT SELECT, INSERT ON worker.order_steps TO purser_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (relayed_at) ON worker.events TO purser_worker;
