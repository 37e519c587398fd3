"""`python -m sandbox --port 8090 --ledger sandbox.db --secret s3cret --callback-url http://127.0.0.1:8080`"""

import argparse
import re
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.app import build_app
from sandbox.dialects.registry import DIALECTS
from sandbox.settings import Settings

NAMED_SECRET = re.compile(r"([0-9A-Za-z_-]+)=([^=].*)")


class QuietBreaks:
    """A connection broken on purpose is no error of ours: the server closes it without a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionResetError:
            return


def read_settings(arguments: list[str] | None = None) -> tuple[Settings, int]:
    parser = argparse.ArgumentParser(prog="sandbox", description="The outside world of Unwind, for demo and tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--callback-url", required=True)
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="[CONNECTION=]SECRET",
        help="for one connection, or for all others; may be repeated",
    )
    parser.add_argument(
        "--speak",
        action="append",
        default=[],
        metavar="CONNECTION=PROVIDER",
        help=f"the format of a connection; one of {', '.join(sorted(DIALECTS))}; may be repeated",
    )
    parser.add_argument("--time-scale", type=float, default=1.0)
    given = parser.parse_args(arguments)
    named = {match[1]: match[2] for item in given.secret if (match := NAMED_SECRET.fullmatch(item))}
    common = [item for item in given.secret if not NAMED_SECRET.fullmatch(item)]
    settings = Settings(
        ledger=given.ledger,
        callback_url=given.callback_url.rstrip("/"),
        secret=common[-1] if common else "",
        secrets=named,
        dialects=_read_dialects(parser, given.speak),
        time_scale=given.time_scale,
    )
    return settings, given.port


def _read_dialects(parser: argparse.ArgumentParser, items: list[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in items]
    for connection, _, provider in pairs:
        if not connection or provider not in DIALECTS:
            parser.error(f"--speak: no provider {provider!r}")
    return {connection: provider for connection, _, provider in pairs}


def main() -> None:
    settings, port = read_settings()
    app = QuietBreaks(build_app(settings))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
