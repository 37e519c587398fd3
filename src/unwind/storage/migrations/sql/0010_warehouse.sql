-- The warehouse: stop list, scans, returned parcels with what their inspection found, parcels called shipped that nobody has picked up.

ALTER TABLE orders
    ADD COLUMN wave text NOT NULL DEFAULT '',
    ADD COLUMN pick_label text NOT NULL DEFAULT '';
COMMENT ON COLUMN orders.wave IS 'the picking wave the warehouse works the order in';
COMMENT ON COLUMN orders.pick_label IS 'what is stuck on the tote of units in no parcel';
CREATE INDEX orders_by_pick_label ON orders (pick_label) WHERE pick_label <> '';

ALTER TABLE merchants ADD COLUMN false_dispatch_h integer NOT NULL DEFAULT 24 CHECK (false_dispatch_h BETWEEN 1 AND 720);
COMMENT ON COLUMN merchants.false_dispatch_h IS 'so long a parcel called shipped may wait for its pick-up scan; counts for parcels reported from then on';

ALTER TABLE shipments
    ADD COLUMN handed_over_at timestamptz,
    ADD COLUMN pickup_due_at timestamptz;
COMMENT ON COLUMN shipments.handed_over_at IS 'scanned out at the dock by the warehouse; the carrier''s own scan is picked_up_at';
COMMENT ON COLUMN shipments.pickup_due_at IS 'called shipped without a pick-up scan: when that becomes a false dispatch; null once it has been found';
UPDATE shipments SET pickup_due_at = unwind_now() + interval '24 hours'
WHERE picked_up_at IS NULL AND reported_stage IN ('handed_over', 'in_transit', 'at_pickup_point', 'out_for_delivery');
CREATE INDEX shipments_unscanned ON shipments (pickup_due_at) WHERE pickup_due_at IS NOT NULL AND picked_up_at IS NULL;

-- What a warehouse must look at is a small part of a big table.
CREATE INDEX legs_at_warehouse ON legs (case_id)
    WHERE kind IN ('hold_shipment', 'recall_parcel') AND state IN ('planned', 'claimed', 'unknown', 'accepted', 'task', 'blocked');
CREATE INDEX order_lines_held ON order_lines (order_id) WHERE held > 0;

CREATE TABLE scans (
    scan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal_id text NOT NULL,
    event_id text NOT NULL,
    fingerprint bytea NOT NULL,
    merchant_id text,
    order_id text NOT NULL DEFAULT '',
    shipment_id text NOT NULL DEFAULT '',
    kind text NOT NULL CHECK (kind IN ('stop', 'pack', 'dispatch', 'return')),
    verdict text NOT NULL,
    effect text NOT NULL,
    scanned_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    answer jsonb NOT NULL,
    UNIQUE (principal_id, event_id)
);
COMMENT ON TABLE scans IS 'every scan once, with the answer that was given; a code nobody knows is kept as a keyed digest only';
COMMENT ON COLUMN scans.scanned_at IS 'by the device; what it was worth then is judged by the order''s events';
CREATE INDEX scans_by_order ON scans (order_id) WHERE order_id <> '';
CREATE TRIGGER scans_append_only BEFORE UPDATE OR DELETE ON scans FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scans_kept BEFORE TRUNCATE ON scans FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE returns (
    return_id text PRIMARY KEY,
    merchant_id text REFERENCES merchants,
    code text NOT NULL,
    order_id text NOT NULL DEFAULT '',
    shipment_id text NOT NULL DEFAULT '',
    case_id text REFERENCES cases,
    leg_no integer,
    part_no integer,
    state text NOT NULL CHECK (state IN ('scanned', 'inspected', 'unexpected', 'closed')),
    scanned_at timestamptz NOT NULL,
    scanned_by text NOT NULL,
    received_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    inspected_at timestamptz,
    inspected_by text,
    result jsonb NOT NULL DEFAULT '{}',
    photos text[] NOT NULL DEFAULT '{}',
    closed_as text NOT NULL DEFAULT '',
    UNIQUE (case_id, leg_no),
    CONSTRAINT awaited_by_a_case CHECK ((state IN ('scanned', 'inspected')) = (case_id IS NOT NULL))
);
COMMENT ON TABLE returns IS 'parcels that came back: one row per awaited parcel, and the ones nobody awaits';
COMMENT ON COLUMN returns.result IS 'line -> good, second, scrap, short';
COMMENT ON COLUMN returns.times IS 'how often it was scanned; it counts once';
CREATE UNIQUE INDEX returns_unexpected ON returns (code, coalesce(merchant_id, '')) WHERE state = 'unexpected';
CREATE INDEX returns_open ON returns (received_at) WHERE state IN ('scanned', 'unexpected');
CREATE INDEX returns_by_order ON returns (order_id) WHERE order_id <> '';

CREATE TABLE false_dispatches (
    order_id text NOT NULL,
    shipment_id text NOT NULL,
    merchant_id text NOT NULL REFERENCES merchants,
    due_at timestamptz NOT NULL,
    found_at timestamptz NOT NULL,
    case_id text REFERENCES cases,
    PRIMARY KEY (order_id, shipment_id),
    FOREIGN KEY (order_id, shipment_id) REFERENCES shipments ON DELETE CASCADE
);
COMMENT ON TABLE false_dispatches IS 'called shipped, and no carrier had picked it up when that was due';
CREATE INDEX false_dispatches_newest ON false_dispatches (found_at DESC);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'unwind_app') THEN
        GRANT SELECT, INSERT ON scans TO unwind_app;
        GRANT SELECT, INSERT, UPDATE ON returns TO unwind_app;
        GRANT SELECT, INSERT ON false_dispatches TO unwind_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO unwind_app;
    END IF;
END $$;
