"""Kuaidi100, the aggregator: intercept, tracking, subscription and pushes for any carrier it knows. One connection per carrier company.

Sources: api.kuaidi100.com/document/dianzimiandanlanjiejiekouwendang; github kuaidi100-api/python-demo. An accepted intercept is proven by tracking
(returned, refused, signed); the callback of the intercept itself has no published fields and only makes us look, or a person decide.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.carrier.digests import hex_md5
from unwind.adapters.carrier.pushes import id_of_content, read_push_form, read_push_text, waybill_news
from unwind.adapters.carrier.refusal_texts import text_in
from unwind.adapters.carrier.route_proof import beijing_time, recall_of_route, route_event, tracking_of
from unwind.adapters.fields import parse_object
from unwind.adapters.outbound import Outbound, Reply, code_of
from unwind.adapters.provider import (
    Connected,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    outbound_of,
    probe_of,
)
from unwind.adapters.refusals import ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News
from unwind.ports.carrier import ParcelCall, Tracking
from unwind.ports.probe import Probe

INTERCEPT_PATH, QUERY_PATH, SUBSCRIBE_PATH = "/label/order", "/poll/query.do", "/poll"
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "400": OutcomeKind.UNKNOWN,
    "408": OutcomeKind.NOT_FOUND,
    "500": OutcomeKind.UNKNOWN,
    "502": OutcomeKind.UNKNOWN,
    "503": OutcomeKind.UNKNOWN,
    "600": OutcomeKind.UNKNOWN,
    "601": OutcomeKind.UNKNOWN,
    "700": OutcomeKind.UNKNOWN,
}
"""returnCode (unverified: PROTOCOLS 6.9): 408 telephone needed or no route, 503 signature, 600 no permission, 601 key expired."""
CONFIGURATION = frozenset({"400", "503", "600", "601", "700"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))
ALREADY_SUBSCRIBED = "501"
"""Of a subscription only (unverified); said to anything else it proves nothing."""
NO_ROUTE = re.compile(r"(查询无结果|查无|暂无)")
ALREADY = re.compile(r"(已|重复).{0,6}(拦截|提交|受理)")
DELIVERED = re.compile(r"已.{0,4}(签收|妥投)")
CANNOT = re.compile(r"(不支持|无法|不能).{0,6}(拦截|退回)")
FAILED = re.compile(r"(失败|拒绝|无法)")
STAGES: Mapping[str, Stage] = {
    "0": Stage.IN_TRANSIT,
    "1": Stage.HANDED_OVER,
    "2": Stage.IN_TRANSIT,
    "3": Stage.DELIVERED,
    "4": Stage.RETURNED,
    "5": Stage.OUT_FOR_DELIVERY,
    "6": Stage.RETURNING,
    "7": Stage.IN_TRANSIT,
    "8": Stage.IN_TRANSIT,
    "14": Stage.REFUSED,
}
"""`state`: 4 signed for on its way back (退签), 6 returning and 7 forwarded (pair unverified), 14 refused. Longer codes begin with these."""


class Kuaidi100Settings(ProviderSettings):
    base_url: str = "https://api.kuaidi100.com"
    poll_url: str = "https://poll.kuaidi100.com"
    key: SecretStr
    secret: SecretStr
    customer: Annotated[str, Field(min_length=1)]
    company: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    """Kuaidi100's code of the carrier: shunfeng, zhongtong, yuantong, shentong, yunda, jtexpress, jd."""
    salt: SecretStr
    """Signs what is pushed to us."""
    phone: str = ""
    """Last four digits of the sender's telephone, where the carrier wants it (SF, ZTO)."""
    partner_id: str = ""
    partner_key: SecretStr | None = None
    pay_type: Literal["SHIPPER", "CONSIGNEE", "THIRDPARTY", "MONTHLY"] = "MONTHLY"


def upper_md5(text: str) -> str:
    return hex_md5(text).upper()


class Kuaidi100:
    """Implements ports.carrier.Carrier. It cannot void a label before pick-up: that is a task."""

    can_void = False

    def __init__(self, settings: Kuaidi100Settings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self.outbound = outbound_of(settings, around)
        self.polling = outbound_of(settings.model_copy(update={"base_url": settings.poll_url}), around)

    async def aclose(self) -> None:
        await self.outbound.aclose()
        await self.polling.aclose()

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        del call
        return Outcome(kind=OutcomeKind.REFUSED, code="cannot_void")

    async def recall(self, call: ParcelCall) -> Outcome:
        settings = self._settings
        param = _text(
            {
                "kuaidicom": settings.company,
                "kuaidinum": call.waybill_no,
                "interceptType": "RETURN_SEND_ADDR",
                "orderRole": "1",
                "interceptPayType": settings.pay_type,
                "orderId": call.request_id,
                "reason": "订单取消",
                "salt": settings.salt.get_secret_value(),
                **({"callbackUrl": self._around.callback_url} if self._around.callback_url else {}),
                **({"partnerId": settings.partner_id} if settings.partner_id else {}),
                **({"partnerKey": settings.partner_key.get_secret_value()} if settings.partner_key else {}),
            }
        )
        t = str(int(self._around.clock() * 1000))
        key, secret = settings.key.get_secret_value(), settings.secret.get_secret_value()
        form = {
            "method": "interceptOrder",
            "key": key,
            "t": t,
            "param": param,
            "sign": upper_md5(param + t + key + secret),
        }
        answer = await self._post(self.outbound, INTERCEPT_PATH, form)
        if isinstance(answer, Outcome):
            return answer
        if answer.get("result") is True:
            await self.subscribe(call.waybill_no)
            return Outcome(kind=OutcomeKind.PROCESSING, code=code_of(str(answer.get("returnCode"))))
        return self._refusal(INTERCEPT_PATH, answer)

    async def subscribe(self, waybill_no: str) -> Outcome:
        """Asks for pushes of this parcel. Whatever comes of it, the route is asked for as well."""
        if not self._around.callback_url:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_callback_url")
        settings = self._settings
        parameters = {
            "callbackurl": self._around.callback_url,
            "salt": settings.salt.get_secret_value(),
            "resultv2": "1",
            **({"phone": settings.phone} if settings.phone else {}),
        }
        param = {
            "company": settings.company,
            "number": waybill_no,
            "key": settings.key.get_secret_value(),
            "parameters": parameters,
        }
        answer = await self._post(self.polling, SUBSCRIBE_PATH, {"schema": "json", "param": _text(param)})
        if isinstance(answer, Outcome):
            return answer
        if answer.get("result") is True or str(answer.get("returnCode")) == ALREADY_SUBSCRIBED:
            return Outcome(kind=OutcomeKind.SUCCEEDED)
        return self._refusal(SUBSCRIBE_PATH, answer)

    async def query_recall(self, call: ParcelCall) -> Outcome:
        return recall_of_route(await self.track(call.waybill_no), call)

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        settings = self._settings
        phone = {"phone": settings.phone} if settings.phone else {}
        param = _text(
            {"com": settings.company, "num": waybill_no, **phone, "resultv2": "1", "show": "0", "order": "desc"}
        )
        key, customer = settings.key.get_secret_value(), settings.customer
        form = {"customer": customer, "param": param, "sign": upper_md5(param + key + customer)}
        answer = await self._post(self.polling, QUERY_PATH, form)
        if isinstance(answer, Outcome):
            return answer
        if answer.get("nu") != waybill_no or not isinstance(answer.get("data"), list):
            return self._refusal(QUERY_PATH, answer)
        return _tracking(waybill_no, answer)

    async def probe(self) -> Probe:
        return probe_of(await self.track("UNWINDPROBE00"))

    async def _post(self, outbound: Outbound, path: str, form: Mapping[str, str]) -> dict[str, Any] | Outcome:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await outbound.exchange("POST", path, content=urlencode(form).encode(), headers=headers)
        return reply if isinstance(reply, Outcome) else self._object(path, reply)

    def _object(self, path: str, reply: Reply) -> dict[str, Any] | Outcome:
        body = parse_object(reply.body)
        if body is None:
            return self.outbound.malformed(path, http_status=reply.status)
        return body

    def _refusal(self, path: str, answer: Mapping[str, Any]) -> Outcome:
        said = text_in(answer, "message")
        if path == INTERCEPT_PATH and ALREADY.search(said):
            return Outcome(kind=OutcomeKind.PROCESSING, code="already_intercepted")
        if path == INTERCEPT_PATH and DELIVERED.search(said):
            return Outcome(kind=OutcomeKind.REFUSED, code="delivered", evidence={"stage": Stage.DELIVERED.value})
        if path == INTERCEPT_PATH and CANNOT.search(said):
            return Outcome(kind=OutcomeKind.REFUSED, code="cannot", evidence={"stage": Stage.UNKNOWN.value})
        if path == QUERY_PATH and NO_ROUTE.search(said):
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_route")
        code = code_of(str(answer.get("returnCode")))
        return ERRORS.outcome(self.outbound, path, code, http_status=200)


def _text(param: Mapping[str, Any]) -> str:
    """Signed and sent as this very text."""
    return orjson.dumps(param).decode()


def stage_of(state: object) -> Stage:
    """`resultv2` states are longer and begin with the plain one: 301 is a kind of 3, 1401 a kind of 14."""
    code = str(state)
    return next((STAGES[code[:n]] for n in (2, 1) if code[:n] in STAGES), Stage.IN_TRANSIT)


def _tracking(waybill_no: str, answer: Mapping[str, Any]) -> Tracking:
    """The stage of the newest event is that of the whole; older ones have only their own status, where they have one."""
    rows = [row for row in answer["data"] if isinstance(row, dict)]
    newest = max(rows, key=lambda row: str(row.get("ftime") or row.get("time") or ""), default=None)
    events = []
    for row in rows:
        at = beijing_time(row.get("ftime") or row.get("time"))
        if at is None:
            continue
        state = answer.get("state") if row is newest else row.get("statusCode")
        events.append(route_event(at, stage_of(state) if state is not None else Stage.IN_TRANSIT, row.get("areaName")))
    return tracking_of(waybill_no, events)


class Kuaidi100Pushes:
    """Implements ports.callback.CallbackVerifier: tracking pushes and intercept callbacks, both `sign = MD5(param + salt)`."""

    accepted = CallbackAnswer(
        status=200,
        body='{"result":true,"returnCode":"200","message":"成功"}'.encode(),
        media_type="application/json",
    )

    def __init__(self, salt: SecretStr) -> None:
        self._salt = salt

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        form = read_push_form(incoming.body)
        param, given = form.get("param", ""), form.get("sign", "")
        expected = upper_md5(param + self._salt.get_secret_value())
        if not param or not hmac.compare_digest(expected.encode(), given.upper().encode()):
            raise CallbackUnverified("sign_error")
        return (_news(read_push_text(param), event_id=f"kd100:{id_of_content(param.encode())}"),)


def _news(body: Mapping[str, Any], *, event_id: str) -> News:
    last = body.get("lastResult")
    if isinstance(last, dict):
        return waybill_news(last.get("nu"), event_id=event_id, stage=stage_of(last.get("state")))
    data = body.get("data") if isinstance(body.get("data"), dict) else body
    number = data.get("kuaidinum") or data.get("kuaidiNum") or data.get("number")  # type: ignore[union-attr]
    words = " ".join(str(data.get(name, "")) for name in ("status", "statusDesc", "message", "interceptStatus"))  # type: ignore[union-attr]
    kind = "recall.failed" if FAILED.search(words) else "parcel.moved"
    return waybill_news(number, event_id=event_id, stage=Stage.UNKNOWN, kind=kind)


def connect(settings: Kuaidi100Settings, around: Surroundings) -> Connected:
    party = Kuaidi100(settings, around)
    return Connected(party=party, close=party.aclose, probe=party.probe, verifier=Kuaidi100Pushes(settings.salt))


PROVIDER = Provider(
    name="kuaidi100",
    kind=PartyKind.CARRIER,
    title="快递100",
    settings=Kuaidi100Settings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
