"""A warehouse behind Qimen (奇门): XML, MD5 over query and body, a synchronous yes or no, and pushes about the order's progress."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring
from zoneinfo import ZoneInfo

from defusedxml.ElementTree import fromstring
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.keyring import Keyring
from sandbox.world import World

BEIJING = ZoneInfo("Asia/Shanghai")
WINDOW_S = 600.0
STATUS_OF_STAGE = {
    "NEW": "ACCEPT",
    "PICKING": "PICK",
    "PACKED": "PACKAGE",
    "LABEL_PRINTED": "PACKAGE",
    "HANDED_OVER": "DELIVERED",
}
OPERATIONS = {
    "taobao.qimen.order.cancel": "warehouse.cancel",
    "taobao.qimen.deliveryorder.query": "warehouse.show",
}


def sign(secret: str, query: Mapping[str, str], body: bytes) -> str:
    joined = secret + "".join(name + query[name] for name in sorted(query) if name != "sign" and query[name])
    return hashlib.md5(joined.encode() + body + secret.encode()).hexdigest().upper()  # noqa: S324 - Qimen's


class QimenDialect:
    provider = "qimen"
    repeat_after_s: tuple[float, ...] = (60, 300, 900, 3600, 3600)
    """Unverified: Qimen repeats what fails a few times."""

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        del path
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        if query.get("app_key") != self._app_key(connection):
            raise refused("invalid-app-key")
        given = query.get("sign", "").upper()
        if query.get("sign_method") != "md5" or not hmac.compare_digest(
            sign(self._secret(connection), query, raw).encode(), given.encode()
        ):
            raise refused("sign-check-failure")
        if not self._is_fresh(query.get("timestamp", "")):
            raise refused("sign-check-failure")
        operation = OPERATIONS.get(query.get("method", ""))
        if operation is None or query.get("customerId") != self._customer(connection):
            raise refused("isv.invalid-parameter")
        try:
            root: Element = fromstring(raw)
        except (ParseError, ValueError):
            raise refused("isv.invalid-parameter") from None
        order = root.findtext("orderCode") or ""
        if root.tag != "request" or not order or not root.findtext("ownerCode"):
            raise refused("missing-parameter")
        body = {
            "request_id": f"qimen-{order}",
            "order_no": "",
            "warehouse_code": root.findtext("warehouseCode") or "",
            "reason": root.findtext("cancelReason") or "",
        }
        return Asked(operation=operation, body=body, number=order)

    def _is_fresh(self, timestamp: str) -> bool:
        try:
            at = datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
        except ValueError:
            return False
        return abs(self._world.now() - at.timestamp()) <= WINDOW_S

    def responder(self, connection: str, asked: Asked) -> "QimenResponder":
        del connection
        return QimenResponder(asked)

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        """`orderprocess.report`, signed like a request."""
        data = event["data"]
        if event["type"] not in {"hold.cancelled", "hold.rejected"}:
            return None
        root = Element("request")
        order, process = SubElement(root, "order"), SubElement(root, "process")
        SubElement(order, "orderCode").text = data["outbound_no"]
        SubElement(order, "orderType").text = "JYCK"
        is_cancelled = event["type"] == "hold.cancelled"
        SubElement(process, "processStatus").text = "CANCELED" if is_cancelled else STATUS_OF_STAGE[data["stage"]]
        SubElement(process, "operateTime").text = self._time()
        SubElement(root, "extendProps").text = event["event_id"]
        body = tostring(root, encoding="utf-8", xml_declaration=True)
        query = {
            "method": "taobao.qimen.orderprocess.report",
            "timestamp": self._time(),
            "format": "xml",
            "app_key": self._app_key(connection),
            "v": "2.0",
            "sign_method": "md5",
            "customerId": self._customer(connection),
        }
        query["sign"] = sign(self._secret(connection), query, body)
        return Letter(body=body, headers={"Content-Type": "text/xml;charset=utf-8"}, tail=f"?{urlencode(query)}")

    def is_taken(self, status: int, body: bytes) -> bool:
        return status == 200 and b"<flag>success</flag>" in body  # noqa: PLR2004

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "app_key": self._app_key(connection),
            "secret": self._secret(connection),
            "customer_id": self._customer(connection),
            "owner_code": "H1",
        }

    def _time(self) -> str:
        return datetime.fromtimestamp(self._world.now(), BEIJING).strftime("%Y-%m-%d %H:%M:%S")

    def _app_key(self, connection: str) -> str:
        return self._keyring.text(connection, "app_key", lambda: str(20_000_000 + secrets.randbelow(10**7)))

    def _customer(self, connection: str) -> str:
        return self._keyring.text(connection, "customer_id", lambda: f"c{secrets.token_hex(6)}")

    def _secret(self, connection: str) -> str:
        return self._keyring.text(connection, "secret")


class QimenResponder:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def respond(self, answer: Answer) -> Response:
        if answer.status == 404:  # noqa: PLR2004
            return flag("failure", message="订单不存在")
        if answer.status != 200:  # noqa: PLR2004
            return flag("failure", message=str(answer.body.get("message", "")))
        if self._asked.operation == "warehouse.show":
            is_stopped = answer.body["state"] == "CANCELLED"
            status = "CANCELED" if is_stopped else STATUS_OF_STAGE[answer.body["stage"]]
            return flag("success", order=self._asked.number, status=status)
        match answer.body["result"]:
            case "CANCELLED":
                return flag("success")
            case "REJECTED":
                return flag("failure", message="订单已出库,无法取消")
            case _:
                return error("isp.remote-service-timeout")

    def respond_badly_signed(self, answer: Answer) -> Response:
        """Qimen does not sign its answers: what a proxy on the way has mangled."""
        return self.respond_malformed(answer)

    def respond_malformed(self, answer: Answer) -> Response:
        whole = bytes(self.respond(answer).body)
        return Response(whole[: len(whole) // 2], media_type="text/xml")

    def respond_of_another(self, answer: Answer) -> Response:
        """The answers carry no number: nothing but rubbish can be told from the right one."""
        return self.respond_malformed(answer)

    def rate_limited(self) -> Response:
        return error("accesscontrol.limited-by-api-access-count")

    def system_error(self) -> Response:
        return error("isp.remote-service-error")


def flag(word: str, *, message: str = "", order: str = "", status: str = "") -> Response:
    root = Element("response")
    SubElement(root, "flag").text = word
    SubElement(root, "code").text = "0" if word == "success" else "S003"
    SubElement(root, "message").text = message
    if status:
        delivery = SubElement(root, "deliveryOrder")
        SubElement(delivery, "deliveryOrderCode").text = order
        SubElement(delivery, "status").text = status
    return Response(tostring(root, encoding="utf-8", xml_declaration=True), media_type="text/xml")


def error(sub_code: str) -> Response:
    root = Element("error_response")
    SubElement(root, "code").text = "15"
    SubElement(root, "msg").text = "Remote service error"
    SubElement(root, "sub_code").text = sub_code
    return Response(tostring(root, encoding="utf-8", xml_declaration=True), media_type="text/xml")


def refused(sub_code: str) -> Answered:
    return Answered(error(sub_code), code=sub_code)
