"""JD Logistics express (京东物流): one call that cancels before pick-up and intercepts after it, and answers which of the two it did.

Source: cloud.jdl.com, api-doc 267/846. The answer itself is the proof (`resultType`); the same call again is the only question there is, and a
parcel that is cancelled or intercepted already answers so. Routes are not part of this interface: they come from the shop's own feed or Kuaidi100.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.carrier.digests import hex_md5
from unwind.adapters.carrier.refusal_texts import text_in
from unwind.adapters.carrier.route_proof import BEIJING
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
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.carrier import ParcelCall, Tracking
from unwind.ports.probe import Probe

PATH = "/ecap/v1/orders/cancel"
CANCELLED, INTERCEPTED, CANCEL_FAILED, INTERCEPT_FAILED = 0, 1, 2, 3
OK_CODES = frozenset({"0", "200", "1000"})
"""Of the envelope (unverified: PROTOCOLS 6.7)."""
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "result_0": OutcomeKind.SUCCEEDED,
    "result_1": OutcomeKind.SUCCEEDED,
    "result_2": OutcomeKind.REFUSED,
    "result_3": OutcomeKind.REFUSED,
    "2": OutcomeKind.UNKNOWN,
    "10": OutcomeKind.UNKNOWN,
    "401": OutcomeKind.UNKNOWN,
    "429": OutcomeKind.RETRY_SAME_NUMBER,
    "500": OutcomeKind.UNKNOWN,
}
"""`resultType` for a recall, and envelope codes (unverified): 2 parameter, 10 and 401 signature or token, 429 too often."""
CONFIGURATION = frozenset({"2", "10", "401"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))
ALREADY = re.compile(r"已(成功)?(取消|拦截)(?!失败|中|拦截|申请)")
"""Done, not asked for: the answer itself is the proof, so "已提交拦截", "已拦截失败" or "已取消拦截" must not pass for it."""
DELIVERED = re.compile(r"已.{0,4}(妥投|签收)")
NO_SUCH = re.compile(r"(不存在|未找到|查无)")


class JdlSettings(ProviderSettings):
    base_url: str = "https://api.jdl.com"
    app_key: Annotated[str, Field(min_length=1)]
    app_secret: SecretStr
    access_token: SecretStr
    customer_code: Annotated[str, Field(min_length=1)]
    order_origin: Literal[0, 1, 2, 4, 5] = 1
    """1: B2C. 0 (C2C) can be cancelled but not intercepted."""


def sign(*, secret: str, token: str, app_key: str, path: str, body: str, timestamp: str) -> str:
    """Lower-case hex MD5 (`md5-salt`)."""
    joined = f"{secret}access_token{token}app_key{app_key}method{path}param_json{body}timestamp{timestamp}v2.0{secret}"
    return hex_md5(joined)


class Jdl:
    """Implements ports.carrier.Carrier."""

    can_void = True

    def __init__(self, settings: JdlSettings, around: Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self.outbound = outbound_of(settings, around)

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        """A parcel picked up meanwhile is intercepted by the very same call. That is no void: a person goes on with the recall."""
        outcome = await self._cancel(call)
        if outcome.kind is OutcomeKind.SUCCEEDED and outcome.evidence.get("stage") == Stage.RETURNING:
            return replace(outcome, kind=OutcomeKind.REFUSED, code="intercepted_instead")
        return outcome

    async def recall(self, call: ParcelCall) -> Outcome:
        return await self._cancel(call)

    async def query_recall(self, call: ParcelCall) -> Outcome:
        """Asking is asking again."""
        return await self._cancel(call)

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        del waybill_no
        return Outcome(kind=OutcomeKind.NOT_FOUND, code="no_routes_here")

    async def probe(self) -> Probe:
        call = ParcelCall(request_id="", waybill_no="JDV000000000000", order_id="", reason_code="", is_accepted=False)
        return probe_of(await self._cancel(call))

    async def _cancel(self, call: ParcelCall) -> Outcome:
        settings = self._settings
        message = {
            "waybillCode": call.waybill_no,
            "orderOrigin": settings.order_origin,
            "customerCode": settings.customer_code,
            "cancelReason": "用户取消订单",
            "cancelReasonCode": "1",
            "cancelType": 0 if settings.order_origin == 0 else 1,
            "subscribeIntercept": "1",
        }
        body = orjson.dumps([message]).decode()
        timestamp = datetime.fromtimestamp(self._clock(), BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        token = settings.access_token.get_secret_value()
        query = {
            "LOP-DN": "ECAP",
            "app_key": settings.app_key,
            "access_token": token,
            "timestamp": timestamp,
            "v": "2.0",
            "algorithm": "md5-salt",
            "sign": sign(
                secret=settings.app_secret.get_secret_value(),
                token=token,
                app_key=settings.app_key,
                path=PATH,
                body=body,
                timestamp=timestamp,
            ),
        }
        reply = await self.outbound.exchange(
            "POST",
            f"{PATH}?{urlencode(query)}",
            content=body.encode(),
            headers={"Content-Type": "application/json;charset=UTF-8", "lop-tz": "8"},
            what=PATH,
        )
        return reply if isinstance(reply, Outcome) else self._read(reply)

    def _read(self, reply: Reply) -> Outcome:
        body = parse_object(reply.body)
        if body is None or body.get("code") is None:
            return self.outbound.malformed(PATH, http_status=reply.status)
        code = code_of(str(body["code"]))
        data = body.get("data")
        if code in OK_CODES and isinstance(data, dict):
            return self._of_result(data, reply.status)
        if code in ERROR_KINDS:
            return ERRORS.outcome(self.outbound, PATH, code, http_status=reply.status)
        return self._by_text(code, text_in(body, "message"), reply.status)

    def _of_result(self, data: Mapping[str, Any], status: int) -> Outcome:
        match data.get("resultType"):
            case 0:
                return Outcome(
                    kind=OutcomeKind.SUCCEEDED, code="result_0", evidence={"stage": Stage.LABEL_PRINTED.value}
                )
            case 1:
                return_no = data.get("returnWaybillCode")
                evidence = {
                    "stage": Stage.RETURNING.value,
                    "return_waybill_no": code_of(return_no) if isinstance(return_no, str) and return_no else "",
                }
                return Outcome(kind=OutcomeKind.SUCCEEDED, code="result_1", evidence=evidence)
            case 2 | 3 as result:
                stage = Stage.DELIVERED if DELIVERED.search(text_in(data, "message")) else Stage.IN_TRANSIT
                return Outcome(kind=OutcomeKind.REFUSED, code=f"result_{result}", evidence={"stage": stage.value})
            case _:
                return self.outbound.unknown_code(PATH, "resultType", http_status=status)

    def _by_text(self, code: str, text: str, status: int) -> Outcome:
        if DELIVERED.search(text):
            return Outcome(kind=OutcomeKind.REFUSED, code=code, evidence={"stage": Stage.DELIVERED.value})
        if ALREADY.search(text):
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="already", evidence={"stage": Stage.RETURNING.value})
        if NO_SUCH.search(text):
            return Outcome(kind=OutcomeKind.NOT_FOUND, code=code)
        return self.outbound.unknown_code(PATH, code, http_status=status)


def connect(settings: JdlSettings, around: Surroundings) -> Connected:
    party = Jdl(settings, around)
    return Connected(party=party, close=party.outbound.aclose, probe=party.probe)


PROVIDER = Provider(
    name="jdl",
    kind=PartyKind.CARRIER,
    title="京东物流",
    settings=JdlSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
