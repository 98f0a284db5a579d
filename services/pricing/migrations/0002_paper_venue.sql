-- The paper venue: what became of every order that was ever sent here or given up.
--
-- It lives in pricing's process and prices by pricing's quotes, and it is a store of its own: schema, role and fence. The
-- role reaches nothing else, and pricing's role does not reach it.

DO $$ BEGIN CREATE ROLE purser_venue NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A stopped venue must not hold a shard's lock and block a takeover.
ALTER ROLE purser_venue SET transaction_timeout = '1s';
GRANT purser_store TO purser_venue;

CREATE SCHEMA venue;

-- Rows say what was and stay so, whoever asks.
CREATE FUNCTION venue.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% never change', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE venue.users (
    user_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What an order refers to: a user together with the shard.
    UNIQUE (user_id, pool, shard)
);
COMMENT ON TABLE venue.users IS 'The shard each user belongs to. A valid epoch of another shard cannot order for the user.';
CREATE TRIGGER users_stay BEFORE UPDATE OR DELETE ON venue.users
    FOR EACH ROW EXECUTE FUNCTION venue.refuse_change();

CREATE TABLE venue.orders (
    order_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    state text NOT NULL CHECK (state IN ('filled', 'refused', 'tombstoned')),
    refusal text CHECK (refusal IN ('slippage', 'stale_price', 'unknown_symbol', 'too_small', 'too_large')),
    -- The order as it was sent.
    user_id uuid,
    side text CHECK (side IN ('buy', 'sell')),
    symbol text CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    spend_asset_id text CHECK (length(spend_asset_id) BETWEEN 3 AND 128),
    spend numeric(56, 18) CHECK (spend > 0 AND spend <> 'NaN'),
    receive_asset_id text CHECK (length(receive_asset_id) BETWEEN 3 AND 128),
    receive_min numeric(56, 18) CHECK (receive_min >= 0 AND receive_min <> 'NaN'),
    receive_max numeric(56, 18) CHECK (receive_max > 0 AND receive_max >= receive_min AND receive_max <> 'NaN'),
    fingerprint_version smallint CHECK (fingerprint_version > 0),
    fingerprint bytea CHECK (length(fingerprint) = 32),
    -- What was done.
    spent numeric(56, 18) CHECK (spent > 0 AND spent <= spend),
    received numeric(56, 18) CHECK (received > 0 AND received >= receive_min AND received <= coalesce(receive_max, received)),
    fee numeric(56, 18) CHECK (fee >= 0 AND fee < received),
    price numeric(56, 18) CHECK (price > 0 AND price <> 'NaN'),
    -- The quote behind it; a refusal may have none.
    quote_price numeric(56, 18) CHECK (quote_price > 0 AND quote_price <> 'NaN'),
    quote_source text CHECK (quote_source IN ('simulated', 'exchanges')),
    quote_stated_at timestamptz,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (user_id, pool, shard) REFERENCES venue.users (user_id, pool, shard),
    CHECK ((state = 'refused') = (refusal IS NOT NULL)),
    -- A tombstone knows the id and the shard, an order all that was sent.
    CHECK (num_nonnulls(user_id, side, symbol, spend_asset_id, spend, receive_asset_id, receive_min, fingerprint_version, fingerprint)
           = CASE state WHEN 'tombstoned' THEN 0 ELSE 9 END),
    CHECK (state <> 'tombstoned' OR receive_max IS NULL),
    CHECK (num_nonnulls(spent, received, fee, price) = CASE state WHEN 'filled' THEN 4 ELSE 0 END),
    CHECK (num_nonnulls(quote_price, quote_source, quote_stated_at) IN (0, 3)),
    CHECK (state <> 'filled' OR quote_price IS NOT NULL)
);
COMMENT ON TABLE venue.orders IS 'The first outcome of every order id, refusals and tombstones included. Kept for ever, never partitioned by time: a late retry must meet it.';
COMMENT ON COLUMN venue.orders.received IS 'Before the fee.';
COMMENT ON COLUMN venue.orders.fee IS 'In the asset received.';
COMMENT ON COLUMN venue.orders.price IS 'Quote currency per unit of base asset, spread and slippage included.';
CREATE INDEX orders_of_user ON venue.orders (user_id, order_id) WHERE user_id IS NOT NULL;
CREATE TRIGGER orders_stay BEFORE UPDATE OR DELETE ON venue.orders
    FOR EACH ROW EXECUTE FUNCTION venue.refuse_change();

GRANT USAGE ON SCHEMA venue TO purser_venue;
GRANT SELECT, INSERT ON venue.users, venue.orders TO purser_venue;
