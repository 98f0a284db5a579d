-- How a reader of a replica knows how old what it reads is. A ledger that has a replica marks the time here each second.

CREATE TABLE ledger.freshness (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    marked_at timestamptz NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE ledger.freshness IS 'A time of the primary''s clock: who sees it sees everything that was committed before it.';
INSERT INTO ledger.freshness (marked_at) VALUES ('epoch');
GRANT SELECT, UPDATE (marked_at) ON ledger.freshness TO purser_ledger;
