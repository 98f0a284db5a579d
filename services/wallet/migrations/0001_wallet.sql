-- Wallets: sealed private keys, the key they are wrapped with (known by its id and a canary), and who asked for what.
--
-- Nothing here opens a wallet by itself. The private key is sealed under a data key of its own; the data key is wrapped
-- by a key-encryption key that lives outside the database.

DO $$ BEGIN CREATE ROLE purser_wallet NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A stopped wallet must not hold a shard's lock and block a takeover.
ALTER ROLE purser_wallet SET transaction_timeout = '1s';
GRANT purser_store TO purser_wallet;

CREATE SCHEMA wallet;

CREATE FUNCTION wallet.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% are never changed', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE wallet.key_encryption_keys (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{16}$'),
    canary bytea NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE wallet.key_encryption_keys IS 'The key-encryption key of this database''s wallets: the start of a hash that names it, and a known sentence wrapped with it. Wallet refuses to start with another key.';
-- Two wallets that start for the first time with two different keys must not both win.
CREATE UNIQUE INDEX one_key_encryption_key ON wallet.key_encryption_keys ((true));
CREATE TRIGGER key_encryption_keys_stay BEFORE UPDATE OR DELETE ON wallet.key_encryption_keys
    FOR EACH ROW EXECUTE FUNCTION wallet.refuse_change();

CREATE TABLE wallet.wallets (
    wallet_id uuid PRIMARY KEY,
    user_id uuid NOT NULL UNIQUE,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    address text NOT NULL UNIQUE CHECK (address ~ '^0x[0-9a-fA-F]{40}$'),
    seal_version smallint NOT NULL CHECK (seal_version > 0),
    key_id text NOT NULL REFERENCES wallet.key_encryption_keys,
    wrapped_data_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN wallet.wallets.shard IS 'With the pool: the shard the user belongs to. A valid epoch of another shard cannot touch the wallet.';
COMMENT ON COLUMN wallet.wallets.seal_version IS 'How the key is sealed; bound into the associated data with the user and the wallet.';
COMMENT ON COLUMN wallet.wallets.sealed_key IS 'Nonce and AES-256-GCM ciphertext of the private key under its data key.';
COMMENT ON COLUMN wallet.wallets.wrapped_data_key IS 'The data key, wrapped by the key-encryption key named in key_id.';
CREATE TRIGGER wallets_stay BEFORE UPDATE OR DELETE ON wallet.wallets
    FOR EACH ROW EXECUTE FUNCTION wallet.refuse_change();

CREATE TABLE wallet.audit_log (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL CHECK (action IN ('wallet_created')),
    wallet_id uuid NOT NULL REFERENCES wallet.wallets,
    user_id uuid NOT NULL,
    pool text NOT NULL,
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    key_id text NOT NULL
);
COMMENT ON TABLE wallet.audit_log IS 'What was done with keys, under whose claim. Wallet can write it and cannot read or change it.';
CREATE TRIGGER audit_log_stays BEFORE UPDATE OR DELETE ON wallet.audit_log
    FOR EACH ROW EXECUTE FUNCTION wallet.refuse_change();

GRANT USAGE ON SCHEMA wallet TO purser_wallet;
GRANT SELECT, INSERT ON wallet.key_encryption_keys, wallet.wallets TO purser_wallet;
GRANT INSERT ON wallet.audit_log TO purser_wallet;
