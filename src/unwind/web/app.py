"""Puts the HTTP interface together around ready-made services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unwind import __version__
from unwind.domain.errors import Refusal
from unwind.flow.intake import Intake
from unwind.flow.services import Services
from unwind.web import (
    account,
    admin,
    board,
    callbacks,
    contacts,
    conversation,
    customer,
    decisions,
    desk,
    finance,
    guest,
    hotline,
    integration,
    keys,
    links,
    phrases,
    privacy,
    problems,
    promotions,
    queue,
    ratings,
    scripts,
    session,
    shift,
    staff,
    stream,
    trust,
    warehouse,
    worktime,
)
from unwind.web.access import KeyCache
from unwind.web.express import Express
from unwind.web.limits import BodyLimit
from unwind.web.responses import json_response

TIMETABLE_S = 1.0


def build_app(services: Services, *, is_demo: bool = False) -> FastAPI:
    """The demo adds the plain page at `/`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.database.open()
        following = asyncio.create_task(_follow_timetable(services))
        try:
            yield
        finally:
            await app.state.hints.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await services.database.close()

    app = FastAPI(
        title="Unwind 原路",
        version=__version__,
        description="Takes an order back: stops the goods, refunds by the original route, restores stock and coupons, and proves it.",
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.is_demo = is_demo
    app.state.keys = KeyCache()
    app.state.hints = stream.Hints(services.database)
    app.state.intake = Intake(services)
    app.add_middleware(Express, method="POST", path="/api/v1/cancellations", handler=customer.ask_to_cancel)
    app.add_middleware(BodyLimit)
    app.add_exception_handler(Refusal, problems.on_refusal)
    app.add_exception_handler(RequestValidationError, problems.on_validation)
    app.add_exception_handler(HTTPException, problems.on_http)
    app.add_exception_handler(psycopg.DataError, problems.on_unfit_text)
    app.add_exception_handler(Exception, problems.on_crash)
    for module in (
        session,
        account,
        customer,
        guest,
        integration,
        stream,
        queue,
        contacts,
        hotline,
        shift,
        desk,
        warehouse,
        decisions,
        finance,
        links,
        ratings,
        conversation,
        scripts,
        phrases,
        admin,
        staff,
        keys,
        worktime,
        trust,
        promotions,
        privacy,
        callbacks,
    ):
        app.include_router(module.router)
    if is_demo:
        app.include_router(board.router)
    app.add_api_route("/health", health, tags=["operations"])
    app.add_api_route("/ready", ready, tags=["operations"])
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    return app


async def _follow_timetable(services: Services) -> None:
    """New cases get their clocks, and their words are read, from memory; this keeps it fresh. A database that is away is waited for."""
    while True:
        with contextlib.suppress(psycopg.Error, PoolTimeout):
            await services.hours.refresh(services.database)
            await services.taught.refresh(services.database)
        await asyncio.sleep(TIMETABLE_S)


async def health() -> Response:
    """The process lives."""
    return json_response({"status": "ok", "version": __version__})


async def ready(request: Request) -> Response:
    """The database answers."""
    services: Services = request.app.state.services
    try:
        async with services.database.connection() as conn:
            await conn.execute("SELECT 1")
    except Exception:  # noqa: BLE001 - any failure means not ready
        return problems.problem(request, "unavailable")
    return json_response({"status": "ready"})


async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
