"""Offers to pay outside the platform are a scam; a reason put into the buyer's mouth is not theirs (RULES: People and rights)."""

import pytest

from unwind.domain.warnings import offers_outside_payment, was_told_to_say


@pytest.mark.parametrize(
    "text",
    [
        "卖家让我加微信转账,说便宜20块",
        "商家说私下交易给我打折",
        "老板叫我走线下,绕过平台",
        "客服发了个收款码让我扫码付款",
        "店家让我直接转账给他",
        "他给我一个银行卡号,让我重新打款",
        "加他VX付款可以优惠",
        "让我支付宝转给他再退这单",
        "The seller wants me to pay outside the platform",
        "they asked me to transfer the money to another account",
        "add him on WhatsApp and pay there, cheaper",
        "he wants a bank transfer to the seller",
        "pay off-platform please",
    ],
)
def test_offers_to_pay_outside(text: str) -> None:
    assert offers_outside_payment(text)


@pytest.mark.parametrize(
    "text",
    [
        "不想要了",
        "我是微信付款的,什么时候退款到账",
        "请退到我的支付宝",
        "银行卡扣了两次钱",
        "卖家一直不发货,我要退款",
        "转账失败,没付成功",
        "快递员加我微信送货",
        "优惠券没用上,重新下单",
        "客服说退款原路退回",
        "I paid by bank card and want my money back",
        "please transfer me to a person",
        "找了人工客服转接了半天",
        "平台说三天到",
        "",
    ],
)
def test_ordinary_words_raise_no_alarm(text: str) -> None:
    assert not offers_outside_payment(text)


@pytest.mark.parametrize(
    "text",
    [
        "卖家让我选不想要了",
        "商家叫我点不想要了",
        "客服要求选拍错了",
        "店家让我填个人原因",
        "让我退款原因选不喜欢",
        "The seller told me to select 'changed my mind'",
        "shop asked me to put no longer needed",
    ],
)
def test_a_reason_that_somebody_else_chose(text: str) -> None:
    assert was_told_to_say(text)


@pytest.mark.parametrize("text", ["不想要了", "卖家说没货了", "我选错了颜色", "the seller is slow", "客服让我等两天"])
def test_a_reason_of_ones_own(text: str) -> None:
    assert not was_told_to_say(text)
