"""A person brings the answer while a system is still being asked: the first word counts."""

import pytest

from tests.flow.test_bench_scans import scan
from tests.world import World
from unwind.domain.legs import LegKind
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow import calls, execute
from unwind.flow.execute import Lease
from unwind.storage import cases, orders

LEG = "SELECT state, code FROM legs WHERE kind = 'hold_shipment'"


@pytest.mark.parametrize(
    "outcome", [Outcome(kind=OutcomeKind.REFUSED, code="LEFT"), Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")]
)
async def test_a_system_that_answers_after_the_scan(world: World, outcome: Outcome) -> None:
    order_id = await world.order(released_stage="picking", wms={"behaviour": "silent"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    async with world.services.database.connection() as conn:
        case, row = await cases.read_case(conn, case_id), await orders.read_order(conn, order_id)
    assert case is not None
    assert row is not None
    leg = next(g for part in case.parts for g in part.legs if g.kind is LegKind.HOLD_SHIPMENT)
    asked = calls.Call(case=case, leg=leg, order=row.order, number=leg.number, amount_minor=0)
    assert (await scan(world, order_id))["effect"] == "hold_accepted"
    await world.sql("UPDATE cases SET lease_token = 77, lease_until = unwind_now() + interval '1 minute'")
    await execute._record(world.services, asked, outcome, Lease(case_id=case_id, token=77))
    assert await world.sql(LEG) == [{"state": "succeeded", "code": "scanned"}]
