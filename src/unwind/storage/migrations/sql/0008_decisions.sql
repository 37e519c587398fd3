-- Decisions with their costs, questions to people outside the desk, offers that are watched, appeals, attachments.

ALTER TABLE merchants
    ADD COLUMN agent_limit_minor bigint NOT NULL DEFAULT 500000 CHECK (agent_limit_minor >= 0),
    ADD COLUMN goodwill_limit_minor bigint NOT NULL DEFAULT 5000 CHECK (goodwill_limit_minor >= 0);
COMMENT ON COLUMN merchants.agent_limit_minor IS 'above it a decision that returns money needs a second person';
COMMENT ON COLUMN merchants.goodwill_limit_minor IS 'what one person may give away beside a refund';

ALTER TABLE orders ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0 CHECK (kept_minor >= 0);
COMMENT ON COLUMN orders.kept_minor IS 'kept from refunds of this order with the buyer''s consent; no later refund returns it';

ALTER TABLE case_parts
    ADD COLUMN way text NOT NULL DEFAULT 'stop' CHECK (way IN ('stop', 'refuse', 'return', 'keep')),
    ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0 CHECK (kept_minor >= 0);

ALTER TABLE cases
    ADD COLUMN appeal_of text REFERENCES cases,
    ADD COLUMN barred text[] NOT NULL DEFAULT '{}',
    ADD COLUMN watch_for text CHECK (watch_for IN ('delivered', 'dispatched')),
    ADD COLUMN watch_since timestamptz,
    ADD COLUMN watch_until timestamptz,
    ADD CONSTRAINT watched_until CHECK ((watch_for IS NULL) = (watch_until IS NULL) AND (watch_for IS NULL) = (watch_since IS NULL));
COMMENT ON COLUMN cases.barred IS 'who may not decide it: the persons whose decision it appeals against';

CREATE INDEX cases_appeals ON cases (appeal_of) WHERE appeal_of IS NOT NULL;

CREATE TABLE case_costs (
    case_id text NOT NULL REFERENCES cases,
    n integer NOT NULL,
    part_no integer,
    fee text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    bearer text NOT NULL CHECK (bearer IN ('buyer', 'merchant', 'carrier', 'platform')),
    reference text NOT NULL DEFAULT '',
    noted_by text NOT NULL,
    noted_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    PRIMARY KEY (case_id, n)
);
COMMENT ON TABLE case_costs IS 'what a cancellation costs and who bears it; costs not noted today cannot be recreated';
COMMENT ON COLUMN case_costs.withdrawn_at IS 'the decision it belonged to was taken back before it had any effect';

CREATE TABLE questions (
    question_id text PRIMARY KEY,
    case_id text NOT NULL REFERENCES cases,
    n integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opinion', 'offer', 'consent', 'approval')),
    audience text NOT NULL CHECK (audience IN ('buyer', 'merchant', 'warehouse', 'carrier', 'lead')),
    subject jsonb NOT NULL,
    digest text NOT NULL DEFAULT '',
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    remind_at timestamptz,
    due_at timestamptz NOT NULL CHECK (due_at > asked_at),
    on_silence text NOT NULL CHECK (on_silence IN ('agreed', 'refused', 'approve', 'person')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'agreed', 'refused', 'silent', 'withdrawn')),
    answered_by text NOT NULL DEFAULT '',
    answered_at timestamptz,
    evidence jsonb NOT NULL DEFAULT '{}',
    UNIQUE (case_id, n)
);
COMMENT ON COLUMN questions.subject IS 'codes, amounts and moments; words are encrypted in private_data';
CREATE INDEX questions_due ON questions (least(remind_at, due_at)) WHERE state = 'open';
CREATE UNIQUE INDEX one_offer ON questions (case_id) WHERE kind = 'offer';
CREATE UNIQUE INDEX one_open_approval ON questions (case_id) WHERE kind = 'approval' AND state = 'open';

CREATE TABLE attachments (
    attachment_id text PRIMARY KEY,
    case_id text NOT NULL REFERENCES cases,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp', 'application/pdf')),
    size_bytes integer NOT NULL CHECK (size_bytes > 0),
    ciphertext bytea NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL
);
COMMENT ON TABLE attachments IS 'photos and documents, encrypted with the key of their order';
CREATE INDEX attachments_by_case ON attachments (case_id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT ON attachments TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON case_costs, questions TO unwind_app;
    END IF;
END $$;
