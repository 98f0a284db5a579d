-- The books: who has what, in which asset, and what moved.
--
-- A transfer has one debit side, one credit side, one asset and one amount, so no row can be out of balance and the
-- books of every asset sum to zero by construction; an entry is one side of a posted transfer, a view. Only users'
-- accounts have a balance row. A system account (faucet, venue, fees) takes part in nearly every transfer: a balance row
-- of its own would be one hot row that all wait for, so it is its entries plus a roll-up.

DO $$ BEGIN CREATE ROLE purser_ledger NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- A stopped ledger must not hold a shard's lock and block a takeover.
ALTER ROLE purser_ledger SET transaction_timeout = '1s';
GRANT purser_store TO purser_ledger;

CREATE SCHEMA ledger;

-- For tables and columns whose rows say what was and stay so, whoever asks.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% are never changed this way', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE ledger.assets (
    asset_id text PRIMARY KEY CHECK (length(asset_id) BETWEEN 3 AND 128 AND asset_id ~ '^[a-z0-9]+(:[A-Za-z0-9._-]+)+$'),
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 18),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.assets IS 'The registry. Migrations add to it; an id and its decimals never change, because amounts are kept in them.';
CREATE TRIGGER assets_stay BEFORE UPDATE OF asset_id, decimals OR DELETE ON ledger.assets
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Play money: the assets of the paper venue and the symbols of the simulated market.
INSERT INTO ledger.assets (asset_id, symbol, decimals) VALUES
    ('paper:USDT', 'USDT', 6),
    ('paper:BTC', 'BTC', 8),
    ('paper:ETH', 'ETH', 18),
    ('paper:SOL', 'SOL', 9),
    ('paper:BNB', 'BNB', 18),
    ('paper:XRP', 'XRP', 6),
    ('paper:ADA', 'ADA', 6),
    ('paper:DOGE', 'DOGE', 8),
    ('paper:TON', 'TON', 9),
    ('paper:LTC', 'LTC', 8);

CREATE TABLE ledger.users (
    user_id uuid PRIMARY KEY,
    pool text NOT NULL CHECK (length(pool) BETWEEN 3 AND 317),
    shard integer NOT NULL CHECK (shard >= 0),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.users IS 'The shard each user belongs to. A valid epoch of another shard cannot touch the user''s money.';

CREATE TABLE ledger.accounts (
    account_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES ledger.users,
    asset_id text NOT NULL REFERENCES ledger.assets,
    kind text NOT NULL CHECK (kind IN ('spot')),
    posted numeric(56, 18) NOT NULL DEFAULT 0,
    held numeric(56, 18) NOT NULL DEFAULT 0,
    posted_max numeric(56, 18) CHECK (posted_max >= 0),
    hold_max numeric(56, 18) CHECK (hold_max >= 0),
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (user_id, asset_id, kind),
    -- What a transfer's sides refer to: an account together with its asset.
    UNIQUE (account_id, asset_id),
    -- NaN is above every number in PostgreSQL: it must be refused by name.
    CONSTRAINT posted_never_negative CHECK (posted >= 0 AND posted <> 'NaN'),
    CONSTRAINT held_never_negative CHECK (held >= 0),
    CONSTRAINT held_within_posted CHECK (held <= posted)
);
COMMENT ON COLUMN ledger.accounts.posted IS 'Credits minus debits of posted transfers.';
COMMENT ON COLUMN ledger.accounts.held IS 'The sum of pending debits; posted minus held can be spent.';
COMMENT ON COLUMN ledger.accounts.posted_max IS 'The most the account may come to hold, NULL for no limit. Checked by the operation: a limit lowered later takes nothing away.';
COMMENT ON COLUMN ledger.accounts.hold_max IS 'The most one hold may take, NULL for no limit.';

CREATE TABLE ledger.transfers (
    transfer_id uuid PRIMARY KEY,
    operation text NOT NULL CHECK (operation IN ('hold', 'fill', 'faucet', 'fee')),
    state text NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'expired')),
    asset_id text NOT NULL,
    amount numeric(56, 18) NOT NULL CHECK (amount > 0 AND amount <> 'NaN'),
    posted_amount numeric(56, 18),
    -- One of the two names each side. A system account is a name, not a row: a foreign key to a row that all share would
    -- be locked by all.
    debit_account_id uuid,
    debit_system text CHECK (debit_system IN ('faucet', 'venue', 'fees')),
    credit_account_id uuid,
    credit_system text CHECK (credit_system IN ('faucet', 'venue', 'fees')),
    order_id uuid,
    expires_at timestamptz,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    FOREIGN KEY (debit_account_id, asset_id) REFERENCES ledger.accounts (account_id, asset_id),
    FOREIGN KEY (credit_account_id, asset_id) REFERENCES ledger.accounts (account_id, asset_id),
    CHECK (num_nonnulls(debit_account_id, debit_system) = 1),
    CHECK (num_nonnulls(credit_account_id, credit_system) = 1),
    CHECK (debit_account_id IS DISTINCT FROM credit_account_id OR debit_system IS DISTINCT FROM credit_system),
    CHECK ((state = 'posted') = (posted_amount IS NOT NULL)),
    CHECK (posted_amount > 0 AND posted_amount <= amount),
    CHECK ((state = 'pending') = (resolved_at IS NULL)),
    CHECK (operation <> 'hold' OR order_id IS NOT NULL)
);
COMMENT ON COLUMN ledger.transfers.posted_amount IS 'What was posted, at most the amount; the rest of a hold is released.';
CREATE UNIQUE INDEX one_hold_per_order ON ledger.transfers (order_id) WHERE operation = 'hold';
CREATE INDEX transfers_of_debit_account ON ledger.transfers (debit_account_id, transfer_id) WHERE debit_account_id IS NOT NULL;
CREATE INDEX transfers_of_credit_account ON ledger.transfers (credit_account_id, transfer_id) WHERE credit_account_id IS NOT NULL;
CREATE INDEX pending_by_expiry ON ledger.transfers (expires_at) WHERE state = 'pending' AND expires_at IS NOT NULL;
-- Pending ends once: posted, voided and expired are final.
CREATE TRIGGER resolved_transfers_stay BEFORE UPDATE ON ledger.transfers
    FOR EACH ROW WHEN (OLD.state <> 'pending') EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER transfers_stay BEFORE DELETE ON ledger.transfers
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

CREATE VIEW ledger.entries AS
    SELECT transfer_id, 'debit' AS side, debit_account_id AS account_id, debit_system AS system, asset_id,
           -posted_amount AS amount, resolved_at AS posted_at
    FROM ledger.transfers WHERE state = 'posted'
    UNION ALL
    SELECT transfer_id, 'credit', credit_account_id, credit_system, asset_id, posted_amount, resolved_at
    FROM ledger.transfers WHERE state = 'posted';
COMMENT ON VIEW ledger.entries IS 'Both sides of every posted transfer; credits are positive. The sum per asset is zero.';

CREATE TABLE ledger.system_rollups (
    system text NOT NULL CHECK (system IN ('faucet', 'venue', 'fees')),
    asset_id text NOT NULL REFERENCES ledger.assets,
    balance numeric(56, 18) NOT NULL CHECK (balance <> 'NaN'),
    rolled_up_to timestamptz NOT NULL,
    PRIMARY KEY (system, asset_id)
);
COMMENT ON TABLE ledger.system_rollups IS 'The balance of a system account from its entries up to a time; it may be negative (the faucet''s is).';

CREATE TABLE ledger.idempotency_keys (
    idempotency_key text PRIMARY KEY CHECK (length(idempotency_key) BETWEEN 1 AND 128),
    fingerprint_version smallint NOT NULL CHECK (fingerprint_version > 0),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    outcome text NOT NULL CHECK (outcome IN (
        'applied', 'insufficient_funds', 'not_found', 'already_posted', 'already_voided', 'expired',
        'shard_mismatch', 'limit_exceeded', 'linked_failed')),
    transfer_id uuid REFERENCES ledger.transfers,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.idempotency_keys IS 'The first answer to every money key, refusals included. Kept for ever, never partitioned by time: a late retry must meet it.';
CREATE TRIGGER idempotency_keys_stay BEFORE UPDATE OR DELETE ON ledger.idempotency_keys
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- No right to move a user, to re-label an account, or to take back what was written.
GRANT USAGE ON SCHEMA ledger TO purser_ledger;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO purser_ledger;
GRANT INSERT ON ledger.users, ledger.accounts, ledger.transfers, ledger.system_rollups, ledger.idempotency_keys TO purser_ledger;
GRANT UPDATE (posted, held) ON ledger.accounts TO purser_ledger;
GRANT UPDATE (state, posted_amount, resolved_at) ON ledger.transfers TO purser_ledger;
GRANT UPDATE (balance, rolled_up_to) ON ledger.system_rollups TO purser_ledger;
