"""Text messages by Alibaba Cloud (Dysmsapi 2017-05-25, SendSms), signed with ACS3-HMAC-SHA256.

Sources: help.aliyun.com, "V3 request structure and signature"; "SendSms". The service removes no repeats, so a message in doubt is not sent twice.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.fields import Malformed, parse_object, read_answer, read_text
from unwind.adapters.notifier.templates import NO_TEMPLATE, Template, fill
from unwind.adapters.outbound import Reply, code_of
from unwind.adapters.provider import Connected, PartyKind, Provider, ProviderSettings, Surroundings, outbound_of
from unwind.adapters.refusals import ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall

ALGORITHM = "ACS3-HMAC-SHA256"
VERSION = "2017-05-25"
OK = "OK"
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "isv.BUSINESS_LIMIT_CONTROL": OutcomeKind.REFUSED,
    "isv.DAY_LIMIT_CONTROL": OutcomeKind.REFUSED,
    "isv.MONTH_LIMIT_CONTROL": OutcomeKind.REFUSED,
    "isv.MOBILE_NUMBER_ILLEGAL": OutcomeKind.REFUSED,
    "isv.MOBILE_COUNT_OVER_LIMIT": OutcomeKind.REFUSED,
    "isv.BLACK_KEY_CONTROL_LIMIT": OutcomeKind.REFUSED,
    "isv.PARAM_LENGTH_LIMIT": OutcomeKind.REFUSED,
    "isv.PARAM_NOT_SUPPORT_URL": OutcomeKind.REFUSED,
    "isv.INVALID_PARAMETERS": OutcomeKind.REFUSED,
    "isv.INVALID_JSON_PARAM": OutcomeKind.REFUSED,
    "isv.TEMPLATE_MISSING_PARAMETERS": OutcomeKind.REFUSED,
    "isv.TEMPLATE_PARAMS_ILLEGAL": OutcomeKind.REFUSED,
    "isv.SMS_TEMPLATE_ILLEGAL": OutcomeKind.REFUSED,
    "isv.SMS_SIGNATURE_ILLEGAL": OutcomeKind.REFUSED,
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": OutcomeKind.REFUSED,
    "isv.ACCOUNT_NOT_EXISTS": OutcomeKind.REFUSED,
    "isv.ACCOUNT_ABNORMAL": OutcomeKind.REFUSED,
    "isv.AMOUNT_NOT_ENOUGH": OutcomeKind.RETRY_SAME_NUMBER,
    "isv.OUT_OF_SERVICE": OutcomeKind.RETRY_SAME_NUMBER,
    "isv.PRODUCT_UN_SUBSCRIPT": OutcomeKind.REFUSED,
    "isv.PRODUCT_UNSUBSCRIBE": OutcomeKind.REFUSED,
    "isp.RAM_PERMISSION_DENY": OutcomeKind.REFUSED,
    "isp.SYSTEM_ERROR": OutcomeKind.UNKNOWN,
    "Throttling": OutcomeKind.RETRY_SAME_NUMBER,
    "Throttling.User": OutcomeKind.RETRY_SAME_NUMBER,
    "ServiceUnavailable": OutcomeKind.UNKNOWN,
    "InternalError": OutcomeKind.UNKNOWN,
    "SignatureDoesNotMatch": OutcomeKind.REFUSED,
    "SignatureNonceUsed": OutcomeKind.UNKNOWN,
    "InvalidTimeStamp.Expired": OutcomeKind.REFUSED,
    "InvalidAccessKeyId.NotFound": OutcomeKind.REFUSED,
}
CONFIGURATION = frozenset(
    {
        "isv.SMS_TEMPLATE_ILLEGAL",
        "isv.SMS_SIGNATURE_ILLEGAL",
        "isv.TEMPLATE_MISSING_PARAMETERS",
        "isv.TEMPLATE_PARAMS_ILLEGAL",
        "isv.ACCOUNT_NOT_EXISTS",
        "isv.ACCOUNT_ABNORMAL",
        "isv.PRODUCT_UN_SUBSCRIPT",
        "isv.PRODUCT_UNSUBSCRIBE",
        "isp.RAM_PERMISSION_DENY",
        "isv.AMOUNT_NOT_ENOUGH",
        "isv.OUT_OF_SERVICE",
        "SignatureDoesNotMatch",
        "InvalidTimeStamp.Expired",
        "InvalidAccessKeyId.NotFound",
    }
)
"""Not the buyer's doing: somebody has to look at the account or the settings."""
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))


class AliyunSmsSettings(ProviderSettings):
    base_url: str = "https://dysmsapi.aliyuncs.com"
    access_key_id: Annotated[str, Field(min_length=1)]
    access_key_secret: SecretStr
    sign_name: Annotated[str, Field(min_length=1)]
    templates: dict[str, Template]
    channel: str = "sms"


class AliyunSms:
    """Implements ports.notifier.Notifier."""

    resend_is_safe = False

    def __init__(self, settings: AliyunSmsSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self.outbound = outbound_of(settings, around)

    async def send(self, call: MessageCall) -> Outcome:
        template = self._settings.templates.get(call.template)
        if template is None:
            return NO_TEMPLATE
        query = {
            "PhoneNumbers": call.address,
            "SignName": self._settings.sign_name,
            "TemplateCode": template.code,
            "TemplateParam": orjson.dumps(fill(template, call)).decode(),
            "OutId": call.message_id,
        }
        canonical_query = canonical(query)
        headers = self._signed_headers("SendSms", canonical_query)
        reply = await self.outbound.exchange("POST", f"/?{canonical_query}", headers=headers, what="SendSms")
        return reply if isinstance(reply, Outcome) else self._read(reply)

    def _signed_headers(self, action: str, canonical_query: str) -> dict[str, str]:
        at = datetime.fromtimestamp(self._around.clock(), UTC)
        named = {
            "host": urlsplit(self._settings.base_url).netloc,
            "x-acs-action": action,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-acs-date": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": self._around.nonces(),
            "x-acs-version": VERSION,
        }
        secret = self._settings.access_key_secret.get_secret_value()
        signature = sign(secret, method="POST", path="/", query=canonical_query, headers=named)
        signed = ";".join(sorted(named))
        credential = self._settings.access_key_id
        return {
            **named,
            "Authorization": f"{ALGORITHM} Credential={credential},SignedHeaders={signed},Signature={signature}",
        }

    def _read(self, reply: Reply) -> Outcome:
        body = parse_object(reply.body)
        if body is None:
            return self.outbound.malformed("SendSms", http_status=reply.status)
        return read_answer(body, lambda found: self._judge(found, reply.status))

    def _judge(self, body: dict[str, Any], status: int) -> Outcome:
        code = code_of(read_text(body, "Code"))
        if code == OK:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code=code, reference=read_text(body, "BizId", required=False))
        if code == "malformed_code":
            raise Malformed("Code")
        return ERRORS.outcome(self.outbound, "SendSms", code, http_status=status)


def canonical(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))


def sign(secret: str, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Hex HMAC-SHA256 over the hash of the canonical request; `headers` in lower case, all of them signed."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join([method, path, query, lines, ";".join(sorted(headers)), headers["x-acs-content-sha256"]])
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def connect(settings: AliyunSmsSettings, around: Surroundings) -> Connected:
    party = AliyunSms(settings, around)
    return Connected(party=party, close=party.outbound.aclose, channel=settings.channel)


PROVIDER = Provider(
    name="aliyun_sms",
    kind=PartyKind.MESSAGES,
    title="阿里云短信",
    settings=AliyunSmsSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
