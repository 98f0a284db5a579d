-- Orders that wait for a price, alerts, and other things to tell than ends of orders.

CREATE TABLE worker.resting_orders (
    order_id uuid PRIMARY KEY REFERENCES worker.drafts ON DELETE CASCADE,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    kind text NOT NULL CHECK (kind IN ('limit', 'stop', 'take-profit')),
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    direction text NOT NULL CHECK (direction IN ('at-or-below', 'at-or-above')),
    trigger_price numeric(56, 18) NOT NULL CHECK (trigger_price > 0),
    lasts_seconds integer NOT NULL CHECK (lasts_seconds BETWEEN 1 AND 2592000),
    state text NOT NULL DEFAULT 'offered' CHECK (state IN ('offered', 'waiting', 'triggered', 'cancelled', 'expired')),
    language text NOT NULL DEFAULT '' CHECK (length(language) <= 35),
    placed_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    CHECK ((state = 'offered') = (placed_at IS NULL) AND (placed_at IS NULL) = (expires_at IS NULL)),
    CHECK ((state IN ('triggered', 'cancelled', 'expired')) = (ended_at IS NOT NULL))
);
CREATE INDEX resting_orders_waiting ON worker.resting_orders (pool, shard, order_id) WHERE state = 'waiting';
CREATE INDEX resting_orders_expiring ON worker.resting_orders (pool, shard, expires_at) WHERE state = 'waiting';
CREATE INDEX resting_orders_of_user ON worker.resting_orders (user_id, placed_at) WHERE state = 'waiting';
COMMENT ON TABLE worker.resting_orders IS 'What makes a draft wait for a price: when it triggers, the order is accepted under the same id in the same transaction.';
COMMENT ON COLUMN worker.resting_orders.state IS 'offered: its draft says whether it can still be confirmed. Nothing is held for it before it has triggered.';
COMMENT ON COLUMN worker.resting_orders.lasts_seconds IS 'How long it waits from its confirmation.';
COMMENT ON COLUMN worker.resting_orders.language IS 'What the user was spoken to in when he confirmed; empty when unknown.';

CREATE TABLE worker.alerts (
    alert_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    direction text NOT NULL CHECK (direction IN ('at-or-below', 'at-or-above')),
    price numeric(56, 18) NOT NULL CHECK (price > 0),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'reached', 'removed', 'expired')),
    language text NOT NULL DEFAULT '' CHECK (length(language) <= 35),
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((state <> 'waiting') = (ended_at IS NOT NULL))
);
CREATE INDEX alerts_waiting ON worker.alerts (pool, shard, alert_id) WHERE state = 'waiting';
CREATE INDEX alerts_expiring ON worker.alerts (pool, shard, expires_at) WHERE state = 'waiting';
CREATE INDEX alerts_of_user ON worker.alerts (user_id, placed_at);
COMMENT ON TABLE worker.alerts IS 'Prices users want to be told of, once; those that ended go after a day.';
COMMENT ON COLUMN worker.alerts.alert_id IS 'The id of the job that set it: one that runs again meets its alert.';

-- An end stays an end, whoever asks; nothing begins to wait twice.
CREATE FUNCTION worker.check_waiting_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.state NOT IN ('offered', 'waiting') OR (OLD.state = 'offered' AND NEW.state <> 'waiting') THEN
        RAISE EXCEPTION 'what waits for a price never goes from % to %', OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER resting_orders_follow_the_arrows BEFORE UPDATE ON worker.resting_orders
    FOR EACH ROW EXECUTE FUNCTION worker.check_waiting_change();
CREATE TRIGGER alerts_follow_the_arrows BEFORE UPDATE ON worker.alerts
    FOR EACH ROW EXECUTE FUNCTION worker.check_waiting_change();

-- An event is the end of an order, told as the order stands, or a note that carries what it tells.
ALTER TABLE worker.events ALTER COLUMN order_id DROP NOT NULL;
ALTER TABLE worker.events
    ADD COLUMN kind text NOT NULL DEFAULT 'order-ended' CHECK (length(kind) BETWEEN 1 AND 64),
    ADD COLUMN subject_id uuid,
    ADD COLUMN user_id uuid,
    ADD COLUMN language text CHECK (length(language) <= 35),
    ADD COLUMN details jsonb,
    ADD CONSTRAINT events_kind_is_told CHECK ((kind = 'order-ended') = (order_id IS NOT NULL)),
    ADD CONSTRAINT events_note_is_whole CHECK (num_nulls(subject_id, user_id, language, details) = CASE WHEN order_id IS NULL THEN 0 ELSE 4 END),
    ADD CONSTRAINT events_tell_once UNIQUE (kind, subject_id);
COMMENT ON TABLE worker.events IS 'What users are to be told though no job asks: ends of orders nobody waited for, and notes. Written with what they tell and relayed to the gateway, each by its own mark: a high-water mark would miss what commits late.';
COMMENT ON COLUMN worker.events.subject_id IS 'What a note is about; one note of each kind about each subject.';
COMMENT ON COLUMN worker.events.details IS 'The note, as user_worker.domain.notes writes it.';

GRANT SELECT, INSERT, UPDATE (state, language, placed_at, expires_at, ended_at) ON worker.resting_orders TO purser_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (state, ended_at) ON worker.alerts TO purser_worker;
