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

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, UPDATE ON timetable TO unwind_app;
        GRANT SELECT, INSERT ON calendars, holiday_years, clock_targets TO unwind_app;
    END IF;
END $$;
