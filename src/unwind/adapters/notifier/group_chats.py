"""The staff's group chats: robots of DingTalk, WeCom and Feishu. Same idea, three signatures.

Sources: open.dingtalk.com (custom robot security settings), developer.work.weixin.qq.com (group robot), open.feishu.cn (custom bot).
They remove no repeats: a message in doubt is not sent twice.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote_plus

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.fields import parse_object
from unwind.adapters.outbound import Reply
from unwind.adapters.provider import Connected, PartyKind, Provider, ProviderSettings, Surroundings, outbound_of
from unwind.adapters.refusals import CONFIGURATION, ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall


class GroupChatSettings(ProviderSettings):
    token: SecretStr
    """The part of the robot's address that is a secret."""
    secret: SecretStr | None = None
    """For the signature, where the robot has one."""


class DingtalkSettings(GroupChatSettings):
    base_url: str = "https://oapi.dingtalk.com"
    channel: Annotated[str, Field(min_length=1)] = "dingtalk"


class WecomSettings(GroupChatSettings):
    base_url: str = "https://qyapi.weixin.qq.com"
    channel: Annotated[str, Field(min_length=1)] = "wecom"


class FeishuSettings(GroupChatSettings):
    base_url: str = "https://open.feishu.cn"
    channel: Annotated[str, Field(min_length=1)] = "feishu"


def dingtalk_sign(secret: str, timestamp_ms: int) -> str:
    """Base64, before URL-encoding."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def feishu_sign(secret: str, timestamp_s: int) -> str:
    """The text is the key and the message is empty (formula unverified: PROTOCOLS 7)."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Robot:
    """What differs between the three. `request`: (token, secret, text, Unix seconds) -> (path with query, body)."""

    request: Callable[[str, str, str, float], tuple[str, dict[str, Any]]]
    code_field: str
    errors: ErrorTable


def _dingtalk(token: str, secret: str, text: str, now: float) -> tuple[str, dict[str, Any]]:
    path = f"/robot/send?access_token={quote_plus(token)}"
    if secret:
        timestamp_ms = int(now * 1000)
        path += f"&timestamp={timestamp_ms}&sign={quote_plus(dingtalk_sign(secret, timestamp_ms))}"
    return path, {"msgtype": "text", "text": {"content": text}}


def _wecom(token: str, secret: str, text: str, now: float) -> tuple[str, dict[str, Any]]:
    del secret, now
    return f"/cgi-bin/webhook/send?key={quote_plus(token)}", {"msgtype": "text", "text": {"content": text}}


def _feishu(token: str, secret: str, text: str, now: float) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
    if secret:
        body |= {"timestamp": str(int(now)), "sign": feishu_sign(secret, int(now))}
    return f"/open-apis/bot/v2/hook/{quote_plus(token)}", body


DINGTALK = Robot(
    request=_dingtalk,
    code_field="errcode",
    errors=ErrorTable(
        kinds={
            "-1": OutcomeKind.RETRY_SAME_NUMBER,
            "130101": OutcomeKind.RETRY_SAME_NUMBER,
            "300001": OutcomeKind.REFUSED,
            "310000": OutcomeKind.REFUSED,
            "400013": OutcomeKind.REFUSED,
        },
        alerts=dict.fromkeys({"300001", "310000", "400013"}, CONFIGURATION),
    ),
)
"""130101 too often; 300001 token; 310000 keyword, signature or address not allowed; 400013 the group is gone."""
WECOM = Robot(
    request=_wecom,
    code_field="errcode",
    errors=ErrorTable(
        kinds={
            "-1": OutcomeKind.RETRY_SAME_NUMBER,
            "45009": OutcomeKind.RETRY_SAME_NUMBER,
            "40058": OutcomeKind.REFUSED,
            "93000": OutcomeKind.REFUSED,
        },
        alerts=dict.fromkeys({"40058", "93000"}, CONFIGURATION),
    ),
)
"""45009 too often (about 20 a minute, unverified); 93000 the robot's key is not valid."""
FEISHU = Robot(
    request=_feishu,
    code_field="code",
    errors=ErrorTable(
        kinds={
            "9499": OutcomeKind.REFUSED,
            "11232": OutcomeKind.RETRY_SAME_NUMBER,
            "19001": OutcomeKind.REFUSED,
            "19021": OutcomeKind.REFUSED,
            "19022": OutcomeKind.REFUSED,
            "19024": OutcomeKind.REFUSED,
        },
        alerts=dict.fromkeys({"9499", "19001", "19021", "19022", "19024"}, CONFIGURATION),
    ),
)
"""9499 malformed; 11232 too often; 19001 token; 19021 signature or time; 19022 address not allowed; 19024 keyword."""


class GroupChat:
    """Implements ports.notifier.Notifier."""

    resend_is_safe = False

    def __init__(self, robot: Robot, settings: GroupChatSettings, around: Surroundings) -> None:
        self._robot = robot
        self._token = settings.token.get_secret_value()
        self._secret = settings.secret.get_secret_value() if settings.secret else ""
        self._clock = around.clock
        self.outbound = outbound_of(settings, around)

    async def send(self, call: MessageCall) -> Outcome:
        path, body = self._robot.request(self._token, self._secret, call.text, self._clock())
        reply = await self.outbound.exchange(
            "POST", path, content=orjson.dumps(body), headers={"Content-Type": "application/json"}, what="robot"
        )
        return reply if isinstance(reply, Outcome) else self._read(reply)

    def _read(self, reply: Reply) -> Outcome:
        given = (parse_object(reply.body) or {}).get(self._robot.code_field)
        if not isinstance(given, int):
            return self.outbound.malformed("robot", http_status=reply.status)
        if given == 0:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="0")
        return self._robot.errors.outcome(self.outbound, "robot", str(given), http_status=reply.status)


def _provider(name: str, title: str, robot: Robot, settings: type[GroupChatSettings]) -> Provider:
    def connect(given: DingtalkSettings | WecomSettings | FeishuSettings, around: Surroundings) -> Connected:
        party = GroupChat(robot, given, around)
        return Connected(party=party, close=party.outbound.aclose, channel=given.channel)

    return Provider(
        name=name,
        kind=PartyKind.MESSAGES,
        title=title,
        settings=settings,
        connect=connect,
        error_kinds=robot.errors.kinds,
    )


PROVIDERS = (
    _provider("dingtalk", "钉钉群机器人", DINGTALK, DingtalkSettings),
    _provider("wecom", "企业微信群机器人", WECOM, WecomSettings),
    _provider("feishu", "飞书群机器人", FEISHU, FeishuSettings),
)
