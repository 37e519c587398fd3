-- A line may be in several parcels: each keeps how far its own units are, so that no news moves those of another.

ALTER TABLE shipment_lines
    ADD COLUMN left_units integer NOT NULL DEFAULT 0,
    ADD COLUMN landed_units integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN shipment_lines.left_units IS 'seen leaving the house: none, or all of them';
COMMENT ON COLUMN shipment_lines.landed_units IS 'no longer on their journey: delivered, lost, taken in again, or put back before they left';

UPDATE shipment_lines sl SET left_units = sl.quantity
FROM shipments s
WHERE (s.order_id, s.shipment_id) = (sl.order_id, sl.shipment_id)
  AND (s.reported_stage IN ('delivered', 'refused', 'returning', 'returned', 'lost')
    OR (s.picked_up_at IS NOT NULL AND s.reported_stage IN ('handed_over', 'in_transit', 'at_pickup_point', 'out_for_delivery')));

UPDATE shipment_lines sl SET landed_units = sl.quantity
FROM shipments s
WHERE (s.order_id, s.shipment_id) = (sl.order_id, sl.shipment_id) AND s.reported_stage IN ('delivered', 'lost');

-- Taken in, or put back without having left, by a part of the parcel.
UPDATE shipment_lines sl SET landed_units = least(sl.quantity, ended.units)
FROM (
    SELECT c.order_id, p.shipment_id, cl.line_id, sum(cl.units) AS units
    FROM case_parts p JOIN cases c USING (case_id) JOIN case_lines cl USING (case_id, part_no)
    WHERE p.shipment_id <> '' AND EXISTS (
        SELECT FROM legs g WHERE g.case_id = p.case_id AND g.part_no = p.part_no AND g.state = 'succeeded'
          AND g.kind IN ('receive_return', 'release_stock')
        UNION ALL SELECT FROM returns r WHERE r.case_id = p.case_id AND r.part_no = p.part_no)
    GROUP BY c.order_id, p.shipment_id, cl.line_id) ended
WHERE (ended.order_id, ended.shipment_id, ended.line_id) = (sl.order_id, sl.shipment_id, sl.line_id)
  AND sl.landed_units < sl.quantity;

ALTER TABLE shipment_lines
    ADD CONSTRAINT leaves_once CHECK (left_units IN (0, quantity)),
    ADD CONSTRAINT lands_once CHECK (landed_units BETWEEN 0 AND quantity);
