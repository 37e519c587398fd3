"""SF Express (丰桥): intercept, cancel before pick-up, routes, pushes of routes.

Sources: open.sf-express.com; showdoc.com.cn/hnqiao (public parameters), showdoc.com.cn/1951633994234701. The intercept has no number of the
caller's: doubt is cleared by the route, and "already intercepted" is a yes. Pushes are not signed: a secret path, the sender's address, and a
query of ours stand in for a signature.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote_plus, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from unwind.adapters.carrier.digests import base64_md5
from unwind.adapters.carrier.pushes import SecretPath, SecretPathSettings, id_of_content, waybill_news
from unwind.adapters.carrier.refusal_texts import refused_intercept, text_in
from unwind.adapters.carrier.route_proof import new_waybill_in, recall_of_route, route_event, timed_rows, tracking_of
from unwind.adapters.fields import parse_object
from unwind.adapters.outbound import Reply, code_of
from unwind.adapters.provider import Connected, PartyKind, Provider, Surroundings, outbound_of, probe_of
from unwind.adapters.refusals import ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News
from unwind.ports.carrier import ParcelCall, Tracking
from unwind.ports.probe import Probe

INTERCEPT, CANCEL, ROUTES = "EXP_RECE_WANTED_INTERCEPT", "EXP_RECE_UPDATE_ORDER", "EXP_RECE_SEARCH_ROUTES"
GATEWAY_OK, INNER_OK = "A1000", "S0000"
RETURN_TO_SENDER, AS_SENDER, MONTHLY = "2", "1", "4"
CANCELLED = 2
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "A1001": OutcomeKind.UNKNOWN,
    "A1002": OutcomeKind.UNKNOWN,
    "A1003": OutcomeKind.UNKNOWN,
    "A1004": OutcomeKind.UNKNOWN,
    "A1005": OutcomeKind.RETRY_SAME_NUMBER,
    "A1006": OutcomeKind.UNKNOWN,
    "A1007": OutcomeKind.UNKNOWN,
    "A1008": OutcomeKind.UNKNOWN,
    "A1009": OutcomeKind.UNKNOWN,
    "A1010": OutcomeKind.UNKNOWN,
    "A1011": OutcomeKind.UNKNOWN,
    "A1099": OutcomeKind.UNKNOWN,
    "S0001": OutcomeKind.UNKNOWN,
    "S0003": OutcomeKind.UNKNOWN,
}
"""Gateway codes A, and the two inner codes S that mean "system". Other inner codes are told apart by their text, below."""
CONFIGURATION = frozenset({"A1001", "A1002", "A1003", "A1004", "A1006", "A1008", "A1010", "A1011"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))
ALREADY = re.compile(r"(已|重复).{0,6}(拦截|截单|退回|受理|下发)")
DELIVERED = re.compile(r"已.{0,4}(签收|妥投)")
CANNOT = re.compile(r"(不支持|无法|不能).{0,6}(拦截|截单|退回)")
NOT_PICKED_UP = re.compile(r"(未|没有).{0,4}(揽收|收件|揽件)")
REASONS = ((DELIVERED, Stage.DELIVERED), (NOT_PICKED_UP, Stage.LABEL_PRINTED), (CANNOT, Stage.UNKNOWN))
NO_SUCH = re.compile(r"(不存在|未找到|查无)")
STAGES: Mapping[str, Stage] = {
    **dict.fromkeys(("50", "54", "43", "700"), Stage.HANDED_OVER),
    **dict.fromkeys(("30", "31", "36", "10", "11", "105", "106", "33", "70", "77", "870"), Stage.IN_TRANSIT),
    **dict.fromkeys(("44", "204"), Stage.OUT_FOR_DELIVERY),
    **dict.fromkeys(("125", "607", "655", "658"), Stage.AT_PICKUP_POINT),
    **dict.fromkeys(("80", "8000"), Stage.DELIVERED),
    **dict.fromkeys(("99", "648", "631"), Stage.RETURNING),
}
"""opCode -> stage; what is not here is in transit. Public tables disagree on 36 and 54: this is the list of PROTOCOLS 6.1."""
WITH_NEW_NUMBER = frozenset({"648", "631"})


class ReturnAddress(BaseModel):
    """Where recalled parcels go: the merchant's own warehouse, not a buyer's address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    province: str
    city: str
    county: str
    address: str
    contact: str
    phone: str


class SfSettings(SecretPathSettings):
    base_url: str = "https://bspgw.sf-express.com/std/service"
    partner_id: Annotated[str, Field(min_length=1)]
    checkword: SecretStr
    monthly_card: Annotated[str, Field(min_length=1)]
    return_address: ReturnAddress
    check_phone: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    """Last four digits of the sender's telephone; routes are not shown without."""


def digest(message: str, timestamp: str, checkword: str) -> str:
    """Base64 MD5 over the text as Java's URLEncoder writes it: `*` stays, `~` does not."""
    encoded = quote_plus(f"{message}{timestamp}{checkword}", safe="*").replace("~", "%7E")
    return base64_md5(encoded)


class Sf:
    """Implements ports.carrier.Carrier."""

    can_void = True

    def __init__(self, settings: SfSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self.outbound = outbound_of(settings, around)

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        answer = await self._call(CANCEL, {"orderId": call.order_id, "dealType": CANCELLED})
        if isinstance(answer, Outcome):
            return answer
        is_done = str(answer.get("resStatus")) == str(CANCELLED)
        kind = OutcomeKind.SUCCEEDED if is_done else OutcomeKind.REFUSED
        return Outcome(kind=kind, code=f"resStatus_{code_of(str(answer.get('resStatus')))}")

    async def recall(self, call: ParcelCall) -> Outcome:
        settings = self._settings
        message = {
            "waybillNo": call.waybill_no,
            "serviceCode": RETURN_TO_SENDER,
            "role": AS_SENDER,
            "payMode": MONTHLY,
            "monthlyCardNo": settings.monthly_card,
            "newDestAddress": settings.return_address.model_dump(),
        }
        answer = await self._call(INTERCEPT, message)
        if isinstance(answer, Outcome):
            return answer
        evidence: dict[str, str | int] = {}
        if isinstance(answer.get("cusId"), str | int):
            evidence["carrier_ref"] = code_of(str(answer["cusId"]))
        fee = _minor(answer.get("amount"))
        if fee is not None:
            evidence["fee_minor"] = fee
        return Outcome(kind=OutcomeKind.PROCESSING, code=INNER_OK, evidence=evidence)

    async def query_recall(self, call: ParcelCall) -> Outcome:
        return recall_of_route(await self.track(call.waybill_no), call)

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        message = {
            "trackingType": 1,
            "trackingNumber": [waybill_no],
            "checkPhoneNo": self._settings.check_phone,
            "methodType": 1,
            "language": "zh-CN",
        }
        answer = await self._call(ROUTES, message)
        if isinstance(answer, Outcome):
            return answer
        found = answer.get("routeResps")
        routes = (
            next(
                (one.get("routes") for one in found if isinstance(one, dict) and one.get("mailNo") == waybill_no), None
            )
            if isinstance(found, list)
            else None
        )
        if not isinstance(routes, list) or not routes:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_route")
        return _tracking(waybill_no, routes)

    async def probe(self) -> Probe:
        return probe_of(await self.track("SF0000000000000"))

    async def _call(self, service: str, message: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        """The inner `msgData` of a yes, or what else it came to."""
        text = orjson.dumps(message).decode()
        timestamp = str(int(self._around.clock() * 1000))
        form = {
            "partnerID": self._settings.partner_id,
            "requestID": self._around.nonces(),
            "serviceCode": service,
            "timestamp": timestamp,
            "msgDigest": digest(text, timestamp, self._settings.checkword.get_secret_value()),
            "msgData": text,
        }
        reply = await self.outbound.exchange(
            "POST",
            "",
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"},
            what=service,
        )
        return reply if isinstance(reply, Outcome) else self._read(service, reply)

    def _read(self, service: str, reply: Reply) -> dict[str, Any] | Outcome:
        envelope = _object(reply.body)
        if envelope is None or not isinstance(envelope.get("apiResultCode"), str):
            return self.outbound.malformed(service, http_status=reply.status)
        if envelope["apiResultCode"] != GATEWAY_OK:
            return self._refusal(service, code_of(envelope["apiResultCode"]), "", reply.status)
        inner = _object(envelope.get("apiResultData"))
        if inner is None:
            return self.outbound.malformed(service, http_status=reply.status)
        if inner.get("success") is True or inner.get("success") == "true":
            return _object(inner.get("msgData")) or {}
        code = code_of(str(inner.get("errorCode")))
        return self._refusal(service, code, text_in(inner, "errorMsg"), reply.status)

    def _refusal(self, service: str, code: str, text: str, status: int) -> Outcome:
        """`text` is read and not kept: it is for people, and may name one."""
        if code in ERROR_KINDS:
            return ERRORS.outcome(self.outbound, service, code, http_status=status)
        told = refused_intercept(text, code, ALREADY, REASONS) if service == INTERCEPT else None
        if told is not None:
            return told
        if service == CANCEL and re.search(r"已.{0,4}(揽收|收件|签收)", text):
            return Outcome(kind=OutcomeKind.REFUSED, code=code, evidence={"stage": Stage.HANDED_OVER.value})
        if service == CANCEL and re.search(r"已.{0,2}取消", text):
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="already_cancelled")
        if service == ROUTES and NO_SUCH.search(text):
            return Outcome(kind=OutcomeKind.NOT_FOUND, code=code)
        return self.outbound.unknown_code(service, code, http_status=status)


def _tracking(waybill_no: str, routes: list[Any]) -> Tracking:
    events, return_no = [], ""
    for at, route in timed_rows(routes, "acceptTime"):
        op_code = str(route.get("opCode"))
        events.append(route_event(at, STAGES.get(op_code, Stage.IN_TRANSIT), route.get("acceptAddress")))
        if op_code in WITH_NEW_NUMBER:
            return_no = new_waybill_in(route.get("remark"), own=waybill_no) or return_no
    return tracking_of(waybill_no, events, return_waybill_no=return_no)


def _object(given: object) -> dict[str, Any] | None:
    """A JSON object, which arrives as text or as itself."""
    if isinstance(given, str | bytes):
        return parse_object(given)
    return given if isinstance(given, dict) else None


def _minor(yuan: object) -> int | None:
    from decimal import Decimal, InvalidOperation

    if not isinstance(yuan, str | int):
        return None
    try:
        minor = Decimal(yuan) * 100
    except InvalidOperation:
        return None
    return int(minor) if minor == minor.to_integral_value() and minor >= 0 else None


class SfPushes(SecretPath):
    """Implements ports.callback.CallbackVerifier."""

    accepted = CallbackAnswer(
        status=200, body='{"return_code":"0000","return_msg":"成功"}'.encode(), media_type="application/json"
    )

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        self.require_known(incoming)
        body = _object(incoming.body)
        routes = body.get("Body", {}).get("WaybillRoute") if body and isinstance(body.get("Body"), dict) else None
        if not isinstance(routes, list) or not routes:
            raise CallbackUnverified("malformed")
        return tuple(
            waybill_news(
                route.get("mailno"),
                event_id=f"sf:{route.get('id') or id_of_content(orjson.dumps(route))}",
                stage=STAGES.get(str(route.get("opCode")), Stage.IN_TRANSIT),
            )
            for route in routes
            if isinstance(route, dict)
        )


def connect(settings: SfSettings, around: Surroundings) -> Connected:
    party = Sf(settings, around)
    return Connected(party=party, close=party.outbound.aclose, probe=party.probe, verifier=SfPushes(settings))


PROVIDER = Provider(
    name="sf",
    kind=PartyKind.CARRIER,
    title="顺丰速运",
    settings=SfSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
