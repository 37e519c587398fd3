"""Kuaidi100 (快递100): forms signed by MD5, three end points, pushes of tracking and of intercepts."""

import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.carriers import (
    FORM,
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


class Kuaidi100Dialect(CarrierDialect):
    provider = "kuaidi100"
    states: ClassVar[dict[str, str]] = {
        "handed_over": "1",
        "in_transit": "0",
        "at_pickup_point": "5",
        "out_for_delivery": "5",
        "delivered": "3",
        "refused": "14",
        "returning": "6",
        "returned": "4",
        "lost": "2",
    }
    repeat_after_s: tuple[float, ...] = (1800, 1800, 1800)

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        del request
        form = dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        param = form.get("param", "")
        key, secret = self._key(connection, "key"), self._key(connection, "secret")
        signed = {
            "/label/order": param + form.get("t", "") + key + secret,
            "/poll/query.do": param + key + self._key(connection, "customer"),
        }.get(path)
        body = read_json(param.encode())
        if path == "/poll":
            if body.get("key") != key or not body.get("number"):
                raise self._no("600", "没有权限")
            raise Answered(reply(HTTP_OK, {"result": True, "returnCode": "200", "message": "提交成功"}), code="200")
        if signed is None:
            raise Answered(Response(status_code=HTTP_NOT_FOUND), code="NO_SUCH_CALL")
        if not hmac.compare_digest(md5(signed).hex().upper(), form.get("sign", "")):
            raise self._no("503", "验证签名失败")
        if path == "/poll/query.do":
            return Asked(operation="carrier.track", body={}, number=str(body.get("num", "")))
        number = str(body.get("kuaidinum", ""))
        if not number or body.get("interceptType") != "RETURN_SEND_ADDR" or not body.get("kuaidicom"):
            raise self._no("400", "参数错误")
        if is_known(self._world, connection, number):
            raise self._no("30001", "该单号已提交拦截")
        return Asked(operation="carrier.recall", body=request_body(number), number=number)

    def _no(self, code: str, text: str) -> Answered:
        return Answered(reply(HTTP_OK, {"result": False, "returnCode": code, "message": text}), code=code)

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection

        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            if asked.operation == "carrier.track":
                return HTTP_OK, self._routes(asked, answer)
            if answer.status == HTTP_OK and answer.body.get("result") == "ACCEPTED":
                return HTTP_OK, {"result": True, "returnCode": "200", "message": "提交成功", "data": {}}
            return HTTP_OK, {"result": False, "returnCode": "30002", "message": refusal_text(answer)}

        busy = (HTTP_OK, {"result": False, "returnCode": "502", "message": "服务器繁忙"})
        return PlainResponder(
            words, busy=busy, broken=(HTTP_OK, {"result": False, "returnCode": "500", "message": "系统错误"})
        )

    def _routes(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        if answer.status != HTTP_OK or not answer.body["events"]:
            return {"result": False, "returnCode": "500", "message": "查询无结果，请隔段时间再查"}
        events = answer.body["events"]
        data = [
            {
                "time": beijing(event["at"]),
                "ftime": beijing(event["at"]),
                "context": "",
                "areaName": event["place"],
                "statusCode": self.states.get(event["stage"], "0"),
            }
            for event in reversed(events)
        ]
        state = self.states.get(events[-1]["stage"], "0")
        return {"message": "ok", "nu": asked.number, "com": "shunfeng", "status": "200", "state": state, "data": data}

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        data = event["data"]
        if event["type"] == "parcel.moved":
            last = {
                "nu": data["waybill_no"],
                "com": "shunfeng",
                "state": self.states.get(data["stage"], "0"),
                "data": [],
            }
            body: dict[str, Any] = {"status": "polling", "message": "", "lastResult": last, "id": event["event_id"]}
        elif event["type"].startswith("recall."):
            words = {"recall.returning": "拦截成功", "recall.returned": "拦截成功"}.get(event["type"], "拦截失败")
            body = {"data": {"kuaidinum": data["waybill_no"], "status": words}, "id": event["event_id"]}
        else:
            return None
        param = json.dumps(body, ensure_ascii=False)
        sign = md5(param + self._key(connection, "salt")).hex().upper()
        return Letter(body=urlencode({"sign": sign, "param": param}).encode(), headers=FORM)

    def is_taken(self, status: int, body: bytes) -> bool:
        return status == HTTP_OK and read_json(body).get("result") is True

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        keys = {name: self._key(connection, name) for name in ("key", "secret", "customer", "salt")}
        return {"provider": self.provider, "base_url": base_url, "poll_url": base_url, **keys, "company": "shunfeng"}
