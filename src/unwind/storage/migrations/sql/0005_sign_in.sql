-- Who may come in: staff accounts with a second factor, sessions, API keys of which two may be valid at a time, and what happened at the door.

-- A principal is whoever may act; how they prove who they are stands in tables of its own. -------------------------------------------------
ALTER TABLE principals
    ALTER COLUMN key_hash DROP NOT NULL,
    ADD COLUMN kind text NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'staff'));
COMMENT ON COLUMN principals.key_hash IS 'of earlier versions; keys stand in api_keys';
ALTER TABLE principals ADD CONSTRAINT a_merchant_has_a_shop CHECK (role <> 'merchant' OR merchant_id IS NOT NULL) NOT VALID;

CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    principal_id text NOT NULL REFERENCES principals,
    key_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of ON api_keys (principal_id) WHERE revoked_at IS NULL;
INSERT INTO api_keys (key_id, principal_id, key_hash, created_at, created_by, revoked_at)
SELECT 'k-' || encode(substr(key_hash, 1, 6), 'hex'), principal_id, key_hash, unwind_now(), 'system:unwind', revoked_at FROM principals;

-- What everybody of these roles could do before needs a scope of its own now; the other new scopes follow from those a key has.
UPDATE principals SET scopes = scopes || ARRAY['cases:lead'] WHERE role = 'lead' AND 'cases:decide' = ANY (scopes);

-- Staff --------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE staff (
    principal_id text PRIMARY KEY REFERENCES principals,
    login text UNIQUE,
    issuer text,
    subject text,
    password_hash text,
    password_at timestamptz,
    must_change boolean NOT NULL DEFAULT false,
    totp_secret bytea,
    totp_pending bytea,
    totp_step bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    UNIQUE (issuer, subject),
    CHECK ((login IS NOT NULL) <> (issuer IS NOT NULL)),
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    CHECK ((login IS NULL) = (password_hash IS NULL))
);
COMMENT ON TABLE staff IS 'a local account has a login and a password, an account of the identity provider has issuer and subject';
COMMENT ON COLUMN staff.totp_secret IS 'sealed by the master key; null: no second factor yet';
COMMENT ON COLUMN staff.totp_pending IS 'enrolled and not yet confirmed by a code';
COMMENT ON COLUMN staff.totp_step IS 'the newest step of 30 s whose code was used: neither it nor an older one is taken again';

CREATE TABLE recovery_codes (
    principal_id text NOT NULL REFERENCES staff,
    digest bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (principal_id, digest)
);

CREATE TABLE sessions (
    session_id text PRIMARY KEY,
    token_digest bytea NOT NULL UNIQUE,
    principal_id text NOT NULL REFERENCES staff,
    method text NOT NULL CHECK (method IN ('password', 'oidc')),
    needs text NOT NULL CHECK (needs IN ('', 'password', 'second_factor')),
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_why text
);
COMMENT ON COLUMN sessions.needs IS 'what its holder has to do before anything else';
COMMENT ON COLUMN sessions.expires_at IS 'however busy it is; an idle one ends before';
CREATE INDEX sessions_live ON sessions (principal_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_age ON sessions (expires_at);

-- The door -----------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE sign_in_attempts (
    kind text NOT NULL CHECK (kind IN ('account', 'source')),
    digest bytea NOT NULL,
    attempts integer NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (kind, digest)
);
COMMENT ON TABLE sign_in_attempts IS 'of the present window; digests are keyed, so that the table names nobody';
CREATE INDEX sign_in_attempts_age ON sign_in_attempts (since);

CREATE TABLE oidc_states (
    state_digest bytea PRIMARY KEY,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE oidc_states IS 'sign-ins that are at the identity provider; taken away by the first who comes back';

CREATE TABLE sign_in_events (
    event_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    event text NOT NULL,
    principal_id text,
    actor text NOT NULL,
    source_digest bytea,
    detail text NOT NULL DEFAULT ''
);
COMMENT ON TABLE sign_in_events IS 'append-only; ids and codes only';
CREATE INDEX sign_in_events_of ON sign_in_events (principal_id, event_no);
CREATE TRIGGER sign_in_events_append_only BEFORE UPDATE OR DELETE ON sign_in_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER sign_in_events_kept BEFORE TRUNCATE ON sign_in_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE ON api_keys, staff TO unwind_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON recovery_codes, sessions, sign_in_attempts, oidc_states TO unwind_app;
        GRANT SELECT, INSERT ON sign_in_events TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
