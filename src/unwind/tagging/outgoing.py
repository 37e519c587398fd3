"""What a person may not write to a buyer. Called for every human text that goes out: answers, offers, declines, scripts.

Five rules, each with its name in the refusal: nobody says "refunded" before it is final, promises what cannot be promised, asks for codes,
passwords or transfers, leads a payment outside the platform, or writes out a telephone, identity or bank card number. The text is read
without its spaces, punctuation and invisible characters, in narrow and simplified form, so that "已 退 款" and "已退款。" are the same.
What is denied, asked or only hoped for ("退款还没到账", "到账后", "不能保证", "请勿转账") is honest and passes.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unwind.domain.errors import Refusal
from unwind.domain.personal import personal_spans
from unwind.tagging.traditional import TO_SIMPLIFIED

MISSING: Final = "【缺"
"""How a script shows a value that the case does not have: such a text is never sent."""


class TextRule(StrEnum):
    REFUNDED_TOO_EARLY = "refunded_too_early"
    PROMISE = "promise"
    ASKS_FOR_SECRET = "asks_for_secret"  # noqa: S105 - a name
    PAYS_OUTSIDE = "pays_outside"
    PERSONAL_NUMBER = "personal_number"
    MISSING_VALUE = "missing_value"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFacts:
    """What is true of the case now."""

    is_refund_final: bool = False
    """At least one refund, and every one of them final (the read model of refunds says so)."""
    numbers: frozenset[str] = frozenset()
    """Order, waybill and refund numbers of the case: they may be written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`start`, `end`: code points of the text as it was given."""

    rule: TextRule
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Plain:
    """The text that is read: letters, digits and % only. `places` lead back; `breaks` are where a clause ends before the character."""

    text: str
    raw: str
    places: tuple[int, ...]
    breaks: frozenset[int]
    questions: frozenset[int]
    """Where the clause before ends with a question mark."""

    def before(self, at: int, length: int) -> str:
        """The same clause, up to `length` characters back."""
        start = at
        while start > 0 and at - start < length and start not in self.breaks:
            start -= 1
        return self.text[start:at]

    def after(self, at: int, length: int) -> str:
        end = at
        while end < len(self.text) and end - at < length and end not in self.breaks:
            end += 1
        return self.text[at:end]

    def raw_before(self, at: int, length: int) -> str:
        """The same clause as it was written, with its spaces: words of English end somewhere."""
        first = at - len(self.before(at, length))
        return self.raw[self.places[first] : self.places[at]].casefold() if first < at else ""

    def is_asked(self, at: int) -> bool:
        while at < len(self.text) and at not in self.breaks:
            at += 1
        return at in self.questions


_CLAUSE_ENDS: Final = frozenset("。!?;,、:\n.")
_KEPT: Final = frozenset("%")


def check_outgoing(text: str, facts: OutgoingFacts) -> None:
    """Refuses with `text_not_allowed`, the rule and the place. Never with what was written."""
    for fault in faults_of(text, facts):
        raise Refusal("text_not_allowed", rule=fault.rule.value, start=fault.start, end=fault.end)


def faults_of(text: str, facts: OutgoingFacts) -> Iterator[Fault]:
    """Every place that is not allowed, rule by rule."""
    found = text.find(MISSING)
    if found >= 0 or _PLACE.search(text):
        at = found if found >= 0 else _place_of(text)
        yield Fault(rule=TextRule.MISSING_VALUE, start=at, end=at + 1)
    plain = _plain(text)
    if not facts.is_refund_final:
        yield from _faults(plain, TextRule.REFUNDED_TOO_EARLY, _REFUNDED, _is_no_claim)
    yield from _faults(plain, TextRule.PROMISE, _PROMISE, _is_no_promise)
    yield from _faults(plain, TextRule.ASKS_FOR_SECRET, _SECRET, _is_denied)
    yield from _faults(plain, TextRule.PAYS_OUTSIDE, _OUTSIDE, _is_denied)
    yield from _numbers(text, facts.numbers)


def _place_of(text: str) -> int:
    match = _PLACE.search(text)
    return match.start() if match else 0


_PLACE: Final = re.compile(r"\{[a-z_]{1,40}\}")
"""A variable of a script that nobody filled."""


def _plain(text: str) -> _Plain:
    kept: list[str] = []
    places: list[int] = []
    breaks: set[int] = set()
    questions: set[int] = set()
    for index, character in enumerate(text):
        for part in unicodedata.normalize("NFKC", TO_SIMPLIFIED.get(character, character)).casefold():
            if part.isalnum() or part in _KEPT:
                is_oneself = part == "己" and kept[-1:] in (["自"], ["知"])
                kept.append(part if is_oneself else _EVADED.get(part, part))
                places.append(index)
            elif part in _CLAUSE_ENDS or part == "…":
                breaks.add(len(kept))
                if part == "?":
                    questions.add(len(kept))
    return _Plain("".join(kept), text, tuple(places), frozenset(breaks), frozenset(questions))


_EVADED: Final = {"巳": "已", "己": "已", "帐": "账", "欵": "款"}
"""Look-alikes: nobody writes 己退款 by mistake only."""

_REFUNDED: Final = re.compile(
    "已(?:经|成功|全额|全部|为您|给您|帮您|把钱|将款项|原路)*(?:退款(?!申请|流程|中|审核|处理|提交|请求|单)|退还|退回|退给|退钱|退了|到账|到您账)"
    "|(?:退款|款项|钱)(?:已|都|全|全部|已经|均)*(?:成功|完成|退完|退好|退回去了|退给您了|退还了|到账|退到)了?"
    "|退款(?:已经|已)(?!提交|受理|申请|发起|在)|退款成功|到账了|钱(?:已|已经)?(?:退|到)了|款已退"
    "|refunded|refundisdone|refundiscomplete|refundhasbeenmade|refundwassuccessful|refundsuccessful|refundcompleted|moneyisback"
    "|hasbeenreturnedtoyour"
)
_NOT_YET: Final = re.compile(
    "(?:尚未|还未|还没|还没有|没有|并未|并没有|并没|仍未|暂未|未|不是|是否|是不是|有没有|如果|如|若|假如|等|等到|待|一旦|当|直到|何时|什么时候"
    "|不能说|不代表|不等于|预计|大约|将|会|才|才会|即可|就会|之后|notbeen|notyetbeen|notyet|not|willbe|oncethe|onceitis|once|whenthe|when|ifthe|if|until"
    "|tobe|canbe|cannotbe|isnot|getting|get)(?:您的|全部|完全|收到|能|会|正式|真正|系统|显示|it|is|your|the|been|has)*$"
)
_LATER: Final = re.compile(
    "^(?:了)?(?:吗|么|后|之后|以后|时|的时候|之前|前|的话|与否|没有?(?!问题|错|事|关系)|率|提醒|通知|说明|的?进度|(?:会|将)(?:有|发|通知|提醒|收到|告诉|短信|第一))"
)
_TAKES: Final = re.compile("^(?:时间|需要|需|通常|一般|预计|大约|约|要|会|将)")
"""How long it takes until then; not after "已", which says that it is so."""
_BACK: Final = 14


_OTHER_THING: Final = re.compile(
    "(?:包裹|快递|快件|商品|货物|货|优惠券|红包券|券|积分|库存|额度|名额)(?:都|均|也|现|现在|全部)*$"
)
"""It is this that came back, not money."""
_OTHER_PLACE: Final = re.compile("^(?:到)?(?:仓库|仓|商家|卖家|发货|寄件|店)")


def _is_no_claim(plain: _Plain, start: int, end: int) -> bool:
    after, before = plain.after(end, 4), plain.before(start, _BACK)
    if plain.is_asked(end) or _LATER.search(after) or _NOT_YET.search(before):
        return True
    if "已" not in plain.text[start:end] and _TAKES.search(after):
        return True
    is_of_goods = _OTHER_THING.search(before) is not None or _OTHER_PLACE.search(after) is not None
    return is_of_goods and plain.text[start:end].startswith("已") and "款" not in plain.text[start:end]


_PROMISE: Final = re.compile(
    "保证(?!金|书|人)|(?<!不)一定(?!的|程度|时间|条件|比例|要|不要|别|请|先|记得|注意|范围|金额|期限|数量|勿)|(?<!不)(?:肯定|必定|必然|铁定)(?:会|能|可以|退|到|给|成功|没问题|行)"
    "|绝对(?!不要|别|请勿|值)|(?:100%|百分百|百分之百|百分之一百)(?!纯|棉|羊|蚕|真|新|正|聚|桑|天然)|打包票|包您|包退|包赔"
    "|guarantee|definitely|absolutely|ipromise|wepromise|100%(?:sure|certain|refund)"
)
_NO_PROMISE: Final = re.compile(
    "(?:不|不能|无法|不敢|难以|没法|没办法|未能|不可|不作|不做|cannot|cant|cannotbe|not|unableto|dont)(?:够|能|作|做|向您|给您|完全|任何|be)*$"
)


def _is_no_promise(plain: _Plain, start: int, end: int) -> bool:
    del end
    return _NO_PROMISE.search(plain.before(start, 8)) is not None


_THING: Final = "(?:(?:短信|动态|手机|支付|收到的)?验证码|动态码|校验码|动态口令|(?:支付|登录|登陆|银行卡|卡片|交易)?密码|cvv2?|安全码)"
_SECRET: Final = re.compile(
    f"(?:发|告诉|告知|提供|报|给|念|输入|回复|填|说|转发|截图|要).{{0,8}}{_THING}|{_THING}.{{0,6}}(?:发|告诉|告知|提供|报|给我|念|回复|转发|截图|说一下|多少|是什么)"
    "|(?:请|您|麻烦|需要|先|可以|把钱|把款|把款项|将款项).{0,6}(?:转账|打款|汇款|汇到|转到我|转给我|转至|打到我|打给我)"
    "|(?:send|tell|give|provide|share|enter|reply|forward|whatis|needyour).{0,24}(?:verificationcode|securitycode|onetimecode|otp|smscode|thecode|password|pincode|cvv)"
    "|(?:please|must|needto|you).{0,10}(?:transferthemoney|wirethemoney|sendmoney|transfermoney|transfertous|transfertome)"
)
_OUTSIDE: Final = re.compile(
    "私下(?:转|付|退|交易|支付|给|处理|赔)|线下(?:转|付款|退款|交易|支付|打款)|平台外|站外|脱离平台|绕开平台|绕过平台"
    "|加(?:一下|下|个|我|您|你|客服)?的?(?:微信|薇信|威信|维信|微x|wx|vx|v信|qq|扣扣)|(?:微信|qq)(?:号|号码)(?:是|发)|收款码|付款码|(?:扫|发).{0,5}二维码"
    "|发(?:您|你)?(?:个)?红包|微信(?:上)?(?:转|红包)|(?:我|个人)的?(?:账户|账号|银行卡|支付宝|微信)(?!余额)(?:转|打|付|收|号|是|给)"
    "|outsidetheplatform|offtheplatform|paymedirectly|payusdirectly|addmeon|add(?:my|our)wechat|whatsapp|telegram|venmo|viamypersonal"
)
_DENIED: Final = re.compile(
    "(?:不会|不要|不需要|不用|无需|无须|切勿|请勿|勿|别|不可|不得|不能|从不|绝不|决不|没有|谨防|警惕|防止|凡是|任何|要求您|索要|冒充|诈骗|骗子).{0,12}$"
)
_DENIED_EN: Final = re.compile(r"\b(?:never|not|no|nobody|none|beware|scam\w*|\w+n['’]t)\b.{0,60}$", re.DOTALL)
_COMFORT: Final = re.compile(
    "(?:别|不用|不要|不必|不需要|请勿|无需)(?:担心|着急|急|怕|客气|紧张|介意|顾虑)|没有?(?:问题|关系|事)"
)
"""Says not to worry, and denies nothing."""


def _is_denied(plain: _Plain, start: int, end: int) -> bool:
    """The warning against it, not the thing itself. The denial stands in the same clause, before it or where it begins."""
    del end
    clause = _COMFORT.sub("", plain.before(start, 30) + plain.text[start : start + 3])
    return _DENIED.search(clause) is not None or _DENIED_EN.search(plain.raw_before(start, 80)) is not None


def _faults(
    plain: _Plain, rule: TextRule, pattern: re.Pattern[str], is_honest: Callable[[_Plain, int, int], bool]
) -> Iterator[Fault]:
    for match in pattern.finditer(plain.text):
        if not is_honest(plain, *match.span()):
            yield Fault(rule=rule, start=plain.places[match.start()], end=plain.places[match.end() - 1] + 1)


def _numbers(text: str, known: frozenset[str]) -> Iterator[Fault]:
    for start, end in personal_spans(text, known=known):
        yield Fault(rule=TextRule.PERSONAL_NUMBER, start=start, end=end)
