-- The person in the loop: when people work, which clocks run, who holds which case.

-- Working time -----------------------------------------------------------------------------------------------------------------------------
CREATE TABLE timetable (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    version integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE timetable IS 'one counter over everything below; its row is the lock under which a version is given';
INSERT INTO timetable DEFAULT VALUES;

CREATE TABLE calendars (
    scope text NOT NULL CHECK (scope IN ('all', 'queue', 'channel', 'merchant')),
    scope_id text NOT NULL,
    version integer NOT NULL,
    rules jsonb,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (scope, scope_id, version)
);
COMMENT ON TABLE calendars IS 'the newest version of a scope holds; merchant before channel before queue before all; null rules: taken back';

CREATE TABLE holiday_years (
    year integer NOT NULL CHECK (year BETWEEN 2000 AND 2200),
    version integer NOT NULL,
    days jsonb NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (year, version)
);
COMMENT ON TABLE holiday_years IS 'official days off and make-up workdays, published every year: {"2026-10-01": "off", "2026-10-10": "work"}';

CREATE TABLE clock_targets (
    merchant_id text NOT NULL,
    version integer NOT NULL,
    minutes jsonb,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, version)
);
COMMENT ON COLUMN clock_targets.merchant_id IS 'empty: every merchant that has none of its own';
COMMENT ON COLUMN clock_targets.minutes IS 'working minutes of both clocks; null: taken back';

-- Clocks -----------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE case_clocks (
    case_id text PRIMARY KEY REFERENCES cases,
    is_urgent boolean NOT NULL,
    respond_from timestamptz NOT NULL,
    respond_half_at timestamptz,
    respond_again_at timestamptz,
    respond_rung smallint NOT NULL DEFAULT 0 CHECK (respond_rung BETWEEN 0 AND 4),
    resolve_from timestamptz NOT NULL,
    resolve_half_at timestamptz,
    resolve_again_at timestamptz,
    resolve_due_at timestamptz,
    resolve_rung smallint NOT NULL DEFAULT 0 CHECK (resolve_rung BETWEEN 0 AND 4),
    timetable_version integer NOT NULL DEFAULT 0,
    strike_at timestamptz
);
COMMENT ON TABLE case_clocks IS 'of cases a person has been needed for; the respond clock''s warn and due times stand on the case';
COMMENT ON COLUMN case_clocks.resolve_due_at IS 'null while the buyer is asked';
COMMENT ON COLUMN case_clocks.strike_at IS 'when somebody looks at these clocks next; never later than the next stroke';
CREATE INDEX case_clocks_strike ON case_clocks (strike_at) WHERE strike_at IS NOT NULL;

CREATE TABLE case_pauses (
    case_id text NOT NULL REFERENCES cases,
    n integer NOT NULL,
    began_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= began_at),
    reason text NOT NULL,
    asked_by text NOT NULL,
    PRIMARY KEY (case_id, n)
);
COMMENT ON TABLE case_pauses IS 'when the buyer was asked, and until when; the resolve clock stood still then';
CREATE UNIQUE INDEX one_open_pause ON case_pauses (case_id) WHERE ended_at IS NULL;

-- Cases that wait for a person while this runs get their clocks as they were.
INSERT INTO case_clocks (case_id, is_urgent, respond_from, respond_rung, resolve_from, strike_at)
SELECT case_id, respond_due_at - respond_warn_at < interval '2 minutes',
    respond_due_at - CASE WHEN respond_due_at - respond_warn_at < interval '2 minutes' THEN interval '3 minutes' ELSE interval '15 minutes' END,
    CASE WHEN is_overdue THEN 4 WHEN is_warned THEN 2 ELSE 0 END, opened_at, unwind_now()
FROM cases WHERE state = 'review' AND respond_due_at IS NOT NULL;
UPDATE case_clocks SET timetable_version = -1;

-- Queue ------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE agents (
    principal_id text PRIMARY KEY REFERENCES principals,
    state text NOT NULL DEFAULT 'off' CHECK (state IN ('on', 'break', 'off')),
    state_since timestamptz NOT NULL,
    heartbeat_at timestamptz,
    active_at timestamptz,
    cases_max integer NOT NULL DEFAULT 8 CHECK (cases_max BETWEEN 1 AND 100),
    takes_push boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN agents.state IS 'what they said; whether they are there is worked out from it, the heartbeat and what they did last';
COMMENT ON COLUMN agents.cases_max IS 'so many cases they hold at most';

ALTER TABLE cases
    ADD COLUMN claimed_by text,
    ADD COLUMN claimed_until timestamptz,
    ADD COLUMN escalated_at timestamptz;
COMMENT ON COLUMN cases.claimed_by IS 'the principal who works on it; past claimed_until it is free, whether or not somebody has tidied up yet';
COMMENT ON COLUMN cases.escalated_at IS 'only leads take it';
CREATE INDEX cases_claimed ON cases (claimed_by, claimed_until) WHERE claimed_by IS NOT NULL;
CREATE INDEX cases_queue ON cases ((priority >= 90) DESC, is_overdue DESC, priority DESC, respond_due_at, money_minor DESC, case_id)
    WHERE state = 'review';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, UPDATE ON timetable TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON case_clocks, case_pauses, agents TO unwind_app;
        GRANT SELECT, INSERT ON calendars, holiday_years, clock_targets TO unwind_app;
    END IF;
END $$;
