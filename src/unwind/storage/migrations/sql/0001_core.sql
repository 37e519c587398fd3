-- The truth. Shop facts and our own effects are separate columns; every open case carries the moment it is looked at next.

-- One clock (DESIGN section 3). The offset is for the demo and the tests; `unwind.at` fixes the clock of one session, for replay.
CREATE TABLE clock_offset (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    shift interval NOT NULL DEFAULT '0'
);
INSERT INTO clock_offset DEFAULT VALUES;

CREATE FUNCTION unwind_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
    SELECT coalesce(nullif(current_setting('unwind.at', true), '')::timestamptz,
                    clock_timestamp() + (SELECT shift FROM clock_offset))
$$;

-- Who may ask ------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE merchants (
    merchant_id text PRIMARY KEY,
    name text NOT NULL,
    authority text NOT NULL DEFAULT 'local' CHECK (authority IN ('local', 'remote')),
    has_settlement boolean NOT NULL DEFAULT false,
    warehouse text NOT NULL DEFAULT 'manual',
    shop text NOT NULL DEFAULT 'local',
    time_zone text NOT NULL DEFAULT 'Asia/Shanghai',
    hours jsonb NOT NULL DEFAULT '[]',
    automation text NOT NULL DEFAULT 'auto' CHECK (automation IN ('shadow', 'confirm', 'auto')),
    hold_timeout_s integer NOT NULL DEFAULT 120 CHECK (hold_timeout_s > 0),
    halted_at timestamptz
);
COMMENT ON COLUMN merchants.halted_at IS 'safe halt: doctor found a broken money invariant; no new refund leaves';

CREATE TABLE principals (
    principal_id text PRIMARY KEY,
    key_hash bytea NOT NULL UNIQUE,
    role text NOT NULL,
    scopes text[] NOT NULL,
    merchant_id text REFERENCES merchants,
    display_name text NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE idempotency_keys (
    principal_id text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (principal_id, operation, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

-- The first step of every request: take its key (a concurrent twin waits here until we have committed), then lock the order.
-- True for the first of its key; the answer is stored with everything else that it makes true. Without a key the order's lock is enough.
CREATE FUNCTION claim_and_lock(for_principal text, for_operation text, for_key text, for_order text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE is_first boolean := true;
BEGIN
    IF for_key <> '' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(for_principal || chr(10) || for_operation || chr(10) || for_key, 0));
        is_first := NOT EXISTS (SELECT FROM idempotency_keys
            WHERE principal_id = for_principal AND operation = for_operation AND key = for_key);
    END IF;
    PERFORM FROM orders WHERE order_id = for_order FOR NO KEY UPDATE;
    RETURN is_first;
END $$;

-- Undoes the transaction of a pipeline that is given up (`storage/database.py`).
CREATE FUNCTION give_up() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'given up';
END $$;

-- Orders: the shop's facts -----------------------------------------------------------------------------------------------------------------
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    buyer_ref text NOT NULL,
    currency char(3) NOT NULL,
    placed_at timestamptz NOT NULL,
    pay_by timestamptz,
    planned_dispatch_at timestamptz,
    released_stage text NOT NULL,
    promise text NOT NULL,
    shipping_minor bigint NOT NULL CHECK (shipping_minor >= 0),
    risk text NOT NULL DEFAULT 'unknown',
    revision bigint NOT NULL CHECK (revision >= 0),
    -- ours
    version bigint NOT NULL DEFAULT 1,
    cancelled_at timestamptz,
    is_paid boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN orders.is_paid IS 'any payment captured or promised; keeps the unpaid time limit off paid orders';
CREATE INDEX orders_unpaid_limit ON orders (pay_by) WHERE cancelled_at IS NULL AND NOT is_paid AND pay_by IS NOT NULL;
CREATE INDEX orders_by_buyer ON orders (buyer_ref, placed_at);

CREATE TABLE order_lines (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    line_id text NOT NULL,
    sku text NOT NULL,
    location text NOT NULL,
    pool text NOT NULL,
    title text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    traits jsonb NOT NULL,
    parent_line_id text,
    -- ours (I4): where the units are
    taken_units integer NOT NULL DEFAULT 0,
    reserved integer NOT NULL CHECK (reserved >= 0),
    held integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    shipped integer NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    recalled integer NOT NULL DEFAULT 0 CHECK (recalled >= 0),
    quarantine integer NOT NULL DEFAULT 0 CHECK (quarantine >= 0),
    restocked integer NOT NULL DEFAULT 0 CHECK (restocked >= 0),
    lost integer NOT NULL DEFAULT 0 CHECK (lost >= 0),
    delivered integer NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    PRIMARY KEY (order_id, line_id),
    CHECK (taken_units BETWEEN 0 AND quantity),
    CONSTRAINT stock_conserved
        CHECK (quantity = reserved + held + shipped + recalled + quarantine + restocked + lost + delivered)
);

CREATE TABLE order_discounts (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    discount_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    funder text NOT NULL,
    returns_as text NOT NULL,
    by_line jsonb NOT NULL,
    PRIMARY KEY (order_id, discount_id)
);

CREATE TABLE order_events (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    event_id text NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (order_id, event_id)
);

-- Payments: one may serve several orders, an order may have several ------------------------------------------------------------------------
CREATE TABLE payments (
    payment_id text PRIMARY KEY,
    connection text NOT NULL,
    trade_no text NOT NULL,
    method text NOT NULL,
    currency char(3) NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'authorised', 'captured', 'closed')),
    funder text NOT NULL,
    returns_as text NOT NULL,
    -- the money of the payment (I1); the row is the lock for everything below it
    captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    reserved_minor bigint NOT NULL DEFAULT 0 CHECK (reserved_minor >= 0),
    sent_minor bigint NOT NULL DEFAULT 0 CHECK (sent_minor >= 0),
    final_minor bigint NOT NULL DEFAULT 0 CHECK (final_minor >= 0),
    elsewhere_minor bigint NOT NULL DEFAULT 0 CHECK (elsewhere_minor >= 0),
    last_n integer NOT NULL DEFAULT 0,
    UNIQUE (connection, trade_no),
    CONSTRAINT never_more_than_captured
        CHECK (reserved_minor + sent_minor + final_minor + elsewhere_minor <= captured_minor)
);

CREATE TABLE order_payments (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    payment_id text NOT NULL REFERENCES payments,
    share_minor bigint NOT NULL CHECK (share_minor >= 0),
    PRIMARY KEY (order_id, payment_id)
);
CREATE INDEX order_payments_by_payment ON order_payments (payment_id);

-- Goods ------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE shipments (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    shipment_id text NOT NULL,
    carrier text NOT NULL,
    waybill_no text NOT NULL,
    reported_stage text NOT NULL,
    picked_up_at timestamptz,
    moved_at timestamptz,
    fed_at timestamptz,
    return_waybill_no text NOT NULL DEFAULT '',
    route jsonb NOT NULL DEFAULT '[]',
    tracked_at timestamptz,
    PRIMARY KEY (order_id, shipment_id)
);
CREATE INDEX shipments_by_waybill ON shipments (waybill_no);

CREATE TABLE shipment_lines (
    order_id text NOT NULL,
    shipment_id text NOT NULL,
    line_id text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    taken_units integer NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, shipment_id, line_id),
    FOREIGN KEY (order_id, shipment_id) REFERENCES shipments ON DELETE CASCADE,
    FOREIGN KEY (order_id, line_id) REFERENCES order_lines ON DELETE CASCADE,
    CHECK (taken_units BETWEEN 0 AND quantity)
);

CREATE TABLE stock (
    sku text NOT NULL,
    location text NOT NULL,
    pool text NOT NULL,
    available integer NOT NULL CHECK (available >= 0),
    is_pool_open boolean NOT NULL DEFAULT true,
    PRIMARY KEY (sku, location, pool)
);

CREATE TABLE stock_moves (
    move_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL,
    line_id text NOT NULL,
    case_id text,
    source text NOT NULL,
    target text NOT NULL,
    units integer NOT NULL CHECK (units > 0),
    sku text NOT NULL,
    location text NOT NULL,
    pool text NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE stock_moves IS 'the ledger: buckets of a line and the units of a pool are its sums';
CREATE INDEX stock_moves_by_line ON stock_moves (order_id, line_id);

-- Coupons, points, purchase quotas ---------------------------------------------------------------------------------------------------------
CREATE TABLE benefit_accounts (
    account text PRIMARY KEY,
    kind text NOT NULL,
    balance bigint NOT NULL CHECK (balance >= 0)
);
CREATE TABLE benefits (
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    benefit_id text NOT NULL,
    kind text NOT NULL,
    account text NOT NULL REFERENCES benefit_accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    line_id text,
    restored_at timestamptz,
    PRIMARY KEY (order_id, benefit_id)
);

-- Cases ------------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE allowed_move (
    from_state text NOT NULL,
    event text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, event, to_state)
);

CREATE TABLE cases (
    case_id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('cancellation', 'inquiry', 'aftermath')),
    order_id text NOT NULL REFERENCES orders,
    merchant_id text NOT NULL,
    parent_case_id text REFERENCES cases,
    aftermath_key text,
    channel text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    event_seq integer NOT NULL,
    head bytea NOT NULL,
    reason text NOT NULL,
    stated_reason text NOT NULL,
    tags jsonb NOT NULL,
    verdict text NOT NULL,
    rule text NOT NULL,
    policy_version text NOT NULL,
    facts jsonb NOT NULL,
    priority integer NOT NULL,
    outcome text,
    contacts integer NOT NULL DEFAULT 1,
    money_minor bigint NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    acked_at timestamptz,
    first_human_at timestamptz,
    answered_at timestamptz,
    decided_at timestamptz,
    closed_at timestamptz,
    respond_warn_at timestamptz,
    respond_due_at timestamptz,
    is_warned boolean NOT NULL DEFAULT false,
    is_overdue boolean NOT NULL DEFAULT false,
    next_check_at timestamptz,
    was_woken boolean NOT NULL DEFAULT false,
    lease_token bigint,
    lease_until timestamptz,
    CONSTRAINT open_means_woken CHECK ((state = 'archived') = (next_check_at IS NULL)),
    CONSTRAINT archived_means_closed CHECK ((state = 'archived') = (closed_at IS NOT NULL))
);
COMMENT ON COLUMN cases.answered_at IS 'a person has answered in the present round of review; a new round starts without';
COMMENT ON COLUMN cases.aftermath_key IS 'what happened afterwards, so that it opens one case only';
COMMENT ON COLUMN cases.money_minor IS 'what the plan returns, all payments together';
CREATE INDEX cases_due ON cases (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE UNIQUE INDEX cases_after ON cases (aftermath_key) WHERE aftermath_key IS NOT NULL;
CREATE INDEX cases_by_order ON cases (order_id, opened_at);
CREATE INDEX cases_in_review ON cases (priority DESC, respond_due_at) WHERE state = 'review';
CREATE SEQUENCE lease_tokens;

CREATE TABLE case_parts (
    case_id text NOT NULL REFERENCES cases,
    part_no integer NOT NULL,
    kind text NOT NULL,
    shipment_id text NOT NULL DEFAULT '',
    state text NOT NULL,
    stage text NOT NULL,
    verdict text NOT NULL,
    rule text NOT NULL,
    refund_on text NOT NULL,
    returned_minor bigint NOT NULL,
    completes_order boolean NOT NULL,
    is_decided boolean NOT NULL DEFAULT false,
    PRIMARY KEY (case_id, part_no)
);

CREATE TABLE case_lines (
    case_id text NOT NULL,
    part_no integer NOT NULL,
    order_id text NOT NULL,
    line_id text NOT NULL,
    units integer NOT NULL CHECK (units > 0),
    PRIMARY KEY (case_id, part_no, line_id),
    FOREIGN KEY (case_id, part_no) REFERENCES case_parts
);
CREATE INDEX case_lines_by_order ON case_lines (order_id, line_id);

-- I7: one open case per order line. Written and deleted with the case; the primary key is the rule.
CREATE TABLE open_lines (
    order_id text NOT NULL,
    line_id text NOT NULL,
    case_id text NOT NULL REFERENCES cases,
    PRIMARY KEY (order_id, line_id)
);
CREATE INDEX open_lines_by_case ON open_lines (case_id);

CREATE TABLE case_events (
    case_id text NOT NULL REFERENCES cases,
    seq integer NOT NULL,
    at timestamptz NOT NULL,
    from_state text NOT NULL,
    event text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    data jsonb NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (case_id, seq),
    FOREIGN KEY (from_state, event, to_state) REFERENCES allowed_move
);

CREATE TABLE legs (
    case_id text NOT NULL,
    leg_no integer NOT NULL,
    part_no integer NOT NULL,
    kind text NOT NULL,
    rank integer NOT NULL,
    is_local boolean NOT NULL,
    state text NOT NULL,
    target text NOT NULL,
    number text NOT NULL DEFAULT '',
    amount_minor bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    due_at timestamptz,
    code text NOT NULL DEFAULT '',
    evidence jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (case_id, leg_no),
    FOREIGN KEY (case_id, part_no) REFERENCES case_parts
);
CREATE UNIQUE INDEX legs_by_number ON legs (number) WHERE number <> '';

CREATE TABLE refunds (
    refund_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id text NOT NULL REFERENCES payments,
    order_id text NOT NULL REFERENCES orders,
    case_id text REFERENCES cases,
    part_no integer,
    n integer,
    refund_no text UNIQUE,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency char(3) NOT NULL,
    state text NOT NULL CHECK (state IN ('reserved', 'sent', 'final', 'released', 'dead', 'adopted', 'assigned')),
    adopted_minor bigint CHECK (adopted_minor >= 0),
    UNIQUE (payment_id, n)
);
COMMENT ON COLUMN refunds.state IS 'adopted: the gateway already held this number with another amount (adopted_minor); assigned: an adopted one that a later case asked for; dead: closed at the gateway';
CREATE UNIQUE INDEX one_refund_per_part ON refunds (case_id, payment_id, part_no)
    WHERE state IN ('reserved', 'sent', 'final');
CREATE INDEX refunds_by_order ON refunds (order_id, payment_id);

CREATE INDEX refunds_adopted ON refunds (payment_id, adopted_minor) WHERE state = 'adopted';

-- I3: the intent of a refund never changes; its number is given once.
CREATE FUNCTION keep_refund_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount_minor <> OLD.amount_minor OR NEW.currency <> OLD.currency OR NEW.payment_id <> OLD.payment_id
       OR (OLD.refund_no IS NOT NULL AND NEW.refund_no IS DISTINCT FROM OLD.refund_no)
       OR (OLD.n IS NOT NULL AND NEW.n IS DISTINCT FROM OLD.n) THEN
        RAISE EXCEPTION 'the intent of refund % is fixed (I3)', OLD.refund_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refunds_keep_intent BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION keep_refund_intent();

-- I9: history is append-only, for the owner too.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only (I9)';
END $$;
CREATE TRIGGER case_events_append_only BEFORE UPDATE OR DELETE ON case_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stock_moves_append_only BEFORE UPDATE OR DELETE ON stock_moves
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER case_events_kept BEFORE TRUNCATE ON case_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stock_moves_kept BEFORE TRUNCATE ON stock_moves FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE messages (
    message_id text PRIMARY KEY,
    case_id text NOT NULL,
    order_id text NOT NULL,
    audience text NOT NULL,
    channel text NOT NULL,
    fact text NOT NULL,
    params jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('due', 'claimed', 'sent', 'undelivered')),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    sent_at timestamptz,
    code text NOT NULL DEFAULT '',
    UNIQUE (case_id, audience, fact)
);
COMMENT ON TABLE messages IS 'one message per fact and audience; params are codes, amounts and instants, the words are made when it is sent';

CREATE TABLE tasks (
    task_id text PRIMARY KEY,
    case_id text NOT NULL REFERENCES cases,
    leg_no integer NOT NULL,
    audience text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'done', 'refused', 'withdrawn')),
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    answered_at timestamptz,
    answered_by text,
    evidence jsonb NOT NULL DEFAULT '{}',
    UNIQUE (case_id, leg_no)
);
CREATE INDEX tasks_open ON tasks (due_at) WHERE state = 'open';

CREATE TABLE callback_inbox (
    connection text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    received_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (connection, event_id)
);

CREATE TABLE anchors (
    batch_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    case_ids text[] NOT NULL,
    signature bytea NOT NULL
);
CREATE TABLE anchored_cases (
    case_id text PRIMARY KEY REFERENCES cases,
    batch_no bigint NOT NULL REFERENCES anchors
);

-- Personal data: encrypted, one key per order ----------------------------------------------------------------------------------------------
CREATE TABLE order_keys (
    order_id text PRIMARY KEY REFERENCES orders ON DELETE CASCADE,
    wrapped_key bytea NOT NULL
);
CREATE TABLE private_data (
    private_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    case_id text,
    field text NOT NULL,
    ciphertext bytea NOT NULL
);
CREATE INDEX private_data_by_order ON private_data (order_id, field);
CREATE TABLE blind_index (
    kind text NOT NULL,
    digest bytea NOT NULL,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    PRIMARY KEY (kind, digest, order_id)
);

-- What the application may do: everything but rewrite history or change the rules ------------------------------------------------------------
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
        REVOKE UPDATE, DELETE ON case_events, stock_moves, anchors, anchored_cases FROM unwind_app;
        REVOKE INSERT, UPDATE, DELETE ON allowed_move FROM unwind_app;
    END IF;
END $$;
