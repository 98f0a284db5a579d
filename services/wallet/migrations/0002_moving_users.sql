-- How wallets follow their users into another shard. The key, its sealing and the address stay as they are: the shard is in
-- none of them.

-- A wallet's shard may change and nothing else of it, in a transaction that has taken both shards from their owners.
DROP TRIGGER wallets_stay ON wallet.wallets;
CREATE TRIGGER wallets_stay BEFORE UPDATE ON wallet.wallets FOR EACH ROW EXECUTE FUNCTION placement.check_move();
CREATE TRIGGER wallets_are_never_deleted BEFORE DELETE ON wallet.wallets
    FOR EACH ROW EXECUTE FUNCTION wallet.refuse_change();

ALTER TABLE wallet.audit_log DROP CONSTRAINT audit_log_action_check;
ALTER TABLE wallet.audit_log ADD CONSTRAINT audit_log_action_check CHECK (action IN ('wallet_created', 'user_moved'));
COMMENT ON COLUMN wallet.audit_log.epoch IS 'Of the claim it was done under. Of user_moved: the epoch from which on the shard''s claims can use the wallet.';

-- Say that users of one shard are another one's from now on; gives how many have a wallet. Those that are there already
-- stay so. Users of a third shard are refused: whoever asks knows less than the wallet.
CREATE FUNCTION wallet.move_users(
    p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text, p_to_shard integer
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_moved integer;
BEGIN
    PERFORM placement.revoke_shards(ARRAY[p_from_pool, p_to_pool], ARRAY[p_from_shard, p_to_shard]);
    WITH moved AS (
        UPDATE wallet.wallets SET pool = p_to_pool, shard = p_to_shard
        WHERE user_id = ANY (p_users) AND pool = p_from_pool AND shard = p_from_shard
        RETURNING wallet_id, user_id, key_id
    )
    INSERT INTO wallet.audit_log (action, wallet_id, user_id, pool, shard, epoch, key_id)
    SELECT 'user_moved', m.wallet_id, m.user_id, p_to_pool, p_to_shard, s.epoch, m.key_id
    FROM moved m JOIN placement.shards s ON s.pool = p_to_pool AND s.shard = p_to_shard;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF EXISTS (
        SELECT FROM wallet.wallets
        WHERE user_id = ANY (p_users) AND (pool, shard) IS DISTINCT FROM (p_to_pool, p_to_shard)
    ) THEN
        RAISE EXCEPTION 'wallet knows a user in another shard than %/%', p_from_pool, p_from_shard USING ERRCODE = 'PM001';
    END IF;
    RETURN v_moved;
END $$;

REVOKE ALL ON FUNCTION wallet.move_users FROM PUBLIC;
GRANT USAGE ON SCHEMA wallet TO purser_user_mover;
GRANT EXECUTE ON FUNCTION wallet.move_users TO purser_user_mover;
