-- What typed operations need beside the accounts and transfers: the faucet's bound, trades, and what holdings cost.

-- The ledger always goes by key, and its prepared statements keep the plan they began with. A plan made while the tables
-- were empty would read them whole for ever after: measured, 240 ms instead of 4 per thousand keys at 100,000 rows.
ALTER ROLE purser_ledger SET enable_seqscan = off;
ALTER ROLE purser_ledger SET enable_hashjoin = off;
ALTER ROLE purser_ledger SET enable_mergejoin = off;

ALTER TABLE ledger.assets ADD COLUMN faucet_max numeric(56, 18) CHECK (faucet_max > 0 AND faucet_max <> 'NaN');
COMMENT ON COLUMN ledger.assets.faucet_max IS 'What the faucet gives one user in all, NULL where there is no faucet.';
UPDATE ledger.assets SET faucet_max = 10000 WHERE asset_id = 'paper:USDT';

ALTER TABLE ledger.accounts
    ADD COLUMN faucet_given numeric(56, 18) NOT NULL DEFAULT 0 CHECK (faucet_given >= 0 AND faucet_given <> 'NaN'),
    -- Every operation changes a balance in place: room on the page keeps the row's indexes out of it.
    SET (fillfactor = 70);
COMMENT ON COLUMN ledger.accounts.faucet_given IS 'What the faucet has given to this account; kept beside the balance so that its bound is checked under the same lock.';
GRANT UPDATE (faucet_given) ON ledger.accounts TO purser_ledger;

-- In the order of posting: what the roll-up of system accounts and their balances read.
CREATE INDEX posted_by_time ON ledger.transfers (resolved_at) WHERE state = 'posted';

CREATE TABLE ledger.trades (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES ledger.users,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    spent_asset_id text NOT NULL REFERENCES ledger.assets,
    spent numeric(56, 18) NOT NULL CHECK (spent > 0 AND spent <> 'NaN'),
    received_asset_id text NOT NULL REFERENCES ledger.assets,
    received numeric(56, 18) NOT NULL CHECK (received > 0 AND received <> 'NaN'),
    fee numeric(56, 18) NOT NULL CHECK (fee >= 0 AND fee <= received),
    realised_pnl numeric(56, 18) CHECK (realised_pnl <> 'NaN'),
    posted_at timestamptz NOT NULL,
    CHECK (spent_asset_id <> received_asset_id),
    CHECK ((side = 'sell') = (realised_pnl IS NOT NULL))
);
COMMENT ON TABLE ledger.trades IS 'One row per filled order, written with its transfers.';
COMMENT ON COLUMN ledger.trades.fee IS 'In the asset received.';
COMMENT ON COLUMN ledger.trades.realised_pnl IS 'Of a sell: proceeds after the fee minus the average cost of what was sold, in the asset received.';
CREATE INDEX trades_of_user ON ledger.trades (user_id, posted_at, order_id);
CREATE TRIGGER trades_stay BEFORE UPDATE OR DELETE ON ledger.trades
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

CREATE TABLE ledger.positions (
    user_id uuid NOT NULL REFERENCES ledger.users,
    asset_id text NOT NULL REFERENCES ledger.assets,
    currency_asset_id text NOT NULL REFERENCES ledger.assets,
    quantity numeric(56, 18) NOT NULL CHECK (quantity >= 0 AND quantity <> 'NaN'),
    cost numeric(56, 18) NOT NULL CHECK (cost >= 0 AND cost <> 'NaN'),
    PRIMARY KEY (user_id, asset_id, currency_asset_id),
    CHECK (asset_id <> currency_asset_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE ledger.positions IS 'What trades have bought and not yet sold, and what it cost by average cost, fees included. Changed only under the lock of the account that holds the asset.';

GRANT SELECT ON ledger.trades, ledger.positions TO purser_ledger;
GRANT INSERT ON ledger.trades, ledger.positions TO purser_ledger;
GRANT UPDATE (quantity, cost) ON ledger.positions TO purser_ledger;
