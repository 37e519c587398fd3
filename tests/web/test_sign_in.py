"""People come in by password and second factor: who does not, how often they may try, and what ends a session."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pyotp
import pytest

from tests.world import World
from unwind.domain.access import SYSTEM, Role
from unwind.domain.errors import Refusal
from unwind.domain.sign_in import SignInRules, require_good_password, steps_around
from unwind.flow import api_keys, staff
from unwind.flow.passwords import HASHER, NOBODY
from unwind.storage.database import Database
from unwind.web.app import build_app

PASSWORD = "correct horse battery"
LOGIN = "Lin.Xiao"
RULES = SignInRules(needs_second_factor=False)


def obey(world: World, rules: SignInRules) -> None:
    world.services = replace(world.services, sign_in=rules)
    world.inwards.app.state.services = world.services


@pytest.fixture(autouse=True)
def plain_rules(world: World) -> None:
    obey(world, RULES)


async def hire(world: World, login: str = LOGIN, role: Role = Role.AGENT, **given: Any) -> str:
    settled = {"merchant_id": None, "display_name": "林晓", "password": PASSWORD, "is_final": True, **given}
    return (await staff.add(world.services, SYSTEM, login=login, role=role, **settled)).principal_id


async def knock(world: World, password: str = PASSWORD, *, login: str = LOGIN, **given: Any) -> httpx.Response:
    return await world.client.post("/api/v1/session", json={"login": login, "password": password, **given})


async def come_in(world: World, **given: Any) -> str:
    response = await knock(world, **given)
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


async def door(world: World) -> list[str]:
    rows = await world.sql("SELECT event || ' ' || detail AS what FROM sign_in_events ORDER BY event_no")
    return [row["what"].strip() for row in rows]


async def test_in_and_out(world: World) -> None:
    who = await hire(world)
    token = await come_in(world, login="  lin.xiao ")
    me = await world.ok("GET", "/api/v1/session", role=token)
    assert (me["principal_id"], me["role"], me["needs"]) == (who, "agent", "")
    assert (await world.call("GET", "/api/v1/desk/cases", role=token)).status_code == 200
    assert (await world.call("GET", "/api/v1/admin/staff", role=token)).status_code == 403
    await world.ok("DELETE", "/api/v1/session", role=token)
    assert (await world.call("GET", "/api/v1/session", role=token)).status_code == 401


async def test_what_a_person_does_stands_under_an_id_that_says_nothing(world: World) -> None:
    who = await hire(world)
    case_id = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=await come_in(world), json={})
    [row] = await world.sql("SELECT actor FROM case_events WHERE event = 'claimed'")
    assert row["actor"] == f"agent:{who}"
    dumped = str(await world.sql("SELECT * FROM sign_in_events")).casefold()
    assert LOGIN.casefold() not in dumped
    assert PASSWORD not in str(await world.sql("SELECT * FROM staff"))


async def test_a_stranger_and_a_wrong_password_get_the_same_answer(world: World) -> None:
    await hire(world)
    await hire(world, "gone")
    await world.sql(
        "UPDATE principals SET revoked_at = unwind_now() WHERE principal_id IN (SELECT principal_id FROM staff WHERE login = 'gone')"
    )
    answers = [
        await knock(world, "wrong password!"),
        await knock(world, login="nobody"),
        await knock(world, login="gone"),
        await knock(world, "x" * 1000),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["code"] == "sign_in_refused"


async def test_the_same_work_for_a_stranger() -> None:
    """The hash that is compared where there is no account costs what a real one costs."""
    assert not HASHER.check_needs_rehash(NOBODY)
    real = HASHER.hash(PASSWORD)
    assert real.split("$")[1:4] == NOBODY.split("$")[1:4]
    assert [len(part) for part in real.split("$")] == [len(part) for part in NOBODY.split("$")]


async def test_both_are_really_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from unwind.flow import passwords

    compared: list[str] = []
    plain = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda stored, given: compared.append(stored) or plain(stored, given))
    await hire(world)
    for login in (LOGIN, "nobody"):
        await knock(world, "wrong password!", login=login)
    assert len(compared) == 2
    assert compared[1] == NOBODY


async def test_five_wrong_ones_lock_for_a_quarter_of_an_hour(world: World) -> None:
    await hire(world)
    for _ in range(5):
        assert (await knock(world, "wrong password!")).status_code == 401
    locked = await knock(world)
    assert (locked.status_code, locked.json()["code"]) == (429, "too_many_attempts")
    stranger = [(await knock(world, login="nobody")).status_code for _ in range(6)]
    assert stranger == [401] * 5 + [429], "a lock does not tell who has an account"
    assert (await door(world)).count("locked account") == 2
    await world.pass_time(timedelta(minutes=15, seconds=1))
    await come_in(world)
    assert [(await knock(world, "wrong password!")).status_code for _ in range(5)] == [401] * 5, (
        "counted from the beginning"
    )


async def test_a_lock_is_of_all_processes_and_nobody_slips_between_them(world: World) -> None:
    await hire(world)
    other = Database(world.url, connections_max=4)
    app = build_app(replace(world.services, database=other))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://second.test") as second:
            body = {"login": LOGIN, "password": "wrong password!"}
            doors = [world.client, second]
            answers = await asyncio.gather(*(doors[n % 2].post("/api/v1/session", json=body) for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_one_address_with_many_logins_is_stopped_too(world: World) -> None:
    for n in range(30):
        assert (await knock(world, "x" * 201, login=f"guess-{n}")).status_code == 401
    assert (await knock(world, login="guess-31")).status_code == 429
    await hire(world)
    assert (await knock(world)).status_code == 429
    assert "locked source" in await door(world)


async def test_an_office_behind_one_address_is_not_stopped(world: World) -> None:
    await hire(world)
    for _ in range(35):
        await come_in(world)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("my lin.xiao secret", "password_has_login"),
        ("ＬＩＮ.ＸＩＡＯ secret", "password_has_login"),
        ("abababababab", "password_too_simple"),
        ("Unwind-Demo-2026", "password_is_public"),
        ("x" * 201, "invalid"),
    ],
)
def test_poor_passwords(password: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_good_password(password, login="lin.xiao", rules=RULES)
    assert refused.value.code == code


async def test_the_first_sign_in_changes_the_password_and_can_do_nothing_else(world: World) -> None:
    made = await world.ok("POST", "/api/v1/admin/staff", role="admin", json={"login": "neu", "role": "lead"})
    first = (await knock(world, made["password"], login="neu")).json()
    assert first["needs"] == "password"
    assert (await world.call("GET", "/api/v1/desk/cases", role=first["token"])).status_code == 403
    body = {"current": made["password"], "new": made["password"]}
    same = await world.call("PUT", "/api/v1/account/password", role=first["token"], json=body)
    assert same.json()["code"] == "password_is_the_same"
    body["new"] = PASSWORD
    changed = await world.ok("PUT", "/api/v1/account/password", role=first["token"], json=body)
    assert changed["needs"] == ""
    assert (await world.call("GET", "/api/v1/session", role=first["token"])).status_code == 401, "the old one has ended"
    assert (await world.call("GET", "/api/v1/desk/cases", role=changed["token"])).status_code == 200
    assert (await knock(world, made["password"], login="neu")).status_code == 401


async def test_guessing_the_password_from_a_stolen_session_is_counted(world: World) -> None:
    await hire(world)
    token = await come_in(world)
    body = {"current": "wrong password!", "new": "another good password"}
    given = [(await world.call("PUT", "/api/v1/account/password", role=token, json=body)).status_code for _ in range(6)]
    assert given == [401] * 5 + [429]


# The second factor ----------------------------------------------------------------------------------------------------------------------------
def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, SHA-1, the last six digits."""
    totp = pyotp.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    vectors = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
    assert {at: totp.generate_otp(at // 30) for at in vectors} == vectors


def test_steps() -> None:
    assert steps_around(3000, after=0) == [99, 100, 101]
    assert steps_around(3000, after=100) == [101]


async def enrol(world: World, token: str) -> tuple[pyotp.TOTP, list[str]]:
    made = await world.ok("POST", "/api/v1/account/second-factor", role=token, json={"password": PASSWORD})
    assert made["address"].startswith("otpauth://totp/Unwind:lin.xiao?secret=")
    totp = pyotp.TOTP(made["secret"])
    wrong = await world.call("POST", "/api/v1/account/second-factor/confirm", role=token, json={"code": "12345x"})
    assert wrong.json()["code"] == "code_wrong"
    codes = await world.ok(
        "POST", "/api/v1/account/second-factor/confirm", role=token, json={"code": await code_now(world, totp)}
    )
    return totp, codes["recovery_codes"]


async def code_now(world: World, totp: pyotp.TOTP) -> str:
    return totp.generate_otp(int((await world.now()).timestamp()) // 30)


async def test_where_it_is_required_nothing_goes_without(world: World) -> None:
    obey(world, SignInRules())
    await hire(world)
    token = await come_in(world)
    assert (await world.ok("GET", "/api/v1/session", role=token))["needs"] == "second_factor"
    assert (await world.call("GET", "/api/v1/desk/cases", role=token)).status_code == 403
    await enrol(world, token)
    assert (await world.call("GET", "/api/v1/desk/cases", role=token)).status_code == 200


async def test_setting_it_up_does_not_replace_changing_the_password(world: World) -> None:
    obey(world, SignInRules())
    await hire(world, is_final=False)
    token = await come_in(world)
    await enrol(world, token)
    assert (await world.ok("GET", "/api/v1/session", role=token))["needs"] == "password"
    assert (await world.call("GET", "/api/v1/desk/cases", role=token)).status_code == 403


async def test_a_code_is_needed_and_good_once(world: World) -> None:
    await hire(world)
    totp, _ = await enrol(world, await come_in(world))
    asked = await knock(world)
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_needed")
    used = await code_now(world, totp)
    assert (await knock(world, code=used)).status_code == 401, "it confirmed the enrolment"
    await world.pass_time(timedelta(seconds=60))
    code = await code_now(world, totp)
    await come_in(world, code=code)
    assert (await knock(world, code=code)).json()["code"] == "sign_in_refused"
    await world.pass_time(timedelta(seconds=60))
    fresh = await code_now(world, totp)
    answers = await asyncio.gather(*(knock(world, code=fresh) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 401], "two at once"
    assert pyotp.TOTP(totp.secret).generate_otp(1) not in str(await world.sql("SELECT * FROM staff"))
    assert totp.secret.encode().hex() not in str(await world.sql("SELECT encode(totp_secret, 'hex') FROM staff"))


async def test_a_wrong_code_counts_as_an_attempt(world: World) -> None:
    await hire(world)
    totp, _ = await enrol(world, await come_in(world))
    await world.pass_time(timedelta(seconds=90))
    right = await code_now(world, totp)
    wrong = "000000" if right != "000000" else "000001"
    for _ in range(2):
        await knock(world)
        assert (await knock(world, code=wrong)).status_code == 401
    await knock(world)
    assert (await knock(world, code=right)).status_code == 429, "asking without a code in between gives no attempt back"


async def test_a_recovery_code_is_good_once(world: World) -> None:
    await hire(world)
    _, codes = await enrol(world, await come_in(world))
    assert len(set(codes)) == 10
    await come_in(world, code=codes[0].lower().replace("-", " "))
    assert (await knock(world, code=codes[0])).status_code == 401
    await come_in(world, code=codes[1])
    stored = str(await world.sql("SELECT * FROM recovery_codes"))
    assert not any(code in stored for code in codes)


async def test_a_new_telephone_needs_the_password_and_ends_other_sessions(world: World) -> None:
    await hire(world)
    token, other = await come_in(world), await come_in(world)
    refused = await world.call(
        "POST", "/api/v1/account/second-factor", role=token, json={"password": "wrong password!"}
    )
    assert refused.status_code == 401
    await enrol(world, token)
    assert (await world.call("GET", "/api/v1/session", role=other)).status_code == 401
    assert (await world.call("GET", "/api/v1/session", role=token)).status_code == 200


# Sessions -------------------------------------------------------------------------------------------------------------------------------------
async def test_a_session_ends_idle_and_ends_anyway(world: World) -> None:
    await hire(world)
    idle, busy = await come_in(world), await come_in(world)
    for _ in range(7):
        await world.pass_time(timedelta(minutes=100))
        assert (await world.call("GET", "/api/v1/session", role=busy)).status_code == 200
    assert (await world.call("GET", "/api/v1/session", role=idle)).status_code == 401
    await world.pass_time(timedelta(minutes=30))
    assert (await world.call("GET", "/api/v1/session", role=busy)).status_code == 401, "twelve hours"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"role": "lead"}),
        ("POST", "/deactivate", {}),
        ("POST", "/reset-password", {}),
        ("DELETE", "/sessions", None),
    ],
)
async def test_what_an_administrator_changes_ends_the_sessions_at_once(
    world: World, method: str, path: str, body: Any
) -> None:
    who = await hire(world)
    token = await come_in(world)
    assert (await world.call("GET", "/api/v1/session", role=token)).status_code == 200
    given = {} if body is None else {"json": body}
    await world.ok(method, f"/api/v1/admin/staff/{who}{path}", role="admin", **given)
    assert (await world.call("GET", "/api/v1/session", role=token)).status_code == 401
    if path == "/deactivate":
        assert (await knock(world)).status_code == 401
        await world.ok("POST", f"/api/v1/admin/staff/{who}/activate", role="admin")
        await come_in(world)


async def test_a_reset_lets_a_locked_out_person_in_without_the_lost_telephone(world: World) -> None:
    who = await hire(world)
    await enrol(world, await come_in(world))
    for _ in range(6):
        await knock(world, "wrong password!")
    body = {"drops_second_factor": True}
    made = await world.ok("POST", f"/api/v1/admin/staff/{who}/reset-password", role="admin", json=body)
    assert (await knock(world, made["password"])).json()["needs"] == "password"


async def test_own_sessions_are_listed_and_ended_and_nobody_elses(world: World) -> None:
    await hire(world)
    await hire(world, "bob")
    token, other, bobs = await come_in(world), await come_in(world), await come_in(world, login="bob")
    rows = (await world.ok("GET", "/api/v1/account/sessions", role=token))["sessions"]
    assert sorted(row["is_this"] for row in rows) == [False, True]
    [theirs] = (await world.ok("GET", "/api/v1/account/sessions", role=bobs))["sessions"]
    path = "/api/v1/account/sessions"
    assert (await world.call("DELETE", f"{path}/{theirs['session_id']}", role=token)).status_code == 404
    [elsewhere] = [row["session_id"] for row in rows if not row["is_this"]]
    await world.ok("DELETE", f"{path}/{elsewhere}", role=token)
    assert [(await world.call("GET", path, role=one)).status_code for one in (token, other, bobs)] == [200, 401, 200]


# Cookies --------------------------------------------------------------------------------------------------------------------------------------
async def test_a_cookie_reads_and_changes_nothing_without_the_header(world: World) -> None:
    await hire(world)
    response = await knock(world, as_cookie=True)
    assert response.json()["token"] is None
    given = response.headers["set-cookie"]
    assert given.startswith("__Host-unwind=us_")
    assert all(word in given for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"))
    assert "Domain" not in given
    headers = {"Cookie": given.split(";")[0]}
    ask = world.client.request
    assert (await ask("GET", "/api/v1/session", headers=headers)).status_code == 200
    for method, path in (
        ("PUT", "/api/v1/desk/presence"),
        ("POST", "/api/v1/cancellations"),
        ("DELETE", "/api/v1/session"),
    ):
        forged = await ask(method, path, headers=headers)
        assert (forged.status_code, forged.json()["code"]) == (403, "header_missing"), path
    meant = {**headers, "X-Unwind-Request": "1"}
    assert (await ask("PUT", "/api/v1/desk/presence", headers=meant, json={"state": "off"})).status_code == 200
    mixed = {**meant, "Authorization": "Basic eDp4"}
    assert (await ask("GET", "/api/v1/session", headers=mixed)).status_code == 401, "no way round to the cookie"
    out = await ask("DELETE", "/api/v1/session", headers=meant)
    assert 'unwind=""' in out.headers["set-cookie"]
    assert (await ask("GET", "/api/v1/session", headers=headers)).status_code == 401


async def test_only_the_demo_and_loopback_do_without_tls(world: World) -> None:
    from unwind.bootstrap import sign_in_rules
    from unwind.settings import load_settings

    key = {"UNWIND_MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
    rules = {
        address: sign_in_rules(load_settings({**key, "UNWIND_PUBLIC_URL": address}))
        for address in (
            "",
            "https://unwind.example",
            "http://unwind.example",
            "http://127.0.0.1:8080",
            "http://localhost",
        )
    }
    assert [rule.is_cookie_secure for rule in rules.values()] == [True, True, True, False, False]
    assert all(rule.needs_second_factor for rule in rules.values())
    assert not sign_in_rules(load_settings({**key, "UNWIND_SECOND_FACTOR": "optional"})).needs_second_factor


# Administration -------------------------------------------------------------------------------------------------------------------------------
async def test_published_passwords_open_nothing_outside_the_demo(world: World) -> None:
    from unwind.demo.catalog import DEMO_PASSWORD

    obey(world, replace(RULES, is_demo=True))
    await hire(world, password=DEMO_PASSWORD)
    await come_in(world, password=DEMO_PASSWORD)
    obey(world, RULES)
    assert (await knock(world, DEMO_PASSWORD)).status_code == 401


async def test_what_accounts_cannot_be(world: World) -> None:
    await hire(world)

    async def refused(**body: Any) -> str:
        response = await world.call("POST", "/api/v1/admin/staff", role="admin", json={"login": "neu", **body})
        return str(response.json()["code"])

    assert await refused(login="LIN.XIAO", role="agent") == "login_taken"
    assert (
        await refused(role="buyer")
        == await refused(role="system")
        == await refused(role="integrator")
        == "role_not_allowed"
    )
    assert await refused(role="merchant") == "merchant_needed"
    assert await refused(role="agent", merchant_id="nowhere") == "unknown_merchant"
    assert await world.sql("SELECT count(*) AS n FROM staff") == [{"n": 1}]


async def test_a_shop_without_a_role_is_not_silently_left_out(world: World) -> None:
    made = await staff.add(world.services, SYSTEM, login="ann", role=Role.AGENT, merchant_id=None, display_name="")
    path = f"/api/v1/admin/staff/{made.principal_id}"
    refused = await world.call("PATCH", path, role="admin", json={"merchant_id": "shop"})
    assert (refused.status_code, refused.json().get("code")) == (422, "invalid")
    await world.ok("PATCH", path, role="admin", json={"role": "agent", "merchant_id": "shop"})
    assert await world.sql("SELECT merchant_id FROM principals WHERE principal_id = %s", made.principal_id) == [
        {"merchant_id": "shop"}
    ]


async def test_nobody_shuts_themselves_out(world: World) -> None:
    who = await hire(world, "boss", Role.ADMIN)
    token = await come_in(world, login="boss")
    for method, path, body in (("POST", "/deactivate", {}), ("PATCH", "", {"role": "agent"})):
        response = await world.call(method, f"/api/v1/admin/staff/{who}{path}", role=token, json=body)
        assert response.json()["code"] == "not_yourself"


async def test_the_record_of_the_door_is_read_by_auditors_and_rewritten_by_nobody(world: World) -> None:
    await hire(world)
    await come_in(world)
    await knock(world, "wrong password!")
    events = (await world.ok("GET", "/api/v1/admin/sign-in-events", role="auditor"))["events"]
    assert [event["event"] for event in events] == ["refused", "signed_in", "account_added"]
    assert all(len(event["source"]) == 64 for event in events[:2])
    page = await world.ok("GET", f"/api/v1/admin/sign-in-events?before={events[0]['event_no']}", role="auditor")
    assert len(page["events"]) == 2
    for statement in ("UPDATE sign_in_events SET detail = ''", "DELETE FROM sign_in_events", "TRUNCATE sign_in_events"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            await world.sql(statement)
    for statement, refusal in (
        ("DELETE FROM sign_in_events", psycopg.errors.RaiseException),
        ("UPDATE sign_in_events SET detail = ''", psycopg.errors.InsufficientPrivilege),
    ):
        async with await psycopg.AsyncConnection.connect(world.url) as conn:
            with pytest.raises(refusal):
                await conn.execute(statement)


async def test_logs_name_nobody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    await hire(world)
    await knock(world, "wrong password!")
    await come_in(world)
    printed = "".join(capsys.readouterr()).casefold()
    assert LOGIN.casefold() not in printed
    assert PASSWORD not in printed


# API keys -------------------------------------------------------------------------------------------------------------------------------------
async def make_key(world: World, **body: Any) -> dict[str, Any]:
    return await world.ok(
        "POST", "/api/v1/admin/keys", role="admin", json={"principal_id": "web", "role": "integrator", **body}
    )


async def works(world: World, key: str) -> bool:
    return (await world.call("GET", "/api/v1/orders/NO-SUCH", role=key)).status_code == 404


async def test_a_key_is_shown_once_and_changed_without_a_gap(world: World) -> None:
    first = await make_key(world)
    second = await world.ok("POST", "/api/v1/admin/keys/web/rotate", role="admin", json={})
    assert [await works(world, one["key"]) for one in (first, second)] == [True, True]
    third = await world.ok("POST", "/api/v1/admin/keys/web/rotate", role="admin", json={})
    assert [await works(world, one["key"]) for one in (first, second, third)] == [False, True, True], "two at a time"
    await world.ok("DELETE", f"/api/v1/admin/keys/web/{second['key_id']}", role="admin")
    assert [await works(world, one["key"]) for one in (second, third)] == [False, True], "at once in this process"
    listed = (await world.ok("GET", "/api/v1/admin/keys", role="auditor"))["keys"]
    [row] = [row for row in listed if row["principal_id"] == "web"]
    assert len(row["keys"]) == 3
    assert third["key"] not in str(listed) + str(await world.sql("SELECT * FROM api_keys"))
    await world.ok("DELETE", "/api/v1/admin/keys/web", role="admin")
    assert not await works(world, third["key"])
    assert (await world.call("POST", "/api/v1/admin/keys/web/rotate", role="admin", json={})).status_code == 404


async def test_a_key_that_has_ended_by_itself_does_not_crowd_out_the_one_in_use(world: World) -> None:
    in_use = await make_key(world)
    until = (await world.now() + timedelta(days=1)).isoformat()
    await world.ok("POST", "/api/v1/admin/keys/web/rotate", role="admin", json={"expires_at": until})
    await world.pass_time(timedelta(days=2))
    new = await world.ok("POST", "/api/v1/admin/keys/web/rotate", role="admin", json={})
    assert [await works(world, one["key"]) for one in (in_use, new)] == [True, True]


async def test_another_process_forgets_a_key_within_its_cache(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from unwind.web import access

    made = await make_key(world)
    assert await works(world, made["key"])
    await api_keys.revoke(world.services, SYSTEM, "web")
    assert await works(world, made["key"]), "as another process still believes"
    later = time.monotonic() + access.KEY_CACHE_S
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert not await works(world, made["key"])


async def test_a_key_ends_by_itself(world: World) -> None:
    until = (await world.now() + timedelta(days=1)).isoformat()
    made = await make_key(world, expires_at=until)
    assert await works(world, made["key"])
    await world.pass_time(timedelta(days=1, seconds=1))
    world.inwards.app.state.keys.forget("web")
    assert not await works(world, made["key"])


async def test_what_keys_cannot_be(world: World) -> None:
    await make_key(world)

    async def refused(**body: Any) -> str:
        given = {"principal_id": "neu", "role": "agent", **body}
        response = await world.call("POST", "/api/v1/admin/keys", role="admin", json=given)
        return str(response.json()["code"])

    assert await refused(scopes=["admin"]) == "scopes_exceed_role"
    assert await refused(scopes=["account"]) == "scopes_exceed_role"
    assert await refused(role="merchant") == "merchant_needed"
    assert await refused(role="system") == await refused(role="buyer") == "role_not_allowed"
    assert await refused(principal_id="web") == "name_taken"
    assert await refused(expires_at="2020-01-01T00:00:00Z") == "already_over"
    assert await refused(merchant_id="nowhere") == "unknown_merchant"
    assert await world.sql("SELECT FROM principals WHERE principal_id = 'neu'") == []


async def test_a_name_that_is_taken_at_the_same_moment_stays_with_who_was_first(world: World) -> None:
    """Else the first one's key would call for the second one's shop."""
    async with await psycopg.AsyncConnection.connect(world.owner_url) as first:
        await first.execute(
            "INSERT INTO principals (principal_id, kind, role, scopes, merchant_id, display_name) VALUES ('erp', 'key', 'agent', '{}', 'shop', '')"
        )
        body = {"principal_id": "erp", "role": "admin"}
        second = asyncio.ensure_future(world.call("POST", "/api/v1/admin/keys", role="admin", json=body))
        await asyncio.sleep(0.3)
        await first.commit()
        answer = await second
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert await world.sql("SELECT role, merchant_id FROM principals WHERE principal_id = 'erp'") == [
        {"role": "agent", "merchant_id": "shop"}
    ]


async def test_keys_of_the_version_before_may_do_what_they_could(world: World) -> None:
    from unwind.storage.principals import upsert_principal

    old = ["orders:read", "cases:read", "cases:request", "cases:decide", "tasks:answer"]
    row = {"principal_id": "old", "role": "agent", "scopes": old, "merchant_id": None, "display_name": "old"}
    async with world.services.database.connection() as conn:
        await upsert_principal(conn, row, "uk_old")
    for path in ("desk/cases", "desk/tasks", "stock?sku=S", "desk/refund-exceptions"):
        assert (await world.call("GET", f"/api/v1/{path}", role="uk_old")).status_code == 200, path
    assert (await world.call("GET", "/api/v1/admin/alerts", role="uk_old")).status_code == 403


def test_secrets_have_no_representation() -> None:
    from unwind.flow.api_keys import NewKey
    from unwind.flow.staff import NewPassword
    from unwind.web.schemas.sign_in import SignInIn

    shown = [
        repr(NewKey(principal_id="p", key_id="k", key="topsecret")),
        repr(NewPassword(principal_id="p", password="topsecret")),
        repr(SignInIn(login="x", password="topsecret")),  # type: ignore[arg-type]
    ]
    assert "topsecret" not in "".join(shown)
