-- Candles are forgotten by age: nine symbols fill two megabytes a day, and nobody may look back further than 30 days.
--
-- The role itself may still change and delete nothing: it may only ask for what is older than anybody can read.
-- Old rows lie at the table's beginning, which is where an unordered scan looks first: no index by time is kept.

CREATE FUNCTION pricing.forget_candles(p_age_seconds double precision, p_rows_max integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_age_seconds IS NULL OR p_age_seconds < 30 * 86400 OR p_rows_max IS NULL THEN
        RAISE EXCEPTION 'candles are kept for 30 days at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM pricing.candles WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM pricing.candles
        WHERE minute < clock_timestamp() - make_interval(secs => p_age_seconds)
        LIMIT p_rows_max FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
COMMENT ON FUNCTION pricing.forget_candles IS 'Forget candles older than so many seconds (30 days at least), so many rows at most; how many it were.';

REVOKE ALL ON FUNCTION pricing.forget_candles FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pricing.forget_candles TO purser_pricing;
