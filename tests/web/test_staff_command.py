"""`unwind staff`: the first administrator, without anybody signed in; passwords from standard input or made, never an argument."""

import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.world import World
from unwind.cli import app

PASSWORD = "correct horse battery"


def run(world: World, home: Path, *arguments: str, given: str = "") -> Result:
    environment = {
        "DATABASE_URL": world.url,
        "UNWIND_HOME": str(home / "none"),
        "UNWIND_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
        "UNWIND_SECOND_FACTOR": "optional",
        "COLUMNS": "300",
    }
    return CliRunner().invoke(app, ["staff", *arguments], env=environment, input=given)


async def in_thread(world: World, home: Path, *arguments: str, given: str = "") -> Result:
    import asyncio

    return await asyncio.to_thread(run, world, home, *arguments, given=given)


async def sign_in(world: World, login: str, password: str) -> tuple[int, str]:
    response = await world.client.post("/api/v1/session", json={"login": login, "password": password})
    return response.status_code, response.json().get("needs", "")


async def test_the_first_administrator(world: World, tmp_path: Path) -> None:
    made = await in_thread(world, tmp_path, "add", "boss", "--role", "admin", "--name", "老板")
    assert made.exit_code == 0, made.output
    principal_id, password = made.output.split()
    assert await sign_in(world, "boss", password) == (201, "password")
    again = await in_thread(world, tmp_path, "add", "Boss", "--role", "admin")
    assert (again.exit_code, "login_taken" in again.output) == (1, True)
    listed = await in_thread(world, tmp_path, "list")
    assert principal_id in listed.output
    assert "boss" in listed.output


async def test_a_password_comes_from_standard_input_and_is_not_printed(world: World, tmp_path: Path) -> None:
    made = await in_thread(world, tmp_path, "add", "lin", "--role", "agent", "--ask", given=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    assert await sign_in(world, "lin", PASSWORD) == (201, "password")
    poor = await in_thread(world, tmp_path, "add", "bob", "--role", "agent", "--ask", given="short\n")
    assert "password_too_short" in poor.output
    reset = await in_thread(world, tmp_path, "reset-password", "LIN")
    assert (await sign_in(world, "lin", PASSWORD))[0] == 401
    assert await sign_in(world, "lin", reset.output.split()[1]) == (201, "password")
    out = await in_thread(world, tmp_path, "deactivate", "lin")
    assert out.exit_code == 0
    assert (await sign_in(world, "lin", reset.output.split()[1]))[0] == 401
    assert (await in_thread(world, tmp_path, "deactivate", "nobody")).exit_code == 1


@pytest.mark.parametrize("role", ["buyer", "integrator", "merchant"])
async def test_roles_that_are_no_peoples(world: World, tmp_path: Path, role: str) -> None:
    refused = await in_thread(world, tmp_path, "add", "x", "--role", role)
    assert refused.exit_code == 1
    assert await world.sql("SELECT FROM staff") == []
