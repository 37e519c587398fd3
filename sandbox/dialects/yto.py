"""YTO (圆通): JSON within JSON, signed over its text; the waybill is the only number; routes without pushes."""

import base64
import hmac
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.dialects.carriers import (
    HTTP_NOT_FOUND,
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


class YtoDialect(CarrierDialect):
    provider = "yto"
    operations: ClassVar[dict[str, str]] = {
        "wanted_report_adapter": "carrier.recall",
        "track_query_adapter": "carrier.track",
    }
    contents: ClassVar[dict[str, str]] = {
        "handed_over": "GOT",
        "in_transit": "DEPARTURE",
        "at_pickup_point": "INBOUND",
        "out_for_delivery": "SENT_SCAN",
        "delivered": "SIGNED",
        "refused": "FAILED",
        "returning": "TMS_RETURN",
        "returned": "RETURN_SIGNED",
    }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        del request
        parts, body = path.strip("/").split("/"), read_json(raw)
        if len(parts) != 5 or parts[0] != "open" or parts[3:] != ["K21", self._key(connection, "app_key")]:  # noqa: PLR2004
            raise Answered(Response(status_code=HTTP_NOT_FOUND), code="NO_SUCH_CALL")
        method, param = parts[1], str(body.get("param", ""))
        expected = base64.b64encode(md5(param + method + parts[2] + self._key(connection, "secret")))
        if not hmac.compare_digest(expected, str(body.get("sign", "")).encode(errors="replace")):
            raise self._no("1001", "签名验证失败")
        operation, message = self.operations.get(method), read_json(param.encode())
        number = str(message.get("waybillNo") or message.get("Number") or "")
        if operation is None or not number or (operation == "carrier.recall" and not message.get("wantedDesc")):
            raise self._no("1002", "参数错误")
        if operation == "carrier.recall" and is_known(self._world, connection, number):
            raise self._no("2001", "该运单已上报拦截")
        return Asked(operation=operation, body=request_body(number), number=number)

    def _no(self, code: str, text: str) -> Answered:
        return Answered(reply(HTTP_OK, {"statusCode": code, "statusMessage": text}), code=code)

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection

        def words(answer: Answer) -> tuple[int, Any]:
            if asked.operation == "carrier.track":
                return HTTP_OK, self._routes(asked, answer) if answer.status == HTTP_OK else {
                    "statusCode": 0,
                    "data": [],
                }
            if answer.status == HTTP_OK and answer.body.get("result") == "ACCEPTED":
                return HTTP_OK, {"statusCode": 0, "statusMessage": "成功"}
            return HTTP_OK, {"statusCode": 2002, "statusMessage": refusal_text(answer)}

        busy = (HTTP_OK, {"statusCode": 1003, "statusMessage": "qps"})
        return PlainResponder(words, busy=busy, broken=(HTTP_OK, {"statusCode": -1, "statusMessage": "系统异常"}))

    def _routes(self, asked: Asked, answer: Answer) -> Any:
        back = answer.body["return_waybill_no"]
        return [
            {
                "waybill_No": asked.number,
                "upload_Time": beijing(event["at"]),
                "infoContent": self.contents.get(event["stage"], "ARRIVAL"),
                "city": event["place"],
                "processInfo": f"快件退回,新单号 {back}" if event["stage"] in {"returning", "returned"} else "",
            }
            for event in answer.body["events"]
        ]

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "url_key": "K21",
            "app_key": self._key(connection, "app_key"),
            "secret": self._key(connection, "secret"),
        }
