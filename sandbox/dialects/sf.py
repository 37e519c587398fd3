"""SF Express (丰桥): form with a digest of Java's URL encoding, an answer within an answer, routes by opCode, unsigned pushes."""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.carriers import (
    CLOCK_WINDOW_S,
    HTTP_OK,
    CarrierDialect,
    beijing,
    is_known,
    md5,
    refusal_text,
    request_body,
)
from sandbox.dialects.frame import Answered, Asked
from sandbox.dialects.plain import PlainResponder, read_json, reply


class SfDialect(CarrierDialect):
    provider = "sf"
    operations: ClassVar[dict[str, str]] = {
        "EXP_RECE_WANTED_INTERCEPT": "carrier.recall",
        "EXP_RECE_UPDATE_ORDER": "carrier.void",
        "EXP_RECE_SEARCH_ROUTES": "carrier.track",
    }
    op_codes: ClassVar[dict[str, str]] = {
        "handed_over": "50",
        "in_transit": "31",
        "at_pickup_point": "125",
        "out_for_delivery": "44",
        "delivered": "80",
        "refused": "33",
        "returning": "648",
        "returned": "648",
        "lost": "870",
    }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        del request
        form = dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        message, timestamp = form.get("msgData", ""), form.get("timestamp", "")
        if path != "/" or form.get("partnerID") != self._key(connection, "partner_id"):
            raise self._refused("A1004")
        if not timestamp.isdigit() or abs(self._world.now() - int(timestamp) / 1000) > CLOCK_WINDOW_S:
            raise self._refused("A1002")
        encoded = quote_plus(message + timestamp + self._key(connection, "checkword"), safe="*").replace("~", "%7E")
        if not hmac.compare_digest(base64.b64encode(md5(encoded)), form.get("msgDigest", "").encode()):
            raise self._refused("A1006")
        if not self._world.take_nonce(connection, form.get("requestID", "")):
            raise self._refused("A1007")
        operation = self.operations.get(form.get("serviceCode", ""))
        body = read_json(message.encode())
        if operation is None or not body:
            raise self._refused("A1001")
        return self._asked(connection, operation, body)

    def _asked(self, connection: str, operation: str, body: Mapping[str, Any]) -> Asked:
        if operation == "carrier.track":
            numbers = body.get("trackingNumber")
            number = str(numbers[0]) if isinstance(numbers, list) and numbers else ""
            if str(body.get("checkPhoneNo", "")) != "0000":
                raise self._inner("S0002", "校验手机号不正确")
            return Asked(operation=operation, body={}, number=number)
        if operation == "carrier.void":
            order = str(body.get("orderId", ""))
            row = self._world.ledger.one(
                "SELECT no FROM waybills WHERE connection = ? AND order_no = ?", connection, order
            )
            if row is None:
                raise self._inner("8017", "订单号不存在")
            return Asked(
                operation=operation, body=request_body(row["no"]) | {"request_id": f"void-{order}"}, number=row["no"]
            )
        number = str(body.get("waybillNo", ""))
        address = body.get("newDestAddress")
        if body.get("serviceCode") != "2" or not isinstance(address, dict) or not body.get("monthlyCardNo"):
            raise self._inner("20003", "参数错误")
        if is_known(self._world, connection, number):
            raise self._inner("20027", "该运单已拦截,请勿重复操作")
        return Asked(operation=operation, body=request_body(number), number=number)

    def _refused(self, code: str) -> Answered:
        return Answered(self._gateway(code), code=code)

    def _gateway(self, code: str) -> Response:
        return reply(HTTP_OK, {"apiResultCode": code, "apiErrorMsg": code, "apiResponseID": secrets.token_hex(8)})

    def _inner(self, code: str, text: str) -> Answered:
        return Answered(
            reply(HTTP_OK, self._envelope({"success": False, "errorCode": code, "errorMsg": text})), code=code
        )

    def _envelope(self, inner: Mapping[str, Any]) -> dict[str, Any]:
        """The inner answer is text within the answer."""
        return {
            "apiErrorMsg": "",
            "apiResponseID": secrets.token_hex(8),
            "apiResultCode": "A1000",
            "apiResultData": json.dumps(inner, ensure_ascii=False),
        }

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            return HTTP_OK, self._envelope(self._words(connection, asked, answer))

        busy = (HTTP_OK, {"apiResultCode": "A1005", "apiErrorMsg": "too often"})
        return PlainResponder(words, busy=busy, broken=(HTTP_OK, {"apiResultCode": "A1099", "apiErrorMsg": "system"}))

    def _words(self, connection: str, asked: Asked, answer: Answer) -> dict[str, Any]:
        good = {"success": True, "errorCode": "S0000", "errorMsg": None}
        if asked.operation == "carrier.track":
            routes = [] if answer.status != HTTP_OK else self._routes(answer)
            found = [{"mailNo": asked.number, "routes": routes}]
            return {**good, "msgData": {"routeResps": found}}
        if asked.operation == "carrier.void":
            is_done = answer.body.get("result") == "VOIDED"
            return {**good, "msgData": {"orderId": "", "resStatus": 2 if is_done else 1, "waybillNoInfoList": []}}
        if answer.status == HTTP_OK and answer.body.get("result") == "ACCEPTED":
            fee = self._keyring.text(connection, "fee", lambda: "12.00")
            return {**good, "msgData": {"cusId": f"CUS{secrets.token_hex(4)}", "amount": fee}}
        return {"success": False, "errorCode": "20035", "errorMsg": refusal_text(answer)}

    def _routes(self, answer: Answer) -> list[dict[str, str]]:
        rows = []
        for event in answer.body["events"]:
            remark = "快件运送中"
            if event["stage"] in {"returning", "returned"}:
                remark = f"快件已退回/转寄,新单号为: {answer.body['return_waybill_no']}"
            rows.append(
                {
                    "acceptTime": beijing(event["at"]),
                    "acceptAddress": event["place"],
                    "remark": remark,
                    "opCode": self.op_codes.get(event["stage"], "31"),
                }
            )
        return rows[::-1]

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        if event["type"] != "parcel.moved":
            return None
        data = event["data"]
        route = {
            "mailno": data["waybill_no"],
            "orderid": "",
            "acceptTime": beijing(data["at"]),
            "acceptAddress": data["place"],
            "remark": "",
            "opCode": self.op_codes.get(data["stage"], "31"),
            "id": event["event_id"],
        }
        body = orjson.dumps({"Body": {"WaybillRoute": [route]}})
        return Letter(
            body=body, headers={"Content-Type": "application/json"}, tail=f"/{self._key(connection, 'push_path')}"
        )

    def is_taken(self, status: int, body: bytes) -> bool:
        return status == HTTP_OK and read_json(body).get("return_code") == "0000"

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "partner_id": self._key(connection, "partner_id"),
            "checkword": self._key(connection, "checkword"),
            "monthly_card": "7550000001",
            "return_address": {
                "province": "浙江省",
                "city": "杭州市",
                "county": "余杭区",
                "address": "演示仓",
                "contact": "退货组",
                "phone": "057100000000",
            },
            "check_phone": "0000",
            "push_path": self._key(connection, "push_path"),
        }
