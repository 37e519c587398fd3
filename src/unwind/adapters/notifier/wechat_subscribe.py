"""Subscribe messages of a WeChat mini program (`subscribe/send`), with the stable access token.

Sources: developers.weixin.qq.com, "subscribeMessage.send" and "getStableAccessToken" (the token end point is unverified here: PROTOCOLS 7).
One consent of the buyer is one message; a refusal hands the fact to the next channel.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.fields import parse_object
from unwind.adapters.notifier.templates import NO_TEMPLATE, Template, fill
from unwind.adapters.outbound import Reply
from unwind.adapters.provider import (
    Connected,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    outbound_of,
    probe_of,
)
from unwind.adapters.refusals import ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall
from unwind.ports.probe import Probe

TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105 - a path
SEND_PATH = "/cgi-bin/message/subscribe/send"
TOKEN_SPARE_S = 300
"""A token is renewed this long before it ends."""
THING_LENGTH_MAX = 20
"""Characters of a `thing`; longer values are refused with 47003."""
TOKEN_CODES = frozenset({"40001", "42001", "40014"})
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "-1": OutcomeKind.RETRY_SAME_NUMBER,
    "40001": OutcomeKind.RETRY_SAME_NUMBER,
    "40003": OutcomeKind.REFUSED,
    "40013": OutcomeKind.REFUSED,
    "40014": OutcomeKind.RETRY_SAME_NUMBER,
    "40037": OutcomeKind.REFUSED,
    "40125": OutcomeKind.REFUSED,
    "41030": OutcomeKind.REFUSED,
    "42001": OutcomeKind.RETRY_SAME_NUMBER,
    "43101": OutcomeKind.REFUSED,
    "45009": OutcomeKind.RETRY_SAME_NUMBER,
    "47003": OutcomeKind.REFUSED,
}
"""-1 busy; 40001/40014/42001 token; 40003 openid; 40013/40125 app; 40037 template; 41030 page; 43101 the buyer refuses; 45009 quota; 47003 data."""
CONFIGURATION = frozenset({"40013", "40037", "40125", "41030", "45009", "47003"})
ERRORS = ErrorTable(kinds=ERROR_KINDS, alerts=dict.fromkeys(CONFIGURATION, "configuration"))


class WechatSubscribeSettings(ProviderSettings):
    base_url: str = "https://api.weixin.qq.com"
    app_id: Annotated[str, Field(min_length=1)]
    app_secret: SecretStr
    templates: dict[str, Template]
    page: str = ""
    """Where a tap on the message leads, within the mini program."""
    channel: str = "wechat"


class WechatSubscribe:
    """Implements ports.notifier.Notifier."""

    resend_is_safe = False

    def __init__(self, settings: WechatSubscribeSettings, around: Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self._token = ""
        self._token_until = 0.0
        self._token_lock = asyncio.Lock()
        self.outbound = outbound_of(settings, around)

    async def send(self, call: MessageCall) -> Outcome:
        template = self._settings.templates.get(call.template)
        if template is None:
            return NO_TEMPLATE
        token = await self.token()
        if isinstance(token, Outcome):
            return token
        filled = fill(template, call, length_max=THING_LENGTH_MAX)
        body = {
            "touser": call.address,
            "template_id": template.code,
            "data": {place: {"value": text} for place, text in filled.items()},
            **({"page": self._settings.page} if self._settings.page else {}),
        }
        outcome = await self._post(f"{SEND_PATH}?access_token={quote(token, safe='')}", body, SEND_PATH)
        if isinstance(outcome, Outcome):
            if outcome.code in TOKEN_CODES:
                self._token = ""
            return outcome
        return Outcome(kind=OutcomeKind.SUCCEEDED, code="0", reference=str(outcome.get("msgid", ""))[:64])

    async def token(self) -> str | Outcome:
        """The access token, fetched once for everybody who waits; an Outcome where there is none to be had. It is never logged."""
        async with self._token_lock:
            if self._token and self._clock() < self._token_until:
                return self._token
            body = {
                "grant_type": "client_credential",
                "appid": self._settings.app_id,
                "secret": self._settings.app_secret.get_secret_value(),
            }
            answer = await self._post(TOKEN_PATH, body, TOKEN_PATH)
            if isinstance(answer, Outcome):
                if answer.kind is OutcomeKind.UNKNOWN:  # a token in doubt moves nothing: it may be asked for again
                    return Outcome(kind=OutcomeKind.RETRY_SAME_NUMBER, code=answer.code, alert=answer.alert)
                return answer
            token, life_s = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(token, str) or not token or not isinstance(life_s, int):
                return self.outbound.trouble(TOKEN_PATH, OutcomeKind.RETRY_SAME_NUMBER, "malformed")
            self._token, self._token_until = token, self._clock() + max(0, life_s - TOKEN_SPARE_S)
            return token

    async def _post(self, path: str, body: Mapping[str, Any], what: str) -> dict[str, Any] | Outcome:
        reply = await self.outbound.exchange(
            "POST", path, content=orjson.dumps(body), headers={"Content-Type": "application/json"}, what=what
        )
        return reply if isinstance(reply, Outcome) else self._judge(reply, what)

    def _judge(self, reply: Reply, what: str) -> dict[str, Any] | Outcome:
        body = parse_object(reply.body)
        if body is None:
            return self.outbound.malformed(what, http_status=reply.status)
        code = str(body.get("errcode", 0))
        if code == "0":
            return body
        return ERRORS.outcome(self.outbound, what, code, http_status=reply.status)


def connect(settings: WechatSubscribeSettings, around: Surroundings) -> Connected:
    party = WechatSubscribe(settings, around)

    async def probe() -> Probe:
        return probe_of(await party.token())

    return Connected(party=party, close=party.outbound.aclose, probe=probe, channel=settings.channel)


PROVIDER = Provider(
    name="wechat_subscribe",
    kind=PartyKind.MESSAGES,
    title="微信订阅消息",
    settings=WechatSubscribeSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
