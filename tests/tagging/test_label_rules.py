"""The label rules, one by one, on texts of our own."""

import pytest

from unwind.tagging import Emotion, Intent, Reason, Urgency, tag


@pytest.mark.parametrize(
    ("text", "primary", "secondary"),
    [
        ("尺码拍错了，其实主要是太贵了", Reason.PRICE_DROP, {Reason.WRONG_ITEM_ORDERED}),
        ("缺货，而且发货也太慢", Reason.OUT_OF_STOCK, {Reason.SHIPPING_TOO_SLOW}),
        ("too expensive, but the real reason is the wrong address", Reason.ADDRESS_ERROR, {Reason.PRICE_DROP}),
    ],
)
def test_the_decisive_reason_wins_and_the_others_are_secondary(
    text: str, primary: Reason, secondary: set[Reason]
) -> None:
    tags = tag(text)
    assert (tags.reason, set(tags.secondary)) == (primary, secondary)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("不是质量问题，是电话填错了", Reason.CONTACT_ERROR),
        ("并不是嫌贵，只是地址写错了", Reason.ADDRESS_ERROR),
        ("跟发货太慢没关系，是我不喜欢了", Reason.CHANGED_MIND),
        ("质量没问题，颜色拍错了", Reason.WRONG_ITEM_ORDERED),
        ("地址没写错，是手机号写错了", Reason.CONTACT_ERROR),
        ("唔系质量差，系地址写错咗", Reason.ADDRESS_ERROR),
        ("it's not because of the price, I ordered the wrong size", Reason.WRONG_ITEM_ORDERED),
    ],
)
def test_a_denied_reason_is_not_labelled_at_all(text: str, reason: Reason) -> None:
    tags = tag(text)
    assert (tags.reason, tags.secondary) == (reason, ())


@pytest.mark.parametrize("text", ["没有货了", "不是正品吧，怕是假货", "没有用上优惠券"])
def test_a_denial_inside_the_reason_itself_is_not_a_denial(text: str) -> None:
    assert tag(text).reason is not Reason.OTHER


@pytest.mark.parametrize(
    ("text", "names", "reason"),
    [
        ("“不想要”这款拖鞋地址写错了", (), Reason.ADDRESS_ERROR),
        ("假货终结者清洁剂尺码拍错了", ("假货终结者清洁剂",), Reason.WRONG_ITEM_ORDERED),
        ("太贵了旗舰店的东西颜色选错了", ("太贵了旗舰店",), Reason.WRONG_ITEM_ORDERED),
        ("取消 Too Expensive Hoodie", ("Too Expensive Hoodie",), Reason.OTHER),
    ],
)
def test_words_inside_a_name_are_no_reason(text: str, names: tuple[str, ...], reason: Reason) -> None:
    tags = tag(text, masked_names=names)
    assert (tags.reason, tags.secondary) == (reason, ())


def test_without_the_mask_the_name_would_be_read() -> None:
    assert tag("取消 Too Expensive Hoodie").reason is Reason.PRICE_DROP


def test_a_merchant_without_stock_is_out_of_stock_first() -> None:
    tags = tag("店家让我取消，说是没货了")
    assert (tags.reason, tags.secondary) == (Reason.OUT_OF_STOCK, (Reason.MERCHANT_ASKED,))
    assert tag("店家让我取消").reason is Reason.MERCHANT_ASKED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("下了两个订单，付了两次钱", Reason.DUPLICATE_ORDER),
        ("就一个订单，扣了我两次钱", Reason.PAYMENT_ISSUE),
        ("重复扣款", Reason.PAYMENT_ISSUE),
        ("同一件下了两单", Reason.DUPLICATE_ORDER),
        ("charged twice for one order", Reason.PAYMENT_ISSUE),
        ("I ordered it twice", Reason.DUPLICATE_ORDER),
    ],
)
def test_two_orders_and_two_charges_are_told_apart(text: str, reason: Reason) -> None:
    assert tag(text).reason is reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("政府补贴没给我减", Reason.COUPON_NOT_APPLIED),
        ("别家比你便宜", Reason.PRICE_DROP),
        ("付款一直失败", Reason.PAYMENT_ISSUE),
        ("手头紧，想省点钱", Reason.CHANGED_MIND),
        ("太贵", Reason.PRICE_DROP),
    ],
)
def test_subsidy_price_and_purse_are_told_apart(text: str, reason: Reason) -> None:
    assert tag(text).reason is reason


@pytest.mark.parametrize(
    ("text", "channel", "intent"),
    [
        ("还没发货", "app", Intent.CANCEL),
        ("还没发货", "chat", Intent.WHERE_IS_MY_ORDER),
        ("再不发货我就取消了", "chat", Intent.WHERE_IS_MY_ORDER),
        ("物流太慢，给我退款", "hotline", Intent.CANCEL),
        ("取消", "app", Intent.CANCEL),
        ("不取消了", "chat", Intent.WITHDRAW_CANCEL),
        ("别取消，换成黑色就行", "chat", Intent.MODIFY_ORDER),
        ("取消会扣手续费吗", "chat", Intent.OTHER),
        ("退款几天到账", "chat", Intent.OTHER),
        ("收到了，质量太差", "chat", Intent.RETURN_AFTER_RECEIPT),
        ("一直没收到货", "chat", Intent.WHERE_IS_MY_ORDER),
        ("收到短信说要取消，怎么回事，我没申请取消", "chat", Intent.WITHDRAW_CANCEL),
        ("帮我把地址改成公司", "chat", Intent.MODIFY_ORDER),
        ("谢谢", "chat", Intent.OTHER),
        ("where is my order?", "chat", Intent.WHERE_IS_MY_ORDER),
        ("please don't cancel my order", "chat", Intent.WITHDRAW_CANCEL),
    ],
)
def test_intent_is_more_than_the_word_cancel(text: str, channel: str, intent: Intent) -> None:
    assert tag(text, channel=channel).intent is intent


def test_a_bare_question_has_no_reason_and_impatience_has_one() -> None:
    assert tag("我的包裹到哪了", channel="chat").reason is Reason.OTHER
    assert tag("我的包裹怎么还没到", channel="chat").reason is Reason.SHIPPING_TOO_SLOW


@pytest.mark.parametrize(
    "text", ["显示签收了，可是我没收到", "我没拿到货，物流却说已签收", "marked as delivered but I never got it"]
)
def test_signed_but_not_received_is_flagged(text: str) -> None:
    tags = tag(text, channel="chat")
    assert tags.not_received
    assert (tags.intent, tags.reason) == (Intent.WHERE_IS_MY_ORDER, Reason.SHIPPING_TOO_SLOW)


@pytest.mark.parametrize("text", ["没收到货", "签收了，东西坏的", "还没签收呢"])
def test_other_talk_of_receipt_is_not_flagged(text: str) -> None:
    assert not tag(text, channel="chat").not_received


@pytest.mark.parametrize(
    "text",
    [
        "赶紧取消",
        "先别发货",
        "帮我拦截一下",
        "明天就要出差，来不及收了",
        "再不退我就投诉12315",
        "扣了我两次款",
        "账号被盗了",
        "插上电就冒烟了",
        "cancel it asap",
        "the wedding is tomorrow",
        "I will dispute this with my bank",
    ],
)
def test_urgency_is_high_for_haste_deadline_threat_and_harm(text: str) -> None:
    assert tag(text).urgency is Urgency.HIGH


@pytest.mark.parametrize(
    "text",
    [
        "怕有甲醛",
        "别寄了",
        "不急，慢慢处理",
        "今天降价了",
        "担心会爆炸",
        "快递太慢",
        "看到很多人投诉",
        "found it cheaper today",
    ],
)
def test_worry_and_plain_requests_are_normal(text: str) -> None:
    assert tag(text).urgency is Urgency.NORMAL


@pytest.mark.parametrize(
    "text",
    [
        "骗子店铺",
        "我要去消协告你们",
        "你们是骑乌龟送货吗",
        "都几天了还不发货！！",
        "等到我退休都到不了吧",
        "what a scam",
        "thanks for nothing",
    ],
)
def test_insult_threat_sarcasm_and_shouting_are_angry(text: str) -> None:
    assert tag(text, channel="chat").emotion is Emotion.ANGRY


@pytest.mark.parametrize(
    "text", ["我自己眼瞎拍错了", "不好意思买错了", "唉，可惜没货", "谢谢！！", "my bad, I'm such an idiot, wrong size"]
)
def test_regret_and_jokes_at_own_cost_are_neutral(text: str) -> None:
    assert tag(text, channel="chat").emotion is Emotion.NEUTRAL


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("地纸写错了", Reason.ADDRESS_ERROR),
        ("dizhi xiecuo le", Reason.ADDRESS_ERROR),
        ("di zhi tian cuo le", Reason.ADDRESS_ERROR),
        ("地 址 写 错 了", Reason.ADDRESS_ERROR),
        ("優惠券沒用上", Reason.COUPON_NOT_APPLIED),
        ("冇货", Reason.OUT_OF_STOCK),
        ("唔想要喇", Reason.CHANGED_MIND),
        ("俺整错型号了", Reason.WRONG_ITEM_ORDERED),
        ("莫得货", Reason.OUT_OF_STOCK),
        ("太gui了", Reason.PRICE_DROP),
        ("ＴＯＯ ＥＸＰＥＮＳＩＶＥ", Reason.PRICE_DROP),
        ("优惠卷忘记用了", Reason.COUPON_NOT_APPLIED),
    ],
)
def test_other_spellings_are_understood(text: str, reason: Reason) -> None:
    assert tag(text).reason is reason
