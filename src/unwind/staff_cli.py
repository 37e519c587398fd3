"""`unwind staff`: the first administrator of an installation, and a way back in for everybody who is locked out."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from unwind.commanding import console, opened, settings_or_exit
from unwind.domain.access import SYSTEM, Role
from unwind.domain.errors import Refusal
from unwind.domain.sign_in import normalise_login
from unwind.flow.services import Services
from unwind.flow.staff import NewPassword

app = typer.Typer(
    help="Accounts of people. A password comes from a prompt or standard input, or is made and printed once; never from an argument.",
    no_args_is_help=True,
)
T = TypeVar("T")
Ask = Annotated[
    bool, typer.Option("--ask", help="Ask for the password (or read it from standard input) instead of making one.")
]


@app.command("add")
def add_person(
    login: Annotated[str, typer.Argument(help="What the person types to sign in.")],
    *,
    role: Annotated[Role, typer.Option(help="agent, lead, ops, finance, warehouse, merchant, admin or auditor.")],
    merchant: Annotated[str | None, typer.Option(help="Only this merchant; needed for the role merchant.")] = None,
    name: Annotated[str, typer.Option(help="As colleagues see it.")] = "",
    ask: Ask = False,
) -> None:
    """Makes an account. Its password has to be changed at the first sign-in."""
    from unwind.flow import staff

    password = _password() if ask else None

    async def run(services: Services) -> NewPassword:
        return await staff.add(
            services, SYSTEM, login=login, role=role, merchant_id=merchant, display_name=name, password=password
        )

    _show(_carry_out(run), is_asked=ask)


@app.command("list")
def list_people() -> None:
    """Every account, with its role and whether it has a second factor."""
    from unwind.storage.staff import list_staff

    async def run(services: Services) -> list[dict[str, Any]]:
        async with services.database.connection() as conn:
            return await list_staff(conn, merchant_id=None)

    table = Table("id", "login", "role", "merchant", "second factor", "sessions", "deactivated")
    for row in _carry_out(run):
        second = "yes" if row["has_second_factor"] else "no"
        login = row["login"] or f"({row['issuer']})"
        gone = str(row["deactivated_at"] or "")
        table.add_row(
            row["principal_id"], login, row["role"], row["merchant_id"] or "*", second, str(row["sessions"]), gone
        )
    console.print(table)


@app.command("reset-password")
def reset_password(
    login: str,
    *,
    second_factor: Annotated[
        bool, typer.Option(help="Take the second factor away too: the telephone is lost.")
    ] = False,
    ask: Ask = False,
) -> None:
    """A new password, to be changed at the next sign-in. Ends the person's sessions and the count of wrong attempts."""
    from unwind.flow import staff

    password = _password() if ask else None

    async def run(services: Services) -> NewPassword:
        who = await _find(services, login)
        return await staff.reset_password(services, SYSTEM, who, drops_second_factor=second_factor, password=password)

    _show(_carry_out(run), is_asked=ask)


@app.command("deactivate")
def deactivate_person(login: str) -> None:
    """Out at once, and not in again."""
    from unwind.flow import staff

    async def run(services: Services) -> str:
        who = await _find(services, login)
        await staff.deactivate(services, SYSTEM, who)
        return who

    console.print(f"{_carry_out(run)} 已停用 / deactivated")


async def _find(services: Services, login: str) -> str:
    """By login or by id."""
    from unwind.storage.staff import account_by_login, read_account

    async with services.database.connection() as conn:
        row = await account_by_login(conn, normalise_login(login)) or await read_account(conn, login)
    if row is None:
        raise Refusal("not_found")
    return str(row["principal_id"])


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _show(made: NewPassword, *, is_asked: bool) -> None:
    console.print(made.principal_id)
    if not is_asked:
        console.print(made.password, markup=False, highlight=False)


def _carry_out(job: Callable[[Services], Awaitable[T]]) -> T:
    from unwind.processes import database
    from unwind.web.problems import CATALOG

    async def run() -> T:
        async with opened(settings, urls) as services:
            return await job(services)

    settings = settings_or_exit()
    with database(settings) as urls:
        try:
            return asyncio.run(run())
        except Refusal as refusal:
            _, zh, en = CATALOG.get(refusal.code, (422, refusal.code, refusal.code))
            console.print(f"[red]{refusal.code}[/red]: {zh} / {en}")
            raise typer.Exit(1) from refusal
