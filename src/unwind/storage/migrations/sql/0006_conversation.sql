-- What buyer and agent write to each other, and the scripts agents write from.

CREATE TABLE conversation (
    case_id text NOT NULL REFERENCES cases,
    n integer NOT NULL CHECK (n > 0),
    is_from_buyer boolean NOT NULL,
    actor text NOT NULL,
    channel text NOT NULL,
    at timestamptz NOT NULL,
    client_key text,
    script_id text,
    script_version integer,
    is_edited boolean,
    notice text,
    read_at timestamptz,
    read_by text,
    PRIMARY KEY (case_id, n),
    CHECK ((read_at IS NULL) = (read_by IS NULL))
);
COMMENT ON TABLE conversation IS 'the words themselves are in private_data as talk:N; the event of the case commits to them';
COMMENT ON COLUMN conversation.notice IS 'the fact by which the buyer was told that an answer is there; null: an earlier one was still unread';
COMMENT ON COLUMN conversation.read_by IS 'the first of the other side who read it';
CREATE UNIQUE INDEX conversation_once ON conversation (case_id, actor, client_key) WHERE client_key IS NOT NULL;
CREATE INDEX conversation_unread ON conversation (at) WHERE is_from_buyer AND read_at IS NULL;

CREATE TABLE scripts (
    script_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    reasons text[] NOT NULL,
    stages text[] NOT NULL,
    channels text[] NOT NULL,
    emotions text[] NOT NULL,
    title text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    is_active boolean NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (script_id, version)
);
COMMENT ON TABLE scripts IS 'versions over those the program brings (version 0); the newest holds. An empty list of keys fits everything';

CREATE TABLE script_usage (
    script_id text PRIMARY KEY,
    shown bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    sent_edited bigint NOT NULL DEFAULT 0
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE ON conversation, script_usage TO unwind_app;
        GRANT SELECT, INSERT ON scripts TO unwind_app;
    END IF;
END $$;
