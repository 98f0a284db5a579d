-- Minute candles: the memory of prices. The present price is in no table, it is stated anew each step.

DO $$ BEGIN CREATE ROLE purser_pricing NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
ALTER ROLE purser_pricing SET transaction_timeout = '1s';

CREATE SCHEMA pricing;

CREATE TABLE pricing.candles (
    symbol text NOT NULL CHECK (symbol ~ '^[A-Z0-9]{1,16}$'),
    currency text NOT NULL CHECK (currency ~ '^[A-Z0-9]{1,16}$'),
    source text NOT NULL CHECK (source IN ('simulated', 'exchanges')),
    minute timestamptz NOT NULL CHECK (date_trunc('minute', minute, 'UTC') = minute),
    open numeric(56, 18) NOT NULL CHECK (open > 0 AND open <> 'NaN'),
    high numeric(56, 18) NOT NULL CHECK (high > 0 AND high <> 'NaN'),
    low numeric(56, 18) NOT NULL CHECK (low > 0),
    close numeric(56, 18) NOT NULL CHECK (close > 0),
    PRIMARY KEY (symbol, currency, source, minute),
    CHECK (low <= open AND low <= close AND high >= open AND high >= close)
);
COMMENT ON TABLE pricing.candles IS 'One finished minute of one symbol. Every replica offers it, the first is kept: a finished minute never changes.';

GRANT USAGE ON SCHEMA pricing TO purser_pricing;
GRANT SELECT, INSERT ON pricing.candles TO purser_pricing;
