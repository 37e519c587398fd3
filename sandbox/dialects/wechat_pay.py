"""WeChat Pay APIv3, played from its documentation (pay.weixin.qq.com/doc/v3): every answer and notice is signed and, where WeChat does, encrypted.

`trade_no` of the world is the merchant's out_trade_no; transaction_id and refund_id are derived. Public-key mode: the platform key has a
PUB_KEY_ID_. The prefix /c/{connection} is not part of what is signed, as with any proxy in front of WeChat.
"""

import base64
import json
import re
import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.dialects.wechat_pay_format import beijing, dump, parse, raw_path, transaction_id
from sandbox.keyring import Keyring
from sandbox.payment import find_refund
from sandbox.world import World

SCHEME = "WECHATPAY2-SHA256-RSA2048"
REPEAT_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
SKEW_S = 300
PARTIAL_REFUNDS_MAX = 50
WINDOW_S = 365 * 86400
NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
TRADE_NUMBER_LENGTH_MAX = 32
REASON_BYTES_MAX = 80
AUTHORIZATION = re.compile(r'(\w+)="([^"]*)"')
REFUND_PATH = re.compile(r"/v3/refund/domestic/refunds(?:/(?P<no>[^/]+))?")
ABNORMAL_PATH = re.compile(r"/v3/refund/domestic/refunds/(?P<no>[^/]+)/apply-abnormal-refund")
TRADE_PATH = re.compile(r"/v3/pay/transactions/out-trade-no/(?P<no>[^/]+?)(?P<close>/close)?")
REFUSALS = {
    "PARAM_ERROR": (400, "PARAM_ERROR"),
    "NOT_FOUND": (404, "RESOURCE_NOT_EXISTS"),
    "NUMBER_REUSED": (400, "INVALID_REQUEST"),
    "NOT_ENOUGH": (403, "NOT_ENOUGH"),
    "OVER_REFUND": (400, "INVALID_REQUEST"),
    "NOT_PAID": (404, "RESOURCE_NOT_EXISTS"),
    "TRADE_CLOSED": (404, "RESOURCE_NOT_EXISTS"),
    "NOT_ABNORMAL": (400, "INVALID_REQUEST"),
    "RATE_LIMITED": (429, "FREQUENCY_LIMITED"),
    "SYSTEM_ERROR": (500, "SYSTEM_ERROR"),
}
EVENTS = {
    "refund.succeeded": ("REFUND.SUCCESS", "SUCCESS"),
    "refund.closed": ("REFUND.CLOSED", "CLOSED"),
    "refund.abnormal": ("REFUND.ABNORMAL", "ABNORMAL"),
}
TRADE_WORDS = {"UNPAID": "NOTPAY", "PAID": "SUCCESS", "CLOSED": "CLOSED"}
RESULT_WORDS = {"SUCCESS": "success_time"}


class WeChatPayDialect:
    provider = "wechat_pay"
    repeat_after_s: tuple[float, ...] = REPEAT_AFTER_S

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def mchid(self, connection: str) -> str:
        return self._keyring.text(connection, "mchid", lambda: f"19{secrets.randbelow(10**8):08d}")

    def merchant_serial(self, connection: str) -> str:
        return self._keyring.text(connection, "merchant_serial", lambda: secrets.token_hex(20).upper())

    def public_key_id(self, connection: str) -> str:
        return self._keyring.text(
            connection, "public_key_id", lambda: f"PUB_KEY_ID_0119{secrets.token_hex(16).upper()}"
        )

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "mchid": self.mchid(connection),
            "merchant_serial_no": self.merchant_serial(connection),
            "merchant_private_key": self._keyring.private_pem(connection, "merchant"),
            "platform_keys": {self.public_key_id(connection): self._keyring.public_pem(connection, "platform")},
            "api_v3_key": self._keyring.text(connection, "api_v3_key", lambda: secrets.token_hex(16)),
        }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        responder = WeChatPayResponder(self, connection, operation="")
        if not self._is_genuine(connection, request, path, raw):
            raise Answered(responder.error(401, "SIGN_ERROR", "签名错误"), code="SIGN_ERROR")
        serial = request.headers.get("wechatpay-serial", "")
        if serial and serial != self.public_key_id(connection):
            raise Answered(responder.error(400, "PARAM_ERROR", "Wechatpay-Serial"), code="PARAM_ERROR")
        body = parse(raw) if request.method == "POST" else {}
        if body is None:
            raise Answered(responder.error(400, "PARAM_ERROR", "JSON"), code="PARAM_ERROR")
        asked = self._understand(connection, request, path, body)
        if asked is None:
            raise Answered(responder.error(404, "RESOURCE_NOT_EXISTS", path), code="NO_SUCH_CALL")
        if asked.operation == "payment.refund":
            self._check_limits(connection, asked.body)
        return asked

    def _is_genuine(self, connection: str, request: Request, path: str, raw: bytes) -> bool:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = dict(AUTHORIZATION.findall(rest))
        if scheme != SCHEME or not given.get("timestamp", "").isdigit():
            return False
        whose = (given.get("mchid"), given.get("serial_no"))
        if whose != (self.mchid(connection), self.merchant_serial(connection)):
            return False
        if abs(self._world.now() - int(given["timestamp"])) > SKEW_S:
            return False
        sent_path = raw_path(request, connection) or path
        signed = f"{request.method}\n{sent_path}\n{given['timestamp']}\n{given.get('nonce_str', '')}\n".encode()
        key = self._keyring.private_key(connection, "merchant").public_key()
        try:
            key.verify(
                base64.b64decode(given.get("signature", "")), signed + raw + b"\n", padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def _understand(self, connection: str, request: Request, path: str, body: Mapping[str, Any]) -> Asked | None:
        if match := ABNORMAL_PATH.fullmatch(path):
            return self._read_elsewhere(connection, body, match["no"]) if request.method == "POST" else None
        if match := REFUND_PATH.fullmatch(path):
            if match["no"] is None:
                return self._read_refund(connection, body) if request.method == "POST" else None
            return self._about_refund(connection, "payment.refund_query", unquote(match["no"]))
        if match := TRADE_PATH.fullmatch(path):
            operation = "payment.close" if match["close"] else "payment.trade_query"
            mchid = body.get("mchid") if match["close"] else request.query_params.get("mchid")
            if (request.method == "POST") != bool(match["close"]):
                return None
            if mchid != self.mchid(connection):
                refused = WeChatPayResponder(self, connection, operation="").error(400, "PARAM_ERROR", "mchid")
                raise Answered(refused, code="PARAM_ERROR")
            return Asked(operation=operation, body={"trade_no": unquote(match["no"])})
        return None

    def _read_refund(self, connection: str, body: Mapping[str, Any]) -> Asked:
        amount, number = body.get("amount"), body.get("out_refund_no")
        trade_no = body.get("out_trade_no") or self._trade_of(connection, body.get("transaction_id"))
        reason = body.get("reason", "")
        notify_url = body.get("notify_url", "http://none")
        if (
            not isinstance(amount, dict)
            or not isinstance(number, str)
            or not NUMBER.fullmatch(number)
            or not isinstance(trade_no, str)
            or not isinstance(reason, str)
            or len(reason.encode()) > REASON_BYTES_MAX
            or "?" in str(notify_url)
            or not str(notify_url).startswith("http")
        ):
            refused = WeChatPayResponder(self, connection, operation="").error(400, "PARAM_ERROR", "参数错误")
            raise Answered(refused, code="PARAM_ERROR")
        return Asked(
            operation="payment.refund",
            body={
                "trade_no": trade_no,
                "refund_no": number,
                "amount_minor": amount.get("refund"),
                "total_minor": amount.get("total"),
                "currency": amount.get("currency", ""),
                "reason": reason,
            },
        )

    def _read_elsewhere(self, connection: str, body: Mapping[str, Any], refund_id: str) -> Asked:
        number = body.get("out_refund_no")
        found = find_refund(self._world, connection, number) if isinstance(number, str) else None
        is_user_card = body.get("type") == "USER_BANK_CARD"
        if (
            found is None
            or found["reference"] != refund_id
            or body.get("type") not in {"USER_BANK_CARD", "MERCHANT_BANK_CARD"}
            or (is_user_card and not self._is_account_readable(connection, body))
        ):
            refused = WeChatPayResponder(self, connection, operation="").error(400, "PARAM_ERROR", "参数错误")
            raise Answered(refused, code="PARAM_ERROR")
        return self._about_refund(connection, "payment.refund_elsewhere", str(number))

    def _is_account_readable(self, connection: str, body: Mapping[str, Any]) -> bool:
        """Encrypted for us, and something in it. What it is, nobody keeps."""
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
        key = self._keyring.private_key(connection, "platform")
        try:
            opened = [key.decrypt(base64.b64decode(body[name]), oaep) for name in ("bank_account", "real_name")]
        except (KeyError, TypeError, ValueError):
            return False
        return all(opened) and isinstance(body.get("bank_type"), str)

    def _about_refund(self, connection: str, operation: str, number: str) -> Asked:
        """WeChat finds a refund by its number alone; the world wants to hear the trade as well."""
        found = find_refund(self._world, connection, number)
        return Asked(
            operation=operation,
            body={"refund_no": number, "trade_no": found["trade_no"] if found is not None else "none"},
        )

    def _trade_of(self, connection: str, given: Any) -> str | None:
        rows = self._world.ledger.all("SELECT trade_no FROM trades WHERE connection = ?", connection)
        return next((str(r["trade_no"]) for r in rows if transaction_id(connection, r["trade_no"]) == given), None)

    def _check_limits(self, connection: str, body: Mapping[str, Any]) -> None:
        """At most 50 refunds of one order, within a year of its payment; a number that is known is answered whatever the date."""
        if find_refund(self._world, connection, body["refund_no"]) is not None:
            return
        ledger, named = self._world.ledger, (connection, body["trade_no"])
        refunds = ledger.number("SELECT count(*) FROM refunds WHERE connection = ? AND trade_no = ?", *named)
        trade = ledger.one("SELECT paid_at FROM trades WHERE connection = ? AND trade_no = ?", *named)
        paid_at = trade["paid_at"] if trade is not None else None
        is_old = paid_at is not None and self._world.now() - paid_at > WINDOW_S
        if refunds >= PARTIAL_REFUNDS_MAX or is_old:
            responder = WeChatPayResponder(self, connection, operation="")
            raise Answered(responder.error(400, "INVALID_REQUEST", "订单已超期或退款次数过多"), code="INVALID_REQUEST")

    def responder(self, connection: str, asked: Asked) -> "WeChatPayResponder":
        return WeChatPayResponder(self, connection, operation=asked.operation)

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        plain, event_type, original = self._notice(connection, event)
        if not event_type:
            return None
        nonce, bound = secrets.token_hex(6), original
        cipher = AESGCM(self._keyring.text(connection, "api_v3_key", lambda: secrets.token_hex(16)).encode())
        sealed = cipher.encrypt(nonce.encode(), json.dumps(plain, ensure_ascii=False).encode(), bound.encode())
        body = json.dumps(
            {
                "id": event["event_id"],
                "create_time": beijing(event["created_at"]),
                "resource_type": "encrypt-resource",
                "event_type": event_type,
                "summary": event_type.lower(),
                "resource": {
                    "original_type": original,
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "nonce": nonce,
                    "associated_data": bound,
                },
            },
            ensure_ascii=False,
        ).encode()
        headers = {**self.signature_headers(connection, body), "Content-Type": "application/json"}
        if self._is_signature_test(connection, event):
            headers["Wechatpay-Signature"] = f"WECHATPAY/SIGNTEST/{headers['Wechatpay-Signature']}"
        return Letter(body=body, headers=headers)

    def _notice(self, connection: str, event: Mapping[str, Any]) -> tuple[dict[str, Any], str, str]:
        data = event["data"]
        common = {
            "mchid": self.mchid(connection),
            "out_trade_no": data["trade_no"],
            "transaction_id": transaction_id(connection, data["trade_no"]),
        }
        if event["type"] == "trade.paid":
            amount = {"total": data["amount_minor"], "payer_total": data["amount_minor"], "currency": data["currency"]}
            paid = {"trade_state": "SUCCESS", "success_time": beijing(event["created_at"]), "amount": amount}
            return {**common, **paid, "trade_type": "JSAPI"}, "TRANSACTION.SUCCESS", "transaction"
        event_type, status = EVENTS.get(event["type"], ("", ""))
        refund = find_refund(self._world, connection, data.get("refund_no", ""))
        if refund is None or not event_type:
            return {}, "", ""
        amounts = self.amounts(connection, refund)
        plain = {
            **common,
            "refund_id": refund["reference"],
            "out_refund_no": refund["refund_no"],
            "refund_status": status,
            "user_received_account": "招商银行信用卡0403",
            "amount": {name: amounts[name] for name in ("total", "refund", "payer_total", "payer_refund")},
        }
        if status in RESULT_WORDS:
            plain[RESULT_WORDS[status]] = beijing(refund["final_at"] or event["created_at"])
        return plain, event_type, "refund"

    def _is_signature_test(self, connection: str, event: Mapping[str, Any]) -> bool:
        """Only the first time: whoever refuses it gets the true one next."""
        waiting = self._world.ledger.one(
            "SELECT subject, attempts FROM callbacks WHERE event_id = ?", event["event_id"]
        )
        dialled = waiting is not None and self._world.ledger.one(
            "SELECT 1 FROM callback_faults WHERE connection = ? AND subject = ? AND fault = 'callback_signtest'",
            *(connection, waiting["subject"]),
        )
        return bool(dialled) and waiting is not None and waiting["attempts"] == 0

    def is_taken(self, status: int, body: bytes) -> bool:
        del body
        return status in {200, 204}

    def amounts(self, connection: str, refund: sqlite3.Row) -> dict[str, Any]:
        trade = self._world.ledger.one(
            "SELECT amount_minor FROM trades WHERE connection = ? AND trade_no = ?", connection, refund["trade_no"]
        )
        total, asked_minor = trade["amount_minor"] if trade is not None else 0, refund["amount_minor"]
        return {
            "total": total,
            "refund": asked_minor,
            "payer_total": total,
            "payer_refund": asked_minor,
            "settlement_total": total,
            "settlement_refund": asked_minor,
            "discount_refund": 0,
            "currency": refund["currency"],
        }

    def refund_body(self, connection: str, refund_no: str) -> dict[str, Any]:
        refund = find_refund(self._world, connection, refund_no)
        if refund is None:
            raise KeyError(refund_no)
        body = {
            "refund_id": refund["reference"],
            "out_refund_no": refund["refund_no"],
            "transaction_id": transaction_id(connection, refund["trade_no"]),
            "out_trade_no": refund["trade_no"],
            "channel": "ORIGINAL",
            "user_received_account": "招商银行信用卡0403",
            "create_time": beijing(self._world.instant()),
            "status": refund["status"],
            "funds_account": "AVAILABLE",
            "amount": self.amounts(connection, refund),
            "promotion_detail": [],
        }
        return {**body, "success_time": beijing(refund["final_at"])} if refund["status"] == "SUCCESS" else body

    def signature_headers(self, connection: str, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(self._world.now())), secrets.token_hex(16)
        signed = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self._keyring.private_key(connection, "platform").sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": self.public_key_id(connection),
            "Wechatpay-Signature-Type": SCHEME,
            "Request-ID": f"08{secrets.token_hex(12).upper()}-0",
        }


class WeChatPayResponder:
    def __init__(self, dialect: WeChatPayDialect, connection: str, *, operation: str) -> None:
        self._dialect, self._connection, self._operation = dialect, connection, operation

    def respond(self, answer: Answer) -> Response:
        if answer.status != 200:  # noqa: PLR2004
            status, code = REFUSALS[str(answer.body["code"])]
            return self.error(status, code, str(answer.body["message"]))
        if self._operation == "payment.close":
            is_paid = answer.body["state"] == "PAID"
            return self.error(400, "ORDER_PAID", "订单已支付") if is_paid else self._signed(204, b"")
        return self._signed(200, dump(self._body(answer)))

    def respond_badly_signed(self, answer: Answer) -> Response:
        response = self.respond(answer)
        response.headers["Wechatpay-Signature"] = base64.b64encode(bytes(256)).decode()
        return response

    def respond_malformed(self, answer: Answer) -> Response:
        whole = bytes(self.respond(answer).body)
        return self._signed(answer.status, whole[: len(whole) // 2] or b"{")

    def respond_of_another(self, answer: Answer) -> Response:
        if answer.status != 200:  # noqa: PLR2004
            return self._signed(200, dump({"out_refund_no": "OTHER", "out_trade_no": "OTHER", "status": "SUCCESS"}))
        body = {} if self._operation == "payment.close" else self._body(answer)
        return self._signed(200, dump({**body, "out_refund_no": "OTHER", "out_trade_no": "OTHER"}))

    def rate_limited(self) -> Response:
        return self.error(429, "FREQUENCY_LIMITED", "频率超限")

    def system_error(self) -> Response:
        return self.error(500, "SYSTEM_ERROR", "系统错误")

    def error(self, status: int, code: str, message: str) -> Response:
        return self._signed(status, dump({"code": code, "message": message}))

    def _body(self, answer: Answer) -> dict[str, Any]:
        if self._operation != "payment.trade_query":
            return self._dialect.refund_body(self._connection, answer.body["refund_no"])
        told, trade_no = answer.body, answer.body["trade_no"]
        is_returned = told["state"] == "PAID" and told["refunded_minor"] > 0
        amount = {"total": told["amount_minor"], "payer_total": told["amount_minor"], "currency": told["currency"]}
        body = {
            "mchid": self._dialect.mchid(self._connection),
            "out_trade_no": trade_no,
            "trade_state": "REFUND" if is_returned else TRADE_WORDS[told["state"]],
            "amount": amount,
        }
        if told["state"] == "PAID":
            body["transaction_id"] = transaction_id(self._connection, trade_no)
        return body

    def _signed(self, status: int, body: bytes) -> Response:
        headers = self._dialect.signature_headers(self._connection, body)
        media_type = "application/json" if body else None
        return Response(body, status_code=status, headers=headers, media_type=media_type)
