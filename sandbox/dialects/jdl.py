"""JD Logistics express (京东物流): one call that cancels or intercepts and says at once which it did."""

import hmac
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.dialects.carriers import HTTP_NOT_FOUND, HTTP_OK, CarrierDialect, is_known, md5, refusal_text, request_body
from sandbox.dialects.frame import Answered, Asked
from sandbox.dialects.plain import PlainResponder, reply
from sandbox.world import order_ns


class JdlDialect(CarrierDialect):
    """One call for both: before pick-up it cancels, after it intercepts; the answer says which. Its intercepts are decided at once."""

    provider = "jdl"

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        secret, token = self._key(connection, "app_secret"), self._key(connection, "access_token")
        if path != "/ecap/v1/orders/cancel" or query.get("LOP-DN") != "ECAP":
            raise Answered(Response(status_code=HTTP_NOT_FOUND), code="NO_SUCH_CALL")
        if query.get("access_token") != token or query.get("app_key") != self._key(connection, "app_key"):
            raise self._no("401", "token无效")
        at = query.get("timestamp", "")
        signed = (
            f"{secret}access_token{token}app_key{query['app_key']}method{path}param_json{raw.decode(errors='replace')}"
        )
        expected = md5(f"{signed}timestamp{at}v2.0{secret}").hex()
        if not hmac.compare_digest(expected, query.get("sign", "")):
            raise self._no("10", "签名错误")
        try:
            (body,) = json.loads(raw)
            number, reason = str(body["waybillCode"]), str(body["cancelReason"])
        except (ValueError, KeyError, TypeError):
            raise self._no("2", "参数错误") from None
        if not reason or len(reason) > 30 or body.get("customerCode") != "010K0001":  # noqa: PLR2004
            raise self._no("2", "参数错误")
        waybill = self._world.ledger.one("SELECT * FROM waybills WHERE connection = ? AND no = ?", connection, number)
        if waybill is None:
            raise self._no("1404", "运单不存在")
        is_before = waybill["stage"] in {"none", "released", "picking", "packed", "label_printed"}
        if is_before:
            return Asked(
                operation="carrier.void", body=request_body(number) | {"request_id": f"void-{number}"}, number=number
            )
        if is_known(self._world, connection, number):
            return Asked(operation="carrier.recall_query", body=request_body(number), number=number)
        return Asked(operation="carrier.recall", body=request_body(number), number=number, context={"is_first": True})

    def _no(self, code: str, text: str) -> Answered:
        return Answered(reply(HTTP_OK, {"code": code, "message": text, "success": False}), code=code)

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            if asked.operation == "carrier.recall" and answer.body.get("result") == "ACCEPTED":
                answer = self._decide_now(connection, asked)
            return HTTP_OK, self._words(asked, answer)

        busy = (HTTP_OK, {"code": "429", "message": "qps", "success": False})
        return PlainResponder(
            words, busy=busy, broken=(HTTP_OK, {"code": "500", "message": "系统异常", "success": False})
        )

    def _decide_now(self, connection: str, asked: Asked) -> Answer:
        """What other carriers learn on the road, this one knows at once."""
        self._world.run_due_of(connection, str(asked.body["request_id"]))
        waybill = self._world.ledger.one(
            "SELECT * FROM waybills WHERE connection = ? AND no = ?", connection, asked.number
        )
        recall = self._world.ledger.one(
            "SELECT * FROM recalls WHERE connection = ? AND request_id = ?", connection, asked.body["request_id"]
        )
        result = recall["result"] if recall is not None else "FAILED"
        self._world.ledger.run(
            "UPDATE recalls SET answered_at_ns = coalesce(answered_at_ns, ?) WHERE connection = ? AND request_id = ?",
            *(order_ns(), connection, asked.body["request_id"]),
        )
        shown = dict(waybill) if waybill is not None else {}
        return Answer(
            status=HTTP_OK,
            body={
                "result": result,
                "stage": shown.get("stage", ""),
                "return_waybill_no": shown.get("return_waybill_no", ""),
            },
        )

    def _words(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        result = answer.body.get("result")
        kind = {"VOIDED": 0, "ACCEPTED": 1, "RETURNING": 1, "RETURNED": 1}.get(str(result))
        text = ""
        if kind is None:
            kind = 2 if asked.operation == "carrier.void" else 3
            text = refusal_text(answer)
        data = {
            "waybillCode": asked.number,
            "resultType": kind,
            "message": text,
            "returnWaybillCode": answer.body.get("return_waybill_no", ""),
        }
        return {"code": "1000", "message": "成功", "success": True, "data": data}

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        names = ("app_key", "app_secret", "access_token")
        keys = {name: self._key(connection, name) for name in names}
        return {"provider": self.provider, "base_url": base_url, **keys, "customer_code": "010K0001"}
