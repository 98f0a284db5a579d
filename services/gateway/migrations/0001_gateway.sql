-- Users and their shards, what came in (inbox), what goes out (outbox), and who may poll and send.
--
-- User ids come from gateway.users in the transaction that uses them and users are never deleted, so the two busiest
-- tables carry no foreign key to it. Leases are compared with this database's clock.

DO $$ BEGIN CREATE ROLE purser_gateway NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
ALTER ROLE purser_gateway SET transaction_timeout = '1s';
GRANT purser_store, purser_shard_maker TO purser_gateway;

CREATE SCHEMA gateway;
GRANT USAGE ON SCHEMA gateway TO purser_gateway;

CREATE TABLE gateway.shards (
    pool text NOT NULL,
    shard integer NOT NULL CHECK (shard >= 0),
    users integer NOT NULL DEFAULT 0 CHECK (users >= 0),
    PRIMARY KEY (pool, shard)
);
COMMENT ON TABLE gateway.shards IS 'The directory: how full each shard is. Written under the pool''s advisory lock only.';

CREATE TABLE gateway.users (
    user_id uuid PRIMARY KEY,
    bot_id bigint NOT NULL,
    telegram_id bigint NOT NULL CHECK (telegram_id > 0),
    pool text NOT NULL,
    shard integer NOT NULL,
    last_user_seq bigint NOT NULL CHECK (last_user_seq >= 0),
    language_code text NOT NULL CHECK (length(language_code) <= 35),
    display_name text NOT NULL CHECK (length(display_name) <= 64),
    blocked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (bot_id, telegram_id),
    FOREIGN KEY (pool, shard) REFERENCES gateway.shards (pool, shard)
) WITH (fillfactor = 80);  -- each accepted update changes its row in place
CREATE INDEX users_by_shard ON gateway.users (pool, shard);
CREATE INDEX users_by_age ON gateway.users (created_at);
COMMENT ON COLUMN gateway.users.last_user_seq IS 'The newest place given out in the user''s own order; the row''s lock keeps the order free of gaps.';
COMMENT ON COLUMN gateway.users.blocked_at IS 'Since when Telegram says that the user blocked the bot; a new message clears it.';

CREATE TABLE gateway.updates_seen (
    bot_id bigint NOT NULL,
    update_id bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bot_id, update_id)
);
CREATE INDEX updates_seen_by_age ON gateway.updates_seen (seen_at);
COMMENT ON TABLE gateway.updates_seen IS 'A set, never a high-water mark: Telegram may restart its ids.';

CREATE TABLE gateway.rejected_updates (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id bigint NOT NULL,
    update_id numeric,
    raw bytea NOT NULL,
    error text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE gateway.rejected_updates IS 'Updates that could not be read or stored, as they came, for a person to look at.';

CREATE TABLE gateway.inbox (
    job_id uuid PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    user_id uuid NOT NULL,
    user_seq bigint NOT NULL CHECK (user_seq > 0),
    pool text NOT NULL,
    shard integer NOT NULL,
    accepted_at timestamptz NOT NULL,
    payload bytea NOT NULL CHECK (octet_length(payload) <= 65536),
    press_answer bytea,
    done_at timestamptz,
    outcome smallint CHECK (outcome IN (1, 2)),
    error text,
    UNIQUE (user_id, user_seq),
    CHECK ((done_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX inbox_undone ON gateway.inbox (pool, shard, place) WHERE done_at IS NULL;
CREATE INDEX inbox_done ON gateway.inbox (done_at) WHERE outcome = 1;
CREATE INDEX inbox_set_aside ON gateway.inbox (done_at) WHERE outcome = 2;
COMMENT ON COLUMN gateway.inbox.outcome IS 'purser.gateway.v1.JobOutcome: 1 done, 2 set aside with its error.';
COMMENT ON COLUMN gateway.inbox.place IS 'Given while the user''s row is locked: per user it grows with user_seq.';
COMMENT ON COLUMN gateway.inbox.payload IS 'The encoded purser.gateway.v1.Job; bytes, because what people type may hold NUL.';
COMMENT ON COLUMN gateway.inbox.press_answer IS 'The encoded silent Reply that is sent when the job ends without answering its press.';

CREATE TABLE gateway.outbox (
    lane smallint NOT NULL CHECK (lane IN (1, 2)),
    cause uuid NOT NULL,
    number smallint NOT NULL CHECK (number >= 0),
    place bigint GENERATED ALWAYS AS IDENTITY,
    user_id uuid NOT NULL,
    payload bytea NOT NULL,
    state smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
    attempts integer NOT NULL DEFAULT 0,
    failure text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    PRIMARY KEY (lane, cause, number),
    CHECK ((done_at IS NULL) = (state = 0))
);
CREATE INDEX outbox_pending ON gateway.outbox (user_id, lane, place) WHERE state = 0;
CREATE INDEX outbox_done ON gateway.outbox (done_at) WHERE done_at IS NOT NULL;
COMMENT ON COLUMN gateway.outbox.lane IS '1 answer: the cause is a job''s id. 2 notice: the cause is an event''s id.';
COMMENT ON COLUMN gateway.outbox.state IS '0 pending, 1 sent, 2 failed, 3 undeliverable (the user blocked the bot).';

CREATE TABLE gateway.senders (
    user_id uuid NOT NULL,
    lane smallint NOT NULL,
    holder uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    arrivals bigint NOT NULL DEFAULT 1,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, lane)
) WITH (fillfactor = 60);
CREATE INDEX senders_due ON gateway.senders (lane, next_attempt_at);
COMMENT ON TABLE gateway.senders IS 'One row per chat and lane with pending rows in the outbox: the lease of sending there.';
COMMENT ON COLUMN gateway.senders.arrivals IS 'Raised by each transaction that adds rows: a holder ends its lease only when it knows of all.';

CREATE TABLE gateway.messages (
    user_id uuid NOT NULL,
    message_key text NOT NULL CHECK (length(message_key) BETWEEN 1 AND 64),
    message_id bigint NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, message_key)
);
CREATE INDEX messages_by_id ON gateway.messages (user_id, message_id);
CREATE INDEX messages_by_age ON gateway.messages (kept_at);
COMMENT ON TABLE gateway.messages IS 'Which Telegram message a worker''s message_key became.';

CREATE TABLE gateway.pollers (
    bot_id bigint PRIMARY KEY,
    holder uuid NOT NULL,
    lease_until timestamptz NOT NULL
);
COMMENT ON TABLE gateway.pollers IS 'Which gateway polls Telegram for a bot: Telegram allows one at a time.';

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gateway TO purser_gateway;
-- Users are never deleted and never moved: what other tables keep of them rests on it, so the gateway's own role has no
-- right to do either.
REVOKE UPDATE, DELETE ON gateway.users FROM purser_gateway;
GRANT UPDATE (last_user_seq, language_code, display_name, blocked_at) ON gateway.users TO purser_gateway;
