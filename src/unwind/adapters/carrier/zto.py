"""ZTO (中通): intercept with a number of ours, its state by query, cancel of pre-orders, routes and their pushes.

Source: github YangLiCon/docs, tepbridge/logistics/zto. The state of an intercept has no published list of codes: it is told by its name.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.carrier.digests import base64_md5
from unwind.adapters.carrier.pushes import id_of_content, read_push_form, read_push_text, waybill_news
from unwind.adapters.carrier.refusal_texts import refused_intercept, text_in
from unwind.adapters.carrier.route_proof import beijing_time, route_event, timed_rows, tracking_of
from unwind.adapters.fields import parse_object
from unwind.adapters.outbound import Reply, code_of
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
from unwind.adapters.shared_secrets import accepted_secrets, fits_any
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News
from unwind.ports.carrier import ParcelCall, Tracking
from unwind.ports.probe import Probe

INTERCEPT, STATE = "thirdcenter.createIntercept", "thirdcenter.queryInterceptAndReturnStatus"
CANCEL, TRACK = "zto.open.cancelPreOrder", "zto.merchant.waybill.track.query"
BACK_TO_SENDER = 2
OK_CODES = frozenset({"0000", "SYS000"})
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "S200": OutcomeKind.UNKNOWN,
    "S202": OutcomeKind.UNKNOWN,
    "S203": OutcomeKind.UNKNOWN,
    "S206": OutcomeKind.RETRY_SAME_NUMBER,
    "S207": OutcomeKind.UNKNOWN,
    "S208": OutcomeKind.UNKNOWN,
    "S210": OutcomeKind.UNKNOWN,
    "S211": OutcomeKind.UNKNOWN,
    "S212": OutcomeKind.UNKNOWN,
    "S214": OutcomeKind.UNKNOWN,
    "S221": OutcomeKind.RETRY_SAME_NUMBER,
    "E404": OutcomeKind.REFUSED,
    "E409": OutcomeKind.REFUSED,
    "E413": OutcomeKind.REFUSED,
    "E416": OutcomeKind.REFUSED,
    "E418": OutcomeKind.REFUSED,
}
"""S: the gateway (206, 221: too often; 200, 202, 203: the service behind it; the rest: our settings). E: this waybill is not this account's."""
CONFIGURATION = frozenset({"S207", "S208", "S210", "S211", "S212", "S214"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))
ALREADY = re.compile(r"(已|重复).{0,6}(拦截|发起|存在)")
DELIVERED = re.compile(r"已.{0,4}签收")
NOT_PICKED_UP = re.compile(r"(未|没有).{0,4}(揽收|收件)")
REASONS = ((DELIVERED, Stage.DELIVERED), (NOT_PICKED_UP, Stage.LABEL_PRINTED))
STAGES: Mapping[str, Stage] = {
    "GOT": Stage.HANDED_OVER,
    "DEPARTURE": Stage.IN_TRANSIT,
    "ARRIVAL": Stage.IN_TRANSIT,
    "DISPATCH": Stage.OUT_FOR_DELIVERY,
    "INBOUND": Stage.AT_PICKUP_POINT,
    "SIGNED": Stage.DELIVERED,
    "HANDOVERSCAN_SIGNED": Stage.DELIVERED,
    "DEPARTURE_SIGNED": Stage.DELIVERED,
    "RETURN_SCAN": Stage.RETURNING,
    "RETURN_SIGNED": Stage.RETURNED,
}
"""Actions of a route; those of the way back are unverified (PROTOCOLS 6.2). What is not here is in transit."""


class ZtoSettings(ProviderSettings):
    base_url: str = "https://japi.zto.com"
    app_key: Annotated[str, Field(min_length=1)]
    app_secret: SecretStr
    previous_secret: SecretStr | None = None
    """Still accepted for pushes while it changes over."""
    can_void: bool = False
    """Only orders booked for pick-up (预约件) of this very key can be cancelled; bulk labels expire unused."""


def digest(body: str, secret: str) -> str:
    return base64_md5(body, secret)


class Zto:
    """Implements ports.carrier.Carrier."""

    def __init__(self, settings: ZtoSettings, around: Surroundings) -> None:
        self.can_void = settings.can_void
        self._settings = settings
        self.outbound = outbound_of(settings, around)

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        answer = await self._call(CANCEL, {"cancelType": "1", "billCode": call.waybill_no})
        return answer if isinstance(answer, Outcome) else Outcome(kind=OutcomeKind.SUCCEEDED, code="cancelled")

    async def recall(self, call: ParcelCall) -> Outcome:
        message = {
            "billCode": call.waybill_no,
            "requestId": call.request_id,
            "thirdBizNo": call.request_id,
            "destinationType": BACK_TO_SENDER,
        }
        answer = await self._call(INTERCEPT, message)
        return answer if isinstance(answer, Outcome) else Outcome(kind=OutcomeKind.PROCESSING, code="accepted")

    async def query_recall(self, call: ParcelCall) -> Outcome:
        """The state of the intercept; its way back and number come from the route."""
        answer = await self._call(STATE, {"billCode": call.waybill_no})
        if isinstance(answer, Outcome):
            return answer
        name = answer.get("statusName")
        if not isinstance(name, str) or not name:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="never_asked")
        if "取消" in name:
            return Outcome(
                kind=OutcomeKind.REFUSED, code="recall_cancelled", evidence={"stage": Stage.IN_TRANSIT.value}
            )
        if "失败" not in name and "成功" not in name:
            return Outcome(kind=OutcomeKind.PROCESSING, code="processing")
        route = await self.track(call.waybill_no)
        known = route if isinstance(route, Tracking) else None
        stage = known.events[-1].stage if known and known.events else Stage.IN_TRANSIT.value
        if "失败" in name:
            return Outcome(kind=OutcomeKind.REFUSED, code="recall_failed", evidence={"stage": stage})
        return_no = known.return_waybill_no if known else ""
        shown = stage if stage in {Stage.RETURNING, Stage.RETURNED} else Stage.RETURNING.value
        return Outcome(
            kind=OutcomeKind.SUCCEEDED,
            code="intercepted",
            evidence={"stage": shown, "return_waybill_no": return_no},
        )

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        answer = await self._call(TRACK, {"billCode": waybill_no})
        if isinstance(answer, Outcome):
            return answer
        rows = answer.get("items")
        if not isinstance(rows, list) or not rows:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_route")
        events, return_no = [], ""
        for at, row in timed_rows(rows, "scanDate", _time):
            stage = STAGES.get(str(row.get("scanType")), Stage.IN_TRANSIT)
            events.append(route_event(at, stage, row.get("scanSite")))
            return_no = str(row.get("returnBillCode") or return_no)
        return tracking_of(waybill_no, events, return_waybill_no=return_no[:64])

    async def probe(self) -> Probe:
        return probe_of(await self.track("00000000000000"))

    async def _call(self, method: str, message: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        body = orjson.dumps(message).decode()
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "x-appKey": self._settings.app_key,
            "x-dataDigest": digest(body, self._settings.app_secret.get_secret_value()),
        }
        reply = await self.outbound.exchange("POST", f"/{method}", content=body.encode(), headers=headers, what=method)
        return reply if isinstance(reply, Outcome) else self._read(method, reply)

    def _read(self, method: str, reply: Reply) -> dict[str, Any] | Outcome:
        body = parse_object(reply.body)
        if body is None or not isinstance(body.get("status"), bool):
            return self.outbound.malformed(method, http_status=reply.status)
        code = code_of(str(body.get("statusCode")))
        if body["status"] and code in OK_CODES:
            found = body.get("result", body.get("data"))
            return {"items": found} if isinstance(found, list) else found if isinstance(found, dict) else {}
        if code in ERROR_KINDS:
            return ERRORS.outcome(self.outbound, method, code, http_status=reply.status)
        return self._by_text(method, code, text_in(body, "message"), reply.status)

    def _by_text(self, method: str, code: str, text: str, status: int) -> Outcome:
        told = refused_intercept(text, code, ALREADY, REASONS) if method == INTERCEPT else None
        if told is not None:
            return told
        if method == CANCEL and re.search(r"(已|不能|无法|不支持)", text):
            return Outcome(kind=OutcomeKind.REFUSED, code=code, evidence={"stage": Stage.HANDED_OVER.value})
        return self.outbound.unknown_code(method, code, http_status=status)


def _time(given: object) -> datetime | None:
    """Milliseconds since 1970, or Beijing text."""
    if isinstance(given, int) and not isinstance(given, bool):
        return datetime.fromtimestamp(given / 1000, UTC)
    return beijing_time(given)


class ZtoPushes:
    """Implements ports.callback.CallbackVerifier: form `data`, `data_digest`, `msg_type=Traces` (digest presumed, PROTOCOLS 6.2)."""

    accepted = CallbackAnswer(
        status=200, body=b'{"status":true,"message":"ok","statusCode":"0000"}', media_type="application/json"
    )

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = secrets

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        form = read_push_form(incoming.body)
        data, given = form.get("data", ""), form.get("data_digest", "")
        expected = [digest(data, secret) for secret in self._secrets]
        if not data or not fits_any(given, expected):
            raise CallbackUnverified("sign_error")
        body = read_push_text(data)
        event_id = f"zto:{id_of_content(data.encode())}"
        stage = STAGES.get(str(body.get("action")), Stage.IN_TRANSIT)
        return (waybill_news(body.get("billCode"), event_id=event_id, stage=stage),)


def connect(settings: ZtoSettings, around: Surroundings) -> Connected:
    party = Zto(settings, around)
    verifier = ZtoPushes(accepted_secrets(settings.app_secret, settings.previous_secret))
    return Connected(party=party, close=party.outbound.aclose, probe=party.probe, verifier=verifier)


PROVIDER = Provider(
    name="zto",
    kind=PartyKind.CARRIER,
    title="中通快递",
    settings=ZtoSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
