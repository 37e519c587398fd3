"""Signing in by the company's identity provider, against one of our own with real signatures; and everything that must not let anybody in."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.oidc import IdentityProvider
from tests.world import World, private_key
from unwind.adapters.identity import OidcProvider, OidcSettings
from unwind.bootstrap import _identity_of
from unwind.domain.access import SYSTEM, Role
from unwind.flow import staff, vouched
from unwind.settings import SettingsInvalid, load_settings

ISSUER = "https://id.test"
REDIRECT = "http://unwind.test/api/v1/oidc/callback"
SETTINGS: dict[str, Any] = {
    "issuer": ISSUER,
    "client_id": "unwind",
    "client_secret": "s3cret",
    "roles": {"unwind-admins": "admin", "unwind-agents": "agent", "unwind-shops": "merchant"},
}
LIN = {"sub": "user-7", "name": "林晓", "groups": ["unwind-agents", "everybody"]}


def rsa_key(name: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(private_key(name).encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@pytest.fixture
def provider() -> IdentityProvider:
    return IdentityProvider(
        issuer=ISSUER,
        client_id="unwind",
        client_secret="s3cret",
        redirect_uri=REDIRECT,
        key=rsa_key("oidc"),
        person=dict(LIN),
    )


@pytest.fixture
async def company(world: World, provider: IdentityProvider) -> Any:
    """The world, with the identity provider of the company behind it."""
    yield await configure(world, provider)
    await world.services.identity.close()  # type: ignore[union-attr]


async def configure(world: World, provider: IdentityProvider, **given: Any) -> World:
    adapter = OidcProvider(
        OidcSettings.model_validate({**SETTINGS, **given}),
        redirect_uri=REDIRECT,
        transport=httpx.ASGITransport(app=provider.app()),
    )
    world.services = replace(world.services, identity=adapter)
    world.inwards.app.state.services = world.services
    return world


async def leave(world: World, provider: IdentityProvider) -> str:
    """To the provider and back with its answer; not yet delivered. The browser holds its cookie."""
    away = await world.client.get("/api/v1/oidc/login")
    assert away.status_code == 303, away.text
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=provider.app())) as browser:
        back = await browser.get(away.headers["location"])
    assert back.status_code == 302, back.text
    return back.headers["location"]


async def sign_in(world: World, provider: IdentityProvider) -> httpx.Response:
    return await world.client.get(await leave(world, provider))


async def me(world: World) -> dict[str, Any]:
    response = await world.client.get("/api/v1/session")
    return response.json() if response.is_success else {}


async def why(world: World) -> list[str]:
    rows = await world.sql("SELECT detail FROM sign_in_events WHERE event = 'refused' ORDER BY event_no")
    return [row["detail"] for row in rows]


async def test_a_mapped_person_gets_an_account_and_comes_back_to_the_same(
    company: World, provider: IdentityProvider
) -> None:
    assert (await sign_in(company, provider)).headers["location"] == "/"
    first = await me(company)
    assert (first["role"], first["method"], first["needs"], first["display_name"]) == ("agent", "oidc", "", "林晓")
    assert (await company.client.get("/api/v1/desk/cases")).status_code == 200
    company.client.cookies.clear()
    await sign_in(company, provider)
    again = await me(company)
    assert again["principal_id"] == first["principal_id"]
    assert again["session_id"] != first["session_id"]
    assert await company.sql("SELECT count(*) AS n FROM staff") == [{"n": 1}]
    dumped = str(await company.sql("SELECT * FROM sign_in_events"))
    assert "林晓" not in dumped
    assert "user-7" not in dumped


async def test_another_role_at_the_provider_holds_here_and_ends_older_sessions(
    company: World, provider: IdentityProvider
) -> None:
    await sign_in(company, provider)
    old = dict(company.client.cookies)
    provider.person["groups"] = ["unwind-admins"]
    await sign_in(company, provider)
    assert (await me(company))["role"] == "admin"
    company.client.cookies = httpx.Cookies(old)
    assert await me(company) == {}


async def test_without_a_mapped_role_there_is_no_account_and_no_session_goes_on(
    company: World, provider: IdentityProvider
) -> None:
    await sign_in(company, provider)
    held = dict(company.client.cookies)
    provider.person["groups"] = ["everybody"]
    refused = await sign_in(company, provider)
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused")
    company.client.cookies = httpx.Cookies(held)
    assert await me(company) == {}, "what was open before is over too"
    provider.person = {"sub": "stranger"}
    assert (await sign_in(company, provider)).status_code == 401
    assert await company.sql("SELECT count(*) AS n FROM staff") == [{"n": 1}]
    assert await why(company) == ["no_role", "no_role"]


async def test_who_is_deactivated_here_stays_out(company: World, provider: IdentityProvider) -> None:
    await sign_in(company, provider)
    await staff.deactivate(company.services, SYSTEM, (await me(company))["principal_id"])
    assert await me(company) == {}
    assert (await sign_in(company, provider)).status_code == 401


async def test_a_key_that_bears_their_name_does_not_rise_with_them(company: World, provider: IdentityProvider) -> None:
    of = hashlib.sha256(f"{ISSUER}\nuser-7".encode()).digest()
    name = f"p-{base64.b32encode(of[:10]).decode().lower()}"
    body = {"principal_id": name, "role": "merchant", "merchant_id": "shop"}
    await company.ok("POST", "/api/v1/admin/keys", role="admin", json=body)
    provider.person["groups"] = ["unwind-admins"]
    refused = await sign_in(company, provider)
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused")
    assert await company.sql("SELECT role, merchant_id FROM principals WHERE principal_id = %s", name) == [
        {"role": "merchant", "merchant_id": "shop"}
    ]


TWISTS: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"nonce": "guessed"}, "claim_nonce"),
    "no nonce": ({"nonce": None}, "claim_nonce"),
    "for another client": ({"aud": "payroll"}, "claim_aud"),
    "for others too, and authorised for another": ({"aud": ["unwind", "payroll"], "azp": "payroll"}, "claim_azp"),
    "for others too, authorised for nobody": ({"aud": ["unwind", "payroll"]}, "claim_azp"),
    "by another issuer": ({"iss": "https://evil.test"}, "claim_iss"),
    "over": ({"exp": 1}, "claim_exp"),
    "without an end": ({"exp": None}, "claim_exp"),
    "without a subject": ({"sub": None}, "claim_sub"),
    "from the future": ({"iat": 2**33}, "claim_iat"),
}


@pytest.mark.parametrize("name", TWISTS)
async def test_a_token_that_says_something_else_lets_nobody_in(
    company: World, provider: IdentityProvider, name: str
) -> None:
    provider.twist, code = TWISTS[name]
    refused = await sign_in(company, provider)
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused")
    assert await why(company) == [code]
    assert await company.sql("SELECT FROM sessions") == await company.sql("SELECT FROM staff") == []


async def test_a_key_nobody_published_signs_nothing(company: World, provider: IdentityProvider) -> None:
    provider.key = rsa_key("thief")
    assert (await sign_in(company, provider)).status_code == 401
    provider.key_id = "k2"
    assert (await sign_in(company, provider)).status_code == 401
    provider.headers = {"alg": "none"}
    assert (await sign_in(company, provider)).status_code == 401
    assert await why(company) == ["signature"] * 3


async def test_a_changed_key_is_fetched(company: World, provider: IdentityProvider) -> None:
    await sign_in(company, provider)
    provider.key, provider.key_id = rsa_key("oidc-next"), "k2"
    provider.published.append(("k2", provider.key))
    adapter: Any = company.services.identity
    adapter._keys_at -= 31
    assert (await sign_in(company, provider)).status_code == 303


async def test_an_answer_is_good_once_and_for_the_browser_that_left(company: World, provider: IdentityProvider) -> None:
    back = await leave(company, provider)
    cookie = dict(company.client.cookies)
    company.client.cookies.clear()
    assert (await company.client.get(back)).status_code == 401, "somebody else's browser"
    company.client.cookies = httpx.Cookies(cookie)
    assert (await company.client.get(back)).status_code == 401, "the state is used by then"
    company.client.cookies.clear()
    back = await leave(company, provider)
    assert (await company.client.get(back)).status_code == 303
    assert (await company.client.get(back)).status_code == 401, "a replay"
    assert await why(company) == ["state"] * 3


async def test_nobody_fills_the_record_of_the_door(company: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouched, "ROUND_TRIPS_MAX", 2)
    back = [await company.client.get("/api/v1/oidc/callback?state=x&code=y") for _ in range(4)]
    assert [answer.status_code for answer in back] == [401, 401, 429, 429]
    assert await why(company) == ["state", "state"]
    away = [await company.client.get("/api/v1/oidc/login") for _ in range(4)]
    assert [answer.status_code for answer in away] == [303, 303, 429, 429]
    assert await company.sql("SELECT count(*) AS n FROM oidc_states") == [{"n": 2}]


async def test_a_round_trip_has_ten_minutes(company: World, provider: IdentityProvider) -> None:
    from datetime import timedelta

    back = await leave(company, provider)
    await company.pass_time(timedelta(minutes=11))
    assert (await company.client.get(back)).status_code == 401
    assert await why(company) == ["state"]


async def test_a_code_of_somebody_elses_round_trip_is_refused(company: World, provider: IdentityProvider) -> None:
    """PKCE and the nonce: a stolen code does not fit the state it is brought back with."""
    stolen = parse_qs(urlsplit(await leave(company, provider)).query)["code"][0]
    mine = parse_qs(urlsplit(await leave(company, provider)).query)["state"][0]
    refused = await company.client.get("/api/v1/oidc/callback", params={"state": mine, "code": stolen})
    assert refused.status_code == 401
    assert await why(company) == ["provider_refused"]


async def test_a_shop_comes_with_its_claim_or_not_at_all(world: World, provider: IdentityProvider) -> None:
    await configure(world, provider, merchant_claim="org.shop", role_claim="org.groups")
    provider.person = {"sub": "s1", "org": {"groups": "unwind-shops", "shop": "shop"}}
    assert (await sign_in(world, provider)).status_code == 303
    assert [(await me(world))[name] for name in ("role", "merchant_id")] == [Role.MERCHANT, "shop"]
    for org in ({"groups": ["unwind-shops"]}, {"groups": ["unwind-shops"], "shop": "nowhere"}):
        world.client.cookies.clear()
        provider.person = {"sub": "s2", "org": org}
        assert (await sign_in(world, provider)).status_code == 401


def configured(home: Path, **given: Any) -> OidcProvider | None:
    row = {**SETTINGS, "client_secret": {"env": "OIDC_SECRET"}, **given}
    (home / "oidc.json").write_text(json.dumps(row), encoding="utf-8")
    environment = {
        "UNWIND_HOME": str(home),
        "UNWIND_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
        "UNWIND_PUBLIC_URL": "https://unwind.example",
        "OIDC_SECRET": "s3cret",
    }
    return _identity_of(load_settings(environment), None)


async def test_it_is_configured_by_a_file_that_names_its_secret(tmp_path: Path) -> None:
    provider = configured(tmp_path)
    assert provider is not None
    assert provider._settings.client_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(provider._settings)
    assert provider._redirect_uri == "https://unwind.example/api/v1/oidc/callback"
    await provider.close()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"issuer": "http://id.test"}, "issuer must be https"),
        ({"issuer": "id.test"}, "issuer"),
        ({"roles": {}}, "roles"),
        ({"roles": {"x": "emperor"}}, "roles.x"),
        ({"client_secret": {"env": "NOWHERE"}}, "environment has no NOWHERE"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_file_stops_the_program_and_says_why(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says) as stopped:
        configured(tmp_path, **given)
    assert "s3cret" not in str(stopped.value)


async def test_where_nothing_is_configured_there_is_no_such_door(world: World) -> None:
    assert (await world.client.get("/api/v1/oidc/login")).status_code == 404
