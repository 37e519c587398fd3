-- Care for people's data: how long what is kept, who has looked at it unmasked; how satisfied buyers are; phrases the tagger has been taught.

-- Retention ----------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE retention_periods (
    kind text NOT NULL,
    version integer NOT NULL,
    n integer NOT NULL CHECK (n > 0),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (kind, version)
);
COMMENT ON TABLE retention_periods IS 'the newest version of a kind holds; a kind that has none is kept as long as the program says';
CREATE TRIGGER retention_periods_append_only BEFORE UPDATE OR DELETE ON retention_periods
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Records that are never changed, and never deleted before they have been kept for the days that the trigger names.
CREATE FUNCTION refuse_early_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < unwind_now() - make_interval(days => TG_ARGV[0]::integer) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'history is append-only (I9)';
END $$;
DROP TRIGGER lookups_append_only ON lookups;
CREATE TRIGGER lookups_append_only BEFORE UPDATE OR DELETE ON lookups FOR EACH ROW EXECUTE FUNCTION refuse_early_change(180);
DROP TRIGGER sign_in_events_append_only ON sign_in_events;
CREATE TRIGGER sign_in_events_append_only BEFORE UPDATE OR DELETE ON sign_in_events
    FOR EACH ROW EXECUTE FUNCTION refuse_early_change(180);

CREATE INDEX lookups_age ON lookups (at);
CREATE INDEX sign_in_events_age ON sign_in_events (at);
CREATE INDEX phone_calls_age ON phone_calls (rang_at);
CREATE INDEX identity_checks_age ON identity_checks (at);
CREATE INDEX identity_codes_age ON identity_codes (made_at);
CREATE INDEX callback_inbox_age ON callback_inbox (received_at);
CREATE INDEX attachments_age ON attachments (added_at);

ALTER TABLE order_keys ADD COLUMN kept_from timestamptz;
ALTER TABLE order_keys ALTER COLUMN kept_from SET DEFAULT unwind_now();
UPDATE order_keys k SET kept_from = o.placed_at FROM orders o WHERE o.order_id = k.order_id;
COMMENT ON COLUMN order_keys.kept_from IS 'the last thing known to have happened to the order when somebody last looked; its people''s data is kept so long from then';
CREATE INDEX order_keys_age ON order_keys (kept_from);

-- Reveals ------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE reveals (
    reveal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    principal_id text NOT NULL,
    actor text NOT NULL,
    merchant_id text NOT NULL,
    order_id text NOT NULL,
    case_id text NOT NULL,
    fields text[] NOT NULL CHECK (cardinality(fields) > 0),
    why text NOT NULL
);
COMMENT ON TABLE reveals IS 'append-only: who has seen which fields of an order''s people unmasked, when, and why; never the values';
CREATE INDEX reveals_age ON reveals (at);
CREATE INDEX reveals_of ON reveals (principal_id, at);
CREATE INDEX reveals_of_order ON reveals (order_id, reveal_id);
CREATE TRIGGER reveals_append_only BEFORE UPDATE OR DELETE ON reveals FOR EACH ROW EXECUTE FUNCTION refuse_early_change(1096);
CREATE TRIGGER reveals_kept BEFORE TRUNCATE ON reveals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE reveal_thresholds (
    version integer PRIMARY KEY,
    orders_per_day integer NOT NULL CHECK (orders_per_day > 0),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    why text NOT NULL
);
COMMENT ON TABLE reveal_thresholds IS 'the newest holds: whoever looks at the people of more orders in 24 hours raises an alert';
CREATE TRIGGER reveal_thresholds_append_only BEFORE UPDATE OR DELETE ON reveal_thresholds
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Ratings ------------------------------------------------------------------------------------------------------------------------------------
ALTER TABLE merchants ADD COLUMN asks_rating boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN merchants.asks_rating IS 'buyers are asked how it went once their money is back';

CREATE TABLE ratings (
    case_id text PRIMARY KEY REFERENCES cases,
    order_id text NOT NULL REFERENCES orders,
    merchant_id text NOT NULL REFERENCES merchants,
    channel text NOT NULL,
    decided_by text NOT NULL CHECK (decided_by IN ('policy', 'person')),
    rule text NOT NULL,
    asked_at timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > asked_at),
    score smallint CHECK (score BETWEEN 1 AND 5),
    answered_at timestamptz,
    changed_at timestamptz,
    changes integer NOT NULL DEFAULT 0,
    has_comment boolean NOT NULL DEFAULT false,
    followed_up_by text REFERENCES cases,
    CONSTRAINT answered_with_a_score CHECK ((score IS NULL) = (answered_at IS NULL))
);
COMMENT ON TABLE ratings IS 'one row per case whose buyer was asked; the comment itself is in private_data';
COMMENT ON COLUMN ratings.followed_up_by IS 'the case that a bad score opened for a person';
CREATE INDEX ratings_asked ON ratings (asked_at);
CREATE INDEX ratings_of_merchant ON ratings (merchant_id, asked_at);

-- Reviewed phrases -----------------------------------------------------------------------------------------------------------------------------
CREATE TABLE phrase_book (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    version bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE phrase_book IS 'one counter over the phrases in force; its row is the lock under which they change';
INSERT INTO phrase_book DEFAULT VALUES;

CREATE TABLE phrases (
    phrase_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text REFERENCES merchants,
    phrase text NOT NULL,
    folded text NOT NULL,
    label text NOT NULL,
    state text NOT NULL CHECK (state IN ('proposed', 'in_force', 'retired')),
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    why text NOT NULL,
    evaluation jsonb NOT NULL,
    agreed_by text,
    agreed_at timestamptz,
    since_version bigint,
    retired_by text,
    retired_at timestamptz,
    retired_why text,
    CONSTRAINT agreed_by_another CHECK (agreed_by IS DISTINCT FROM proposed_by OR agreed_by IS NULL),
    CHECK ((state = 'proposed') <= (agreed_by IS NULL)),
    CHECK ((state = 'retired') = (retired_by IS NOT NULL))
);
COMMENT ON TABLE phrases IS 'what agents'' corrections have taught the tagger: general words only, no number and nobody''s name';
COMMENT ON COLUMN phrases.merchant_id IS 'null: every shop';
COMMENT ON COLUMN phrases.evaluation IS 'how many of our own labelled texts were read right without it and with it, by field';
CREATE UNIQUE INDEX phrases_once ON phrases (coalesce(merchant_id, ''), folded) WHERE state <> 'retired';
CREATE INDEX cases_corrected ON cases (opened_at) WHERE true_reason IS NOT NULL;

-- What a breaker stopped goes on -----------------------------------------------------------------------------------------------------------------
CREATE TABLE breaker_cases (
    breaker_id bigint NOT NULL REFERENCES breakers,
    case_id text NOT NULL,
    PRIMARY KEY (breaker_id, case_id)
);
COMMENT ON TABLE breaker_cases IS 'which cases an open breaker gave to a person; written just before the case itself, in one transaction';

-- Cases stopped before: by the newest breaker of their merchant, or of one of their items, that was open about then.
INSERT INTO breaker_cases (breaker_id, case_id)
SELECT max(b.breaker_id), c.case_id FROM cases c JOIN breakers b USING (merchant_id)
WHERE c.state = 'review' AND c.rule = 'breaker_open' AND b.opened_at <= c.opened_at + interval '1 minute'
  AND (b.closed_at IS NULL OR b.closed_at >= c.opened_at)
  AND (b.sku = '' OR EXISTS (
      SELECT FROM case_lines l JOIN order_lines ol USING (order_id, line_id) WHERE l.case_id = c.case_id AND ol.sku = b.sku))
GROUP BY c.case_id;

CREATE TABLE breaker_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    breaker_id bigint NOT NULL REFERENCES breakers,
    merchant_id text NOT NULL REFERENCES merchants,
    cases jsonb NOT NULL,
    minor bigint NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    why text NOT NULL,
    needs_second boolean NOT NULL,
    agreed_by text,
    agreed_at timestamptz,
    result jsonb,
    CHECK (agreed_by IS NULL OR needs_second),
    CONSTRAINT agreed_by_another CHECK (agreed_by IS DISTINCT FROM started_by OR agreed_by IS NULL)
);
COMMENT ON TABLE breaker_runs IS 'stopped cases that a person continued in one go, each with the versions that were seen; above what one person may return, a second one agrees';
COMMENT ON COLUMN breaker_runs.result IS 'what became of each; null: not carried out, or the process ended on the way';
CREATE INDEX breaker_runs_of ON breaker_runs (breaker_id, run_id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT ON breaker_cases TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON breaker_runs TO unwind_app;
        GRANT SELECT, UPDATE ON phrase_book TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON phrases TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON ratings TO unwind_app;
        GRANT SELECT, INSERT ON retention_periods, reveals, reveal_thresholds TO unwind_app;
        GRANT DELETE ON lookups, sign_in_events, phone_calls, phone_call_events, promises, identity_checks, identity_codes, attachments,
            reveals TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
