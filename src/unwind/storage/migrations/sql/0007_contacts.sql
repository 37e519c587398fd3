-- Contacts: finding an order, knowing who asks, calls, promises, hand-overs.

-- Look-up ----------------------------------------------------------------------------------------------------------------------------------
ALTER TABLE blind_index ADD COLUMN at timestamptz;
COMMENT ON COLUMN blind_index.at IS 'when the order was placed, so that the newest are found first; null: stored before there were tails, indexed anew by the worker';
COMMENT ON COLUMN blind_index.kind IS 'phone, name, or tail:MERCHANT for the last four digits';
CREATE INDEX blind_index_newest ON blind_index (kind, digest, at DESC, order_id);
CREATE INDEX blind_index_by_order ON blind_index (order_id);
CREATE INDEX blind_index_behind ON blind_index (order_id) WHERE at IS NULL;
CREATE INDEX orders_by_tail ON orders (merchant_id, right(order_id, 6), placed_at DESC, order_id);
CREATE INDEX shipments_by_return ON shipments (return_waybill_no) WHERE return_waybill_no <> '';

CREATE TABLE lookups (
    lookup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    principal_id text NOT NULL,
    kind text NOT NULL,
    merchant_id text,
    hits integer NOT NULL CHECK (hits >= 0)
);
COMMENT ON TABLE lookups IS 'who looked for people and orders, how, and how much they found; never what they looked for';
CREATE INDEX lookups_of ON lookups (principal_id, at);

CREATE TABLE attempts (
    kind text NOT NULL,
    subject bytea NOT NULL,
    window_from timestamptz NOT NULL,
    n integer NOT NULL CHECK (n > 0),
    PRIMARY KEY (kind, subject, window_from)
);
COMMENT ON TABLE attempts IS 'how often something was tried in a window of time; subject is a keyed digest of whoever tried, or of what was tried';
CREATE INDEX attempts_age ON attempts (window_from);

-- Identity ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE identity_checks (
    check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    principal_id text NOT NULL,
    method text NOT NULL CHECK (method IN ('questions', 'code')),
    at timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > at)
);
CREATE INDEX identity_checks_valid ON identity_checks (order_id, principal_id, until);

CREATE TABLE identity_codes (
    code_id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('agent', 'guest')),
    principal_id text NOT NULL DEFAULT '',
    digest bytea NOT NULL,
    made_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'made' CHECK (state IN ('made', 'sent', 'undelivered', 'used')),
    channel text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN identity_codes.principal_id IS 'the agent who started the check; only for them does it count';
CREATE INDEX identity_codes_of ON identity_codes (order_id, purpose, made_at);

-- Contacts ---------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE case_contacts (
    case_id text NOT NULL REFERENCES cases,
    ref text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (case_id, ref)
);
COMMENT ON TABLE case_contacts IS 'the calls and conversations a case knows: each is one contact, however often it is heard of';

ALTER TABLE cases
    ADD COLUMN true_reason text,
    ADD COLUMN fault text NOT NULL DEFAULT '';
COMMENT ON COLUMN cases.true_reason IS 'what an agent found out; stated_reason is what was said, reason what was read';
COMMENT ON COLUMN cases.fault IS 'merchant: cancelled by the merchant, never counted against the buyer';

ALTER TABLE cases ADD COLUMN buyer_agreed_at timestamptz;
COMMENT ON COLUMN cases.buyer_agreed_at IS 'of a cancellation that the merchant asked for';
ALTER TABLE merchants ADD COLUMN may_only_tell boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN merchants.may_only_tell IS 'by its published terms it may cancel paid orders by itself; else the buyer has to agree';
ALTER TABLE orders ADD COLUMN store_id text NOT NULL DEFAULT '';
COMMENT ON COLUMN orders.store_id IS 'the store that picks the goods; empty: a warehouse';

-- Telephone --------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE phone_systems (
    system_id text PRIMARY KEY,
    merchant_id text REFERENCES merchants,
    vendor text NOT NULL,
    aliases jsonb NOT NULL DEFAULT '{}',
    agents jsonb NOT NULL DEFAULT '{}',
    secret_digest bytea
);
COMMENT ON COLUMN phone_systems.aliases IS 'our field -> the names this system gives it, before those of its vendor';
COMMENT ON COLUMN phone_systems.agents IS 'work number -> principal';

CREATE TABLE phone_calls (
    system_id text NOT NULL REFERENCES phone_systems,
    call_id text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    agent_ids text[] NOT NULL DEFAULT '{}',
    queue text NOT NULL DEFAULT '',
    caller_digest bytea,
    is_virtual boolean NOT NULL DEFAULT false,
    order_id text REFERENCES orders ON DELETE SET NULL,
    case_id text REFERENCES cases,
    rang_at timestamptz NOT NULL,
    answered_at timestamptz,
    hung_up_at timestamptz,
    duration_s integer CHECK (duration_s >= 0),
    recording_ref text NOT NULL DEFAULT '',
    outcome text,
    outcome_by text,
    outcome_at timestamptz,
    PRIMARY KEY (system_id, call_id)
);
COMMENT ON COLUMN phone_calls.agent_ids IS 'whom the call names; empty: nobody, so that anybody may take it';
COMMENT ON COLUMN phone_calls.caller_digest IS 'keyed; the number itself is kept under the key of an order once it belongs to one';
CREATE INDEX phone_calls_open ON phone_calls (rang_at) WHERE outcome IS NULL;
CREATE INDEX phone_calls_of_case ON phone_calls (case_id) WHERE case_id IS NOT NULL;
CREATE TABLE phone_call_events (
    system_id text NOT NULL,
    call_id text NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (system_id, call_id, event),
    FOREIGN KEY (system_id, call_id) REFERENCES phone_calls
);

-- Promises and hand-overs ------------------------------------------------------------------------------------------------------------------
CREATE TABLE promises (
    promise_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id text REFERENCES cases,
    system_id text,
    call_id text,
    merchant_id text,
    kind text NOT NULL,
    promised_by text NOT NULL,
    made_at timestamptz NOT NULL,
    warn_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL CHECK (due_at > made_at),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'kept', 'broken', 'kept_late', 'lapsed')),
    is_warned boolean NOT NULL DEFAULT false,
    strike_at timestamptz,
    closed_at timestamptz,
    FOREIGN KEY (system_id, call_id) REFERENCES phone_calls,
    CONSTRAINT about_something CHECK (case_id IS NOT NULL OR call_id IS NOT NULL)
);
COMMENT ON COLUMN promises.strike_at IS 'when somebody is told next';
CREATE INDEX promises_strike ON promises (strike_at) WHERE strike_at IS NOT NULL;
CREATE INDEX promises_of_case ON promises (case_id, due_at);
CREATE INDEX promises_of_call ON promises (system_id, call_id) WHERE call_id IS NOT NULL;
CREATE INDEX promises_unkept ON promises (promised_by, due_at) WHERE state IN ('open', 'broken');

CREATE TABLE handovers (
    case_id text NOT NULL REFERENCES cases,
    given_by text NOT NULL,
    given_to text NOT NULL,
    given_at timestamptz NOT NULL,
    has_note boolean NOT NULL,
    taken_at timestamptz,
    PRIMARY KEY (case_id, given_at)
);
COMMENT ON TABLE handovers IS 'the note itself is private data of the case';
CREATE UNIQUE INDEX one_open_handover ON handovers (case_id) WHERE taken_at IS NULL;
CREATE INDEX handovers_to ON handovers (given_to) WHERE taken_at IS NULL;
CREATE INDEX legs_recalling ON legs (case_id)
    WHERE kind = 'recall_parcel' AND state IN ('planned', 'claimed', 'unknown', 'accepted', 'task', 'blocked');

CREATE TRIGGER lookups_append_only BEFORE UPDATE OR DELETE ON lookups FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lookups_kept BEFORE TRUNCATE ON lookups FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Keys go on doing what they did: who decides cases also handles contacts, who asks for merchants still cancels for them.
UPDATE principals SET scopes = array_append(scopes, 'cases:cancel_own')
WHERE role IN ('merchant', 'integrator', 'lead', 'admin') AND (role = 'merchant' OR 'cases:request' = ANY(scopes))
  AND (role <> 'merchant' OR merchant_id IS NOT NULL);
UPDATE principals SET scopes = array_append(scopes, 'contacts:handle')
WHERE role IN ('agent', 'lead', 'admin') AND 'cases:decide' = ANY(scopes) AND NOT 'contacts:handle' = ANY(scopes);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT ON lookups, identity_checks, case_contacts, phone_call_events TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON identity_codes, phone_systems, phone_calls, promises, handovers TO unwind_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON attempts TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
