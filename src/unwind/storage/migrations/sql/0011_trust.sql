-- Trust before automation: what the policy would have done, how far a shop is trusted, how much it may do by itself, and what is switched off.

ALTER TABLE case_parts
    ADD COLUMN policy_verdict text NOT NULL DEFAULT '',
    ADD COLUMN policy_rule text NOT NULL DEFAULT '';
COMMENT ON COLUMN case_parts.policy_verdict IS 'the policy alone, before guards, trust and caps; empty: no policy was asked';
ALTER TABLE cases ADD COLUMN overlay jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN cases.overlay IS 'the promotions under which it was screened, with the values that applied';
CREATE INDEX cases_by_merchant ON cases (merchant_id, opened_at);
ALTER TABLE merchants
    ADD COLUMN limits jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN breaker_at timestamptz;
COMMENT ON COLUMN merchants.breaker_at IS 'a breaker of this merchant, or of one of its items, is open';

CREATE TABLE automation_reports (
    report_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    made_at timestamptz NOT NULL,
    made_by text NOT NULL,
    is_ready boolean NOT NULL,
    body jsonb NOT NULL
);
CREATE INDEX automation_reports_newest ON automation_reports (merchant_id, made_at);

CREATE TABLE automation_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    kind text NOT NULL CHECK (kind IN ('made', 'proposed')),
    from_level text NOT NULL,
    to_level text NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    report_id text REFERENCES automation_reports,
    proposal_id bigint UNIQUE REFERENCES automation_changes
);
COMMENT ON COLUMN automation_changes.proposal_id IS 'made without a report by a second person, who agreed to this proposal';

CREATE TABLE trust_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    merchant_id text NOT NULL DEFAULT '',
    what text NOT NULL,
    actor text NOT NULL,
    why text NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}'
);

CREATE TRIGGER automation_reports_append_only BEFORE UPDATE OR DELETE ON automation_reports
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER automation_changes_append_only BEFORE UPDATE OR DELETE ON automation_changes
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER trust_events_append_only BEFORE UPDATE OR DELETE ON trust_events FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- How much has been done automatically. One row per merchant is locked by whoever wants to do one more; under it everything is counted.
CREATE TABLE automatic_totals (
    merchant_id text PRIMARY KEY REFERENCES merchants,
    asked bigint NOT NULL
);
CREATE TABLE automatic_days (
    merchant_id text NOT NULL,
    sku text NOT NULL,
    day date NOT NULL,
    refunds integer NOT NULL,
    minor bigint NOT NULL,
    PRIMARY KEY (merchant_id, sku, day)
);
COMMENT ON COLUMN automatic_days.sku IS 'empty: all of the merchant; the money of a refund of several items counts with each';
CREATE TABLE automatic_refunds (
    case_id text PRIMARY KEY,
    merchant_id text NOT NULL,
    at timestamptz NOT NULL,
    minor bigint NOT NULL,
    skus text[] NOT NULL
);
CREATE INDEX automatic_refunds_lately ON automatic_refunds (merchant_id, at);

CREATE TABLE breakers (
    breaker_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    sku text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('velocity', 'sku_velocity', 'far_above_usual')),
    counted integer NOT NULL,
    allowed integer NOT NULL,
    case_id text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by text,
    why text NOT NULL DEFAULT '',
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX breakers_open ON breakers (merchant_id, sku) WHERE closed_at IS NULL;
CREATE INDEX breakers_closed ON breakers (merchant_id, sku, closed_at);

-- One more automatic refund, or the reason why not. Whoever asks waits for everybody before them to commit, so the count is never behind.
CREATE FUNCTION take_allowance(for_merchant text, for_case text, for_minor bigint, for_skus text[], caps jsonb, zone text)
RETURNS TABLE (rule text, cause text, subject text, is_new boolean) LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    today date;
    since timestamptz;
    span interval;
    held record;
    lately integer;
    usual numeric;
    one text;
BEGIN
    INSERT INTO automatic_totals AS t (merchant_id, asked) VALUES (for_merchant, 1)
        ON CONFLICT (merchant_id) DO UPDATE SET asked = t.asked + 1;
    moment := unwind_now();
    today := (moment AT TIME ZONE zone)::date;
    FOR held IN SELECT b.sku, b.cause FROM breakers b
        WHERE b.merchant_id = for_merchant AND b.closed_at IS NULL AND b.sku = ANY(for_skus || ''::text) ORDER BY b.sku LIMIT 1
    LOOP
        RETURN QUERY SELECT 'breaker_open', held.cause, held.sku, false;
        RETURN;
    END LOOP;
    FOR held IN SELECT d.sku, d.refunds, d.minor FROM automatic_days d
        WHERE d.merchant_id = for_merchant AND d.day = today AND d.sku = ANY(for_skus || ''::text) ORDER BY d.sku
    LOOP
        IF held.sku = '' AND held.refunds + 1 > (caps->>'refunds_per_day')::bigint THEN
            RETURN QUERY SELECT 'cap_reached', 'refunds_per_day', '', false;
            RETURN;
        ELSIF held.sku = '' AND held.minor + for_minor > (caps->>'minor_per_day')::bigint THEN
            RETURN QUERY SELECT 'cap_reached', 'minor_per_day', '', false;
            RETURN;
        ELSIF held.sku <> '' AND held.refunds + 1 > (caps->>'sku_refunds_per_day')::bigint THEN
            RETURN QUERY SELECT 'cap_reached', 'sku_refunds_per_day', held.sku, false;
            RETURN;
        END IF;
    END LOOP;
    IF for_minor > (caps->>'minor_per_day')::bigint OR (caps->>'refunds_per_day')::bigint = 0
        OR (caps->>'sku_refunds_per_day')::bigint = 0 THEN
        RETURN QUERY SELECT 'cap_reached', 'minor_per_day', '', false;
        RETURN;
    END IF;
    span := make_interval(mins => coalesce((caps->>'velocity_minutes')::integer, 60));
    FOREACH one IN ARRAY (for_skus || ''::text) LOOP
        SELECT greatest(moment - span, max(b.closed_at)) INTO since FROM breakers b
            WHERE b.merchant_id = for_merchant AND b.sku = one AND b.closed_at IS NOT NULL;
        since := coalesce(since, moment - span);
        SELECT count(*) INTO lately FROM automatic_refunds r
            WHERE r.merchant_id = for_merchant AND r.at > since AND (one = '' OR one = ANY(r.skus));
        cause := NULL;
        IF one = '' AND lately + 1 > (caps->>'velocity_refunds')::bigint THEN
            cause := 'velocity';
            usual := (caps->>'velocity_refunds')::bigint;
        ELSIF one <> '' AND lately + 1 > (caps->>'sku_velocity_refunds')::bigint THEN
            cause := 'sku_velocity';
            usual := (caps->>'sku_velocity_refunds')::bigint;
        ELSIF caps ? 'usual_times' AND lately + 1 > coalesce((caps->>'usual_at_least')::integer, 10) THEN
            SELECT sum(d.refunds) / 7.0 * extract(epoch FROM span) / 86400 INTO usual FROM automatic_days d
                WHERE d.merchant_id = for_merchant AND d.sku = one AND d.day < today AND d.day >= today - 7;
            IF lately + 1 > usual * (caps->>'usual_times')::integer THEN
                cause := 'far_above_usual';
            END IF;
        END IF;
        IF cause IS NOT NULL THEN
            INSERT INTO breakers (merchant_id, sku, cause, counted, allowed, case_id, opened_at)
                VALUES (for_merchant, one, cause, lately + 1, floor(usual), for_case, moment);
            UPDATE merchants m SET breaker_at = coalesce(m.breaker_at, moment) WHERE m.merchant_id = for_merchant;
            RETURN QUERY SELECT 'breaker_open', cause, one, true;
            RETURN;
        END IF;
    END LOOP;
    INSERT INTO automatic_refunds (case_id, merchant_id, at, minor, skus)
        VALUES (for_case, for_merchant, moment, for_minor, for_skus);
    INSERT INTO automatic_days AS d (merchant_id, sku, day, refunds, minor)
        SELECT for_merchant, s, today, 1, for_minor FROM unnest(for_skus || ''::text) AS s
        ON CONFLICT (merchant_id, sku, day) DO UPDATE SET refunds = d.refunds + 1, minor = d.minor + excluded.minor;
END $$;

-- What is switched off: a kind of step, everywhere or over one connection, for everybody or one merchant.
CREATE TABLE leg_switches (
    switch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    connection text NOT NULL DEFAULT '',
    merchant_id text NOT NULL DEFAULT '',
    off_at timestamptz NOT NULL,
    off_by text NOT NULL,
    why text NOT NULL,
    on_at timestamptz,
    on_by text,
    CHECK ((on_at IS NULL) = (on_by IS NULL))
);
CREATE UNIQUE INDEX leg_switches_off ON leg_switches (kind, connection, merchant_id) WHERE on_at IS NULL;

-- Promotions: an overlay with a beginning and an end. Taken back before its end, it ends then.
CREATE TABLE promotions (
    promotion_id text PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('platform', 'shop', 'merchant')),
    scope_id text NOT NULL DEFAULT '',
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    changes jsonb NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    has_begun boolean NOT NULL DEFAULT false,
    has_ended boolean NOT NULL DEFAULT false,
    CHECK (from_at < to_at),
    CHECK ((level = 'platform') = (scope_id = ''))
);
COMMENT ON COLUMN promotions.has_begun IS 'the timetable has counted on for it, so open cases follow';
CREATE INDEX promotions_to_turn ON promotions (from_at, to_at) WHERE NOT has_ended;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT ON automation_reports, automation_changes, trust_events TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON automatic_totals, automatic_days, breakers, leg_switches, promotions TO unwind_app;
        GRANT SELECT, INSERT, DELETE ON automatic_refunds TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
