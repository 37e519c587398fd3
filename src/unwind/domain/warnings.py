"""What in a buyer's words somebody has to be warned of: an offer to pay outside the platform, and a reason put into their mouth.

Plain patterns on purpose: they add to what the tagger reads and never take from it, and whoever is warned can see why.
"""

import re
import unicodedata

_SELLER = r"(?:卖家|商家|店家|店主|店铺|老板|客服|掌柜|对方)"
_MESSENGER = r"(?:微信|薇信|威信|v信|vx|wx|qq|企鹅|whatsapp|telegram)"
_PAYS = r"(?:转账|转钱|转款|打款|打钱|汇款|付款|付钱|支付|收款|红包|转给)"

OUTSIDE_PAYMENT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:私下|私底下|线下)(?:里)?(?:直接)?(?:交易|转|付|给钱|{_PAYS})",
        r"走(?:个)?(?:线下|私下)",
        r"(?:绕过|绕开|避开|跳过|脱离|不走|别走|不通过|不经过)(?:了)?(?:平台|官方|淘宝|京东|拼多多|抖音|系统)",
        rf"加(?:我|他|她|你|一下|个|了|{_SELLER})?(?:的|个)?{_MESSENGER}.{{0,20}}(?:{_PAYS}|转|付|便宜|优惠|打折|退款|退钱|补)",
        rf"(?:{_SELLER}|他|她).{{0,10}}(?:发|给)(?:了|我|来)*.{{0,6}}(?:收款码|付款码|二维码|银行卡号|卡号|账号)",
        r"扫.{0,6}(?:收款码|付款码)",
        rf"(?:让|叫|要求?|要)我.{{0,8}}(?:另外|重新|单独|直接|私下|{_MESSENGER}|支付宝)?.{{0,4}}(?:转账|转钱|打款|打钱|汇款|转给|付给)",
        rf"(?:转|打)(?:钱|账|款)?给(?:了)?(?:{_SELLER})",
        r"(?:pay|payment|paid|transact|deal)\w*.{0,30}\b(?:outside|off)\b[- ]?(?:of )?(?:the |this )?(?:platform|site|app|system)",
        r"\boff[- ]platform\b",
        r"(?:add|contact|message).{0,20}(?:whatsapp|wechat|telegram).{0,40}(?:pay|transfer|refund|discount|cheaper)",
        r"(?:asked|asks|told|wants?) me to (?:transfer|wire|send) (?:the |some |more )?money",
        r"(?:bank transfer|wire|western union|gift cards?|crypto|bitcoin).{0,20}\b(?:to|for) (?:the )?(?:seller|merchant|shop)",
    )
)
TOLD_TO_SAY = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_SELLER}.{{0,6}}(?:让|叫|要|要求|教|求)我?.{{0,4}}(?:选|选择|点|填|写|说|勾)",
        r"(?:让|叫|要求|教)我.{0,6}(?:原因|理由).{0,4}(?:选|选择|点|填|写|勾)",
        r"(?:seller|shop|merchant|store|they)\b.{0,12}\b(?:told|asked|wants?|made|said).{0,10}\b(?:select|choose|pick|say|put|write)\b",
    )
)


def offers_outside_payment(text: str) -> bool:
    """「加微信转账更便宜」: a scam, whoever offers it."""
    plain = _plain(text)
    return any(pattern.search(plain) for pattern in OUTSIDE_PAYMENT)


def was_told_to_say(text: str) -> bool:
    """「卖家让我选不想要了」: the reason stated is not the buyer's."""
    plain = _plain(text)
    return any(pattern.search(plain) for pattern in TOLD_TO_SAY)


def _plain(text: str) -> str:
    return re.sub(r"[ \t\n]+", " ", unicodedata.normalize("NFKC", text))
