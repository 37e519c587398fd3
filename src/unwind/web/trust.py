"""For those who answer for what happens automatically: how far a shop is trusted, its limits, breakers and switches."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.trust import Limits
from unwind.flow import continuing, switches, trust
from unwind.storage import switches as kept_switches
from unwind.storage import trust as stored
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.trust import AutomationIn, ContinueIn, LimitsIn, SwitchIn, WhyIn

router = APIRouter(prefix="/api/v1/admin", tags=["trust"])
From = Annotated[AwareDatetime, Query(alias="from", description="cases opened from then on")]
To = Annotated[AwareDatetime, Query(alias="to", description="and before then")]


@router.get("/automation/{merchant_id}", responses=ERRORS)
async def read_automation(services: Wired, caller: Caller, merchant_id: Id) -> Response:
    """The degree of trust, limits, what was returned automatically today, breakers, and who changed the degree when and why."""
    return json_response(await trust.standing(services.database, caller, merchant_id))


@router.get("/automation/{merchant_id}/report", responses=ERRORS)
async def read_report(services: Wired, caller: Caller, merchant_id: Id, since: From, until: To) -> Response:
    """Policy against people, rule by rule: agreement, its lower bound at 95 %, what disagreed, the money, and whether that is enough."""
    return json_response(await trust.report(services.database, caller, merchant_id, since=since, until=until))


@router.post("/automation/{merchant_id}/reports", status_code=201, responses=ERRORS)
async def keep_report(services: Wired, caller: Caller, merchant_id: Id, since: From, until: To) -> Response:
    """The same, kept: a step upwards needs one of the last day that is ready."""
    kept = await trust.keep_report(services.database, caller, merchant_id, since=since, until=until)
    return json_response(kept, status=201)


@router.post("/automation/{merchant_id}", responses=ERRORS)
async def change_automation(services: Wired, caller: Caller, merchant_id: Id, body: AutomationIn) -> Response:
    """shadow, confirm or auto. Downwards at once; upwards with a report, or proposed to a second person."""
    done = await trust.change(
        services.database, caller, merchant_id, body.level, why=body.why, without_proof=body.without_proof
    )
    shown = {"change_id": done.change_id, "level": done.level, "waits_for_second": done.waits_for_second}
    return json_response(shown, status=202 if done.waits_for_second else 200)


@router.post("/automation/{merchant_id}/changes/{change_id}/agree", responses=ERRORS)
async def agree_to_change(services: Wired, caller: Caller, merchant_id: Id, change_id: int, body: WhyIn) -> Response:
    """A second person, different from the first, within a day."""
    done = await trust.agree(services.database, caller, merchant_id, change_id, why=body.why)
    return json_response({"change_id": done.change_id, "level": done.level, "waits_for_second": False})


@router.put("/automation/{merchant_id}/limits", responses=ERRORS)
async def put_limits(services: Wired, caller: Caller, merchant_id: Id, body: LimitsIn) -> Response:
    """Caps per day and velocity breaker, as a whole. What is not named is not limited."""
    given = body.model_dump()
    why = given.pop("why")
    limits = Limits(**given)
    await trust.set_limits(services.database, caller, merchant_id, limits, why=why)
    return json_response({"merchant_id": merchant_id, "limits": limits.stored()})


@router.get("/breakers", responses=ERRORS)
async def list_breakers(services: Wired, caller: Caller) -> Response:
    """Open ones first: cause, how many there were, how many are allowed."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        return json_response({"breakers": await stored.breakers_of(conn, caller.merchant_id)})


@router.post("/breakers/{breaker_id}/close", responses=ERRORS)
async def close_breaker(services: Wired, caller: Caller, breaker_id: int, body: WhyIn) -> Response:
    """What waits for a person stays with the person; what comes from now on is automatic again."""
    merchant_id = await trust.close_breaker(services.database, caller, breaker_id, why=body.why)
    return json_response({"breaker_id": breaker_id, "merchant_id": merchant_id, "state": "closed"})


@router.get("/breakers/{breaker_id}/runs", responses=ERRORS)
async def list_runs(services: Wired, caller: Caller, breaker_id: int) -> Response:
    """What this breaker stopped and still waits, with versions and money; and what was continued in one go before."""
    return json_response(await continuing.standing(services, caller, breaker_id))


@router.post("/breakers/{breaker_id}/continue", responses=ERRORS)
async def continue_stopped(services: Wired, caller: Caller, breaker_id: int, body: ContinueIn) -> Response:
    """Approves the named cases, or all that wait (up to 500), each on its own versions; the answer says what became of each.

    202: together they return more than one person may; nothing is done before a second lead agrees.
    """
    seen = None if body.cases is None else [continuing.Seen(**one.model_dump()) for one in body.cases]
    run = await continuing.start(services, caller, breaker_id, seen=seen, why=body.why)
    return json_response(asdict(run), status=202 if run.waits_for_second else 200)


@router.post("/breakers/{breaker_id}/runs/{run_id}/agree", responses=ERRORS)
async def agree_to_run(services: Wired, caller: Caller, breaker_id: int, run_id: int, body: WhyIn) -> Response:
    """A second lead, within a day; carried out at once."""
    return json_response(asdict(await continuing.agree(services, caller, breaker_id, run_id, why=body.why)))


@router.get("/leg-switches", responses=ERRORS)
async def list_switches(services: Wired, caller: Caller) -> Response:
    """What is switched off, by whom and why, and how many steps wait for it; then what was."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        return json_response({"switches": await kept_switches.switches_of(conn, caller.merchant_id)})


@router.post("/leg-switches", status_code=201, responses=ERRORS)
async def switch_off(services: Wired, caller: Caller, body: SwitchIn) -> Response:
    """From now on no planned step of this kind leaves. Nothing fails; after the usual patience a person is asked."""
    switch_id = await switches.switch_off(
        services,
        caller,
        body.kind,
        connection=body.connection or "",
        merchant_id=body.merchant_id or "",
        why=body.why,
    )
    return json_response({"switch_id": switch_id, "state": "off"}, status=201)


@router.post("/leg-switches/{switch_id}/lift", responses=ERRORS)
async def lift_switch(services: Wired, caller: Caller, switch_id: int, body: WhyIn) -> Response:
    """What waited goes on."""
    return json_response({**await switches.switch_on(services, caller, switch_id, why=body.why), "state": "on"})
