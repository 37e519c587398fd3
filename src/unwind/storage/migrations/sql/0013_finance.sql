-- The finance desk: money that leaves by another way, what carriers owe, what connections still hold, what was taken out.

-- How a refund reached the buyer, and when. What was final before says so by its leg.
ALTER TABLE refunds
    ADD COLUMN how text NOT NULL DEFAULT 'gateway'
        CHECK (how IN ('gateway', 'other_account', 'merchant_account', 'off_line', 'own_books', 'adopted')),
    ADD COLUMN final_at timestamptz;
COMMENT ON COLUMN refunds.how IS 'merchant_account: back to the shop, which owes it to the buyer; own_books: points, balance, entitlements; adopted: the gateway had it before we asked';
COMMENT ON COLUMN refunds.final_at IS 'when our books took it for final; of an adopted one: when it was found';

UPDATE refunds SET how = 'adopted' WHERE state IN ('adopted', 'assigned');
UPDATE refunds r SET how = CASE WHEN g.kind = 'restore_benefit' THEN 'own_books' WHEN g.code = 'adopted' THEN 'adopted' ELSE 'off_line' END
FROM legs g
WHERE r.state = 'final' AND r.n IS NULL AND (g.case_id, g.part_no, g.target) = (r.case_id, r.part_no, r.payment_id)
  AND g.kind IN ('refund', 'restore_benefit') AND g.state = 'succeeded';
UPDATE refunds r SET final_at = coalesce(
    (SELECT max(e.at) FROM legs g JOIN case_events e ON e.case_id = g.case_id AND e.event = 'leg_recorded'
        AND e.data->>'leg' = g.leg_no::text AND e.data->>'state' = 'succeeded'
     WHERE (g.case_id, g.part_no, g.target) = (r.case_id, r.part_no, r.payment_id)),
    r.sent_at, r.numbered_at, (SELECT max(c.closed_at) FROM cases c WHERE c.case_id = r.case_id))
WHERE r.state IN ('final', 'adopted', 'assigned');

CREATE INDEX refunds_by_final ON refunds (final_at) WHERE final_at IS NOT NULL;
CREATE INDEX refunds_by_sending ON refunds (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX refunds_owed ON refunds (payment_id) WHERE state IN ('reserved', 'sent');

ALTER TABLE legs ADD COLUMN ended_at timestamptz;
COMMENT ON COLUMN legs.ended_at IS 'when it became final; of what ended before this column, only where finance counts it';
UPDATE legs g SET ended_at = (SELECT max(e.at) FROM case_events e WHERE e.case_id = g.case_id AND e.event = 'leg_recorded'
    AND e.data->>'leg' = g.leg_no::text)
WHERE g.kind IN ('compensate', 'reverse_invoice') AND g.state IN ('succeeded', 'released', 'waived');
CREATE INDEX legs_by_finance ON legs (kind, ended_at) WHERE kind IN ('compensate', 'reverse_invoice');

-- Two people --------------------------------------------------------------------------------------------------------------------------------
CREATE TABLE payout_proposals (
    proposal_id text PRIMARY KEY,
    case_id text NOT NULL REFERENCES cases,
    leg_no integer NOT NULL,
    order_id text NOT NULL REFERENCES orders,
    merchant_id text NOT NULL REFERENCES merchants,
    way text NOT NULL CHECK (way IN ('other_account', 'off_line')),
    case_version bigint NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency char(3) NOT NULL,
    account_kind text NOT NULL DEFAULT '',
    account_tail text NOT NULL DEFAULT '' CHECK (length(account_tail) <= 4),
    paid_by text NOT NULL DEFAULT '',
    reference text NOT NULL DEFAULT '',
    paid_on date,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'agreed', 'declined', 'withdrawn', 'stale', 'expired')),
    closed_by text,
    closed_at timestamptz,
    FOREIGN KEY (case_id, leg_no) REFERENCES legs,
    CONSTRAINT proven CHECK ((way = 'off_line') = (paid_on IS NOT NULL)),
    CONSTRAINT two_people CHECK (state <> 'agreed' OR closed_by <> proposed_by),
    CONSTRAINT closed_says_when CHECK ((state = 'open') = (closed_at IS NULL))
);
COMMENT ON TABLE payout_proposals IS 'a blocked refund that is to reach its payer by another way: one person proposes, another agrees';
COMMENT ON COLUMN payout_proposals.proposed_by IS 'the principal, not its name or role';
COMMENT ON COLUMN payout_proposals.account_tail IS 'four digits; the account itself is sealed in private_data while the proposal is open';
CREATE UNIQUE INDEX one_open_payout ON payout_proposals (case_id, leg_no) WHERE state = 'open';
CREATE INDEX payouts_waiting ON payout_proposals (proposed_at) WHERE state = 'open';

-- Bills -------------------------------------------------------------------------------------------------------------------------------------
ALTER TABLE bill_differences ADD COLUMN reference text NOT NULL DEFAULT '';
COMMENT ON COLUMN bill_differences.reference IS 'the voucher that explains it';
CREATE INDEX bill_differences_closed ON bill_differences (closed_at) WHERE closed_at IS NOT NULL;

-- Costs and what carriers owe ---------------------------------------------------------------------------------------------------------------
ALTER TABLE case_costs
    ADD COLUMN proof text NOT NULL DEFAULT '',
    ADD COLUMN settled_at timestamptz,
    ADD COLUMN settled_by text,
    ADD COLUMN settlement_reference text NOT NULL DEFAULT '',
    ADD CONSTRAINT settled_by_somebody CHECK ((settled_at IS NULL) = (settled_by IS NULL));
COMMENT ON COLUMN case_costs.proof IS 'an attachment of the case, or the number of a document elsewhere';
CREATE INDEX case_costs_by_time ON case_costs (noted_at);

CREATE TABLE carrier_claims (
    claim_id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    carrier text NOT NULL,
    case_id text NOT NULL REFERENCES cases,
    cost_n integer,
    waybill_no text NOT NULL DEFAULT '',
    reason text NOT NULL CHECK (reason IN ('late', 'lost', 'damaged', 'recall_failed', 'short')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency char(3) NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'filed', 'accepted', 'rejected', 'paid', 'written_off')),
    paid_minor bigint CHECK (paid_minor BETWEEN 1 AND amount_minor),
    due_at timestamptz,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    FOREIGN KEY (case_id, cost_n) REFERENCES case_costs,
    CONSTRAINT over_means_not_due CHECK ((state IN ('paid', 'written_off')) = (due_at IS NULL)),
    CONSTRAINT paid_says_how_much CHECK ((state = 'paid') = (paid_minor IS NOT NULL))
);
COMMENT ON COLUMN carrier_claims.due_at IS 'when the next move has to have been made';
CREATE UNIQUE INDEX one_claim_per_cost ON carrier_claims (case_id, cost_n) WHERE cost_n IS NOT NULL;
CREATE INDEX carrier_claims_due ON carrier_claims (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX carrier_claims_by_time ON carrier_claims (opened_at);

CREATE TABLE carrier_claim_moves (
    claim_id text NOT NULL REFERENCES carrier_claims,
    n integer NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    reference text NOT NULL,
    amount_minor bigint,
    PRIMARY KEY (claim_id, n)
);
CREATE TRIGGER carrier_claim_moves_append_only BEFORE UPDATE OR DELETE ON carrier_claim_moves
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER carrier_claim_moves_kept BEFORE TRUNCATE ON carrier_claim_moves
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a connection still holds -------------------------------------------------------------------------------------------------------------
CREATE TABLE channel_balances (
    connection text NOT NULL,
    currency char(3) NOT NULL,
    balance_minor bigint NOT NULL CHECK (balance_minor >= 0),
    known_at timestamptz NOT NULL,
    told_by text NOT NULL,
    PRIMARY KEY (connection, currency)
);
COMMENT ON TABLE channel_balances IS 'the newest word on each: the gateway''s own (system:unwind), or a person''s';

-- What was taken out, and what was entered by hand ------------------------------------------------------------------------------------------
CREATE TABLE finance_log (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    action text NOT NULL CHECK (action IN ('export_taken', 'balance_entered')),
    subject text NOT NULL,
    merchant_id text,
    data jsonb NOT NULL
);
CREATE INDEX finance_log_newest ON finance_log (at DESC);
CREATE TRIGGER finance_log_append_only BEFORE UPDATE OR DELETE ON finance_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER finance_log_kept BEFORE TRUNCATE ON finance_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT, UPDATE ON payout_proposals, carrier_claims, channel_balances TO unwind_app;
        GRANT SELECT, INSERT ON carrier_claim_moves, finance_log TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
