"""Warehouses behind Qimen: the published signature, both ways; yes, no and silence; what the warehouse pushes."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest

from sandbox.dialects import qimen as theirs
from tests.world import World, shipment
from unwind.adapters.provider import Connected, Surroundings
from unwind.adapters.warehouse import qimen as ours
from unwind.domain.outcome import OutcomeKind
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.warehouse import HoldCall
from unwind.storage.embedded import EmbeddedPostgres

VECTOR_QUERY = {
    "app_key": "testerp_appkey",
    "customerId": "stub-cust-code",
    "format": "xml",
    "method": "taobao.qimen.order.cancel",
    "sign_method": "md5",
    "timestamp": "2015-04-26 00:00:07",
    "v": "2.0",
}
VECTOR_BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><request><warehouseCode>W1</warehouseCode><ownerCode>H1</ownerCode>'
    b"<orderCode>O1</orderCode><orderType>JYCK</orderType><cancelReason>user cancel</cancelReason></request>"
)
VALUES = {"base_url": "http://wms.test", "app_key": "k", "secret": "s3cret", "customer_id": "c", "owner_code": "H1"}
HOLD = HoldCall(request_id="R1", outbound_no="O1", order_id="O1", warehouse_code="W1", reason_code="CHANGED_MIND")


def test_both_sides_sign_as_published() -> None:
    assert ours.sign("test", VECTOR_QUERY, VECTOR_BODY) == "05499ADF1624D00C088D947E90B782F8"
    assert theirs.sign("test", VECTOR_QUERY, VECTOR_BODY) == "05499ADF1624D00C088D947E90B782F8"


def connect(transport: httpx.AsyncBaseTransport, **changes: Any) -> Connected:
    return ours.connect(
        ours.QimenSettings.model_validate({**VALUES, **changes}),
        Surroundings(
            connection_id="wms", clock=time.time, nonces=lambda: "n" * 32, callback_url="", transport=transport
        ),
    )


def answering(*bodies: str) -> tuple[ours.Qimen, list[httpx.Request]]:
    """A warehouse that says these things, one after the other."""
    asked: list[httpx.Request] = []
    left = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream((left.pop(0) if len(left) > 1 else left[0]).encode()))

    party = connect(httpx.MockTransport(answer)).party
    assert isinstance(party, ours.Qimen)
    return party, asked


def said(flag: str, *, message: str = "", status: str = "", code: str = "0") -> str:
    order = f"<deliveryOrder><status>{status}</status></deliveryOrder>" if status else ""
    return f"<response><flag>{flag}</flag><code>{code}</code><message>{message}</message>{order}</response>"


@pytest.mark.parametrize("code", ["0", "0000", "200", "S003"])
async def test_only_the_flag_is_trusted(code: str) -> None:
    party, _ = answering(said("success", code=code))
    assert (await party.hold(HOLD)).kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "kind", "stage"),
    [
        ("DELIVERED", OutcomeKind.REFUSED, "handed_over"),
        ("PACKAGE", OutcomeKind.REFUSED, "packed"),
        ("PICK", OutcomeKind.REFUSED, "picking"),
        ("CANCELED", OutcomeKind.SUCCEEDED, "released"),
    ],
)
async def test_a_no_is_explained_by_the_orders_state(status: str, kind: OutcomeKind, stage: str) -> None:
    party, asked = answering(said("failure", message="不能取消"), said("success", status=status))
    outcome = await party.hold(HOLD)
    assert (outcome.kind, outcome.evidence["stage"]) == (kind, stage)
    assert [dict(parse_qsl(r.url.query.decode()))["method"] for r in asked] == [ours.CANCEL, ours.QUERY]


async def test_already_cancelled_is_believed_only_with_the_state() -> None:
    party, _ = answering(said("failure", message="订单已取消"), said("success", status="CANCELED"))
    assert (await party.hold(HOLD)).kind is OutcomeKind.SUCCEEDED
    party, _ = answering(said("failure", message="订单已取消"), said("success", status="PICK"))
    assert (await party.hold(HOLD)).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[
            (status, OutcomeKind.NOT_FOUND)
            for status in ("NEW", "ACCEPT", "PRINT", "PICK", "CHECK", "PACKAGE", "WEIGH")
        ],
        ("PARTACCEPT", OutcomeKind.NOT_FOUND),
        *[(status, OutcomeKind.REFUSED) for status in ("DELIVERED", "PARTDELIVERED")],
        *[(status, OutcomeKind.SUCCEEDED) for status in ("CANCELED", "CANCELLED")],
        *[(status, OutcomeKind.UNKNOWN) for status in ("CLOSED", "EXCEPTION", "SOMETHING", "")],
    ],
)
async def test_every_state(status: str, kind: OutcomeKind) -> None:
    party, _ = answering(said("success", status=status or " "))
    assert (await party.query_hold(HOLD)).kind is kind


@pytest.mark.parametrize(("code", "kind"), ours.ERROR_KINDS.items())
async def test_every_error_of_the_gateway(code: str, kind: OutcomeKind) -> None:
    party, _ = answering(f"<error_response><code>15</code><msg>m</msg><sub_code>{code}</sub_code></error_response>")
    for outcome in (await party.hold(HOLD), await party.query_hold(HOLD)):
        assert (outcome.kind, outcome.code) == (kind, code)
        assert (outcome.alert == "configuration") == (code in ours.CONFIGURATION)


async def test_an_error_that_nobody_knows() -> None:
    party, _ = answering("<error_response><code>15</code><sub_code>isp.new</sub_code></error_response>")
    outcome = await party.hold(HOLD)
    assert (outcome.kind, outcome.alert) == (OutcomeKind.UNKNOWN, "unknown_code")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><response><flag>success</flag><message>&b;</message></response>'


@pytest.mark.parametrize("body", ["", "<", "{}", "<response/>", "<html><flag>success</flag></html>", BOMB])
async def test_nonsense_is_doubt(body: str) -> None:
    party, _ = answering(body)
    assert (await party.hold(HOLD)).kind is OutcomeKind.UNKNOWN
    assert (await party.query_hold(HOLD)).kind is OutcomeKind.UNKNOWN


def push(secret: str = "s3cret", *, at: float | None = None, body: bytes | None = None) -> Incoming:
    raw = body or (
        b"<request><order><orderCode>O1</orderCode></order><process><processStatus>DELIVERED</processStatus></process></request>"
    )
    moment = datetime.fromtimestamp(at if at is not None else time.time(), ours.BEIJING)
    query = {
        "method": "taobao.qimen.orderprocess.report",
        "timestamp": moment.strftime("%Y-%m-%d %H:%M:%S"),
        "v": "2.0",
    }
    query["sign"] = ours.sign(secret, query, raw)
    return Incoming(headers={}, body=raw, query=urlencode(query))


def test_a_push_is_verified_on_its_raw_bytes() -> None:
    verifier = connect(httpx.MockTransport(lambda _: httpx.Response(500)), previous_secret="older").verifier
    assert verifier is not None
    (news,) = verifier.verify(push())
    assert (news.kind, news.data["outbound_no"]) == ("hold.told", "O1")
    assert verifier.verify(push("older"))[0].event_id == news.event_id, (
        "the predecessor is still accepted; a repeat is known"
    )
    for wrong in (
        push("another"),
        push(at=time.time() - 3600),
        replace(push(), body=push().body + b" "),
        push(body=b"<request/>"),
        push(body=b"no xml"),
        push(body=b"x" * 300_000),
    ):
        with pytest.raises(CallbackUnverified):
            verifier.verify(wrong)


@pytest.fixture
async def shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """The usual world, with a warehouse that speaks Qimen."""
    async with AsyncExitStack() as stack:
        yield await World.open(
            stack, postgres=postgres, database=database_name, folder=tmp_path, speaking={"wms": "qimen"}
        )


async def test_stopped_before_any_refund_leaves(shop: World) -> None:
    order_id = await shop.order(released_stage="picking")
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run(until="archived", case_id=case_id)
    assert [r["money_moved_times"] for r in await shop.refunds(order_id)] == [1]
    assert (await shop.violations())["violations"] == []
    assert [o["state"] for o in (await shop.ledger())["outbound"]] == ["CANCELLED"]


async def test_gone_already_ends_with_a_person(shop: World) -> None:
    order_id = await shop.order(released_stage="picking", wms={"stage": "HANDED_OVER"})
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run()
    rows = await shop.sql("SELECT state, rule FROM cases WHERE case_id = %s", case_id)
    assert rows == [{"state": "review", "rule": "hold_refused"}]
    assert await shop.refunds(order_id) == []


async def test_a_silent_warehouse_is_asked_and_the_push_wakes_the_case(shop: World) -> None:
    order_id = await shop.order(released_stage="picking", wms={"behaviour": "pending_then_cancel", "delay_s": 20})
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run(until="archived", case_id=case_id)
    inbox = await shop.sql("SELECT kind, data FROM callback_inbox WHERE connection = 'wms'")
    assert [(row["kind"], row["data"]["outbound_no"]) for row in inbox] == [("hold.told", order_id)]
    assert [r["money_moved_times"] for r in await shop.refunds(order_id)] == [1]


async def test_a_warehouse_that_never_answers_ends_with_a_person(shop: World) -> None:
    order_id = await shop.order(released_stage="picking", wms={"behaviour": "silent"})
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run()
    await shop.pass_time(timedelta(seconds=121))
    await shop.run()
    rows = await shop.sql("SELECT state, rule FROM cases WHERE case_id = %s", case_id)
    assert rows == [{"state": "review", "rule": "hold_unanswered"}]


async def test_a_label_is_held_under_its_own_number(shop: World) -> None:
    order_id = await shop.order(shipments=[shipment("S9", stage="handed_over", picked_up=False)])
    await shop.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S9", "order_no": order_id, "stage": "label_printed"}
    )
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run(until="archived", case_id=case_id)
    assert (await shop.violations())["violations"] == []


@pytest.mark.parametrize(
    "fault",
    [
        "timeout_after_effect",
        "timeout_before_effect",
        "reset_mid_answer",
        "error_503_after_effect",
        "rate_limit",
        "malformed_body",
    ],
)
async def test_a_warehouse_in_doubt_is_asked_before_it_is_told_again(shop: World, fault: str) -> None:
    await shop.ask_sandbox(
        "faults",
        {"connection": "wms", "operation": "warehouse.cancel", "fault": fault, "seconds": 0, "retry_after_s": 0},
    )
    order_id = await shop.order(released_stage="picking")
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run(until="archived", case_id=case_id)
    assert [r["money_moved_times"] for r in await shop.refunds(order_id)] == [1]
    assert (await shop.violations())["violations"] == []


async def test_a_wrong_signature_is_refused_in_the_providers_words_and_somebody_is_told(shop: World) -> None:
    from pydantic import SecretStr

    party = shop.services.warehouses["wms"]
    assert isinstance(party, ours.Qimen)
    party._settings = party._settings.model_copy(update={"secret": SecretStr("another")})
    await shop.cancel(await shop.order(released_stage="picking"))
    await shop.run()
    alerts = await shop.sql("SELECT kind, code FROM alerts WHERE connection = 'wms'")
    assert alerts == [{"kind": "configuration", "code": "sign-check-failure"}]
