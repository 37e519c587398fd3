"""Puts the outside world together as one ASGI application."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.answers import RefusalError
from sandbox.callbacks import Courier
from sandbox.contract import routes
from sandbox.control import build_router
from sandbox.settings import Settings
from sandbox.world import World


def build_app(settings: Settings) -> FastAPI:
    """`app.state.world` is the ledger and clock, `app.state.courier` the sender of callbacks.

    Callbacks and later steps run while the application's lifespan is entered; see `running`.
    """
    world = World(settings)
    courier = Courier(world)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await courier.start()
        try:
            yield
        finally:
            await courier.stop()
            world.ledger.close()

    app = FastAPI(title="Unwind sandbox", lifespan=lifespan, routes=[*routes(world, courier)])
    app.state.world = world
    app.state.courier = courier
    app.include_router(build_router(world))
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
