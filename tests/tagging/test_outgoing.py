"""What may not go out, also where somebody tries to get round it; and the honest sentences of the trade that must."""

import pytest

from unwind.domain.errors import Refusal
from unwind.tagging.outgoing import OutgoingFacts, TextRule, check_outgoing, faults_of

NOT_FINAL = OutgoingFacts()
FINAL = OutgoingFacts(is_refund_final=True)


def rules(text: str, facts: OutgoingFacts = NOT_FINAL) -> set[str]:
    return {fault.rule.value for fault in faults_of(text, facts)}


TOO_EARLY = """
您好,已退款,请查收
已经退款了哦
退款成功
您的退款已完成
钱已退回您的账户
款项已到账
已 退 款
已.退.款
已　退　款
已\u200b退\u200b款
已。退。款
巳退款
己经退款
已為您退款成功
退款已到帳
已帮您退款成功
已全额退款
钱退了
优惠券和钱已退回
积分已退回,钱已退回
退款到账了
没错,已退款
没问题已退款
不用担心,已经退款
已退款会尽快到账
已退款预计明天到账
已退款没问题
己退款
Your order has been refunded.
Refund is complete
R e f u n d e d
ｒｅｆｕｎｄｅｄ
the money is back
"""

PROMISES = """
我保证今天处理好
保證明天到賬
一定会给您退款
肯定能拦下来
百分百可以退
100%退款
100％ 会退
绝对没问题
绝 对 没 问 题
我给您打包票
We guarantee a refund
You will definitely get it
We promise it arrives tomorrow
"""

SECRETS = """
请把验证码发给我
请把验证码发给我,不会有风险
麻烦提供一下短信验证码
驗證碼是多少
您的支付密码告诉我一下
请先转账到指定账户
麻烦您打款后我们处理
把验 证 码发我
别担心把验证码发给我
没有问题请把验证码发给我
Please send me another verification code
Please send me the code now, nothing will happen
Please send me the verification code
tell us your password
"""

OUTSIDE = """
加我微信处理
加下VX
私下转给您
我们线下退款吧
扫我的收款码
发您微信红包
我微信转您
please add me on WhatsApp
Pay me directly
"""

NUMBERS = """
您的电话13800001234对吗
138 0000 1234
138-0000-1234
+86 138 0000 1234
１３８００００１２３４
一三八零零零零一二三四
身份证11010519491231002X
银行卡6225 7583 1111 1115
卡号6217000011112222337
卡号6225758311111115 100元退到这张卡
2 张卡: 12 6225 7583 1111 1115 34
"""

HONEST = """
您好,退款还没到账,我帮您查一下
我们会尽快处理
退款尚未完成,请耐心等待
退款到账后我们会通知您
退款成功后您会收到短信
如果已到账请告诉我们
请问退款已到账了吗
请问已到账了吗?
等退款到账,优惠券会自动退回
退款已提交,预计1-3个工作日退回原支付账户
您的退款申请已提交
已为您提交退款申请
已申请退款,请等待审核
退款正在处理中
款项将原路退回您的微信零钱
预计1-3个工作日到账
钱还没有退回来的话请联系我们
已为您拦截包裹
包裹已退回仓库途中,收到后为您办理
包裹拦截不一定成功,失败时您可以拒收
我们不能保证拦截成功
无法保证今天送达
请一定不要把验证码告诉任何人
我们不会索要验证码或要求转账
不要向任何人提供验证码和密码
请勿私下转账,谨防诈骗
请不要加对方微信,也不要扫二维码
凡是让您转账的都是诈骗
面料为100%纯棉
定金和保证金规则请看页面
您的手机尾号1234
客服热线400-800-8888
请到丰巢凭取件码取件
您可以重置登录密码
优惠券已退回您的账户
库存已释放
积分和优惠券都已退回
请您自己退回商品
退款成功会发短信通知您
钱到了会通知您
退款到账一般需要1-3天
退款成功率很高
快件已退回商家
运费12元由商家承担
在一定时间内未处理会自动关闭
绝对值得信赖吗?这是商品名
Your refund has not been refunded yet
It will be refunded once the parcel is back
We never ask for your password or a code
We cannot guarantee that the parcel can be stopped
Please accept no way of payment outside the platform
Please don't tell anybody your password
您不要相信任何让您转账的电话
"""


def lines(text: str) -> list[str]:
    return [line for line in text.strip("\n").split("\n") if line]


@pytest.mark.rule("people.outgoing")
@pytest.mark.parametrize(
    ("text", "rule"),
    [(text, TextRule.REFUNDED_TOO_EARLY) for text in lines(TOO_EARLY)]
    + [(text, TextRule.PROMISE) for text in lines(PROMISES)]
    + [(text, TextRule.ASKS_FOR_SECRET) for text in lines(SECRETS)]
    + [(text, TextRule.PAYS_OUTSIDE) for text in lines(OUTSIDE)]
    + [(text, TextRule.PERSONAL_NUMBER) for text in lines(NUMBERS)],
)
def test_what_may_not_go_out(text: str, rule: TextRule) -> None:
    assert rule in rules(text)


@pytest.mark.parametrize("text", lines(HONEST))
def test_honest_sentences_pass(text: str) -> None:
    assert rules(text) == set()


@pytest.mark.parametrize("text", lines(TOO_EARLY))
def test_once_it_is_final_it_may_be_said(text: str) -> None:
    assert rules(text, FINAL) == set()


def test_a_long_number_that_is_no_card_passes() -> None:
    """Fails the check digit, alone and with whatever stands beside it."""
    assert rules("流水号 6225758311111116 100") == set()


def test_numbers_of_the_case_may_be_written_out() -> None:
    text = "您的订单 6225758311111115 的运单 13800001234 已揽收"
    assert rules(text) == {"personal_number"}
    assert rules(text, OutgoingFacts(numbers=frozenset({"6225758311111115", "13800001234"}))) == set()


def test_a_value_that_is_missing_is_never_sent() -> None:
    assert rules("您的运单号是【缺:运单号】") == rules("您的运单号是{waybill}") == {"missing_value"}


def test_the_refusal_names_the_rule_and_the_place_and_not_the_words() -> None:
    with pytest.raises(Refusal) as refused:
        check_outgoing("您好,已 退 款", NOT_FINAL)
    assert (refused.value.code, refused.value.facts) == (
        "text_not_allowed",
        {"rule": "refunded_too_early", "start": 3, "end": 8},
    )
    check_outgoing("您好,已 退 款", FINAL)


def test_a_long_text_is_read_in_time() -> None:
    import time

    began = time.monotonic()
    rules("已" * 2000)
    rules("请把钱" * 700)
    rules("1 " * 1000)
    assert time.monotonic() - began < 2
