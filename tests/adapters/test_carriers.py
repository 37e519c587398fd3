"""Carriers by their own formats: published signatures, every code, and what each of them really proves."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.world import World, shipment
from unwind.adapters.carrier import jdl, kuaidi100, sf, yto, zto
from unwind.adapters.carrier.digests import base64_md5, hex_md5
from unwind.adapters.carrier.route_proof import new_waybill_in
from unwind.adapters.provider import Connected, Surroundings
from unwind.adapters.registry import PROVIDERS
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.carrier import Carrier, ParcelCall, Tracking
from unwind.storage.embedded import EmbeddedPostgres

CARRIERS = ("sf", "zto", "yto", "jdl", "kuaidi100")
CALL = ParcelCall(request_id="R1", waybill_no="SF1234567890123", order_id="O1", reason_code="CHANGED_MIND")
ACCEPTED = replace(CALL, is_accepted=True)
VALUES: Mapping[str, dict[str, Any]] = {
    "sf": {
        "partner_id": "p",
        "checkword": "c",
        "monthly_card": "755",
        "check_phone": "0000",
        "push_path": "a-secret-of-sixteen",
        "return_address": dict.fromkeys(("province", "city", "county", "address", "contact", "phone"), "x"),
    },
    "zto": {"app_key": "k", "app_secret": "s", "can_void": True},
    "yto": {"url_key": "u", "app_key": "k", "secret": "s"},
    "jdl": {"app_key": "k", "app_secret": "s", "access_token": "t", "customer_code": "010K0001"},
    "kuaidi100": {"key": "k", "secret": "s", "customer": "c", "company": "shunfeng", "salt": "SALT"},
}


# Signatures as published -------------------------------------------------------------------------------------------------------------------


def test_sf_encodes_as_java_does() -> None:
    message = '{"waybillNo":"SF1234567890123","serviceCode":"2","role":"1","payMode":"4","note":"a b*c~d中"}'
    assert sf.digest(message, "1735689600000", "CHECKWORD123") == "l9tlxjZlPvMquWU4Jt5c/g=="


def test_zto() -> None:
    body = '{"billCode":"73100196611386","requestId":"CXL-1","destinationType":2,"thirdBizNo":"CXL-1"}'
    assert zto.digest(body, "appsecret") == "YD4I+ZDgB4p75IQuYNbleQ=="


def test_yto() -> None:
    param = '{"waybillNo":"YT0000000000001","wantedDesc":"拦截退回"}'
    assert yto.sign(param, "wanted_report_adapter", "secret") == "cpHWU2bUrAlsQDVV5B8u3w=="


def test_jdl() -> None:
    body = (
        '[{"waybillCode":"JDV000000000001","orderOrigin":1,"customerCode":"010K0001","cancelReason":"user cancel",'
        '"cancelReasonCode":"1","cancelType":1}]'
    )
    signature = jdl.sign(
        secret="SECRET", token="TOKEN", app_key="KEY", path=jdl.PATH, body=body, timestamp="2025-01-01 08:00:00"
    )
    assert signature == "a1e2b877baab8b2a8d69879e3e6c8e6e"


def test_kuaidi100() -> None:
    intercept = '{"kuaidicom":"shunfeng","kuaidinum":"SF1234567890123","interceptType":"RETURN_SEND_ADDR"}'
    assert kuaidi100.upper_md5(intercept + "1735689600000" + "KEY" + "SECRET") == "BA61EEF9CB11B49C4927D5ACE628A614"
    query = '{"com":"shunfeng","num":"SF1234567890123"}'
    assert kuaidi100.upper_md5(query + "KEY" + "CUSTOMER") == "052188D2798666F4072F53AFFADDC3FA"
    push = '{"status":"polling","lastResult":{"state":"6"}}'
    assert kuaidi100.upper_md5(push + "SALT") == "FD9EE927E0F7F43B4102A2A3FFA81AB4"


def test_carriers_without_an_adapter_of_their_own_sign_with_the_same_two_digests() -> None:
    """STO, J&T and Yunda go through Kuaidi100; who writes their adapters finds the digests ready."""
    sto = '{"waybillNo":"777031922725111","interceptForAct":"DEFAULT"}'
    assert base64_md5(sto, "secretkey") == "2aragkgBx0cCFtDAUK8AgQ=="
    assert base64_md5('{"mailNo":"JT0000000000001","applyTypeCode":4}', "privatekey") == "g2Ugi0GO007oj84d4YFMnA=="
    assert hex_md5('{"mailno":"4312345678901"}', "_", "secret") == "1a3ac900fb8cf20862b9f727f062a289"
    assert base64_md5("opentest", "123456") == "YLstCNa3x8ijQx16e/jqOA==", "YTO's official example"


# Tables ---------------------------------------------------------------------------------------------------------------------------------------


def connect(name: str, transport: httpx.AsyncBaseTransport, **changes: Any) -> Connected:
    provider = PROVIDERS[name]
    return provider.connect(
        provider.settings.model_validate({"base_url": "http://carrier.test", **VALUES[name], **changes}),
        Surroundings(
            connection_id="one", clock=time.time, nonces=lambda: "n" * 32, callback_url="", transport=transport
        ),
    )


def carrier(name: str, body: Any, **changes: Any) -> Carrier:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(json.dumps(body).encode())))
    party = connect(name, answer, **changes).party
    assert hasattr(party, "recall")
    return party  # type: ignore[return-value]


def sf_said(code: str, text: str = "", **inner: Any) -> dict[str, Any]:
    """A gateway code as the envelope, an inner code as text within it."""
    if code.startswith("A"):
        return {"apiResultCode": code, "apiErrorMsg": text}
    data = {"success": code == "S0000", "errorCode": code, "errorMsg": text, **inner}
    return {"apiResultCode": "A1000", "apiResultData": json.dumps(data)}


SAYS: Mapping[str, Callable[[str], Any]] = {
    "sf": sf_said,
    "zto": lambda code: {"status": False, "statusCode": code, "message": ""},
    "yto": lambda code: {"statusCode": code, "statusMessage": ""},
    "jdl": lambda code: (
        {"code": "1000", "data": {"resultType": int(code[-1])}}
        if code.startswith("result_")
        else {"code": code, "message": ""}
    ),
    "kuaidi100": lambda code: {"result": False, "returnCode": code, "message": ""},
}
DOUBT, AGAIN, NO = (OutcomeKind.UNKNOWN, ""), (OutcomeKind.RETRY_SAME_NUMBER, ""), (OutcomeKind.REFUSED, "")
OURS = (OutcomeKind.UNKNOWN, "configuration")
"""Our own settings are at fault: doubt, and somebody is told."""
CODES: Mapping[str, Mapping[tuple[OutcomeKind, str], str]] = {
    "sf": {
        OURS: "A1001 A1002 A1003 A1004 A1006 A1008 A1010 A1011",
        DOUBT: "A1007 A1009 A1099 S0001 S0003",
        AGAIN: "A1005",
    },
    "zto": {
        OURS: "S207 S208 S210 S211 S212 S214",
        DOUBT: "S200 S202 S203",
        AGAIN: "S206 S221",
        NO: "E404 E409 E413 E416 E418",
    },
    "yto": {OURS: "1001 1002", DOUBT: "-1", AGAIN: "1003"},
    "jdl": {
        OURS: "2 10 401",
        DOUBT: "500",
        AGAIN: "429",
        NO: "result_2 result_3",
        (OutcomeKind.SUCCEEDED, ""): "result_0 result_1",
    },
    "kuaidi100": {OURS: "400 503 600 601 700", DOUBT: "500 502", (OutcomeKind.NOT_FOUND, ""): "408"},
}
"""By what follows: the codes of PROTOCOLS 6.1 to 6.9 and those read from the carriers' own pages, written down a second time."""


@pytest.mark.parametrize(
    ("name", "code", "kind", "alert"),
    [
        (name, code, kind, alert)
        for name, table in CODES.items()
        for (kind, alert), codes in table.items()
        for code in codes.split()
    ],
)
async def test_every_code_of_every_carrier(name: str, code: str, kind: OutcomeKind, alert: str) -> None:
    outcome = await carrier(name, SAYS[name](code)).recall(CALL)
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, code, alert)


@pytest.mark.parametrize("name", CARRIERS)
def test_no_code_is_in_one_table_only(name: str) -> None:
    written = {code for codes in CODES[name].values() for code in codes.split()}
    assert written == set(PROVIDERS[name].error_kinds)


async def test_subscribed_already_proves_no_intercept() -> None:
    """501 belongs to subscriptions; money must not follow it."""
    said = SAYS["kuaidi100"]("501")
    outcome = await carrier("kuaidi100", said).recall(CALL)
    assert (outcome.kind, outcome.alert) == (OutcomeKind.UNKNOWN, "unknown_code")
    answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(json.dumps(said).encode())))
    provider = PROVIDERS["kuaidi100"]
    party = provider.connect(
        provider.settings.model_validate({"base_url": "http://carrier.test", **VALUES["kuaidi100"]}),
        Surroundings(
            connection_id="one", clock=time.time, nonces=lambda: "n" * 32, callback_url="http://us", transport=answer
        ),
    ).party
    assert isinstance(party, kuaidi100.Kuaidi100)
    assert (await party.subscribe("SF1234567890123")).kind is OutcomeKind.SUCCEEDED


UNKNOWN_SAID = {
    "sf": sf_said("20999", "新的错误"),
    "zto": {"status": False, "statusCode": "X9", "message": "新的错误"},
    "yto": {"statusCode": "9999", "statusMessage": "新的错误"},
    "jdl": {"code": "9999", "message": "新的错误"},
    "kuaidi100": {"result": False, "returnCode": "9999", "message": "新的错误"},
}


@pytest.mark.parametrize("name", CARRIERS)
async def test_a_code_that_nobody_knows_is_doubt_and_an_alert(name: str) -> None:
    outcome = await carrier(name, UNKNOWN_SAID[name]).recall(CALL)
    assert (outcome.kind, outcome.alert) == (OutcomeKind.UNKNOWN, "unknown_code")
    assert "新的错误" not in str(outcome)


def with_text(name: str, text: str) -> Any:
    said = json.loads(json.dumps(UNKNOWN_SAID[name], ensure_ascii=False).replace("新的错误", text))
    return said if name != "sf" else sf_said("20999", text)


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("text", ["运单已签收", "运单已签收,重复取消"])
async def test_delivered_is_a_no_in_words_too(name: str, text: str) -> None:
    outcome = await carrier(name, with_text(name, text)).recall(CALL)
    assert (outcome.kind, outcome.evidence["stage"]) == (OutcomeKind.REFUSED, "delivered")


@pytest.mark.parametrize("name", CARRIERS)
async def test_already_intercepted_is_a_yes_in_words(name: str) -> None:
    """Where the answer itself is the proof (JD), it is the proof; elsewhere the route has to say so."""
    outcome = await carrier(name, with_text(name, "请勿重复拦截,该单已拦截")).recall(CALL)
    assert outcome.kind is (OutcomeKind.SUCCEEDED if name == "jdl" else OutcomeKind.PROCESSING)


@pytest.mark.parametrize(
    "text", ["已提交拦截", "已取消拦截", "已发起拦截,处理中", "已拦截失败", "已取消申请", "拦截中"]
)
@pytest.mark.parametrize("name", CARRIERS)
async def test_what_is_only_under_way_or_failed_proves_nothing(name: str, text: str) -> None:
    outcome = await carrier(name, with_text(name, text)).recall(CALL)
    assert outcome.kind is not OutcomeKind.SUCCEEDED


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("body", [[], "x", None, 5, {}, {"code": None}, {"status": "yes"}, {"apiResultCode": "A1000"}])
async def test_nonsense_is_doubt(name: str, body: Any) -> None:
    party = carrier(name, body)
    assert (await party.recall(CALL)).kind is OutcomeKind.UNKNOWN
    route = await party.track("SF1234567890123")
    assert isinstance(route, Outcome)
    assert route.kind in {OutcomeKind.UNKNOWN, OutcomeKind.NOT_FOUND}


def sf_routes(*codes: tuple[str, str]) -> dict[str, Any]:
    routes = [
        {"acceptTime": f"2026-11-2{i} 10:00:00", "acceptAddress": "杭州", "remark": remark, "opCode": code}
        for i, (code, remark) in enumerate(codes)
    ]
    return sf_said("S0000", msgData={"routeResps": [{"mailNo": "SF1234567890123", "routes": routes[::-1]}]})


@pytest.mark.parametrize(
    ("codes", "first", "accepted"),
    [
        ([("50", "")], OutcomeKind.NOT_FOUND, OutcomeKind.PROCESSING),
        ([("50", ""), ("31", "")], OutcomeKind.NOT_FOUND, OutcomeKind.PROCESSING),
        ([("50", ""), ("80", "")], OutcomeKind.REFUSED, OutcomeKind.REFUSED),
        ([("50", ""), ("99", "")], OutcomeKind.SUCCEEDED, OutcomeKind.SUCCEEDED),
        (
            [("50", ""), ("648", "快件已退回/转寄,新单号为: SF2000000000001"), ("30", "")],
            OutcomeKind.SUCCEEDED,
            OutcomeKind.SUCCEEDED,
        ),
    ],
)
async def test_a_recall_is_proven_by_the_route(
    codes: list[tuple[str, str]], first: OutcomeKind, accepted: OutcomeKind
) -> None:
    party = carrier("sf", sf_routes(*codes))
    assert (await party.query_recall(CALL)).kind is first, "in doubt, it may be sent again"
    found = await party.query_recall(ACCEPTED)
    assert found.kind is accepted
    if "SF2000000000001" in str(codes):
        assert found.evidence["return_waybill_no"] == "SF2000000000001"


def test_the_number_of_the_way_back() -> None:
    assert new_waybill_in("快件已退回,新单号为: SF2000000000001", own="SF1234567890123") == "SF2000000000001"
    assert new_waybill_in("运单SF1234567890123退回", own="SF1234567890123") == ""
    assert new_waybill_in(None, own="x") == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("拦截成功", OutcomeKind.SUCCEEDED),
        ("拦截失败", OutcomeKind.REFUSED),
        ("已取消", OutcomeKind.REFUSED),
        ("处理中", OutcomeKind.PROCESSING),
        ("", OutcomeKind.NOT_FOUND),
    ],
)
async def test_the_state_of_an_intercept_at_zto(name: str, kind: OutcomeKind) -> None:
    said = {"status": True, "statusCode": "0000", "result": {"billCode": "1", "statusName": name}}
    assert (await carrier("zto", said).query_recall(CALL)).kind is kind


async def test_jd_that_intercepts_instead_of_voiding_is_no_void() -> None:
    said = {"code": "1000", "data": {"resultType": 1}}
    outcome = await carrier("jdl", said).void_waybill(CALL)
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "intercepted_instead")


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        ("3", "delivered"),
        ("301", "delivered"),
        ("14", "refused"),
        ("4", "returned"),
        ("6", "returning"),
        ("0", "in_transit"),
        ("999", "in_transit"),
    ],
)
def test_states_of_kuaidi100(state: str, stage: str) -> None:
    assert kuaidi100.stage_of(state).value == stage


# Pushes -------------------------------------------------------------------------------------------------------------------------------------------


def nobody(_: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


def test_pushes_of_sf_need_the_secret_path_and_the_carriers_address() -> None:
    verifier = connect("sf", httpx.MockTransport(nobody), push_from=["203.0.113.0/24"]).verifier
    assert verifier is not None
    body = json.dumps({"Body": {"WaybillRoute": [{"mailno": "SF1", "opCode": "80", "id": "7"}]}}).encode()
    good = Incoming(headers={}, body=body, tail="a-secret-of-sixteen", peer="203.0.113.7")
    (news,) = verifier.verify(good)
    assert (news.kind, news.data) == ("parcel.moved", {"waybill_no": "SF1", "stage": "delivered"})
    for wrong in (
        replace(good, tail=""),
        replace(good, tail="a-secret-of-sixteem"),
        replace(good, peer="198.51.100.1"),
        replace(good, peer="nonsense"),
        replace(good, body=b"[]"),
        replace(good, body=b'{"Body": {"WaybillRoute": [{"mailno": 5}]}}'),
        replace(good, body=b"x" * 300_000),
    ):
        with pytest.raises(CallbackUnverified):
            verifier.verify(wrong)


def kd_push(param: Any, salt: str = "SALT") -> Incoming:
    text = json.dumps(param, ensure_ascii=False)
    return Incoming(
        headers={}, body=urlencode({"sign": kuaidi100.upper_md5(text + salt).lower(), "param": text}).encode()
    )


def test_pushes_of_kuaidi100() -> None:
    verifier = connect("kuaidi100", httpx.MockTransport(nobody)).verifier
    assert verifier is not None
    (news,) = verifier.verify(kd_push({"status": "polling", "lastResult": {"nu": "SF1", "state": "6"}}))
    assert (news.kind, news.data["stage"]) == ("parcel.moved", "returning"), "a lower-case signature counts too"
    (failed,) = verifier.verify(kd_push({"data": {"kuaidinum": "SF1", "status": "拦截失败"}}))
    assert failed.kind == "recall.failed"
    for wrong in (
        kd_push({"lastResult": {"nu": "SF1"}}, "OTHER"),
        kd_push([]),
        kd_push({"lastResult": {"nu": 5}}),
        kd_push({}),
    ):
        with pytest.raises(CallbackUnverified):
            verifier.verify(wrong)


def test_pushes_of_zto_with_two_valid_secrets() -> None:
    verifier = connect("zto", httpx.MockTransport(nobody), previous_secret="older").verifier
    assert verifier is not None
    data = json.dumps({"billCode": "731", "action": "SIGNED"})

    def push(secret: str) -> Incoming:
        digest = base64.b64encode(hashlib.md5((data + secret).encode(), usedforsecurity=False).digest()).decode()
        return Incoming(
            headers={}, body=urlencode({"data": data, "data_digest": digest, "msg_type": "Traces"}).encode()
        )

    for secret in ("s", "older"):
        assert verifier.verify(push(secret))[0].data["stage"] == "delivered"
    with pytest.raises(CallbackUnverified):
        verifier.verify(push("another"))


# Through the flow, against the sandbox ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def road(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, database_name: str, tmp_path: Path
) -> AsyncIterator[tuple[World, str]]:
    """The usual world with one carrier that speaks its own format; orders know it as `sf`."""
    async with AsyncExitStack() as stack:
        speaking = {"sf": request.param}
        yield (
            await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking),
            request.param,
        )


async def on_the_road(world: World, number: str = "SF1000000000001", **given: Any) -> tuple[str, str]:
    """An order whose parcel is on its way, and its case before a person."""
    order_id = await world.order(shipments=[{**shipment("S1"), "waybill_no": number}])
    route = [{"stage": "handed_over", "place": "杭州"}, {"stage": "in_transit", "place": "嘉兴"}]
    waybill = {"connection": "sf", "no": number, "order_no": order_id, "events": route, **given}
    await world.ask_sandbox("waybills", waybill)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    return order_id, case_id


async def leg(world: World, case_id: str) -> dict[str, Any]:
    rows = await world.sql(
        "SELECT state, code, evidence, number FROM legs WHERE case_id = %s AND kind = 'recall_parcel' ORDER BY leg_no DESC LIMIT 1",
        case_id,
    )
    return rows[0]


async def nobody_home(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers 503 to everything."""
    del scope, receive
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})


ALREADY_SAID = {"sf": "20027", "yto": "2001", "kuaidi100": "30001"}
"""The codes of "already" of those that can only be told again; ZTO can be asked first, and JD answers the same call as the first time."""
FOUND_AS = {"zto": ("accepted", "processing"), "jdl": ("succeeded", "result_1")}


async def settle(world: World, case_id: str, *, until: str) -> None:
    """Lets the road have its time: the carrier's on the wall clock (a thousandth), ours on the one clock. `until`: `review` or `refunded`."""
    for _ in range(40):
        await world.run()
        rows = await world.sql(
            "SELECT CASE WHEN state <> 'review' AND EXISTS (SELECT FROM refunds r WHERE r.case_id = c.case_id AND r.state = 'final')"
            " THEN 'refunded' ELSE state END AS state FROM cases c WHERE case_id = %s",
            case_id,
        )
        if rows[0]["state"] == until:
            return
        await world.control.post("/control/callbacks/hurry")
        await world.pass_time(timedelta(minutes=2))
    raise AssertionError(f"{rows}: {await world.timeline(case_id)}")


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_recalled_with_a_new_number_on_the_way_back(road: tuple[World, str]) -> None:
    world, name = road
    order_id, case_id = await on_the_road(world)
    assert (await world.decide(case_id, "recall", refund_on="recall_confirmed")).is_success
    await settle(world, case_id, until="refunded")
    found = await leg(world, case_id)
    assert found["state"] == "succeeded"
    assert found["evidence"]["stage"] in {"returning", "returned"}
    if name != "kuaidi100":  # its answers name no new number: the way back is told by the state alone
        assert str(found["evidence"]["return_waybill_no"]).startswith("RT")
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]
    assert (await world.violations())["violations"] == []


@pytest.mark.parametrize("road", ["sf"], indirect=True)
async def test_the_fee_is_kept(road: tuple[World, str]) -> None:
    world, _ = road
    _, case_id = await on_the_road(world)
    await world.decide(case_id, "recall", refund_on="recall_confirmed")
    await settle(world, case_id, until="refunded")
    assert (await leg(world, case_id))["evidence"]["fee_minor"] == 1200


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_refused_goes_back_to_a_person(road: tuple[World, str]) -> None:
    world, name = road
    order_id, case_id = await on_the_road(world, behaviour="refuse")
    await world.decide(case_id, "recall")
    for _ in range(8):
        await world.run()
        await world.pass_time(timedelta(minutes=2))
    await world.run()
    rows = await world.sql("SELECT state, rule FROM cases WHERE case_id = %s", case_id)
    assert rows == [{"state": "review", "rule": "recall_failed"}], (name, await world.timeline(case_id))
    assert await world.refunds(order_id) == []


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_delivered_first(road: tuple[World, str]) -> None:
    world, _ = road
    order_id, case_id = await on_the_road(world, behaviour="delivered_first")
    await world.decide(case_id, "recall")
    await settle(world, case_id, until="review")
    assert (await leg(world, case_id))["evidence"]["stage"] == "delivered"
    assert await world.refunds(order_id) == []


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_already_intercepted_is_a_yes(road: tuple[World, str]) -> None:
    """The answer to the first intercept is lost on the way and the route says nothing yet, so it is sent again."""
    world, name = road
    order_id, case_id = await on_the_road(world, delay_s=1500)
    fault = {"connection": "sf", "operation": "carrier.recall", "fault": "timeout_after_effect", "seconds": 0}
    await world.ask_sandbox("faults", fault)
    await world.decide(case_id, "recall", refund_on="recall_confirmed")
    for _ in range(3):
        await world.run()
        await world.pass_time(timedelta(seconds=40))
    said = {c["code"] for c in (await world.ledger())["calls"]}
    assert said & set(ALREADY_SAID.values()) == ({ALREADY_SAID[name]} if name in ALREADY_SAID else set())
    found = await leg(world, case_id)
    assert (found["state"], found["code"]) == FOUND_AS.get(name, ("accepted", "route"))
    await settle(world, case_id, until="refunded")
    assert len((await world.ledger())["recalls"]) == 1, "one intercept in the carrier's own book"
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]


@pytest.mark.parametrize("road", ["sf", "zto", "kuaidi100"], indirect=True)
async def test_a_lost_callback_is_found_by_asking(road: tuple[World, str]) -> None:
    """Nothing that the carrier pushes reaches us."""
    world, _ = road
    order_id, case_id = await on_the_road(world, delay_s=50)
    us, world.inwards.app = world.inwards.app, nobody_home
    await world.decide(case_id, "recall", refund_on="recall_confirmed")
    before = (await world.sql("SELECT count(*) AS n FROM callback_inbox WHERE connection = 'sf'"))[0]["n"]
    for _ in range(100):
        await world.run()
        if (await leg(world, case_id))["state"] == "succeeded":
            break
        await asyncio.sleep(0.02)
        await world.control.post("/control/callbacks/hurry")
        await world.pass_time(timedelta(seconds=20))
    pushed = [c for c in (await world.ledger())["callbacks"] if c["connection"] == "sf" and c["state"] != "DELIVERED"]
    assert pushed, "the carrier tried"
    assert (await leg(world, case_id))["state"] == "succeeded"
    after = (await world.sql("SELECT count(*) AS n FROM callback_inbox WHERE connection = 'sf'"))[0]["n"]
    assert after == before, "found by asking alone"
    world.inwards.app = us
    await settle(world, case_id, until="refunded")
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]


@pytest.mark.parametrize("road", ["sf", "zto", "kuaidi100"], indirect=True)
async def test_pushes_wake_the_case(road: tuple[World, str]) -> None:
    world, name = road
    order_id, case_id = await on_the_road(world, delay_s=0.2)
    await world.decide(case_id, "recall", refund_on="recall_confirmed")
    await world.sql("UPDATE legs SET next_try_at = unwind_now() + interval '1 day' WHERE state = 'accepted'")
    for _ in range(100):
        await world.run()
        if await world.refunds(order_id):
            break
        await asyncio.sleep(0.02)
    inbox = await world.sql(
        "SELECT DISTINCT kind FROM callback_inbox WHERE connection = 'sf' AND kind <> 'recall.failed'"
    )
    assert inbox == [{"kind": "parcel.moved"}], name
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]


@pytest.mark.parametrize("road", ["kuaidi100"], indirect=True)
async def test_word_that_an_intercept_failed_brings_a_person_soon(road: tuple[World, str]) -> None:
    world, _ = road
    order_id, case_id = await on_the_road(world, behaviour="recall_fails", delay_s=1)
    await world.decide(case_id, "recall")
    await settle(world, case_id, until="review")
    opened = await world.sql("SELECT rule, respond_due_at - opened_at AS waited FROM cases WHERE case_id = %s", case_id)
    assert opened[0]["rule"] == "recall_failed"
    assert opened[0]["waited"] < timedelta(hours=3), "not after the week that a recall may take"
    assert await world.refunds(order_id) == []


@pytest.mark.parametrize("road", ["kuaidi100"], indirect=True)
async def test_word_of_failure_that_comes_before_the_answer_is_not_forgotten(road: tuple[World, str]) -> None:
    """The callback is delivered while the intercept's own answer is still on its way."""
    world, _ = road
    order_id, case_id = await on_the_road(world, behaviour="recall_fails", delay_s=0)
    fault = {"connection": "sf", "operation": "carrier.recall", "fault": "callback_before_answer"}
    await world.ask_sandbox("faults", fault)
    await world.decide(case_id, "recall")
    await world.run()
    assert (await leg(world, case_id))["state"] == "accepted"
    await world.pass_time(timedelta(minutes=2))
    await world.run()
    rows = await world.sql("SELECT state, rule FROM cases WHERE case_id = %s", case_id)
    assert rows == [{"state": "review", "rule": "recall_failed"}]
    assert await world.refunds(order_id) == []


@pytest.mark.parametrize("road", ["kuaidi100"], indirect=True)
async def test_word_of_failure_is_asked_about_even_when_no_worker_lived_meanwhile(road: tuple[World, str]) -> None:
    """The callback says only "failed"; that the buyer has the parcel already, the route tells."""
    world, _ = road
    order_id, case_id = await on_the_road(world, behaviour="delivered_first", delay_s=500)
    await world.decide(case_id, "recall")
    await world.run()
    assert (await leg(world, case_id))["state"] == "accepted"
    for _ in range(200):
        await world.control.post("/control/callbacks/hurry")
        if "told_failed_at" in (await leg(world, case_id))["evidence"]:
            break
        await asyncio.sleep(0.02)
    await world.pass_time(timedelta(hours=1))
    await world.run()
    assert (await world.sql("SELECT state FROM cases WHERE case_id = %s", case_id)) == [{"state": "review"}]
    found = await leg(world, case_id)
    assert ("told_failed_at" in found["evidence"], found["evidence"]["stage"]) == (True, "delivered")
    assert await world.refunds(order_id) == []


@pytest.mark.parametrize("road", ["sf", "zto", "jdl"], indirect=True)
async def test_a_label_is_voided_before_pick_up(road: tuple[World, str]) -> None:
    world, _ = road
    order_id = await world.order(
        shipments=[{**shipment("S1", stage="handed_over", picked_up=False), "waybill_no": "SF1000000000009"}]
    )
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "SF1000000000009", "order_no": order_id, "stage": "label_printed"}
    )
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    voids = [r for r in (await world.ledger())["recalls"] if r["kind"] == "void"]
    assert [r["result"] for r in voids] == ["VOIDED"]


@pytest.mark.parametrize("road", ["yto", "kuaidi100"], indirect=True)
async def test_where_labels_cannot_be_voided_a_person_does_it(road: tuple[World, str]) -> None:
    world, _ = road
    order_id = await world.order(
        shipments=[{**shipment("S1", stage="handed_over", picked_up=False), "waybill_no": "SF1000000000009"}]
    )
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    rows = await world.sql("SELECT state FROM legs WHERE case_id = %s AND kind = 'void_waybill'", case_id)
    assert rows == [{"state": "task"}]


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_the_route_in_one_form(road: tuple[World, str]) -> None:
    """Whatever the carrier's words: stages, places and times of ours, oldest first, on the desk."""
    world, name = road
    _, case_id = await on_the_road(world)
    party = world.services.carriers["sf"]
    route = await party.track("SF1000000000001")
    if name == "jdl":
        assert isinstance(route, Outcome)
        assert route.kind is OutcomeKind.NOT_FOUND, "no routes over this interface"
        return
    assert isinstance(route, Tracking)
    assert [event.stage for event in route.events] == ["handed_over", "in_transit"]
    assert [event.place for event in route.events] == ["杭州", "嘉兴"]
    (parcel,) = (await world.dossier(case_id))["parcels"]
    assert parcel["verdict"] == "moving"
    assert parcel["feed_age_s"] < 60, "it reached us just now"
    missing = await party.track("SF9999999999999")
    assert isinstance(missing, Outcome)
    assert missing.kind is OutcomeKind.NOT_FOUND


@pytest.mark.parametrize("road", ["sf", "kuaidi100"], indirect=True)
async def test_news_that_nobody_had_are_late_and_old_news_are_not(road: tuple[World, str]) -> None:
    """The shop shows nothing for a day; the carrier has known since yesterday. Had the shop known, the parcel would just lie still."""
    world, _ = road
    yesterday = ((await world.now()) - timedelta(hours=26)).isoformat()
    route = [{"stage": "handed_over", "place": "杭州", "at": yesterday}]
    for number, moved_at, verdict in (("SF1000000000007", None, "feed_late"), ("SF1000000000008", yesterday, "moving")):
        parcel = {**shipment(number[-2:]), "waybill_no": number, "moved_at": moved_at, "fed_at": moved_at}
        order_id = await world.order(shipments=[parcel])
        waybill = {"connection": "sf", "no": number, "order_no": order_id, "events": route}
        await world.ask_sandbox("waybills", waybill)
        case_id = (await world.cancel(order_id))["case_id"]
        await world.run()
        (shown,) = (await world.dossier(case_id))["parcels"]
        assert shown["verdict"] == verdict


@pytest.mark.parametrize("road", CARRIERS, indirect=True)
async def test_a_wrong_key_is_refused_in_the_carriers_words_and_somebody_is_told(road: tuple[World, str]) -> None:
    from pydantic import SecretStr

    world, name = road
    party: Any = world.services.carriers["sf"]
    secret = {"sf": "checkword", "zto": "app_secret", "yto": "secret", "jdl": "app_secret", "kuaidi100": "secret"}[name]
    party._settings = party._settings.model_copy(update={secret: SecretStr("another")})
    order_id, case_id = await on_the_road(world)
    await world.decide(case_id, "recall")
    await world.run()
    alerts = await world.sql("SELECT code FROM alerts WHERE connection = 'sf' AND kind = 'configuration'")
    code = {"sf": "A1006", "zto": "S211", "yto": "1001", "jdl": "10", "kuaidi100": "503"}[name]
    assert {"code": code} in alerts
    assert (await world.ledger())["recalls"] == []
    assert await world.refunds(order_id) == []
