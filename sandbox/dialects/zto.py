"""ZTO (中通): JSON with a digest in the header, intercepts under the caller's number and their state, signed pushes of routes."""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.carriers import FORM, HTTP_OK, CarrierDialect, beijing, md5, refusal_text, request_body
from sandbox.dialects.frame import Answered, Asked
from sandbox.dialects.plain import PlainResponder, read_json, reply


class ZtoDialect(CarrierDialect):
    provider = "zto"
    operations: ClassVar[dict[str, str]] = {
        "/thirdcenter.createIntercept": "carrier.recall",
        "/thirdcenter.queryInterceptAndReturnStatus": "carrier.recall_query",
        "/zto.open.cancelPreOrder": "carrier.void",
        "/zto.merchant.waybill.track.query": "carrier.track",
    }
    actions: ClassVar[dict[str, str]] = {
        "handed_over": "GOT",
        "in_transit": "DEPARTURE",
        "at_pickup_point": "INBOUND",
        "out_for_delivery": "DISPATCH",
        "delivered": "SIGNED",
        "returning": "RETURN_SCAN",
        "returned": "RETURN_SIGNED",
    }
    status_names: ClassVar[dict[str, str]] = {
        "ACCEPTED": "处理中",
        "RETURNING": "拦截成功",
        "RETURNED": "拦截成功",
        "FAILED": "拦截失败",
        "DELIVERED": "拦截失败",
    }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        given = request.headers.get("x-datadigest", "")
        expected = base64.b64encode(md5(raw.decode(errors="replace") + self._key(connection, "app_secret")))
        if request.headers.get("x-appkey") != self._key(connection, "app_key"):
            raise self._refused("S210")
        if not hmac.compare_digest(expected, given.encode(errors="replace")):
            raise self._refused("S211")
        operation, body = self.operations.get(path), read_json(raw)
        if operation is None:
            raise self._refused("S207")
        number = str(body.get("billCode", ""))
        if not number:
            raise self._refused("S208")
        row = self._world.ledger.one(
            "SELECT request_id FROM recalls WHERE connection = ? AND waybill_no = ? AND kind = 'recall'",
            connection,
            number,
        )
        request_id = str(body.get("requestId", "")) or (row["request_id"] if row is not None else "none")
        if operation == "carrier.recall" and row is not None and row["request_id"] != request_id:
            raise Answered(self._no("B01", "该单号已发起拦截"), code="B01")
        return Asked(operation=operation, body={**request_body(number), "request_id": request_id}, number=number)

    def _refused(self, code: str) -> Answered:
        return Answered(self._no(code, code), code=code)

    def _no(self, code: str, text: str) -> Response:
        return reply(HTTP_OK, {"status": False, "statusCode": code, "message": text, "result": None})

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection

        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            return HTTP_OK, self._words(asked, answer)

        busy = (HTTP_OK, {"status": False, "statusCode": "S221", "message": "qps", "result": None})
        return PlainResponder(
            words,
            busy=busy,
            broken=(HTTP_OK, {"status": False, "statusCode": "S203", "message": "backend", "result": None}),
        )

    def _words(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        good: dict[str, Any] = {"status": True, "statusCode": "0000", "message": "成功"}
        result = answer.body.get("result")
        if asked.operation == "carrier.track":
            return {**good, "result": self._routes(answer) if answer.status == HTTP_OK else []}
        if asked.operation == "carrier.recall_query":
            if answer.status != HTTP_OK:
                return {**good, "result": None}
            found = {"billCode": asked.number, "serviceCode": "1", "statusName": self.status_names[str(result)]}
            return {**good, "result": found}
        if result in {"ACCEPTED", "VOIDED"}:
            return {**good, "result": {"billCode": asked.number}}
        text = "订单状态不能取消" if asked.operation == "carrier.void" else refusal_text(answer)
        return {"status": False, "statusCode": "B02", "message": text, "result": None}

    def _routes(self, answer: Answer) -> list[dict[str, Any]]:
        back = answer.body["return_waybill_no"]
        return [
            {
                "scanDate": beijing(event["at"]),
                "scanType": self.actions.get(event["stage"], "ARRIVAL"),
                "scanSite": event["place"],
                **({"returnBillCode": back} if event["stage"] in {"returning", "returned"} else {}),
            }
            for event in answer.body["events"]
        ]

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        if event["type"] != "parcel.moved":
            return None
        data = {
            "billCode": event["data"]["waybill_no"],
            "action": self.actions.get(event["data"]["stage"], "ARRIVAL"),
            "actionTime": beijing(event["data"]["at"]),
            "eventId": event["event_id"],
        }
        text = json.dumps(data, ensure_ascii=False)
        digest = base64.b64encode(md5(text + self._key(connection, "app_secret"))).decode()
        form = {
            "data": text,
            "data_digest": digest,
            "msg_type": "Traces",
            "company_id": self._key(connection, "app_key"),
        }
        return Letter(body=urlencode(form).encode(), headers=FORM)

    def is_taken(self, status: int, body: bytes) -> bool:
        return status == HTTP_OK and read_json(body).get("status") is True

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "app_key": self._key(connection, "app_key"),
            "app_secret": self._key(connection, "app_secret"),
            "can_void": True,
        }
