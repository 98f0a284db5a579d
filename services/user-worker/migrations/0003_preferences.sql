-- A second choice beside the language, and the erasing of both.

ALTER TABLE worker.preferences ALTER COLUMN language DROP NOT NULL;
ALTER TABLE worker.preferences
    ADD COLUMN slippage_basis_points integer CHECK (slippage_basis_points BETWEEN 0 AND 10000);
COMMENT ON COLUMN worker.preferences.language IS 'NULL when not chosen.';
COMMENT ON COLUMN worker.preferences.slippage_basis_points IS 'How far a price may move against an order of the user, in hundredths of a per cent; NULL when not chosen.';
GRANT DELETE ON worker.preferences TO purser_worker;
