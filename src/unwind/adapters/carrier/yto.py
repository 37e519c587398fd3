"""YTO (圆通): intercept with return to the sender, routes. The waybill is the only number there is; doubt is cleared by the route.

Source: github syships/php-express; the official signing example. Answers and routes have no published schema (PROTOCOLS 11): read leniently.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.carrier.digests import base64_md5
from unwind.adapters.carrier.refusal_texts import refused_intercept, text_in
from unwind.adapters.carrier.route_proof import new_waybill_in, recall_of_route, route_event, timed_rows, tracking_of
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
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.carrier import ParcelCall, Tracking
from unwind.ports.probe import Probe

INTERCEPT, TRACK, VERSION = "wanted_report_adapter", "track_query_adapter", "v1"
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "-1": OutcomeKind.UNKNOWN,
    "1001": OutcomeKind.UNKNOWN,
    "1002": OutcomeKind.UNKNOWN,
    "1003": OutcomeKind.RETRY_SAME_NUMBER,
}
"""`statusCode` (unverified): 1001 signature, 1002 parameter, 1003 too often. 0 is a yes; a refusal is told by its text."""
CONFIGURATION = frozenset({"1001", "1002"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))
ALREADY = re.compile(r"(已|重复).{0,6}(拦截|上报|退回)")
DELIVERED = re.compile(r"已.{0,4}签收")
CANNOT = re.compile(r"(不支持|无法|不能).{0,6}(拦截|截单|退回)")
NOT_PICKED_UP = re.compile(r"(未|没有).{0,4}(揽收|收件)")
REASONS = ((DELIVERED, Stage.DELIVERED), (NOT_PICKED_UP, Stage.LABEL_PRINTED), (CANNOT, Stage.UNKNOWN))
STAGES: Mapping[str, Stage] = {
    "GOT": Stage.HANDED_OVER,
    "ARRIVAL": Stage.IN_TRANSIT,
    "DEPARTURE": Stage.IN_TRANSIT,
    "SENT_SCAN": Stage.OUT_FOR_DELIVERY,
    "INBOUND": Stage.AT_PICKUP_POINT,
    "SIGNED": Stage.DELIVERED,
    "FAILED": Stage.IN_TRANSIT,
    "FORWARDING": Stage.RETURNING,
    "TMS_RETURN": Stage.RETURNING,
    "RETURN_SIGNED": Stage.RETURNED,
}
"""`infoContent` (unverified); what is not here is in transit."""


class YtoSettings(ProviderSettings):
    base_url: str = "https://openapi.yto.net.cn"
    url_key: Annotated[str, Field(min_length=1)]
    """The part of the address that the console gives to this customer."""
    app_key: Annotated[str, Field(min_length=1)]
    secret: SecretStr


def sign(param: str, method: str, secret: str) -> str:
    return base64_md5(param, method, VERSION, secret)


class Yto:
    """Implements ports.carrier.Carrier. Cancelling a label before pick-up is not published: that is a task."""

    can_void = False

    def __init__(self, settings: YtoSettings, around: Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self.outbound = outbound_of(settings, around)

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        del call
        return Outcome(kind=OutcomeKind.REFUSED, code="cannot_void")

    async def recall(self, call: ParcelCall) -> Outcome:
        answer = await self._call(INTERCEPT, {"waybillNo": call.waybill_no, "wantedDesc": "拦截退回"})
        return answer if isinstance(answer, Outcome) else Outcome(kind=OutcomeKind.PROCESSING, code="accepted")

    async def query_recall(self, call: ParcelCall) -> Outcome:
        return recall_of_route(await self.track(call.waybill_no), call)

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        answer = await self._call(TRACK, {"Number": waybill_no})
        if isinstance(answer, Outcome):
            return answer
        rows = answer.get("data")
        if not isinstance(rows, list) or not rows:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_route")
        events, return_no = [], ""
        for at, row in timed_rows(rows, "upload_Time"):
            stage = STAGES.get(str(row.get("infoContent")), Stage.IN_TRANSIT)
            events.append(route_event(at, stage, row.get("city")))
            if stage in {Stage.RETURNING, Stage.RETURNED}:
                return_no = new_waybill_in(row.get("processInfo"), own=waybill_no) or return_no
        return tracking_of(waybill_no, events, return_waybill_no=return_no)

    async def probe(self) -> Probe:
        return probe_of(await self.track("YT0000000000000"))

    async def _call(self, method: str, message: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        settings = self._settings
        param = orjson.dumps(message).decode()
        body = {
            "timestamp": str(int(self._clock() * 1000)),
            "param": param,
            "format": "JSON",
            "sign": sign(param, method, settings.secret.get_secret_value()),
        }
        path = f"/open/{method}/{VERSION}/{settings.url_key}/{settings.app_key}"
        reply = await self.outbound.exchange(
            "POST", path, content=orjson.dumps(body), headers={"Content-Type": "application/json"}, what=method
        )
        return reply if isinstance(reply, Outcome) else self._read(method, reply)

    def _read(self, method: str, reply: Reply) -> dict[str, Any] | Outcome:
        try:
            body = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            body = None
        if isinstance(body, list) and method == TRACK:
            return {"data": body}
        if not isinstance(body, dict) or body.get("statusCode") is None:
            return self.outbound.malformed(method, http_status=reply.status)
        code = code_of(str(body["statusCode"]))
        if code == "0":
            return body
        if code in ERROR_KINDS:
            return ERRORS.outcome(self.outbound, method, code, http_status=reply.status)
        text = text_in(body, "statusMessage")
        told = refused_intercept(text, code, ALREADY, REASONS) if method == INTERCEPT else None
        return told or self.outbound.unknown_code(method, code, http_status=reply.status)


def connect(settings: YtoSettings, around: Surroundings) -> Connected:
    party = Yto(settings, around)
    return Connected(party=party, close=party.outbound.aclose, probe=party.probe)


PROVIDER = Provider(
    name="yto",
    kind=PartyKind.CARRIER,
    title="圆通速递",
    settings=YtoSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
