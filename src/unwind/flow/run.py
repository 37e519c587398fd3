"""The loop that takes due cases and moves each as far as it can go now.

    lease -> read -> next step -> do it -> read again ... -> wait until

Level-triggered: it trusts only the rows. A crash, a duplicate wake-up or a new version of the program loses nothing and repeats nothing.
"""

import asyncio

import structlog

from unwind.domain.next_step import Need, Step, next_step
from unwind.domain.transitions import Event, State
from unwind.flow import archive, execute, notify, recall, review, settle, strike, watch
from unwind.flow.execute import Lease
from unwind.flow.services import Services
from unwind.logs import place_of
from unwind.storage import cases, locks

STEPS_MAX = 200
"""Far more than any case needs in one go; a case that wants more is given back and looked at again."""
CASES_MAX = 16
LOOKED_AT = frozenset({State.REVIEW, State.WATCHING})
"""Whose parcels somebody is about to decide on, or waits for."""

log = structlog.get_logger()


async def work_once(services: Services, *, cases_max: int = CASES_MAX) -> int:
    """Takes up to `cases_max` due cases and advances them side by side. Returns how many there were."""
    async with services.database.transaction() as conn:
        leases = await locks.lease_due_cases(conn, cases_max=cases_max)
    await asyncio.gather(*(_guarded(services, Lease(case_id=case_id, token=token)) for case_id, token in leases))
    return len(leases)


async def _guarded(services: Services, lease: Lease) -> None:
    """One broken case must not stop the others; its lease runs out and it is tried again, visibly."""
    try:
        await advance(services, lease)
    except locks.LeaseLost:
        log.info("lease_lost", case_id=lease.case_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the loop down
        log.error(  # noqa: TRY400 - a traceback would quote what the case is about
            "case_failed", case_id=lease.case_id, error=type(error).__name__, where=place_of(error)
        )


async def advance(services: Services, lease: Lease) -> None:
    """Moves one case until it has to wait, then gives it back with the moment to look again."""
    for _ in range(STEPS_MAX):
        async with services.database.connection() as conn:
            row = await cases.read_case_row(conn, lease.case_id)
        if row is None or row["lease_token"] != lease.token:
            raise locks.LeaseLost(lease.case_id)
        case, now = cases.to_case(row), row["now"]
        step = Step(need=Need.WAIT) if case.state is State.ARCHIVED else next_step(case, now)
        if step.need is Need.WAIT:
            if case.state in LOOKED_AT and await recall.look_at_parcels(services, lease):
                continue
            if case.state is State.WATCHING and await watch.look(services, lease):
                continue
            async with services.database.transaction() as conn:
                await locks.release_lease(conn, lease.case_id, lease.token, next_check_at=step.until)
            return
        await _do(services, step, lease)
    async with services.database.transaction() as conn:
        await locks.release_lease(conn, lease.case_id, lease.token, next_check_at=now)


async def _do(services: Services, step: Step, lease: Lease) -> None:
    match step:
        case Step(need=Need.PERFORM):
            await execute.perform(services, step.legs, lease)
        case Step(need=Need.ASK):
            await execute.ask(services, step.legs, lease)
        case Step(need=Need.HAND_OVER, part=part, legs=(leg, *_)) if part is not None:
            await review.hand_over(services, part, leg, lease)
        case Step(need=Need.CLOCK):
            await strike.strike(services, lease.case_id, token=lease.token)
        case Step(need=Need.TELL):
            await notify.tell(services, lease)
        case Step(need=Need.MOVE, event=Event.TOLD):
            await archive.archive(services, lease)
        case Step(need=Need.MOVE, event=event) if event is not None:
            await settle.move_on(services, event, lease)
        case _:
            raise AssertionError(step.need)


async def run_until_quiet(services: Services, *, rounds_max: int = 1000) -> int:
    """Advances whatever is due until nothing is; for replay, the command line and tests. Returns the cases handled."""
    handled = 0
    for _ in range(rounds_max):
        done = await work_once(services)
        if done == 0:
            return handled
        handled += done
    return handled
