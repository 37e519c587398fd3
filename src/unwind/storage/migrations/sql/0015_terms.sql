-- What was published before ordering, and what a shop knows about an order that bears on its money.

ALTER TABLE merchants ADD COLUMN money_terms jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN merchants.money_terms IS 'as published before ordering (domain/terms.py); what is not named is as usual';

ALTER TABLE orders ADD COLUMN terms jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN orders.terms IS 'invoice, customs, group purchase, platform, free postage (domain/terms.py): the shop''s facts';

ALTER TABLE order_lines ADD COLUMN tax_minor bigint NOT NULL DEFAULT 0 CHECK (tax_minor >= 0);
COMMENT ON COLUMN order_lines.tax_minor IS 'customs duties and taxes of the whole line, paid on top of its price';

ALTER TABLE order_discounts
    ADD COLUMN threshold_minor bigint NOT NULL DEFAULT 0 CHECK (threshold_minor >= 0),
    ADD COLUMN on_partial text CHECK (on_partial IN ('pro_rata', 'reprice'));
COMMENT ON COLUMN order_discounts.on_partial IS 'as published with it; NULL: as the merchant''s terms say';

ALTER TABLE order_payments
    ADD COLUMN purpose text NOT NULL DEFAULT 'full' CHECK (purpose IN ('full', 'deposit', 'balance'));
ALTER TABLE payments ADD COLUMN payer text NOT NULL DEFAULT 'buyer' CHECK (payer IN ('buyer', 'other'));

ALTER TABLE benefits
    ADD COLUMN is_earned boolean NOT NULL DEFAULT false,
    ADD COLUMN valid_until timestamptz,
    ADD COLUMN returned_as text NOT NULL DEFAULT '' CHECK (returned_as IN ('', 'as_it_was', 'reissued', 'expired')),
    ADD COLUMN reissued_until timestamptz;
COMMENT ON COLUMN benefits.is_earned IS 'given for the order: goes back with it; else used up by the order: comes back with it';

ALTER TABLE benefit_accounts ADD COLUMN owed bigint NOT NULL DEFAULT 0 CHECK (owed >= 0);
COMMENT ON COLUMN benefit_accounts.owed IS 'earned with orders that went back, and spent before: paid by what comes in next';

ALTER TABLE case_parts ADD COLUMN lost_minor bigint NOT NULL DEFAULT 0 CHECK (lost_minor >= 0);
COMMENT ON COLUMN case_parts.lost_minor IS 'not returned because what is left misses a published threshold; it is the buyer''s again when the rest goes too';

ALTER TABLE case_clocks ADD COLUMN respond_latest timestamptz;
COMMENT ON COLUMN case_clocks.respond_latest IS 'the deadline of a platform: the respond clock is never later';

-- How something that an order used comes back: as it was; valid anew; or past its validity, worth nothing.
CREATE FUNCTION returned_as(valid_until timestamptz, at timestamptz, reissue_until timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN valid_until IS NULL OR valid_until > at THEN 'as_it_was' WHEN reissue_until IS NULL THEN 'expired' ELSE 'reissued' END
$$;

-- Points, coupons, balance that come in. What the account owes is paid first.
CREATE FUNCTION credit_account(of_account text, of_kind text, credited bigint)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO benefit_accounts AS a (account, kind, balance) VALUES (of_account, of_kind, credited)
    ON CONFLICT (account) DO UPDATE SET balance = a.balance + greatest(0, credited - a.owed), owed = greatest(0, a.owed - credited)
$$;

ALTER TABLE refunds DROP CONSTRAINT refunds_how_check, ADD CONSTRAINT refunds_how_check
    CHECK (how IN ('gateway', 'other_account', 'merchant_account', 'off_line', 'own_books', 'adopted', 'platform'));
COMMENT ON COLUMN refunds.how IS 'merchant_account: back to the shop, which owes it to the buyer; own_books: points, balance, entitlements; adopted: the gateway had it before we asked; platform: a marketplace paid it';
