"""Roles, passwords and addresses of the embedded server: the superuser stays inside this package, two roles go out."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from unwind.storage.embedded.errors import EmbeddedPostgresError
from unwind.storage.embedded.layout import PORT, Layout

Role = Literal["owner", "app"]

DATABASE = "unwind"
SUPERUSER = "unwind_root"
ROLE_NAMES: dict[Role, str] = {"owner": "unwind_owner", "app": "unwind_app"}


@dataclass(frozen=True, slots=True)
class Urls:
    """Connection URLs for the database `unwind`. They hold passwords: never logged."""

    owner_url: str
    app_url: str


@dataclass(frozen=True, slots=True)
class Passwords:
    superuser: str
    owner: str
    app: str

    def __repr__(self) -> str:
        return "Passwords(***)"


def read_or_make_passwords(layout: Layout) -> Passwords:
    """The generated passwords, 0600 and readable by us only. Written whole or not at all."""
    found = read_passwords(layout)
    if found is not None:
        return found
    if (layout.data / "PG_VERSION").exists():
        raise EmbeddedPostgresError(f"{layout.passwords} is missing but {layout.data} is not; restore it from a backup")
    made = Passwords(*(secrets.token_urlsafe(32) for _ in range(3)))
    draft = layout.passwords.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"superuser": made.superuser, "owner": made.owner, "app": made.app}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(layout.passwords)
    return made


def read_passwords(layout: Layout) -> Passwords | None:
    try:
        found = json.loads(layout.passwords.read_text(encoding="utf-8"))
        return Passwords(superuser=found["superuser"], owner=found["owner"], app=found["app"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise EmbeddedPostgresError(f"{layout.passwords} is damaged; restore it from a backup") from None


def make_url(layout: Layout, passwords: Passwords, *, role: Role, database: str) -> str:
    password = passwords.owner if role == "owner" else passwords.app
    return _url(layout, ROLE_NAMES[role], password, database)


def make_urls(layout: Layout, passwords: Passwords) -> Urls:
    return Urls(
        owner_url=make_url(layout, passwords, role="owner", database=DATABASE),
        app_url=make_url(layout, passwords, role="app", database=DATABASE),
    )


def _url(layout: Layout, user: str, password: str, database: str) -> str:
    host = quote(str(layout.socket_dir), safe="")
    return f"postgresql://{user}:{quote(password, safe='')}@/{quote(database, safe='')}?host={host}&port={PORT}"


@contextlib.contextmanager
def superuser_connection(
    layout: Layout, passwords: Passwords, database: str = "postgres"
) -> Iterator[psycopg.Connection]:
    url = _url(layout, SUPERUSER, passwords.superuser, database)
    with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="unwind-embedded") as connection:
        yield connection


def ensure_roles(connection: psycopg.Connection, passwords: Passwords) -> None:
    """Both roles with the passwords on file; safe to repeat. The server sees SCRAM verifiers, never the passwords."""
    present = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for name, password in ((ROLE_NAMES["owner"], passwords.owner), (ROLE_NAMES["app"], passwords.app)):
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
        verb = "ALTER" if name in present else "CREATE"
        connection.execute(
            sql.SQL(
                "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
            ).format(sql.SQL(verb), sql.Identifier(name), sql.Literal(verifier.decode()))
        )
    connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")


def ensure_database(connection: psycopg.Connection, name: str, *, template: str | None = None) -> None:
    """A database of the owner in which the application may connect and, until a migration grants more, nothing else."""
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    database, owner, app = sql.Identifier(name), sql.Identifier(ROLE_NAMES["owner"]), sql.Identifier(ROLE_NAMES["app"])
    if found is None:
        source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}{}").format(database, owner, source))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, app))


def drop_database(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
