"""Message services in their own formats: Alibaba Cloud text messages, WeChat subscribe messages, group chats, Standard Webhooks.

None of them signs its answers.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.dialects.plain import PlainResponder, read_json, reply
from sandbox.keyring import Keyring
from sandbox.world import World

CLOCK_WINDOW_S = 900.0
"""Alibaba Cloud: a request lives 15 minutes."""
ROBOT_WINDOW_S = 3600.0
TOKEN_LIFE_S = 7200
CODE_LENGTH = 16
SEND = "messages.send"


class Silent:
    """Message services do not call back here."""

    repeat_after_s: tuple[float, ...] = ()

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        del connection, event
        return None

    def is_taken(self, status: int, body: bytes) -> bool:
        del status, body
        return True


def message(message_id: str, *, address: str, text: str, channel: str, template: str) -> dict[str, Any]:
    """A call of the world. The audience is not in these formats."""
    return {
        "message_id": message_id,
        "audience": "unknown",
        "channel": channel,
        "template": template,
        "address": address,
        "text": text,
        "params": {},
    }


class AliyunSmsDialect(Silent):
    provider = "aliyun_sms"

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        if path != "/" or request.headers.get("x-acs-action") != "SendSms":
            raise Answered(self._error(404, "InvalidAction.NotFound"), code="InvalidAction.NotFound")
        self._require_signed(connection, request, raw)
        for name in ("PhoneNumbers", "SignName", "TemplateCode"):
            if not query.get(name):
                raise Answered(self._error(400, "isv.INVALID_PARAMETERS"), code="isv.INVALID_PARAMETERS")
        number = query.get("OutId") or secrets.token_hex(8)
        sent = message(
            number,
            address=query["PhoneNumbers"],
            text=query.get("TemplateParam", ""),
            channel="sms",
            template=query["TemplateCode"],
        )
        return Asked(operation=SEND, body=sent)

    def _require_signed(self, connection: str, request: Request, raw: bytes) -> None:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        parts = dict(part.partition("=")[::2] for part in rest.split(","))
        names = parts.get("SignedHeaders", "").split(";")
        at = request.headers.get("x-acs-date", "")
        if scheme != "ACS3-HMAC-SHA256" or not {"host", "x-acs-action", "x-acs-date"} <= set(names):
            raise self._refused(400, "SignatureDoesNotMatch")
        if parts.get("Credential") != self._key_id(connection):
            raise self._refused(404, "InvalidAccessKeyId.NotFound")
        canonical_query = "&".join(
            f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}"
            for k, v in sorted(parse_qsl(request.url.query, keep_blank_values=True))
        )
        content_hash = hashlib.sha256(raw).hexdigest()
        lines = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in sorted(names))
        signed = "\n".join([request.method, "/", canonical_query, lines, ";".join(sorted(names)), content_hash])
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(signed.encode()).hexdigest()
        expected = hmac.new(self._secret(connection).encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, parts.get("Signature", "")):
            raise self._refused(400, "SignatureDoesNotMatch")
        try:
            age_s = abs(self._world.now() - datetime.fromisoformat(at).timestamp())
        except ValueError:
            age_s = CLOCK_WINDOW_S + 1
        if age_s > CLOCK_WINDOW_S:
            raise self._refused(400, "InvalidTimeStamp.Expired")
        if not self._world.take_nonce(connection, request.headers.get("x-acs-signature-nonce", "")):
            raise self._refused(400, "SignatureNonceUsed")

    def _refused(self, status: int, code: str) -> Answered:
        return Answered(self._error(status, code), code=code)

    def _error(self, status: int, code: str) -> Response:
        return reply(status, {"Code": code, "Message": code, "RequestId": secrets.token_hex(16).upper()})

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection, asked

        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            is_sent = answer.status == 200 and answer.body.get("result") == "SENT"  # noqa: PLR2004
            code = "OK" if is_sent else "isv.MOBILE_NUMBER_ILLEGAL"
            body = {"Code": code, "Message": code, "RequestId": secrets.token_hex(16).upper()}
            return 200, {**body, "BizId": str(answer.body.get("reference", ""))} if is_sent else body

        busy = {"Code": "Throttling.User", "Message": "slow down"}
        return PlainResponder(words, busy=(400, busy), broken=(500, {"Code": "InternalError", "Message": "try later"}))

    def _key_id(self, connection: str) -> str:
        return self._keyring.text(connection, "access_key_id", lambda: "LTAI" + secrets.token_hex(8))

    def _secret(self, connection: str) -> str:
        return self._keyring.text(connection, "access_key_secret")

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "access_key_id": self._key_id(connection),
            "access_key_secret": self._secret(connection),
            "sign_name": "演示商城",
            "templates": demo_templates(
                "SMS_{n:09d}", places={"amount": "amount", "estimate": "estimate", "minutes": "minutes"}
            ),
        }


FACTS = (
    "cancelled_unpaid",
    "closed_unpaid",
    "cancelled",
    "in_review",
    "inquiry_received",
    "declined",
    "withdrawn",
    "answered",
    "retained",
    "handed_on",
    "waiting",
    "refuse_at_door",
    "send_back",
    "offer_address_change",
    "offer_partial_cancel",
    "answer_waiting",
    "merchant_asks",
    "merchant_cancels",
    "scam_warning",
    "cash_at_counter",
    "refund_on_its_way",
    "refund_done",
    "restored",
)
OWN_PLACES = {
    "offer_wait": {"time": "promised_at"},
    "offer_faster_dispatch": {"time": "promised_at"},
    "offer_price_protection": {"amount": "amount"},
    "asked_consent": {"paid": "paid", "kept": "kept", "amount": "amount"},
    "satisfaction": {"link": "link"},
    "agent_code": {"code": "code", "minutes": "minutes"},
    "guest_code": {"code": "code", "minutes": "minutes"},
}
"""Facts whose templates name something else than the others do."""


def demo_templates(pattern: str, *, places: Mapping[str, str]) -> dict[str, Any]:
    """The templates a merchant would have had approved, one per fact. `places`: of the facts that have none of their own."""
    wanted = dict.fromkeys(FACTS, places) | OWN_PLACES
    return {
        fact: {"code": pattern.format(n=1000 + n), "params": dict(own)} for n, (fact, own) in enumerate(wanted.items())
    }


class WechatSubscribeDialect(Silent):
    provider = "wechat_subscribe"

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        body = read_json(raw)
        if path == "/cgi-bin/stable_token":
            raise Answered(self._token_answer(connection, body), code="stable_token")
        if path != "/cgi-bin/message/subscribe/send":
            raise Answered(Response(status_code=404), code="NO_SUCH_CALL")
        if request.query_params.get("access_token") != self._token(connection):
            raise self._refused(40001, "invalid credential")
        for name, kind in (("touser", str), ("template_id", str), ("data", dict)):
            if not isinstance(body.get(name), kind) or not body[name]:
                raise self._refused(40003 if name == "touser" else 40037, name)
        for place, value in body["data"].items():
            text = value.get("value") if isinstance(value, dict) else None
            if not isinstance(text, str) or not text or (place.startswith("thing") and len(text) > 20):  # noqa: PLR2004
                raise self._refused(47003, f"argument invalid! data.{place}.value invalid")
        text = " ".join(f"{place}={value['value']}" for place, value in body["data"].items())
        sent = message(
            secrets.token_hex(8), address=body["touser"], text=text, channel="wechat", template=body["template_id"]
        )
        return Asked(operation=SEND, body=sent)

    def _token_answer(self, connection: str, body: Mapping[str, Any]) -> Response:
        if body.get("grant_type") != "client_credential" or body.get("appid") != self._app_id(connection):
            return reply(200, {"errcode": 40013, "errmsg": "invalid appid"})
        if body.get("secret") != self._keyring.text(connection, "app_secret"):
            return reply(200, {"errcode": 40125, "errmsg": "invalid appsecret"})
        return reply(200, {"access_token": self._token(connection), "expires_in": TOKEN_LIFE_S})

    def _refused(self, code: int, text: str) -> Answered:
        return Answered(reply(200, {"errcode": code, "errmsg": text}), code=str(code))

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection, asked

        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            if answer.status == 200 and answer.body.get("result") == "SENT":  # noqa: PLR2004
                return 200, {"errcode": 0, "errmsg": "ok", "msgid": int(secrets.token_hex(6), 16)}
            return 200, {"errcode": 43101, "errmsg": "user refuse to accept the msg"}

        return PlainResponder(
            words,
            busy=(200, {"errcode": 45009, "errmsg": "reach max api daily quota limit"}),
            broken=(200, {"errcode": -1, "errmsg": "system error"}),
        )

    def _app_id(self, connection: str) -> str:
        return self._keyring.text(connection, "app_id", lambda: "wx" + secrets.token_hex(8))

    def _token(self, connection: str) -> str:
        return self._keyring.text(connection, "access_token", lambda: secrets.token_urlsafe(48))

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "app_id": self._app_id(connection),
            "app_secret": self._keyring.text(connection, "app_secret"),
            "templates": demo_templates("tmpl-{n}", places={"amount1": "amount", "thing2": "estimate"}),
        }


class WebhookDialect(Silent):
    provider = "webhook"

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        del path
        number, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        key = base64.b64decode(self._secret(connection).removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, f"{number}.{at}.".encode() + raw, hashlib.sha256).digest()).decode()
        given = request.headers.get("webhook-signature", "").split()
        if f"v1,{expected}" not in given or not at.isdigit() or abs(self._world.now() - int(at)) > 300:  # noqa: PLR2004
            raise Answered(Response(status_code=401), code="SIGN_ERROR")
        data = read_json(raw).get("data")
        if not isinstance(data, dict):
            raise Answered(Response(status_code=422), code="MALFORMED")
        kind = str(read_json(raw).get("type", ""))
        sent = message(number, address=str(data["address"]), text=str(data["text"]), channel="webhook", template=kind)
        return Asked(operation=SEND, body=sent)

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection, asked

        def words(answer: Answer) -> tuple[int, dict[str, Any]]:
            return (200 if answer.body.get("result") == "SENT" else 410), {}

        return PlainResponder(words, busy=(429, {}), broken=(500, {}))

    def _secret(self, connection: str) -> str:
        return self._keyring.text(
            connection, "secret", lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        )

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "secret": self._secret(connection),
            "channel": connection,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotWords:
    """How one group chat's robot is addressed and answers."""

    provider: str
    base_path: str
    token_in: str
    """Name of the query field that carries the token, or empty: it is the last part of the path."""
    code_field: str
    text_of: Callable[[Mapping[str, Any]], object]
    bad_token: int
    bad_sign: int
    too_often: int
    refused: int


DINGTALK = RobotWords(
    provider="dingtalk",
    base_path="/robot/send",
    token_in="access_token",  # noqa: S106 - a field's name
    code_field="errcode",
    text_of=lambda body: body.get("text", {}).get("content"),
    bad_token=300001,
    bad_sign=310000,
    too_often=130101,
    refused=400013,
)
WECOM = RobotWords(
    provider="wecom",
    base_path="/cgi-bin/webhook/send",
    token_in="key",  # noqa: S106 - a field's name
    code_field="errcode",
    text_of=lambda body: body.get("text", {}).get("content"),
    bad_token=93000,
    bad_sign=93000,
    too_often=45009,
    refused=93000,
)
FEISHU = RobotWords(
    provider="feishu",
    base_path="/open-apis/bot/v2/hook",
    token_in="",
    code_field="code",
    text_of=lambda body: body.get("content", {}).get("text"),
    bad_token=19001,
    bad_sign=19021,
    too_often=11232,
    refused=19024,
)


class RobotDialect(Silent):
    def __init__(self, words: RobotWords, world: World, keyring: Keyring) -> None:
        self.provider = words.provider
        self._words, self._world, self._keyring = words, world, keyring

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        words = self._words
        token = request.query_params.get(words.token_in) if words.token_in else path.rpartition("/")[2]
        base = path if words.token_in else path.rpartition("/")[0]
        if base != words.base_path:
            raise Answered(Response(status_code=404), code="NO_SUCH_CALL")
        body = read_json(raw)
        if token != self._token(connection):
            raise self._refused(words.bad_token)
        if not self._is_signed(connection, request, body):
            raise self._refused(words.bad_sign)
        text = words.text_of(body)
        if not isinstance(text, str) or not text:
            raise self._refused(words.refused)
        sent = message(secrets.token_hex(8), address="", text=text, channel=words.provider, template="text")
        return Asked(operation=SEND, body=sent)

    def _is_signed(self, connection: str, request: Request, body: Mapping[str, Any]) -> bool:
        secret = self._secret(connection)
        if self._words.provider == "dingtalk":
            at, given = request.query_params.get("timestamp", ""), request.query_params.get("sign", "")
            expected = hmac.new(secret.encode(), f"{at}\n{secret}".encode(), hashlib.sha256).digest()
            age_s = abs(self._world.now() - int(at) / 1000) if at.isdigit() else ROBOT_WINDOW_S + 1
        elif self._words.provider == "feishu":
            at, given = str(body.get("timestamp", "")), str(body.get("sign", ""))
            expected = hmac.new(f"{at}\n{secret}".encode(), b"", hashlib.sha256).digest()
            age_s = abs(self._world.now() - int(at)) if at.isdigit() else ROBOT_WINDOW_S + 1
        else:
            return True
        return age_s <= ROBOT_WINDOW_S and hmac.compare_digest(base64.b64encode(expected).decode(), given)

    def _refused(self, code: int) -> Answered:
        return Answered(self._answer(code), code=str(code))

    def _answer(self, code: int) -> Response:
        text = "errmsg" if self._words.code_field == "errcode" else "msg"
        return reply(200, {self._words.code_field: code, text: "ok" if code == 0 else "error"})

    def responder(self, connection: str, asked: Asked) -> PlainResponder:
        del connection, asked
        field, words = self._words.code_field, self._words

        def said(answer: Answer) -> tuple[int, dict[str, Any]]:
            return 200, {field: 0 if answer.body.get("result") == "SENT" else words.refused}

        return PlainResponder(said, busy=(200, {field: words.too_often}), broken=(500, {}))

    def _token(self, connection: str) -> str:
        return self._keyring.text(connection, "token")

    def _secret(self, connection: str) -> str:
        return self._keyring.text(connection, "secret", lambda: "SEC" + secrets.token_hex(16))

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        row = {"provider": self.provider, "base_url": base_url, "token": self._token(connection)}
        return row if self._words is WECOM else {**row, "secret": self._secret(connection)}
