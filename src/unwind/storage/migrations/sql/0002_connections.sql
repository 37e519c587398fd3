-- Real counterparts: what a number needs besides itself, how connections fare, what somebody should look at.

ALTER TABLE refunds ADD COLUMN numbered_at timestamptz, ADD COLUMN sent_at timestamptz;
COMMENT ON COLUMN refunds.numbered_at IS 'when the number was given; part of the number where a provider wants a time in it';
COMMENT ON COLUMN refunds.sent_at IS 'when it was last sent, for the spacing between refunds of one payment';
CREATE INDEX refunds_sent ON refunds (payment_id, sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection text NOT NULL,
    kind text NOT NULL,
    code text NOT NULL,
    case_id text,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    closed_at timestamptz,
    closed_by text
);
COMMENT ON TABLE alerts IS 'one open row per connection, kind and code: a broken signature, a code nobody knows, a callback that does not verify';
COMMENT ON COLUMN alerts.case_id IS 'the last case it happened to';
CREATE UNIQUE INDEX alerts_open ON alerts (connection, kind, code) WHERE closed_at IS NULL;

ALTER TABLE alerts ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN alerts.told_at IS 'when the staff channel took it';

ALTER TABLE messages ADD COLUMN tried text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN messages.tried IS 'channels that would not take it; the next of the ladder is used instead';

ALTER TABLE merchants
    ADD COLUMN quiet_from integer DEFAULT 1320 CHECK (quiet_from BETWEEN 0 AND 1439),
    ADD COLUMN quiet_to integer DEFAULT 480 CHECK (quiet_to BETWEEN 0 AND 1439);
COMMENT ON COLUMN merchants.quiet_from IS 'minutes of the merchant''s day from when buyers'' telephones are left alone; null: never';

CREATE TABLE connection_minutes (
    connection text NOT NULL,
    minute timestamptz NOT NULL,
    calls integer NOT NULL,
    failed integer NOT NULL,
    PRIMARY KEY (connection, minute)
);
COMMENT ON TABLE connection_minutes IS 'how each connection fares; kept for a day. failed: no answer that can be trusted';
CREATE INDEX connection_minutes_age ON connection_minutes (minute);

-- Bills ------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE bills (
    connection text NOT NULL,
    day date NOT NULL,
    loaded_at timestamptz NOT NULL,
    PRIMARY KEY (connection, day)
);
COMMENT ON COLUMN bills.day IS 'the provider''s day, in its own time zone';

CREATE TABLE bill_rows (
    connection text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('payment', 'refund')),
    trade_no text NOT NULL,
    refund_no text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    at timestamptz NOT NULL,
    FOREIGN KEY (connection, day) REFERENCES bills
);
CREATE INDEX bill_rows_of_day ON bill_rows (connection, day);
CREATE INDEX bill_rows_by_refund ON bill_rows (connection, refund_no) WHERE refund_no <> '';

CREATE TABLE bill_differences (
    difference_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    trade_no text NOT NULL,
    refund_no text NOT NULL,
    ours_minor bigint,
    theirs_minor bigint,
    case_id text,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by text,
    resolution text,
    UNIQUE (connection, day, kind, trade_no, refund_no)
);
CREATE INDEX bill_differences_open ON bill_differences (opened_at) WHERE closed_at IS NULL;

CREATE INDEX shipments_by_id ON shipments (shipment_id);
CREATE INDEX legs_blocked ON legs (case_id) WHERE state = 'blocked';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE ON alerts, bill_differences TO unwind_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON bills, bill_rows TO unwind_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON connection_minutes TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
