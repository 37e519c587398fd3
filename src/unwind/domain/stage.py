"""How far the goods are (履约节点). Independent of whether anybody has paid."""

from enum import StrEnum


class Stage(StrEnum):
    NONE = "none"
    RELEASED = "released"
    PICKING = "picking"
    PACKED = "packed"
    LABEL_PRINTED = "label_printed"
    HANDED_OVER = "handed_over"
    IN_TRANSIT = "in_transit"
    AT_PICKUP_POINT = "at_pickup_point"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    REFUSED = "refused"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    UNKNOWN = "unknown"
    """The shop does not say. Never automatic."""


IN_THE_HOUSE = frozenset({Stage.NONE, Stage.RELEASED, Stage.PICKING, Stage.PACKED, Stage.LABEL_PRINTED})
"""The merchant can still stop these alone."""

ON_THE_WAY = frozenset({Stage.HANDED_OVER, Stage.IN_TRANSIT, Stage.AT_PICKUP_POINT, Stage.OUT_FOR_DELIVERY})
"""Only the carrier can stop these."""

COMING_BACK = frozenset({Stage.REFUSED, Stage.RETURNING, Stage.RETURNED})

PACKED_OR_LATER = frozenset(Stage) - {Stage.NONE, Stage.RELEASED, Stage.PICKING}


def effective_stage(*, reported: Stage, is_picked_up: bool) -> Stage:
    """A parcel called shipped that no courier has scanned is still a printed label."""
    if reported in ON_THE_WAY and not is_picked_up:
        return Stage.LABEL_PRINTED
    return reported
