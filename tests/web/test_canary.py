"""I15: what is known of people stands in the encrypted columns and nowhere else - not in another column, a log, an error, an alert, a metric,
an address that was called, or a file of the database server. Canaries go in by every door, also by the wrong one, and are then looked for.
"""

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.flow.test_decisions import open_task
from tests.web.canary import FILE, PEOPLE, look_through, look_through_rows, places, shapes_of, table_rows
from tests.world import World, line, shipment
from unwind.doctor import examine
from unwind.domain.access import SYSTEM, Role
from unwind.flow import staff
from unwind.flow.archive import anchor_archived
from unwind.flow.erasure import erase_due
from unwind.flow.links import mint_link
from unwind.flow.lookup import index_people
from unwind.flow.notify import tell_alerts
from unwind.flow.retention import forget_due
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.embedded.layout import find_layout

SECRET = "s" * 16 + "0123456789abcdef"
BUYER = {
    "name": PEOPLE["buyer's name"],
    "phone": PEOPLE["buyer's phone"],
    "email": PEOPLE["mail"],
    "openid": PEOPLE["openid"],
    "address": PEOPLE["address"],
}
RECIPIENT = {"name": PEOPLE["recipient's name"], "phone": PEOPLE["recipient's phone"]}
SAID = f"{PEOPLE['words']},我的电话是 139 2227 8912,卡号{PEOPLE['card']}"
WRONG, CALLER, COURIER = (PEOPLE["phone in a wrong field"], PEOPLE["caller's phone"], PEOPLE["courier's phone"])
NAME = PEOPLE["buyer's name"]


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Everything that would be logged if everything were logged: ours, and that of the libraries."""
    written: list[str] = []

    class Ours:
        def msg(self, message: str) -> None:
            written.append(message)

        log = debug = info = warning = error = critical = exception = fatal = msg

    class Theirs(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.startswith("http") and "unwind.test" in record.getMessage():
                return  # the test's own client, which asks for wrong addresses on purpose
            written.append(f"{record.name} {record.getMessage()} {record.exc_text or ''} {record.args}")

    handler, root = Theirs(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: Ours(),
    )
    yield written
    structlog.reset_defaults()
    root.removeHandler(handler)
    root.setLevel(level)


class Ear:
    """Hears what Unwind answers, and which addresses it is asked for or asks itself."""

    def __init__(self, world: World) -> None:
        self.refusals: list[tuple[str, bytes]] = []
        self.addresses: list[str] = []
        world.client.event_hooks = {"response": [self.hear]}

    async def hear(self, response: httpx.Response) -> None:
        await response.aread()
        self.addresses.append(str(response.request.url))
        if not response.is_success:
            head = json.dumps(dict(response.headers)).encode()
            self.refusals.append((f"{response.request.method} {response.request.url.path}", head + response.content))


async def an_order(world: World, **given: Any) -> str:
    return await world.order(**{"buyer": BUYER, "recipient": RECIPIENT, **given})


async def checked(world: World, order_id: str, *, role: str = "agent") -> None:
    body = {"phone_tail": "2345", "item": "双肩背包"}
    await world.ok("POST", f"/api/v1/desk/orders/{order_id}/identity", role=role, json=body)


async def buyers_story(world: World) -> str:
    """The buyer's own door: words, a file, a talk, an appeal. Declined, then looked at again. Returns the case."""
    order_id = await an_order(world, risk="suspected")
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    asked = await world.ok(
        "POST",
        "/api/v1/cancellations",
        role=token,
        headers={"Idempotency-Key": f"cancel-{WRONG}-{PEOPLE['mail']}"},
        json={"order_id": order_id, "text": SAID},
    )
    case_id: str = asked["case_id"]
    path = f"/api/v1/cancellations/{case_id}"
    attached = await world.call("POST", f"{path}/attachments", role=token, content=FILE)
    assert attached.status_code == 201, attached.text
    file = await world.call("GET", f"{path}/attachments/{attached.json()['attachment_id']}", role=token)
    assert file.content == FILE, "whoever may read it reads it"
    await world.ok("POST", f"{path}/conversation", role=token, json={"text": PEOPLE["words of a talk"]})
    answer = {"text": "您好,我帮您看一下"}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/conversation", role="agent", json=answer)
    refused = await world.call(
        "POST", f"/api/v1/desk/cases/{case_id}/conversation", role="agent", json={"text": f"您的电话是{WRONG}吗"}
    )
    assert refused.status_code == 422
    note = {"reason_code": "x", "note": PEOPLE["words of an agent"]}
    declined = await world.decide(case_id, "decline", **note)
    assert declined.is_success, declined.text
    await world.run(until="archived", case_id=case_id)
    appeal = {"text": PEOPLE["words of an appeal"]}
    again = await world.ok("POST", f"{path}/appeal", role=token, json=appeal)
    [bob] = await world.hire("bob")
    give = {"to": "bob", "cases": [{"case_id": again["case_id"], "note": PEOPLE["words of a hand-over"]}]}
    await world.ok("PUT", "/api/v1/desk/presence", role=bob, json={"state": "on"})
    await world.call("POST", "/api/v1/desk/handover", role="lead", json=give)
    return case_id


async def agents_story(world: World) -> str:
    """Look-up, check, a question to the merchant by link, another address, a refund that goes to another account. Returns the case."""
    order_id = await an_order(world, released_stage="packed", risk="suspected")
    for value in (PEOPLE["phone somebody looked for"], PEOPLE["name somebody looked for"], BUYER["phone"]):
        await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": value})
    await checked(world, order_id)
    asked = {"order_id": order_id, "channel": "hotline", "text": SAID, "external_ref": "c-100"}
    case_id: str = (await world.ok("POST", "/api/v1/cancellations", role="agent", json=asked))["case_id"]
    question = {"audience": "merchant", "topic": "may_cancel", "words": PEOPLE["words of an agent"]}
    told = await world.ok("POST", f"/api/v1/desk/cases/{case_id}/questions", role="agent", json=question)
    link = told["link"].rsplit("/", 1)[1]
    answer = {"agree": True, "note": PEOPLE["words of a merchant"]}
    assert (await world.client.post(f"/api/v1/links/{link}", json=answer)).is_success
    offer = {"offer": "address_change", "words": PEOPLE["words of an agent"]}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/offers", role="agent", json=offer)
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    body = {"case_id": case_id, "fields": ["phone", "name", "words"], "why": "call_buyer"}
    shown = await world.ok("POST", f"/api/v1/desk/orders/{order_id}/reveal", role="agent", json=body)
    assert shown["values"]["phone"] == BUYER["phone"], "in full, for whoever works on it"
    account = {
        "kind": "user_bank_card",
        "case_version": (await world.dossier(case_id))["version"],
        "bank_type": "CMB_DEBIT",
        "account_no": PEOPLE["card"],
        "account_name": PEOPLE["holder of the card"],
    }
    for leg in range(1, 4):
        path = f"/api/v1/desk/cases/{case_id}/legs/{leg}/other-account"
        await world.call("POST", path, role="agent", json=account)
    [one] = (await world.ok("GET", f"/api/v1/cancellations/{case_id}", role=token))["questions"]
    taken = {"agree": True, "address": PEOPLE["new address"]}
    await world.ok("POST", f"/api/v1/cancellations/{case_id}/questions/{one['n']}", role=token, json=taken)
    await world.run()
    return case_id


async def calls(world: World) -> None:
    """The telephone system, with the caller's number wherever it puts one."""
    order_id = await an_order(world, risk="suspected", buyer={**BUYER, "phone": PEOPLE["caller's phone"]})
    await world.cancel(order_id)
    system = {"vendor": "zammad", "agents": {"8001": "test-agent"}, "secret": SECRET}
    await world.ok("PUT", "/api/v1/admin/phone-systems/pbx", role="admin", json=system)
    for number, call_id in ((CALLER, f"20261124-{CALLER}-1"), (WRONG, "c-2")):
        for event in ("newCall", "answer", "hangup", "record"):
            said = {
                "event": event,
                "from": f"86{number}",
                "callId": call_id,
                "user[]": ["8001", WRONG],
                "recording": f"rec/{number}.wav",
                "duration": "12",
            }
            await world.client.post(f"/callbacks/cti/pbx/{SECRET}", json=said)
            await world.client.post(f"/callbacks/cti/pbx/{SECRET}", data={**said, "user[]": "8001"})
    card = {"from": PEOPLE["phone somebody looked for"], "callId": "c-3", "user": "8001"}
    await world.call("POST", "/api/v1/desk/cti/pbx", role="agent", json=card)


async def guests_and_staff(world: World) -> None:
    order_id = await an_order(world, paid=False)
    who = {"order_id": order_id, "phone_tail": "2345"}
    await world.client.post("/api/v1/guest/codes", json=who)
    await world.client.post("/api/v1/guest/tokens", json={**who, "code": "000000"})
    await world.client.post("/api/v1/guest/codes", json={**who, "phone_tail": WRONG})
    for login in (PEOPLE["mail"], WRONG, PEOPLE["buyer's name"]):
        await world.client.post("/api/v1/session", json={"login": login, "password": PEOPLE["address"]})
    made = await staff.add(
        world.services, SYSTEM, login="ann", role=Role.AGENT, merchant_id=None, display_name="安", password=None
    )
    await world.client.post("/api/v1/session", json={"login": "ann", "password": made.password})


async def parcels_and_providers(world: World) -> None:
    """A carrier that writes its courier's number into the route, a gateway that refuses and calls back, a forged callback."""
    order_id = await an_order(world, shipments=[shipment()])
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "recall_fails"}
    )
    case_id = (await world.cancel(order_id, text=SAID))["case_id"]
    await world.decide(case_id, "recall")
    await world.run()
    place = {"waybill_no": "W-S1", "stage": "in_transit", "at": (await world.now()).isoformat()}
    forged = {**place, "place": f"派件员 {COURIER}", "signed_by": PEOPLE["recipient's name"]}
    await world.client.post("/callbacks/sf", json={"type": "parcel.moved", "data": forged})
    for fault in ("business_refusal", "malformed", "http_500_before_effect"):
        body = {"connection": "*", "operation": "payment.refund", "fault": fault, "times": 1}
        await world.control.post("/control/faults", json=body)
    late = (await world.cancel(await an_order(world), text=SAID))["case_id"]
    await world.run()
    await world.ask_sandbox("callbacks/hurry", {})
    await world.run()
    assert late
    manual = await an_order(world, released_stage="released", planned_dispatch_at=None)
    await world.sql("UPDATE merchants SET warehouse = 'manual'")
    task_case = (await world.cancel(manual, text=SAID))["case_id"]
    await world.run()
    task = await open_task(world, task_case)
    link = (await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/link", role="agent"))["link"]
    token = link.rsplit("/", 1)[1]
    seen = (await world.client.get(f"/api/v1/links/{token}")).content
    assert not look_through(seen, "a link"), "whoever does a task sees nothing of the buyer"
    await world.client.post(f"/api/v1/links/{token}", json={"agree": False, "note": PEOPLE["words of a merchant"]})


async def looking_back(world: World) -> None:
    """A rating with a comment, and a report of what was read wrong; a phrase with somebody's name in it."""
    await world.put_merchant("shop", asks_rating=True)
    order_id = await an_order(world)
    case_id = (await world.cancel(order_id, channel="hotline", text=SAID))["case_id"]
    await world.run(until="archived", case_id=case_id)
    until = int((await world.now() + timedelta(days=1)).timestamp())
    token = mint_link(world.services.vault.token_key, subject=f"rate:{case_id}", expires_at=until)
    assert (await world.client.post(f"/api/v1/ratings/{token}", json={"score": 1})).is_success
    said = {"text": f"{PEOPLE['words of a rating']},{WRONG}"}
    assert (await world.client.post(f"/api/v1/ratings/{token}/comment", json=said)).is_success
    corrected = (await world.cancel(await an_order(world, risk="suspected"), text=f"{NAME}装不进柜子"))["case_id"]
    reason = {"reason": "PRICE_DROP"}
    await world.ok("PUT", f"/api/v1/desk/cases/{corrected}/true-reason", role="agent", json=reason)
    phrase = {"phrase": f"{NAME}装不进", "label": "PRICE_DROP", "why": "x"}
    refused = await world.call("POST", "/api/v1/admin/phrases", role="admin", json=phrase)
    assert refused.json()["code"] == "phrase_personal"


async def wrong_doors(world: World, case_id: str) -> None:
    """People type what they have in hand into the field before them. All of it is refused, and nothing of it is said again."""
    why = f"{NAME}{WRONG}要求"
    unfit: list[tuple[str, str, str, Any]] = [
        ("PUT", f"/api/v1/orders/{WRONG}x", "integrator", {"buyer": {"phone": [PEOPLE["buyer's phone"]]}}),
        ("POST", "/api/v1/cancellations", "integrator", {"order_id": "O1", "channel": PEOPLE["buyer's name"]}),
        ("POST", "/api/v1/cancellations", "integrator", {"order_id": "O1", "text": PEOPLE["words"] * 200}),
        ("POST", "/api/v1/cancellations", "integrator", {"order_id": "O1", "external_ref": WRONG}),
        ("POST", "/api/v1/cancellations", "integrator", {"order_id": "O1", "external_ref": f"+86{WRONG}"}),
        ("POST", "/api/v1/cancellations", "integrator", {"order_id": "O1", "channel": "store", "operator_id": WRONG}),
        ("POST", "/api/v1/desk/lookups", "agent", {"q": PEOPLE["words"] * 20}),
        ("POST", "/api/v1/desk/lookups", "agent", {"q": WRONG, "by": PEOPLE["mail"]}),
        ("POST", f"/api/v1/desk/cases/{case_id}/costs", "agent", {"costs": [], "reference": WRONG}),
        ("POST", f"/api/v1/desk/cases/{case_id}/legs/1/outcome", "agent", {"outcome": "done", "reference": WRONG}),
        ("POST", f"/api/v1/desk/cases/{case_id}/decisions", "agent", {"choice": PEOPLE["words"]}),
        ("POST", f"/api/v1/desk/cases/{case_id}/escalate", "agent", {"reason_code": WRONG}),
        ("POST", f"/api/v1/desk/cases/{case_id}/conversation", "agent", {"text": "您好", "key": WRONG}),
        ("PUT", "/api/v1/admin/automation/shop/limits", "admin", {"why": why}),
        ("PUT", "/api/v1/admin/retention/lookups", "admin", {"n": 400, "why": why}),
        ("PUT", "/api/v1/admin/scripts/x", "admin", {"title": "x", "zh": f"请拨打{WRONG}", "en": "x"}),
        ("POST", "/api/v1/desk/tasks/x/result", "agent", {"outcome": "done", "reference": WRONG}),
    ]
    for method, path, role, body in unfit:
        refused = await world.call(method, path, role=role, json=body)
        assert refused.status_code in {404, 422}, (method, path, refused.text)
    raw = json.dumps({"order_id": PEOPLE["words"]}, ensure_ascii=False)[:-1].encode()
    broken = await world.call("POST", "/api/v1/cancellations", content=raw)
    assert broken.status_code == 422
    body = {**(await order_document(world)), "buyer_ref": WRONG}
    assert (await world.call("PUT", "/api/v1/orders/wrong-ref", json=body)).status_code == 422
    await world.call("GET", f"/api/v1/cancellations/{NAME}", role="agent")


async def order_document(world: World) -> dict[str, Any]:
    from tests.world import order_body

    return {**order_body("wrong-ref", now=await world.now()), "buyer": BUYER}


async def whole_story(world: World) -> str:
    case_id = await buyers_story(world)
    await agents_story(world)
    await calls(world)
    await guests_and_staff(world)
    await parcels_and_providers(world)
    await looking_back(world)
    await wrong_doors(world, case_id)
    await index_people(world.services)
    await tell_alerts(world.services)
    await forget_due(world.services)
    await anchor_archived(world.services)
    return case_id


@pytest.mark.rule("people.masked")
async def test_people_stand_in_the_encrypted_columns_and_nowhere_else(
    world: World, postgres: EmbeddedPostgres, logs: list[str]
) -> None:
    ear = Ear(world)
    await whole_story(world)
    rows = await table_rows(world)
    assert {name for name, kept in rows.items() if kept} >= {
        "private_data", "attachments", "case_events", "conversation", "phone_calls", "lookups", "reveals", "idempotency_keys",
        "questions", "tasks", "alerts", "attempts", "identity_codes", "sign_in_events", "messages", "order_keys",
    }  # fmt: skip
    assert {row["field"] for row in rows["private_data"]} >= {
        "address", "answer:1", "caller", "email", "handover_note", "name", "note", "openid", "phone", "question:1", "question:2",
        "rating", "recipient_name", "recipient_phone", "recording", "talk:1", "words",
    }  # fmt: skip
    found = look_through_rows(rows)
    for number, text in enumerate(logs):
        found += look_through(text.encode(), f"log line {number}: {text[:60]}")
    for where, content in ear.refusals:
        found += look_through(content, f"refusal of {where}")
    for path, role in (
        ("/metrics", "admin"),
        ("/health", "admin"),
        ("/ready", "admin"),
        ("/api/v1/admin/alerts", "admin"),
        ("/api/v1/admin/connections", "admin"),
        ("/api/v1/admin/sign-in-events", "auditor"),
        ("/api/v1/admin/reveals", "auditor"),
        ("/api/v1/admin/retention", "auditor"),
        ("/api/v1/admin/phrases", "auditor"),
        ("/api/v1/insights/satisfaction?from=2020-01-01T00:00:00Z&to=2040-01-01T00:00:00Z", "auditor"),
        ("/api/v1/insights/corrections?from=2020-01-01T00:00:00Z&to=2040-01-01T00:00:00Z", "auditor"),
        ("/api/v1/desk/cases", "agent"),
        ("/api/v1/desk/calls", "agent"),
        ("/api/v1/desk/tasks", "warehouse"),
        ("/api/v1/desk/refund-exceptions", "finance"),
    ):
        found += look_through((await world.call("GET", path, role=role)).content, path)
    asked = [url for url in ear.addresses if "/cancellations/%" not in url and f"/orders/{WRONG}x" not in url]
    found += look_through("\n".join(asked).encode(), "addresses")
    assert len(ear.refusals) > 15
    assert logs
    assert places(found) == set()
    assert await files_with_canaries(world, postgres) == set()


async def files_with_canaries(world: World, postgres: EmbeddedPostgres) -> set[str]:
    """Tables, indexes, the log before the data and the server's own log, as they lie on disk. A mark written last must be seen there."""
    mark = f"MARK-{secrets.token_hex(12)}"
    await world.sql("INSERT INTO merchants (merchant_id, name) VALUES ('mark', %s)", mark)
    layout = find_layout(postgres._home)
    assert layout is not None
    wanted = {what: value.encode() for what, value in PEOPLE.items()}
    for _ in range(200):
        files = [path for path in layout.data.parent.rglob("*") if path.is_file()]
        contents = {path.name: content for path in files if (content := read_if_there(path))}
        if any(mark.encode() in content for content in contents.values()):
            return {f"{what} in {name}" for what, raw in wanted.items() for name, c in contents.items() if raw in c}
        await asyncio.sleep(0.1)
    raise AssertionError("the folder does not hold what was written: the search would find nothing")


def read_if_there(path: Path) -> bytes:
    """The server removes files at any time."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


@pytest.mark.parametrize(
    ("column", "statement"),
    [
        (
            "alerts.code",
            "INSERT INTO alerts (connection, kind, code, first_at, last_at) VALUES ('x', 'x', %s, now(), now())",
        ),
        (
            "callback_inbox.data",
            "INSERT INTO callback_inbox VALUES ('x', 'x', 'x', now(), jsonb_build_object('a', jsonb_build_array(%s::text)))",
        ),
        ("attempts.subject", "INSERT INTO attempts VALUES ('x', convert_to(%s, 'utf8'), now(), 1)"),
    ],
)
async def test_the_search_finds_what_is_there(world: World, column: str, statement: str) -> None:
    """In every column and every shape, or the test above proves nothing."""
    before = {"plain": PEOPLE["buyer's phone"], "spaced": "139 7771 2345", "dashed": "+86-139-7771-2345"}
    name = PEOPLE["buyer's name"]
    before |= {shape: form.decode() for shape, form in shapes_of(name).items() if shape != "utf-16"}
    for shape, text in before.items():
        await world.sql("DELETE FROM alerts; DELETE FROM callback_inbox; DELETE FROM attempts")
        await world.sql(statement, text)
        found = look_through_rows(await table_rows(world))
        assert column in {sighting.where for sighting in found}, shape
    await world.sql("DELETE FROM alerts; DELETE FROM callback_inbox; DELETE FROM attempts")
    assert look_through_rows(await table_rows(world)) == []


async def test_after_erasure_nobody_reads_and_nothing_of_the_seal_breaks(world: World) -> None:
    """Restricted at once, unreadable for ever on the day, and every history still verifies."""
    order_id = await an_order(world, lines=[line()])
    case_id = (await world.cancel(order_id, text=SAID))["case_id"]
    await world.call("POST", f"/api/v1/cancellations/{case_id}/attachments", content=FILE)
    await world.run(until="archived", case_id=case_id)
    await anchor_archived(world.services)
    sealed = await world.sql("SELECT * FROM private_data")
    [key] = await world.sql("SELECT * FROM order_keys")
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    for path, role in ((f"/api/v1/desk/cases/{case_id}", "agent"), (f"/api/v1/cancellations/{case_id}", "integrator")):
        seen = (await world.call("GET", path, role=role)).content
        assert look_through(seen, path) == []
        assert b"139****2345" not in seen
    for value in (BUYER["phone"], BUYER["name"]):
        looked = await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": value})
        assert looked["orders"] == []
    await world.pass_time(timedelta(days=4 * 366))
    await erase_due(world.services)
    rows = await table_rows(world)
    assert rows["private_data"] == rows["order_keys"] == rows["attachments"] == []
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == [], "the doctor finds every history and every seal whole"
    await world.sql("INSERT INTO anchors (at, case_ids, signature) VALUES (now(), '{}', 'x')")
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault), "and would have said so"
    kept = [
        bytes(value) for table in rows.values() for row in table for value in row.values() if isinstance(value, bytes)
    ]
    assert sealed
    assert not any(bytes(key["wrapped_key"]) in value for value in kept), "no copy of the key is left anywhere"
