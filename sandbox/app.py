"""Puts the outside world together as one ASGI application."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import carrier, payment, shop, warehouse
from sandbox.answers import RefusalError
from sandbox.callbacks import Courier
from sandbox.control import build_router
from sandbox.dialects.frame import serve
from sandbox.dialects.registry import Dialects
from sandbox.keyring import Keyring
from sandbox.settings import Settings
from sandbox.world import World


def build_app(settings: Settings) -> FastAPI:
    """`app.state.world` is the ledger and clock, `app.state.courier` the sender of callbacks.

    Callbacks and later steps run while the application's lifespan is entered; see `running`.
    """
    world = World(settings)
    keyring = Keyring(world.ledger, settings.make_key)
    dialects = Dialects(world, keyring)
    courier = Courier(world, dialects.of)
    for party in (payment, warehouse, carrier, shop):
        party.register(world)

    async def speak(request: Request) -> Response:
        dialect = dialects.of(request.path_params["connection"])
        return Response(status_code=404) if dialect is None else await serve(world, courier, dialect, request)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await courier.start()
        try:
            yield
        finally:
            await courier.stop()
            world.ledger.close()

    paths = ("/c/{connection}", "/c/{connection}/{path:path}")
    routes = [Route(path, speak, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]) for path in paths]
    app = FastAPI(title="Unwind sandbox", lifespan=lifespan, routes=[*routes])
    app.state.world = world
    app.state.courier = courier
    app.include_router(build_router(world, dialects))
    app.add_exception_handler(RefusalError, _answer_refusal)
    return app


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """For use in-process, with callbacks at work while the context is entered."""
    app = build_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def _answer_refusal(_: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, RefusalError):
        raise refusal
    return JSONResponse(dict(refusal.answer.body), status_code=refusal.answer.status)
