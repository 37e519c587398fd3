"""Every dialect the sandbox can speak, by the provider's name. A new one is added here, and nowhere else (docs/adding-a-provider.md)."""

from sandbox.dialects import notices
from sandbox.dialects.alipay import AlipayDialect
from sandbox.dialects.frame import Dialect, MakeDialect
from sandbox.dialects.generic import GenericDialect
from sandbox.dialects.jdl import JdlDialect
from sandbox.dialects.kuaidi100 import Kuaidi100Dialect
from sandbox.dialects.qimen import QimenDialect
from sandbox.dialects.sf import SfDialect
from sandbox.dialects.stripe import StripeDialect
from sandbox.dialects.unionpay import UnionPayDialect
from sandbox.dialects.wechat_pay import WeChatPayDialect
from sandbox.dialects.yto import YtoDialect
from sandbox.dialects.zto import ZtoDialect
from sandbox.keyring import Keyring
from sandbox.world import World


def _generic(provider: str) -> MakeDialect:
    return lambda world, keyring: GenericDialect(world, keyring, provider=provider)


def _robot(words: notices.RobotWords) -> MakeDialect:
    return lambda world, keyring: notices.RobotDialect(words, world, keyring)


GENERIC = ("generic_payment", "generic_warehouse", "generic_carrier", "generic_shop", "generic_messages")
DIALECTS: dict[str, MakeDialect] = {
    **{name: _generic(name) for name in GENERIC},
    "qimen": QimenDialect,
    "sf": SfDialect,
    "kuaidi100": Kuaidi100Dialect,
    "zto": ZtoDialect,
    "jdl": JdlDialect,
    "yto": YtoDialect,
    "aliyun_sms": notices.AliyunSmsDialect,
    "wechat_subscribe": notices.WechatSubscribeDialect,
    "webhook": notices.WebhookDialect,
    **{words.provider: _robot(words) for words in (notices.DINGTALK, notices.WECOM, notices.FEISHU)},
    "wechat_pay": WeChatPayDialect,
    "alipay": AlipayDialect,
    "unionpay": UnionPayDialect,
    "stripe": StripeDialect,
}


class Dialects:
    """Which connection speaks what. A connection that the settings do not name speaks the generic contract, where it has a secret."""

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world = world
        self._made = {name: make(world, keyring) for name, make in DIALECTS.items()}

    def of(self, connection: str) -> Dialect | None:
        provider = self._world.settings.dialects.get(connection)
        if provider is not None:
            return self._made[provider]
        return self._made["generic_payment"] if self._world.settings.secret_of(connection) else None
