-- Requests to erase: restricted at once, unreadable for ever on the day until which records are kept.

CREATE TABLE erasures (
    order_id text PRIMARY KEY REFERENCES orders ON DELETE CASCADE,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    erase_at timestamptz NOT NULL,
    erased_at timestamptz
);
COMMENT ON TABLE erasures IS 'from asked_at on nothing personal of the order is shown; at erase_at its key is destroyed';
CREATE INDEX erasures_due ON erasures (erase_at) WHERE erased_at IS NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE ON erasures TO unwind_app;
    END IF;
END $$;
