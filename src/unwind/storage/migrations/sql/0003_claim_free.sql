-- The reading of a batch (`flow/intake.py`): takes of the wanted keys and orders those that nobody holds at this moment, and waits for none.
-- `wanted`: [{"principal_id", "operation", "key", "order_id"}, ...], each key and each order at most once; the key is hashed as in
-- `claim_and_lock`. Returns the orders that are ours now and whose key, where there is one, has not been used. From here on the
-- transaction waits for a lock no longer than `patience_ms`.
CREATE FUNCTION claim_free(wanted jsonb, patience_ms integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE ours text[];
BEGIN
    PERFORM set_config('lock_timeout', patience_ms::text, true);
    ours := ARRAY(
        SELECT w.order_id FROM jsonb_to_recordset(wanted) AS w(principal_id text, operation text, key text, order_id text)
        WHERE w.key = '' OR pg_try_advisory_xact_lock(
            hashtextextended(w.principal_id || chr(10) || w.operation || chr(10) || w.key, 0)));
    -- A statement of its own, so that it sees what the holders of these keys committed before they became ours.
    RETURN ARRAY(
        SELECT o.order_id FROM orders o
        WHERE o.order_id = ANY(ours) AND NOT EXISTS (
            SELECT FROM jsonb_to_recordset(wanted) AS w(principal_id text, operation text, key text, order_id text)
            JOIN idempotency_keys k USING (principal_id, operation, key)
            WHERE w.order_id = o.order_id)
        ORDER BY o.order_id FOR NO KEY UPDATE OF o SKIP LOCKED);
END $$;
