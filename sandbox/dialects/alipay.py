"""Alipay's gateway, played from its documentation (opendocs.alipay.com): RSA2 both ways, query and form merged, GET and POST.

`trade_no` of the world is the merchant's out_trade_no; Alipay's own trade_no is derived. Alipay has no refund that closes or stays abnormal:
such a one is not shown by its query, as one that never came.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.keyring import Keyring
from sandbox.payment import find_refund
from sandbox.world import World

BEIJING = timezone(timedelta(hours=8))
REPEAT_AFTER_S = (240, 600, 600, 3600, 7200, 21600, 54000)
WINDOW_S = 365 * 86400
YUAN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
OPERATIONS = {
    "alipay.trade.refund": "payment.refund",
    "alipay.trade.fastpay.refund.query": "payment.refund_query",
    "alipay.trade.close": "payment.close",
    "alipay.trade.query": "payment.trade_query",
}
REFUSALS = {
    "PARAM_ERROR": ("40004", "ACQ.INVALID_PARAMETER"),
    "NOT_FOUND": ("40004", "ACQ.TRADE_NOT_EXIST"),
    "NUMBER_REUSED": ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST"),
    "NOT_ENOUGH": ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
    "OVER_REFUND": ("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
    "NOT_PAID": ("40004", "ACQ.TRADE_STATUS_ERROR"),
    "TRADE_CLOSED": ("40004", "ACQ.TRADE_STATUS_ERROR"),
    "RATE_LIMITED": ("40005", ""),
    "SYSTEM_ERROR": ("20000", "aop.ACQ.SYSTEM_ERROR"),
}
MESSAGES = {"40004": "Business Failed", "40005": "Call Limited", "20000": "Service Currently Unavailable"}


class AlipayDialect:
    provider = "alipay"
    repeat_after_s: tuple[float, ...] = REPEAT_AFTER_S

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def app_id(self, connection: str) -> str:
        return self._keyring.text(connection, "app_id", lambda: f"2021{secrets.randbelow(10**12):012d}")

    def seller_id(self, connection: str) -> str:
        return self._keyring.text(connection, "seller_id", lambda: f"2088{secrets.randbelow(10**12):012d}")

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "app_id": self.app_id(connection),
            "app_private_key": self._keyring.private_pem(connection, "app"),
            "alipay_public_key": self._keyring.public_pem(connection, "alipay"),
            "seller_id": self.seller_id(connection),
        }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        given = {
            **dict(request.query_params),
            **dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)),
        }
        method = given.get("method", "")
        responder = AlipayResponder(self, connection, Asked(operation="", body={}, context={"method": method}))
        if path != "/gateway.do" or request.method not in {"GET", "POST"}:
            raise Answered(Response(status_code=404), code="NO_SUCH_CALL")
        if given.get("app_id") != self.app_id(connection):
            raise Answered(responder.error("40002", "isv.invalid-app-id"), code="isv.invalid-app-id")
        if given.get("sign_type") != "RSA2" or not self._is_genuine(connection, given):
            raise Answered(responder.error("40002", "isv.invalid-signature"), code="isv.invalid-signature")
        if method not in OPERATIONS:
            raise Answered(responder.error("40002", "isv.invalid-method"), code="isv.invalid-method")
        content = _parse(given.get("biz_content", ""))
        trade_no = self._trade_of(connection, content)
        if trade_no is None:
            raise Answered(responder.error("40004", "ACQ.INVALID_PARAMETER"), code="ACQ.INVALID_PARAMETER")
        return self._understand(connection, method, trade_no, content)

    def _is_genuine(self, connection: str, given: Mapping[str, str]) -> bool:
        signed = "&".join(f"{name}={value}" for name, value in sorted(given.items()) if name != "sign" and value)
        key = self._keyring.private_key(connection, "app").public_key()
        try:
            signature = base64.b64decode(given.get("sign", ""))
            key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _trade_of(self, connection: str, content: Mapping[str, Any]) -> str | None:
        """By the merchant's number, or by Alipay's, which wins."""
        own = content.get("trade_no")
        if own:
            rows = self._world.ledger.all("SELECT trade_no FROM trades WHERE connection = ?", connection)
            return next((str(r["trade_no"]) for r in rows if alipay_number(connection, r["trade_no"]) == own), "none")
        number = content.get("out_trade_no")
        return number if isinstance(number, str) and number else None

    def _understand(self, connection: str, method: str, trade_no: str, content: Mapping[str, Any]) -> Asked:
        refund_no = content.get("out_request_no") or trade_no
        context: dict[str, Any] = {"method": method, "trade_no": trade_no, "state": self._state(connection, trade_no)}
        context |= {"options": content.get("query_options") or (), "refund_no": refund_no}
        if method not in {"alipay.trade.refund", "alipay.trade.fastpay.refund.query"}:
            return Asked(operation=OPERATIONS[method], body={"trade_no": trade_no}, context=context)
        trade = self._world.ledger.one(
            "SELECT * FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no
        )
        body: dict[str, Any] = {"trade_no": trade_no, "refund_no": refund_no}
        if method == "alipay.trade.refund":
            context["is_repeat"] = find_refund(self._world, connection, str(refund_no)) is not None
            if not context["is_repeat"] and self.is_finished(trade):
                responder = AlipayResponder(self, connection, Asked(operation="", body={}, context=context))
                raise Answered(responder.error("40004", "ACQ.TRADE_HAS_FINISHED"), code="ACQ.TRADE_HAS_FINISHED")
            body |= {
                "amount_minor": fen(content.get("refund_amount")),
                "total_minor": trade["amount_minor"] if trade is not None else 1,
                "currency": trade["currency"] if trade is not None else "CNY",
            }
        return Asked(operation=OPERATIONS[method], body=body, context=context)

    def _state(self, connection: str, trade_no: str) -> str:
        found = self._world.ledger.one(
            "SELECT state FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no
        )
        return str(found["state"]) if found is not None else "NONE"

    def is_finished(self, trade: Any) -> bool:
        paid_at = trade["paid_at"] if trade is not None else None
        return paid_at is not None and self._world.now() - paid_at > WINDOW_S

    def refunded_minor(self, connection: str, trade_no: str) -> int:
        return self._world.ledger.number(
            "SELECT sum(amount_minor) FROM money_moves WHERE connection = ? AND trade_no = ?", connection, trade_no
        )

    def trade_status(self, connection: str, trade_no: str) -> tuple[str, int]:
        """Alipay's word for where a trade stands, and its amount."""
        trade = self._world.ledger.one(
            "SELECT * FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no
        )
        if trade is None:
            raise KeyError(trade_no)
        if trade["state"] != "PAID":
            return {"UNPAID": "WAIT_BUYER_PAY"}.get(trade["state"], "TRADE_CLOSED"), trade["amount_minor"]
        if self.refunded_minor(connection, trade_no) >= trade["amount_minor"]:
            return "TRADE_CLOSED", trade["amount_minor"]
        return "TRADE_FINISHED" if self.is_finished(trade) else "TRADE_SUCCESS", trade["amount_minor"]

    def refund_of(self, connection: str, refund_no: str) -> Any:
        return find_refund(self._world, connection, refund_no)

    def responder(self, connection: str, asked: Asked) -> "AlipayResponder":
        return AlipayResponder(self, connection, asked)

    def sign(self, connection: str, text: str) -> str:
        key = self._keyring.private_key(connection, "alipay")
        return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        data = event["data"]
        if event["type"] not in {"refund.succeeded", "trade.paid"}:
            return None
        status, total_minor = self.trade_status(connection, data["trade_no"])
        now = clock_text(self._world.now())
        fields = {
            "notify_time": now,
            "notify_type": "trade_status_sync",
            "notify_id": event["event_id"],
            "app_id": self.app_id(connection),
            "seller_id": self.seller_id(connection),
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": alipay_number(connection, data["trade_no"]),
            "out_trade_no": data["trade_no"],
            "trade_status": status,
            "total_amount": yuan(total_minor),
            "subject": "双肩背包 & 水杯=2",
            "buyer_logon_id": "138****0000",
        }
        if event["type"] == "refund.succeeded":
            fields |= {
                "out_biz_no": data["refund_no"],
                "refund_fee": yuan(self.refunded_minor(connection, data["trade_no"])),
                "gmt_refund": f"{now}.123",
            }
            fields |= {"gmt_close": now} if status == "TRADE_CLOSED" else {}
        text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
        body = urlencode({**fields, "sign_type": "RSA2", "sign": self.sign(connection, text)}).encode()
        return Letter(body=body, headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})

    def is_taken(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"  # noqa: PLR2004


class AlipayResponder:
    def __init__(self, dialect: AlipayDialect, connection: str, asked: Asked) -> None:
        self._dialect, self._connection, self._context = dialect, connection, asked.context

    def respond(self, answer: Answer) -> Response:
        return self._signed(self._node(answer))

    def respond_badly_signed(self, answer: Answer) -> Response:
        return self._signed(self._node(answer), signature=base64.b64encode(bytes(256)).decode())

    def respond_malformed(self, answer: Answer) -> Response:
        whole = json.dumps(self._node(answer), ensure_ascii=False)
        return self._signed(whole[: len(whole) // 2])

    def respond_of_another(self, answer: Answer) -> Response:
        node = self._node(answer)
        if node["code"] != "10000":
            node = {
                "code": "10000",
                "msg": "Success",
                "refund_status": "REFUND_SUCCESS",
                "trade_status": "TRADE_SUCCESS",
            }
        return self._signed(
            {**node, "refund_status": "REFUND_SUCCESS", "out_trade_no": "OTHER", "out_request_no": "OTHER"}
        )

    def rate_limited(self) -> Response:
        return self.error("40005", "")

    def system_error(self) -> Response:
        return self.error("20000", "aop.ACQ.SYSTEM_ERROR")

    def error(self, code: str, sub_code: str) -> Response:
        return self._signed(_failure(code, sub_code))

    def _node(self, answer: Answer) -> dict[str, Any]:
        method, state = self._context["method"], self._context["state"]
        if answer.status != 200:  # noqa: PLR2004
            if method == "alipay.trade.fastpay.refund.query" and state not in {"NONE", "none"}:
                return self._success({"out_request_no": self._context["refund_no"]})
            return _failure(*REFUSALS[str(answer.body["code"])])
        match method:
            case "alipay.trade.refund":
                return self._success(self._refund(answer))
            case "alipay.trade.fastpay.refund.query":
                return self._success(self._query(answer))
            case "alipay.trade.close":
                is_closed_now = state == "UNPAID"
                return self._success({}) if is_closed_now else _failure("40004", "ACQ.TRADE_STATUS_ERROR")
            case _:
                status, total_minor = self._dialect.trade_status(self._connection, self._context["trade_no"])
                return self._success({"trade_status": status, "total_amount": yuan(total_minor)})

    def _success(self, more: Mapping[str, Any]) -> dict[str, Any]:
        trade_no = self._context["trade_no"]
        common = {"code": "10000", "msg": "Success", "out_trade_no": trade_no}
        return {**common, "trade_no": alipay_number(self._connection, trade_no), **more}

    def _refund(self, answer: Answer) -> dict[str, Any]:
        has_moved = answer.body["status"] == "SUCCESS" and not self._context["is_repeat"]
        shown = {
            "buyer_logon_id": "138****0000",
            "buyer_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5",
            "fund_change": "Y" if has_moved else "N",
            "refund_fee": yuan(self._dialect.refunded_minor(self._connection, self._context["trade_no"])),
        }
        return {**shown, "send_back_fee": yuan(answer.body["amount_minor"])} if has_moved else shown

    def _query(self, answer: Answer) -> dict[str, Any]:
        shown: dict[str, Any] = {"out_request_no": answer.body["refund_no"]}
        if answer.body["status"] != "SUCCESS":
            return shown
        _, total_minor = self._dialect.trade_status(self._connection, answer.body["trade_no"])
        amount = yuan(answer.body["amount_minor"])
        shown |= {"refund_status": "REFUND_SUCCESS", "refund_amount": amount, "total_amount": yuan(total_minor)}
        options = self._context["options"]
        if "gmt_refund_pay" in options:
            at = datetime.fromisoformat(answer.body["final_at"]).timestamp()
            shown["gmt_refund_pay"] = clock_text(at)
        return {**shown, "send_back_fee": amount} if "send_back_fee" in options else shown

    def _signed(self, node: Mapping[str, Any] | str, *, signature: str = "") -> Response:
        """Spaces and line breaks that a second serialisation would lose: the signature is over the bytes, not over the meaning."""
        text = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False, separators=(", ", ":"))
        name = f"{self._context['method'].replace('.', '_')}_response"
        sign = signature or self._dialect.sign(self._connection, text)
        body = f'{{"{name}":{text},"sign":"{sign}"}}'.encode()
        return Response(body, media_type="application/json;charset=utf-8")


def _failure(code: str, sub_code: str) -> dict[str, Any]:
    node = {"code": code, "msg": MESSAGES.get(code, "Invalid Arguments")}
    return {**node, "sub_code": sub_code, "sub_msg": "说明：{原因}"} if sub_code else node


def alipay_number(connection: str, trade_no: str) -> str:
    digest = hashlib.sha256(f"{connection}/{trade_no}".encode()).digest()
    return f"20260101220014{int.from_bytes(digest[:8]) % 10**14:014d}"


def yuan(amount_minor: int) -> str:
    return f"{Decimal(amount_minor) / 100:.2f}"


def fen(given: Any) -> int | None:
    text = str(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else ""
    return int(Decimal(text) * 100) if YUAN.fullmatch(text) else None


def clock_text(at: float) -> str:
    return datetime.fromtimestamp(at, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _parse(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
