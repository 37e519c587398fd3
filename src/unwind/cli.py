"""The `unwind` command."""

import asyncio
import gc
import json
import secrets
import signal
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from unwind import __version__
from unwind.commanding import console, opened, settings_or_exit
from unwind.domain.access import KEY_ROLES, Role, key_scopes
from unwind.month_cli import export_month
from unwind.processes import database
from unwind.staff_cli import app as staff_app
from unwind.tag_cli import tag

app = typer.Typer(
    name="unwind",
    help="Unwind 原路: takes an order back, and proves that it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(__version__)


@app.command()
def migrate() -> None:
    """Brings the database to this program's schema. Safe to run at any time, from several places."""
    from unwind.storage.migrate import migrate as run

    settings = settings_or_exit()
    with database(settings) as urls:
        console.print(f"schema {run(urls.owner)}")


OPEN_STREAMS_STOP_S = 3
"""Open desks come back by themselves; nobody waits for them to hang up."""


@app.command()
def serve() -> None:
    """Runs the HTTP interface."""
    import uvicorn

    from unwind.logs import configure_logs
    from unwind.storage.database import Database
    from unwind.web.app import build_app

    settings = settings_or_exit()
    configure_logs()

    async def run() -> None:
        from unwind.bootstrap import wired

        db = Database(urls.app, connections_max=settings.connections_max)
        async with wired(settings, db) as services:
            config = uvicorn.Config(
                build_app(services, is_demo=settings.is_demo),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=OPEN_STREAMS_STOP_S,
            )
            calm_collector()
            await uvicorn.Server(config).serve()

    with database(settings) as urls:
        runner = asyncio.Runner(loop_factory=_fast_loop)
        with runner:
            runner.run(run())


def calm_collector() -> None:
    """What was made at start lives as long as the process; requests make little that refers to itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _fast_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


@app.command()
def worker() -> None:
    """Runs due cases, the unpaid time limit and housekeeping. Start as many as you like."""
    from unwind.logs import configure_logs
    from unwind.worker.loop import run_forever

    settings = settings_or_exit()
    configure_logs()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with opened(settings, urls) as services:
            await run_forever(services, stop, bills=settings.home / "bills")

    with database(settings) as urls, asyncio.Runner(loop_factory=_fast_loop) as runner:
        runner.run(run())


@app.command()
def demo(*, fresh: Annotated[bool, typer.Option(help="Throw away the demo's data and begin anew.")] = False) -> None:
    """Runs everything at http://127.0.0.1:8080 with a simulated outside world and a believable shop."""
    from unwind.demo import run_demo

    run_demo(settings_or_exit(is_demo=True), console=console, is_fresh=fresh)


@app.command()
def cancel(
    order_id: str,
    *,
    text: Annotated[str, typer.Option(help="The buyer's words.")] = "",
    reason: Annotated[str | None, typer.Option(help="A reason code, e.g. ADDRESS_ERROR.")] = None,
    channel: Annotated[str, typer.Option(help="app, hotline, chat, store ...")] = "api",
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
) -> None:
    """Asks to cancel an order, as the system's own operator, and prints the answer."""
    from unwind.domain.access import SYSTEM
    from unwind.domain.errors import Refusal
    from unwind.flow.receive import Request, receive

    async def run() -> dict[str, Any]:
        async with opened(settings, urls) as services:
            request = Request(order_id=order_id, channel=channel, picked=reason, text=text, idempotency_key=key)
            return dict((await receive(services, SYSTEM, request)).body)

    settings = settings_or_exit()
    with database(settings) as urls:
        try:
            answer = asyncio.run(run())
        except Refusal as refusal:
            from unwind.web.problems import CATALOG

            _, zh, en = CATALOG.get(refusal.code, (422, refusal.code, refusal.code))
            console.print(f"[red]{refusal.code}[/red]: {zh} / {en}")
            raise typer.Exit(1) from refusal
    console.print_json(json.dumps(answer, ensure_ascii=False, default=str))


@app.command()
def show(case_id: str) -> None:
    """Tells the story of a case: a timeline a person can read."""
    from unwind.desk.dossier import read_dossier
    from unwind.desk.story import print_story

    async def run() -> dict[str, Any] | None:
        async with opened(settings, urls) as services, services.database.connection() as conn:
            return await read_dossier(conn, services.vault, case_id)

    settings = settings_or_exit()
    with database(settings) as urls:
        dossier = asyncio.run(run())
    if dossier is None:
        console.print(f"[red]没有这个工单 / no such case: {case_id}[/red]")
        raise typer.Exit(1)
    print_story(console, dossier)


@app.command()
def doctor() -> None:
    """Checks every invariant, reading only. Exits 0 when all hold, 1 with a row per finding."""
    from unwind.doctor import examine

    async def run() -> list[Any]:
        async with opened(settings, urls) as services, services.database.survey() as conn:
            return list(await examine(conn, services.vault))

    settings = settings_or_exit()
    with database(settings) as urls, console.status("checking every invariant"):
        findings = asyncio.run(run())
    if not findings:
        console.print("[green]every invariant holds / 全部不变量成立[/green]")
        return
    table = Table("invariant", "where", "whose", "broken promise")
    for finding in findings:
        table.add_row(finding.invariant, finding.subject, finding.merchant_id or "", finding.promise)
    console.print(table)
    raise typer.Exit(1)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who it is for, e.g. webshop; a second call replaces the key.")],
    *,
    role: Annotated[Role, typer.Option(help="What it may do at most.")] = Role.INTEGRATOR,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's orders.")] = None,
) -> None:
    """Makes an API key and prints it once; only its digest is kept."""
    if role not in KEY_ROLES or (role is Role.MERCHANT and merchant is None):
        console.print("[red]这个角色不能有密钥,或缺少商家 / no key for this role, or the merchant is missing[/red]")
        raise typer.Exit(2)
    from unwind.storage.principals import upsert_principal

    secret = f"uk_{secrets.token_urlsafe(32)}"
    principal = {
        "principal_id": name,
        "role": role.value,
        "scopes": sorted(key_scopes(role)),
        "merchant_id": merchant,
        "display_name": name,
    }

    async def run() -> None:
        async with opened(settings, urls) as services, services.database.transaction() as conn:
            await upsert_principal(conn, principal, secret)

    settings = settings_or_exit()
    with database(settings) as urls:
        asyncio.run(run())
    console.print(secret)


app.command("export-month")(export_month)
app.add_typer(staff_app, name="staff")
app.command()(tag)

connections_app = typer.Typer(help="The outside parties of connections.json.", no_args_is_help=True)
app.add_typer(connections_app, name="connections")


@connections_app.command("list")
def list_connections() -> None:
    """Every connection: its provider, whose orders may use it, and how it fared in the last 15 minutes."""
    from unwind.storage import connections as counted

    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        async with opened(settings, urls) as services, services.database.connection() as conn:
            return dict(services.links), await counted.health(conn)

    settings = settings_or_exit()
    with database(settings) as urls:
        links, health = asyncio.run(run())
    table = Table("connection", "provider", "", "merchant", "calls", "healthy", "alerts")
    for name, link in sorted(links.items()):
        row = health.get(name)
        calls, failed = (row["calls"], row["failed"]) if row else (0, 0)
        healthy = f"{100 * (calls - failed) // calls} %" if calls else "–"
        state = f"[red]{healthy} 已断开 down[/red]" if row and row["is_down"] else healthy
        alerts = str(row["alerts"]) if row and row["alerts"] else ""
        table.add_row(name, link.provider, link.title, link.merchant_id or "*", str(calls), state, alerts)
    console.print(table)


@connections_app.command("test")
def probe_connections(
    connection: Annotated[str | None, typer.Argument(help="One connection; left out: all of them.")] = None,
) -> None:
    """Asks each connection about something that does not exist. Exits 1 when one does not answer as it should."""

    async def run() -> dict[str, Any]:
        async with opened(settings, urls) as services:
            names = [connection] if connection is not None else sorted(services.links)
            if any(name not in services.links for name in names):
                console.print(f"[red]没有这个连接 / no such connection: {connection}[/red]")
                raise typer.Exit(2)
            shown = track(names, description="testing", console=console, transient=True)
            return {name: await services.links[name].probe() for name in shown}

    settings = settings_or_exit()
    with database(settings) as urls:
        probes = asyncio.run(run())
    table = Table("connection", "result", "code")
    for name, probe in probes.items():
        colour = {"ok": "green", "not_probed": "yellow"}.get(probe.result.value, "red")
        table.add_row(name, f"[{colour}]{probe.result.value}[/{colour}]", probe.code)
    console.print(table)
    if any(probe.result.value not in {"ok", "not_probed"} for probe in probes.values()):
        raise typer.Exit(1)


@app.command()
def reconcile(
    connection: Annotated[str, typer.Argument(help="The connection whose bill it is.")],
    file: Annotated[Path, typer.Argument(help="As downloaded: plain, gzip or zip.", exists=True, dir_okay=False)],
    *,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, where the bill has no rows that tell it.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
) -> None:
    """Compares a provider's bill with our ledger; every difference becomes a work item. Exits 1 when there are any."""
    from unwind.domain.errors import Refusal
    from unwind.domain.money import format_minor
    from unwind.ports.bill import BillUnreadable
    from unwind.worker.bills import take_bill

    async def run() -> Any:
        async with opened(settings, urls) as services:
            return await take_bill(
                services, connection, file.read_bytes(), day=date.fromisoformat(day) if day else None
            )

    settings = settings_or_exit()
    try:
        with database(settings) as urls, console.status("comparing"):
            done = asyncio.run(run())
    except (BillUnreadable, ValueError) as error:
        console.print(f"[red]账单无法读取 / the bill cannot be read: {error}[/red]")
        raise typer.Exit(2) from error
    except Refusal as refusal:
        console.print(f"[red]该连接没有账单 / no bills for this connection: {connection}[/red]")
        raise typer.Exit(2) from refusal
    console.print(
        f"{done.connection} {done.day}: 退款 refunds {done.refunds} ({format_minor(done.refunds_minor, 'CNY')}), 支付 payments {done.payments}, "
        f"一致 agreed {done.agreed}, 差异 differences {len(done.differences)}"
    )
    table = Table("difference", "trade", "refund", "ours", "theirs", "case")
    for one in done.differences:
        amounts = ["" if minor is None else format_minor(minor, "CNY") for minor in (one.ours_minor, one.theirs_minor)]
        table.add_row(one.kind.value, one.trade_no, one.refund_no, *amounts, one.case_id or "")
    if done.differences:
        console.print(table)
    if report is not None:
        summary = {
            "connection": done.connection,
            "day": str(done.day),
            "refunds": done.refunds,
            "refunds_minor": done.refunds_minor,
            "payments": done.payments,
            "agreed": done.agreed,
            "differences": done.by_kind,
        }
        report.write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
    if done.differences:
        raise typer.Exit(1)


@app.command()
def resume(merchant_id: str) -> None:
    """Lifts the safe halt of a merchant, once `unwind doctor` is clean again."""
    from unwind.storage.merchants import lift_halt

    async def run() -> bool:
        async with opened(settings, urls) as services, services.database.transaction() as conn:
            return await lift_halt(conn, merchant_id)

    settings = settings_or_exit()
    with database(settings) as urls:
        was_halted = asyncio.run(run())
    console.print(
        "自动退款已恢复 / automatic refunds resumed"
        if was_halted
        else "该商家没有被暂停 / this merchant was not halted"
    )


@app.command()
def replay(
    dataset: Annotated[str, typer.Argument(help="online-retail")],
    file: Annotated[Path, typer.Argument(help="CSV, plain or gzip", exists=True, dir_okay=False)],
    *,
    stages: Annotated[
        str, typer.Option(help="unshipped, or modelled: shipped at the next opening, delivered three days later")
    ] = "unshipped",
    report: Annotated[Path | None, typer.Option(help="write the report as JSON")] = None,
) -> None:
    """Loads real transactions as orders at their own times and plays every real cancellation as a request."""
    from unwind.replay import ReplayRefused, run_replay

    settings = settings_or_exit()
    try:
        with database(settings) as urls:
            run_replay(settings, urls, dataset=dataset, file=file, stages=stages, report=report, console=console)
    except ReplayRefused as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app()
