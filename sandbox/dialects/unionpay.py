"""UnionPay ACP 5.1.0, played from its SDK and demo comments (open.unionpay.com): hashed twice, with the certificate in every message.

`trade_no` of the world is `orderId:txnTime`; queryId is derived. A refund's number is its orderId, its txnTime and type are kept with it.
The chain root -> intermediate -> signer, and the merchant's PFX, are made for each connection. Codes beside those of the demo's comments
are (unverified).
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.keyring import Keyring
from sandbox.payment import find_refund
from sandbox.world import World

BEIJING = timezone(timedelta(hours=8))
REPEAT_AFTER_S = (60, 120, 240, 480, 960)
"""(unverified)"""
WINDOW_S = 334 * 86400
"""Eleven months."""
CODES = {
    "NOT_FOUND": "34",
    "NUMBER_REUSED": "12",
    # (unverified) from here on
    "PARAM_ERROR": "10",
    "NOT_PAID": "35",
    "TRADE_CLOSED": "35",
    "OVER_REFUND": "36",
    "NOT_ENOUGH": "30",
    "RATE_LIMITED": "37",
}
SIGNATURE_CODE, FAILED_CODE, IN_DOUBT_CODE = "11", "30", "04"
REFUND_CODES = {"SUCCESS": "00", "PROCESSING": "05", "CLOSED": FAILED_CODE, "ABNORMAL": FAILED_CODE}
TRADE_CODES = {"PAID": "00", "UNPAID": FAILED_CODE, "CLOSED": FAILED_CODE}
NOTICE_CODES = {
    "refund.succeeded": "00",
    "refund.closed": FAILED_CODE,
    "refund.abnormal": FAILED_CODE,
    "trade.paid": "00",
}
BACK_PATH, QUERY_PATH = "/gateway/api/backTransReq.do", "/gateway/api/queryTrans.do"
ECHOED = ("version", "encoding", "bizType", "txnType", "txnSubType", "accessType", "merId", "orderId", "txnTime")
NEEDED = {*ECHOED, "signMethod", "certId", "signature"}


class UnionPayDialect:
    provider = "unionpay"
    repeat_after_s: tuple[float, ...] = REPEAT_AFTER_S

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def mer_id(self, connection: str) -> str:
        return self._keyring.text(connection, "mer_id", lambda: f"777290058{secrets.randbelow(10**6):06d}")

    def certificate(self, connection: str, name: str) -> x509.Certificate:
        """root, intermediate, signer or merchant."""
        return x509.load_pem_x509_certificate(self.certificate_pem(connection, name).encode())

    def certificate_pem(self, connection: str, name: str) -> str:
        return self._keyring.text(connection, f"certificate/{name}", lambda: self._issue(connection, name))

    def _issue(self, connection: str, name: str) -> str:
        common_name, issuer = {
            "root": ("Sandbox Financial Root", "root"),
            "intermediate": ("Sandbox Financial CA", "root"),
            "signer": ("041@sandbox@中国银联股份有限公司@00000001", "intermediate"),
            "merchant": ("041@sandbox@merchant@00000002", "intermediate"),
        }[name]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        issued_by = subject if issuer == name else self.certificate(connection, issuer).subject
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issued_by)
            .public_key(self._keyring.private_key(connection, name).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=name in {"root", "intermediate"}, path_length=None), critical=True)
        )
        made = builder.sign(self._keyring.private_key(connection, issuer), hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def _pfx(self, connection: str) -> str:
        raw = pkcs12.serialize_key_and_certificates(
            b"merchant",
            self._keyring.private_key(connection, "merchant"),
            self.certificate(connection, "merchant"),
            None,
            serialization.BestAvailableEncryption(self.pfx_password(connection).encode()),
        )
        return base64.b64encode(raw).decode()

    def pfx_password(self, connection: str) -> str:
        return self._keyring.text(connection, "pfx_password", lambda: secrets.token_hex(8))

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "mer_id": self.mer_id(connection),
            "merchant_pfx": self._keyring.text(connection, "pfx", lambda: self._pfx(connection)),
            "merchant_pfx_password": self.pfx_password(connection),
            "root_certificates": self.certificate_pem(connection, "root"),
            "intermediate_certificates": self.certificate_pem(connection, "intermediate"),
        }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        if path not in {BACK_PATH, QUERY_PATH} or request.method != "POST":
            raise Answered(Response(status_code=404), code="NO_SUCH_CALL")
        given = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        responder = UnionPayResponder(self, connection, Asked(operation="", body={}, context={"given": given}))
        if not given.keys() >= NEEDED or given["merId"] != self.mer_id(connection):
            raise Answered(responder.error(CODES["PARAM_ERROR"]), code="PARAM_ERROR")
        if not self._is_genuine(connection, given):
            raise Answered(responder.error(SIGNATURE_CODE), code="SIGN_ERROR")
        kind = (given["txnType"], given["txnSubType"])
        if path == QUERY_PATH and kind == ("00", "00"):
            return self._understand_query(connection, given)
        if path == BACK_PATH and kind in {("04", "00"), ("31", "00")}:
            return self._understand_refund(connection, given, responder)
        raise Answered(responder.error(CODES["PARAM_ERROR"]), code="PARAM_ERROR")

    def _is_genuine(self, connection: str, given: Mapping[str, str]) -> bool:
        certificate = self.certificate(connection, "merchant")
        if given["certId"] != str(certificate.serial_number) or given["signMethod"] != "01":
            return False
        key = self._keyring.private_key(connection, "merchant").public_key()
        try:
            signature = base64.b64decode(given["signature"])
            key.verify(signature, prehash(given), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _understand_query(self, connection: str, given: Mapping[str, str]) -> Asked:
        order_id, txn_time = given["orderId"], given["txnTime"]
        trade_no = f"{order_id}:{txn_time}"
        if self.trade(connection, trade_no) is not None:
            return Asked(operation="payment.trade_query", body={"trade_no": trade_no}, context={"given": given})
        refund = find_refund(self._world, connection, order_id)
        is_meant = refund is not None and refund["detail"].partition(":")[0] in {"", txn_time}
        body = {"refund_no": order_id, "trade_no": "none"}
        if refund is not None and is_meant:
            body["trade_no"] = refund["trade_no"]
        return Asked(operation="payment.refund_query", body=body, context={"given": given})

    def _understand_refund(self, connection: str, given: Mapping[str, str], responder: "UnionPayResponder") -> Asked:
        amount, original = given.get("txnAmt", ""), given.get("origQryId", "")
        if not amount.isdigit() or not original or not given.get("backUrl") or given.get("currencyCode") != "156":
            raise Answered(responder.error(CODES["PARAM_ERROR"]), code="PARAM_ERROR")
        rows = self._world.ledger.all("SELECT trade_no FROM trades WHERE connection = ?", connection)
        trade_no = next((r["trade_no"] for r in rows if query_id(connection, r["trade_no"]) == original), "none")
        trade = self.trade(connection, trade_no)
        is_known = find_refund(self._world, connection, given["orderId"]) is not None
        if trade is not None and not is_known and not self._is_in_time(given, trade):
            raise Answered(responder.error(CODES["NOT_PAID"]), code="OUT_OF_WINDOW")
        return Asked(
            operation="payment.refund",
            body={
                "trade_no": trade_no,
                "refund_no": given["orderId"],
                "amount_minor": int(amount),
                "total_minor": trade["amount_minor"] if trade is not None else int(amount),
                "currency": "CNY",
                "detail": f"{given['txnTime']}:{given['txnType']}",
            },
            context={"given": given},
        )

    def _is_in_time(self, given: Mapping[str, str], trade: Any) -> bool:
        """A void: in full, on the clearing day of the payment. A refund: eleven months."""
        paid_at = trade["paid_at"] if trade["paid_at"] is not None else self._world.now()
        if given["txnType"] == "04":
            return self._world.now() - paid_at <= WINDOW_S
        is_today = clearing_day(paid_at) == clearing_day(self._world.now())
        return is_today and int(given["txnAmt"]) == trade["amount_minor"]

    def trade(self, connection: str, trade_no: str) -> Any:
        return self._world.ledger.one(
            "SELECT * FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no
        )

    def refund_of(self, connection: str, refund_no: str) -> Any:
        return find_refund(self._world, connection, refund_no)

    def responder(self, connection: str, asked: Asked) -> "UnionPayResponder":
        return UnionPayResponder(self, connection, asked)

    def signed(self, connection: str, fields: Mapping[str, str]) -> dict[str, str]:
        certificate = self.certificate_pem(connection, "signer")
        whole = {name: value for name, value in fields.items() if value} | {
            "signMethod": "01",
            "signPubKeyCert": certificate,
        }
        key = self._keyring.private_key(connection, "signer")
        signature = key.sign(prehash(whole), padding.PKCS1v15(), hashes.SHA256())
        return {**whole, "signature": base64.b64encode(signature).decode()}

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        code, data = NOTICE_CODES.get(event["type"]), event["data"]
        if code is None:
            return None
        fields = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "bizType": "000201",
            "accessType": "0",
            "merId": self.mer_id(connection),
            "txnSubType": "00",
            "txnAmt": str(data["amount_minor"]),
            "currencyCode": "156",
            "settleDate": datetime.fromtimestamp(self._world.now(), BEIJING).strftime("%m%d"),
            "traceNo": f"{int(self._world.now()) % 10**6:06d}",
            "respCode": code,
            "respMsg": "成功[0000000]" if code == "00" else "失败[2040004]",
        }
        if event["type"] == "trade.paid":
            order_id, _, txn_time = data["trade_no"].partition(":")
            fields |= {"txnType": "01", "orderId": order_id, "txnTime": txn_time}
            fields |= {"queryId": query_id(connection, data["trade_no"]), "accNo": "6226 **** 1234"}
        else:
            detail = self.refund_of(connection, data["refund_no"])["detail"]
            txn_time, _, txn_type = detail.partition(":")
            fields |= {
                "txnType": txn_type or "04",
                "orderId": data["refund_no"],
                "txnTime": txn_time or "20260101000000",
            }
            fields |= {"queryId": query_id(connection, data["refund_no"])}
            fields |= {"origQryId": query_id(connection, data["trade_no"])}
        body = urlencode(self.signed(connection, fields)).encode()
        return Letter(body=body, headers={"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"})

    def is_taken(self, status: int, body: bytes) -> bool:
        del body
        return status == 200  # noqa: PLR2004


class UnionPayResponder:
    def __init__(self, dialect: UnionPayDialect, connection: str, asked: Asked) -> None:
        self._dialect, self._connection = dialect, connection
        self._operation, self._given = asked.operation, asked.context["given"]

    def respond(self, answer: Answer) -> Response:
        return self._plain(self._dialect.signed(self._connection, self._fields(answer)))

    def respond_badly_signed(self, answer: Answer) -> Response:
        fields = self._dialect.signed(self._connection, self._fields(answer))
        return self._plain({**fields, "signature": base64.b64encode(bytes(256)).decode()})

    def respond_malformed(self, answer: Answer) -> Response:
        del answer
        return self._plain(self._dialect.signed(self._connection, {"version": "5.1.0", "encoding": "UTF-8"}))

    def respond_of_another(self, answer: Answer) -> Response:
        fields = {**self._fields(answer), "orderId": "OTHER00001", "respCode": "00", "origRespCode": "00"}
        return self._plain(self._dialect.signed(self._connection, fields))

    def rate_limited(self) -> Response:
        """At the door, by whatever stands before the gateway: no code of the gateway's own says so for sure."""
        return Response("too many requests", status_code=429, media_type="text/plain")

    def system_error(self) -> Response:
        return self.error(IN_DOUBT_CODE)

    def error(self, code: str, **more: str) -> Response:
        return self._plain(self._dialect.signed(self._connection, {**self._echo(), **_said(code), **more}))

    def answer_with(self, orig_code: str, **more: str) -> Response:
        """A query that went well, about a transaction that stands like this."""
        fields = {**self._echo(), **_said("00"), "origRespCode": orig_code, "origRespMsg": "说明[2040004]"}
        amounts = {"txnAmt": "234", "currencyCode": "156", "queryId": query_id(self._connection, "any")}
        return self._plain(self._dialect.signed(self._connection, {**fields, **amounts, **more}))

    def _echo(self) -> dict[str, str]:
        return {name: self._given[name] for name in ECHOED if self._given.get(name)}

    def _fields(self, answer: Answer) -> dict[str, str]:
        if answer.status != 200:  # noqa: PLR2004
            return {**self._echo(), **_said(CODES.get(str(answer.body["code"]), IN_DOUBT_CODE))}
        told, common = answer.body, {**self._echo(), **_said("00")}
        common |= {"txnAmt": str(told["amount_minor"]), "currencyCode": "156"}
        number = told["trade_no"] if self._operation == "payment.trade_query" else told["refund_no"]
        common["queryId"] = query_id(self._connection, number)
        match self._operation:
            case "payment.refund":
                return {**common, "origQryId": self._given["origQryId"]}
            case "payment.trade_query":
                return {**common, "origRespCode": TRADE_CODES[told["state"]], "origRespMsg": "说明[0000000]"}
            case _:
                code = REFUND_CODES[told["status"]]
                return {**common, "origRespCode": code, "origRespMsg": "说明[0000000]", "settleDate": "1231"}

    def _plain(self, fields: Mapping[str, str]) -> Response:
        text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
        return Response(text.encode(), media_type="text/html;charset=UTF-8")


def _said(code: str) -> dict[str, str]:
    return {"respCode": code, "respMsg": "成功[0000000]" if code == "00" else "失败[2040004]"}


def prehash(fields: Mapping[str, str]) -> bytes:
    """The hexadecimal text that RSA signs."""
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "signature" and value)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def query_id(connection: str, number: str) -> str:
    digest = hashlib.sha256(f"{connection}/{number}".encode()).digest()
    return f"{int.from_bytes(digest[:9]) % 10**21:021d}"


def clearing_day(at: float) -> str:
    return (datetime.fromtimestamp(at, BEIJING) + timedelta(hours=1)).date().isoformat()
