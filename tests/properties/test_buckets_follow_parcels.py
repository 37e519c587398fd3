"""Whatever the shop and the warehouse say, in whatever order and how often: the buckets of a line are the sum of where its parcels are.

The model keeps the units of each parcel apart; the program keeps them together per line and must come to the same sums.
"""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flow.test_situations import assert_nothing_broken, units
from tests.world import World, line, shipment
from unwind.domain.case import Leg, Part, PartKind, PartState, RefundOn
from unwind.domain.legs import LegKind, LegState
from unwind.domain.order import LineId
from unwind.flow import goods
from unwind.storage import orders, shipments

PARCELS = {"S1": 1, "S2": 2, "S3": 1}
LOOSE = 1
ROAD = {"in_transit": "shipped", "returned": "shipped", "delivered": "delivered", "lost": "lost"}
NEWS = st.tuples(st.sampled_from(sorted(PARCELS)), st.sampled_from([*ROAD, "recall", "take_in", "put_back", "hold"]))


@dataclass(slots=True)
class Model:
    """Where the units of each parcel are, one by one parcel."""

    at: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PARCELS, "reserved"))

    def hear(self, parcel: str, what: str) -> bool:
        """False: this does not happen to a parcel that is where this one is."""
        now = self.at[parcel]
        if what in ROAD:
            if now in {"reserved", "held"}:
                now = "shipped"
            target = ROAD[what]
            self.at[parcel] = target if now in {"shipped", "recalled"} and target != "shipped" else now
            return True
        allowed = {
            "hold": ({"reserved"}, "held"),
            "recall": ({"shipped"}, "recalled"),
            "take_in": ({"shipped", "recalled", "delivered"}, "quarantine"),
            "put_back": ({"quarantine", "held"}, "restocked"),
        }
        before, after = allowed[what]
        if now not in before:
            return False
        self.at[parcel] = after
        return True

    def buckets(self) -> dict[str, int]:
        counted = Counter({"reserved": LOOSE})
        for parcel, where in self.at.items():
            counted[where] += PARCELS[parcel]
        return {bucket: n for bucket, n in counted.items() if n > 0}


def part_of(parcel: str, *, is_recalled: bool) -> Part:
    recall = Leg(
        leg_no=1,
        part_no=1,
        kind=LegKind.RECALL_PARCEL,
        rank=1,
        is_local=False,
        state=LegState.SUCCEEDED,
        target=parcel,
        number="",
        amount_minor=0,
        attempts=1,
        next_try_at=None,
        due_at=None,
        code="",
        evidence={},
    )
    return Part(
        part_no=1,
        kind=PartKind.PARCEL,
        shipment_id=parcel,
        state=PartState.EXECUTING,
        quantities={LineId("L1"): PARCELS[parcel]},
        rule="",
        refund_on=RefundOn.GOODS_BACK,
        is_decided=True,
        legs=(recall,) if is_recalled else (),
    )


async def carry_out(world: World, order_id: str, parcel: str, what: str, *, before: str) -> None:
    """What a case does to its parcel, in a transaction of its own."""
    step = {"hold": goods.hold, "recall": goods.recall, "take_in": goods.take_in, "put_back": goods.put_back}[what]
    part = part_of(parcel, is_recalled=before == "recalled")
    async with world.services.database.transaction() as conn:
        row = await orders.read_order(conn, order_id)
        assert row is not None
        if not (await shipments.units_of(conn, order_id))[parcel][LineId("L1")].taken:
            await goods.take_from_parcel(conn, row.order, part)
        await step(conn, row.order, f"C-{order_id}", part, row.now)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(news=st.lists(NEWS, max_size=14))
async def test_the_buckets_are_the_sum_of_the_parcels(world: World, news: list[tuple[str, str]]) -> None:
    packed = [shipment(name, stage="packed", picked_up=False, quantities={"L1": n}) for name, n in PARCELS.items()]
    order_id = await world.order(lines=[line(quantity=sum(PARCELS.values()) + LOOSE)], shipments=packed, wms=None)
    model = Model()
    for number, (parcel, what) in enumerate(news):
        before = model.at[parcel]
        if not model.hear(parcel, what):
            continue
        if what in ROAD:
            moved = shipment(parcel, stage=what, quantities={"L1": PARCELS[parcel]})
            at = (await world.now()).isoformat()
            event = {"event_id": f"m{number}", "kind": "parcel_moved", "at": at, "shipment": moved}
            await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=event)
        else:
            await carry_out(world, order_id, parcel, what, before=before)
        assert await units(world, order_id) == model.buckets(), (number, parcel, what)
    await assert_nothing_broken(world)
