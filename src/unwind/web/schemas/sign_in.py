"""Sign-in, accounts and keys. What is secret never shows up in a representation."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, SecretStr

from unwind.domain.access import Role, Scope
from unwind.web.schemas.fields import Id, Strict

Login = Annotated[str, Field(min_length=1, max_length=100)]
Password = Annotated[SecretStr, Field(max_length=1000)]
Name = Annotated[str, Field(max_length=100)]


class SignInIn(Strict):
    login: Login
    password: Password
    code: Annotated[SecretStr, Field(max_length=40)] | None = Field(
        default=None, description="of the authenticator app, or a recovery code"
    )
    as_cookie: bool = Field(
        default=False, description="for browsers: the token goes into a cookie and not into the answer"
    )


class PasswordIn(Strict):
    current: Password
    new: Password
    as_cookie: bool = False


class EnrolIn(Strict):
    password: Password


class ConfirmIn(Strict):
    code: Annotated[SecretStr, Field(max_length=40)]


class StaffIn(Strict):
    login: Login
    role: Role
    merchant_id: Id | None = Field(default=None, description="null: every merchant")
    display_name: Name = ""


class StaffChangeIn(Strict):
    role: Role | None = Field(default=None, description="null: as before; with a role, merchant_id is set anew")
    merchant_id: Id | None = None
    display_name: Name | None = None


class ResetIn(Strict):
    drops_second_factor: bool = Field(default=False, description="the telephone is lost too")


class KeyIn(Strict):
    principal_id: Id
    role: Role
    scopes: Annotated[list[Scope], Field(min_length=1)] | None = Field(
        default=None, description="null: all of the role"
    )
    merchant_id: Id | None = None
    display_name: Name = ""
    expires_at: AwareDatetime | None = None


class RotateIn(Strict):
    expires_at: AwareDatetime | None = None


class SessionOut(BaseModel):
    """A session that has just begun."""

    token: str | None
    session_id: str
    expires_at: AwareDatetime
    needs: Literal["", "password", "second_factor"]
