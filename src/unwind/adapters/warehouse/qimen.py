"""Warehouses behind Qimen (奇门): `order.cancel`, the delivery order's state, and what the warehouse pushes.

Sources: open.taobao.com, scenario Qimen; a published exchange of messages (cnblogs.com/tonggc1668). The answer to a cancel is synchronous: `success`
means stopped. Only `flag` is trusted; codes differ from warehouse to warehouse. Nothing but the delivery order's state settles a doubt.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl, urlencode
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring
from zoneinfo import ZoneInfo

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field, SecretStr

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
from unwind.ports.probe import Probe
from unwind.ports.warehouse import HoldCall

BEIJING = ZoneInfo("Asia/Shanghai")
CANCEL = "taobao.qimen.order.cancel"
QUERY = "taobao.qimen.deliveryorder.query"
WITHIN_S = 600.0
"""TOP refuses older timestamps; so do we for what is pushed."""
BODY_BYTES_MAX = 256_000
PROBE_ORDER = "UNWIND-PROBE"

STAGES: Mapping[str, Stage] = {
    "NEW": Stage.RELEASED,
    "ACCEPT": Stage.RELEASED,
    "PARTACCEPT": Stage.RELEASED,
    "PRINT": Stage.PICKING,
    "PICK": Stage.PICKING,
    "CHECK": Stage.PACKED,
    "PACKAGE": Stage.PACKED,
    "WEIGH": Stage.PACKED,
    "DELIVERED": Stage.HANDED_OVER,
    "PARTDELIVERED": Stage.HANDED_OVER,
}
"""States of a delivery order (unverified: PROTOCOLS 5.1). Besides these: CANCELED, CLOSED, EXCEPTION and others."""
CANCELLED = frozenset({"CANCELED", "CANCELLED"})
ALREADY_CANCELLED = re.compile(r"已.{0,2}取消|already.{0,5}cancel", re.IGNORECASE)
NOT_FOUND = re.compile(r"不存在|not.{0,5}(exist|found)", re.IGNORECASE)
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "sign-check-failure": OutcomeKind.UNKNOWN,
    "invalid-sign": OutcomeKind.UNKNOWN,
    "invalid-app-key": OutcomeKind.UNKNOWN,
    "missing-parameter": OutcomeKind.UNKNOWN,
    "isv.invalid-parameter": OutcomeKind.UNKNOWN,
    "isp.remote-service-timeout": OutcomeKind.UNKNOWN,
    "isp.remote-service-error": OutcomeKind.UNKNOWN,
    "isp.top-remote-connection-timeout": OutcomeKind.UNKNOWN,
    "isp.http-connection-timeout": OutcomeKind.UNKNOWN,
    "accesscontrol.limited-by-api-access-count": OutcomeKind.RETRY_SAME_NUMBER,
    "accesscontrol.limited-by-app-access-count": OutcomeKind.RETRY_SAME_NUMBER,
}
"""Errors of the gateway in front of the warehouse (`sub_code`). A refusal by the warehouse itself is `flag=failure` and no code of these."""
CONFIGURATION = frozenset(
    {"sign-check-failure", "invalid-sign", "invalid-app-key", "missing-parameter", "isv.invalid-parameter"}
)
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))


class QimenSettings(ProviderSettings):
    base_url: str = "https://qimen.api.taobao.com/router/qimen/service"
    app_key: Annotated[str, Field(min_length=1)]
    secret: SecretStr
    previous_secret: SecretStr | None = None
    """Still accepted for what the warehouse pushes, while it changes over."""
    customer_id: Annotated[str, Field(min_length=1)]
    owner_code: Annotated[str, Field(min_length=1)]
    warehouse_code: str = ""
    """Left out: the order's own location."""
    order_type: str = "JYCK"


def sign(secret: str, query: Mapping[str, str], body: bytes) -> str:
    """Upper-case hex MD5 over secret, sorted query (without `sign` and empty values), body, secret."""
    joined = "".join(f"{name}{value}" for name, value in sorted(query.items()) if name != "sign" and value)
    return hashlib.md5(f"{secret}{joined}".encode() + body + secret.encode()).hexdigest().upper()  # noqa: S324 - theirs


class Qimen:
    """Implements ports.warehouse.Warehouse."""

    def __init__(self, settings: QimenSettings, around: Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self.outbound = outbound_of(settings, around)

    async def hold(self, call: HoldCall) -> Outcome:
        """A refusal is explained by the delivery order's state, so that a person reads how far the goods are."""
        answer = await self._call(
            CANCEL,
            warehouseCode=self._warehouse_of(call),
            ownerCode=self._settings.owner_code,
            orderCode=call.outbound_no,
            orderType=self._settings.order_type,
            cancelReason=call.reason_code,
        )
        if isinstance(answer, Outcome):
            return answer
        if answer.findtext("flag") == "success":
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="success", evidence={"stage": Stage.RELEASED.value})
        state = await self.query_hold(call)
        if state.kind is OutcomeKind.NOT_FOUND and ALREADY_CANCELLED.search(answer.findtext("message") or ""):
            return Outcome(kind=OutcomeKind.UNKNOWN, code="said_cancelled")
        if state.kind is OutcomeKind.NOT_FOUND:
            return Outcome(kind=OutcomeKind.REFUSED, code="failure", evidence=state.evidence)
        return state

    async def query_hold(self, call: HoldCall) -> Outcome:
        """NOT_FOUND: the order goes on as if nobody had asked; a cancel may be sent (again)."""
        answer = await self._call(
            QUERY,
            orderCode=call.outbound_no,
            ownerCode=self._settings.owner_code,
            warehouseCode=self._warehouse_of(call),
        )
        if isinstance(answer, Outcome):
            return answer
        if answer.findtext("flag") != "success":
            if NOT_FOUND.search(answer.findtext("message") or ""):
                return self.outbound.trouble(QUERY, OutcomeKind.UNKNOWN, "no_such_order", alert="outbound_unknown")
            return self.outbound.trouble(QUERY, OutcomeKind.UNKNOWN, "failure")
        status = (
            answer.findtext("deliveryOrder/status") or answer.findtext("orderProcess/processStatus") or ""
        ).upper()
        return self._of_status(status)

    def _of_status(self, status: str) -> Outcome:
        if status in CANCELLED:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code=status, evidence={"stage": Stage.RELEASED.value})
        stage = STAGES.get(status)
        if stage is None:
            return self.outbound.unknown_code(QUERY, code_of(status), http_status=200)
        evidence = {"stage": stage.value}
        if stage is Stage.HANDED_OVER:
            return Outcome(kind=OutcomeKind.REFUSED, code=status, evidence=evidence)
        return Outcome(kind=OutcomeKind.NOT_FOUND, code=status, evidence=evidence)

    async def probe(self) -> Probe:
        """The state of an order that does not exist: any genuine answer will do."""
        return probe_of(await self._call(QUERY, orderCode=PROBE_ORDER, ownerCode=self._settings.owner_code))

    def _warehouse_of(self, call: HoldCall) -> str:
        return self._settings.warehouse_code or call.warehouse_code or "OTHER"

    async def _call(self, method: str, **fields: str) -> Element | Outcome:
        settings = self._settings
        body = _xml("request", fields)
        query = {
            "method": method,
            "timestamp": datetime.fromtimestamp(self._clock(), BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
            "format": "xml",
            "app_key": settings.app_key,
            "v": "2.0",
            "sign_method": "md5",
            "customerId": settings.customer_id,
        }
        query["sign"] = sign(settings.secret.get_secret_value(), query, body)
        reply = await self.outbound.exchange(
            "POST",
            f"?{urlencode(query)}",
            content=body,
            headers={"Content-Type": "text/xml;charset=utf-8"},
            what=method,
        )
        return reply if isinstance(reply, Outcome) else self._read(method, reply)

    def _read(self, method: str, reply: Reply) -> Element | Outcome:
        """Answers are not signed by Qimen; over TLS the address vouches for them."""
        try:
            root: Element = fromstring(reply.body)
        except (ParseError, DefusedXmlException, ValueError):
            return self.outbound.malformed(method, http_status=reply.status)
        sub_code = root.findtext("sub_code") or root.findtext("code") or ""
        is_gateways = root.tag == "error_response" or sub_code in ERROR_KINDS
        if not is_gateways and root.tag == "response" and root.findtext("flag") in {"success", "failure"}:
            return root
        if not is_gateways:
            return self.outbound.malformed(method, http_status=reply.status)
        code = code_of(sub_code)
        return ERRORS.outcome(self.outbound, method, code, http_status=reply.status)


class QimenPushes:
    """Implements ports.callback.CallbackVerifier for `deliveryorder.confirm` and `orderprocess.report`.

    The push is signed like a request, with our secret, over the query and the raw body. It only wakes the case.
    """

    accepted = CallbackAnswer(
        status=200, body=b"<response><flag>success</flag><code>0</code><message/></response>", media_type="text/xml"
    )

    def __init__(self, secrets: Sequence[str], around: Surroundings) -> None:
        self._secrets = tuple(secrets)
        self._clock = around.clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        if len(incoming.body) > BODY_BYTES_MAX:
            raise CallbackUnverified("too_large")
        query = dict(parse_qsl(incoming.query, keep_blank_values=True))
        given = query.get("sign", "").upper()
        expected = [sign(secret, query, incoming.body) for secret in self._secrets]
        if not fits_any(given, expected):
            raise CallbackUnverified("sign_error")
        if not self._is_fresh(query.get("timestamp", "")):
            raise CallbackUnverified("expired")
        try:
            root: Element = fromstring(incoming.body)
        except (ParseError, DefusedXmlException, ValueError):
            raise CallbackUnverified("malformed") from None
        order = (
            root.findtext("order/orderCode")
            or root.findtext("deliveryOrder/deliveryOrderCode")
            or root.findtext("deliveryOrder/orderCode")
            or ""
        )
        status = root.findtext("process/processStatus") or root.findtext("deliveryOrder/status") or ""
        if not order or not order.isprintable():
            raise CallbackUnverified("malformed")
        event_id = hashlib.sha256(incoming.body).hexdigest()[:40]
        return (News(event_id=event_id, kind="hold.told", data={"outbound_no": order[:64], "code": code_of(status)}),)

    def _is_fresh(self, timestamp: str) -> bool:
        try:
            at = datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
        except ValueError:
            return False
        return abs(self._clock() - at.timestamp()) <= WITHIN_S


def _xml(tag: str, fields: Mapping[str, str]) -> bytes:
    root = Element(tag)
    for name, value in fields.items():
        SubElement(root, name).text = value
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def connect(settings: QimenSettings, around: Surroundings) -> Connected:
    party = Qimen(settings, around)
    return Connected(
        party=party,
        close=party.outbound.aclose,
        probe=party.probe,
        verifier=QimenPushes(accepted_secrets(settings.secret, settings.previous_secret), around),
    )


PROVIDER = Provider(
    name="qimen",
    kind=PartyKind.WAREHOUSE,
    title="奇门仓储",
    settings=QimenSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
