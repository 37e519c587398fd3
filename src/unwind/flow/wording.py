"""The words of every message, zh and en, by fact. Filled when a message is sent; nothing personal is stored with it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from unwind.domain.money import format_minor
from unwind.flow.estimates import Route, estimate_for

NEVER_ASK = ("我们不会索要验证码或要求转账。", "Nobody will ever ask you for codes or transfers.")

TEXTS = {
    "cancelled_unpaid": (
        "取消成功。订单已关闭,优惠已退回。",
        "Cancelled. The order is closed and your benefits are back.",
    ),
    "closed_unpaid": ("订单超时未支付,已自动关闭。", "The order was not paid in time and has been closed."),
    "cancelled": ("取消成功,无需退款{three}。", "Cancelled; there is nothing to refund{three}."),
    "in_review": (
        "已收到您的取消申请,需人工确认,约{minutes}分钟内答复。{place}",
        "Your request needs a person to confirm it; expect an answer within about {minutes} minutes.{place}",
    ),
    "inquiry_received": (
        "已收到您的咨询,客服约{minutes}分钟内答复。",
        "We have your question; expect an answer within about {minutes} minutes.",
    ),
    "declined": (
        "本次不能按取消处理。{ways}",
        "This cannot be cancelled. {ways}",
    ),
    "withdrawn": ("您的取消申请已撤回,订单继续处理。", "Your request is withdrawn; the order goes on."),
    "answered": ("您的问题已处理。", "Your question has been dealt with."),
    "retained": ("已按约定保留您的订单,感谢您的耐心。", "Your order is kept as agreed. Thank you for your patience."),
    "handed_on": (
        "您的申请已转售后处理,可在订单页申请退货或退款。",
        "After-sales takes over: ask for a return or a refund on your order's page.",
    ),
    "waiting": (
        "好的,订单为您保留并持续跟进;如未按约定送到,客服会主动联系您,您也可以随时取消。",
        "We keep the order and watch it; if what was promised does not come true we get in touch. You may still cancel at any time.",
    ),
    "refuse_at_door": (
        "包裹未能拦下。请在派送时当面拒收,包裹退回验收后原路退款。",
        "The parcel could not be stopped. Please refuse it at the door; the money returns once it is back and inspected.",
    ),
    "send_back": (
        "请按指引寄回商品,验收后原路退款。",
        "Please send the goods back as instructed; the money returns once they are inspected.",
    ),
    "offer_wait": (
        "您愿意再等等吗?我们承诺{promised_at}前办到;不愿意可直接选择继续取消。{link}",
        "Would you wait a little longer? We promise it by {promised_at}; if not, simply say so and it is cancelled. {link}",
    ),
    "offer_faster_dispatch": (
        "我们可以在{promised_at}前优先发出,您愿意保留订单吗?不愿意可直接选择继续取消。{link}",
        "We can dispatch it by {promised_at}. Keep the order? If not, simply say so and it is cancelled. {link}",
    ),
    "offer_address_change": (
        "可以为您改到新的收货地址,不必取消。请在链接中填写,或选择继续取消。{link}",
        "We can send it to another address instead. Give it through the link, or go on cancelling. {link}",
    ),
    "offer_partial_cancel": (
        "可以只取消其中一部分商品,其余照常发出。请选择,或继续全部取消。{link}",
        "We can cancel only part of it and send the rest. Choose, or cancel everything. {link}",
    ),
    "offer_price_protection": (
        "可以补您差价{amount},订单保留。您愿意吗?不愿意可直接选择继续取消。{link}",
        "We can pay you the difference of {amount} and keep the order. If not, simply say so and it is cancelled. {link}",
    ),
    "asked_consent": (
        "本次实付{paid},其中{kept}需由您承担,退回{amount}。请确认是否同意;不同意不会扣款。{link}",
        "You paid {paid}; {kept} of it would be borne by you and {amount} returned. Please say whether you agree; nothing is kept otherwise. {link}",
    ),
    "answer_waiting": (
        "客服已回复您的取消申请,请进入取消进度页查看。",
        "An agent has answered you; open the page of your cancellation to read it.",
    ),
    "refund_on_its_way": (
        "订单已取消,退款{amount}已提交{three}:{tenders}。",
        "The order is cancelled; {amount} is on its way back{three}: {tenders}.",
    ),
    "restored": (
        "订单已取消,已退回:{tenders}。",
        "The order is cancelled; returned: {tenders}.",
    ),
    "cash_at_counter": (
        "订单已取消,请到柜台领取现金{amount},凭订单号领取,我们不会要求您转账或另付费用。",
        "The order is cancelled; please fetch {amount} in cash at the counter with your order number.",
    ),
    "merchant_asks": (
        "商家因{reason}申请取消您的订单,需要您同意。请在订单页选择同意或不同意;不同意则订单继续。请勿在平台外付款。",
        (
            "The merchant asks to cancel your order ({reason}) and needs your agreement. Agree or disagree on the order's page; "
            "if you disagree the order goes on. Do not pay outside the platform."
        ),
    ),
    "merchant_cancels": (
        "商家因{reason}要求取消您的订单,责任在商家,不计入您的取消记录;处理结果以后续通知为准。请勿在平台外付款。",
        (
            "The merchant wants your order cancelled ({reason}). It is the merchant's fault and does not count against you; you will be "
            "told what comes of it. Do not pay outside the platform."
        ),
    ),
    "scam_warning": (
        "提醒:任何让您在平台外转账、扫码或加好友付款的要求都可能是诈骗,请勿付款,并可随时联系客服核实。",
        "Beware: whoever asks you to pay outside the platform, by transfer, code or messenger, may be a fraud. Do not pay; ask us.",
    ),
    "satisfaction": (
        "您的取消已办结。处理得怎么样?点一下即可评价,无需登录:{link}",
        "Your cancellation is done. How did it go? One tap, no sign-in: {link}",
    ),
    "refund_done": ("退款{amount}已完成{three}:{tenders}。", "{amount} has been refunded{three}: {tenders}."),
}


WAYS = {
    "refuse_at_door": (
        "包裹送到时您可以当面拒收,退回后退款",
        "you may refuse the parcel at the door and are refunded once it is back",
    ),
    "return": ("收货后可申请退货退款", "you may return it once you have it"),
    "appeal": ("也可要求另一位客服复核", "you may ask for another person to look at it again"),
}
"""A decline is no dead end: the buyer's ways on, in the same message."""
WAYS_ORDER = ("refuse_at_door", "return", "appeal")

CODE_TEXTS = {
    "agent": (
        "验证码{code},{minutes}分钟内有效。仅当您正主动联系客服、由客服当面或在线为您核验时告知对方;若非您本人联系,请勿告诉任何人。除此之外我们不会索要验证码或要求转账。",
        (
            "Code {code}, valid for {minutes} minutes. Tell it only to the agent you have contacted yourself and are talking to now; "
            "if you did not contact us, tell nobody. Otherwise nobody will ever ask you for codes or transfers."
        ),
    ),
    "guest": (
        "验证码{code},{minutes}分钟内有效,请只在您打开的页面中自行输入,不要告诉任何人。我们不会索要验证码或要求转账。",
        (
            "Code {code}, valid for {minutes} minutes. Type it only into the page you have opened; tell nobody. "
            "Nobody will ever ask you for codes or transfers."
        ),
    ),
}
"""By who asked for the code. They leave at once and are kept nowhere; the digits stand in the message only."""


STAFF_TEXTS = {
    "staff_warned": (
        "工单 {case} 将在 {minutes} 分钟内超时,请尽快处理。",
        "Case {case} is due within {minutes} minutes; somebody should answer.",
    ),
    "staff_half": ("工单 {case} 时限已过半,请跟进。", "Half the time of case {case} is gone; please look."),
    "staff_again": (
        "工单 {case} 将在 {minutes} 分钟内超时,仍无人答复。",
        "Case {case} is due within {minutes} minutes and nobody has answered yet.",
    ),
    "staff_resolve_half": ("工单 {case} 办结时限已过半。", "Half the time to resolve case {case} is gone."),
    "staff_resolve_again": ("工单 {case} 即将超过办结时限。", "Case {case} should be resolved soon."),
    "staff_resolve_overdue": (
        "工单 {case} 已超过办结时限,请组长处理。",
        "Case {case} is past its time to be resolved; a lead should take it.",
    ),
    "staff_overdue": (
        "工单 {case} 已超时,请组长立即处理。",
        "Case {case} is overdue; a lead should see that it is answered now.",
    ),
    "asked_merchant": (
        "订单 {order} 有买家要求取消,请您在链接中答复:{link}",
        "The buyer of order {order} wants to cancel; please answer here: {link}",
    ),
    "staff_second": (
        "工单 {case} 的处理需要第二人复核,请组长查看。",
        "A decision on case {case} needs a second person; a lead should look.",
    ),
    "staff_promise_due": (
        "工单 {case} 对买家的承诺将在 {minutes} 分钟内到期。",
        "A promise to the buyer of case {case} is due within {minutes} minutes.",
    ),
    "staff_promise_broken": (
        "工单 {case} 对买家的承诺已逾期,请组内跟进、组长关注。",
        "A promise to the buyer of case {case} is broken; the group should see to it, and the lead.",
    ),
    "staff_alert": (
        "连接 {connection} 告警:{kind}({code}),请检查。",
        "Connection {connection}: {kind} ({code}); somebody should look.",
    ),
}
"""Case numbers and codes only: a group chat is no place for a buyer's name."""


def words_of(params: Mapping[str, Any], *, language: str) -> dict[str, str]:
    """The values that texts and providers' templates are filled with, as people read them."""
    is_zh = language != "en"
    shown = {name: str(value) for name, value in params.items() if isinstance(value, str | int)}

    def money(name: str) -> str:
        return format_minor(int(params.get(name, 0)), str(params.get("currency", "CNY")))

    amount = money("amount_minor")
    estimate = str(params.get("estimate_zh" if is_zh else "estimate_en", ""))
    if "reason_zh" in params:
        shown["reason"] = str(params["reason_zh" if is_zh else "reason_en"])
    ways = [way for way in WAYS_ORDER if way in str(params.get("ways", "return appeal")).split()]
    said = (";" if is_zh else "; ").join(WAYS[way][0 if is_zh else 1] for way in ways)
    return {
        **shown,
        "minutes": str(params.get("minutes", 0)),
        "place": place_text(params.get("place"))[0 if is_zh else 1],
        "amount": amount,
        "paid": money("paid_minor"),
        "kept": money("kept_minor"),
        "estimate": estimate,
        "three": _three(money("paid_minor"), money("kept_minor"), is_zh=is_zh) if params.get("kept_minor") else "",
        "tenders": _tenders(params, is_zh=is_zh) or estimate,
        "promised_at": _moment(str(params.get("promised_at", "")), str(params.get("time_zone", "Asia/Shanghai"))),
        "ways": f"{said}。" if is_zh else f"{said[:1].upper()}{said[1:]}.",
        "link": str(params.get("link", "")),
    }


def _three(paid: str, kept: str, *, is_zh: bool) -> str:
    """The two amounts beside the one that returns."""
    return f"(实付{paid},按约定扣除{kept})" if is_zh else f" (paid {paid}, kept as agreed {kept})"


def _tenders(params: Mapping[str, Any], *, is_zh: bool) -> str:
    """Per payment: how much, by when, and the number to quote to the bank."""
    currency = str(params.get("currency", "CNY"))
    told = params.get("tenders", ())
    arrival = str(params.get("arrival_zh" if is_zh else "arrival_en", ""))
    found = []
    for tender in told if isinstance(told, list) else ():
        by = estimate_for(Route(tender["method"], tender["payer"], tender["how"]))
        amount, number = format_minor(tender["amount_minor"], currency), tender["reference"]
        when = arrival or (by.zh if is_zh else by.en)
        kind = ("凭证号", "voucher") if tender["how"] == "off_line" else ("退款单号", "refund number")
        if is_zh:
            found.append(f"{by.name_zh}{amount},{when}" + (f",{kind[0]}{number}" if number else ""))
        else:
            found.append(f"{amount} by {by.name_en}, {when}" + (f", {kind[1]} {number}" if number else ""))
    return (";" if is_zh else "; ").join(found)


def place_text(place: int | None) -> tuple[str, str]:
    """Where one stands in the queue, and that asking again changes nothing; empty where nobody waits."""
    if place is None:
        return "", ""
    return (
        f"您当前排在第{place}位,无需再次联系我们,有结果会主动通知您。",
        f" You are number {place} in the queue; there is no need to contact us again, we will get in touch.",
    )


def _moment(text: str, time_zone: str) -> str:
    """A promised moment in the shop's time zone, to the minute."""
    return datetime.fromisoformat(text).astimezone(ZoneInfo(time_zone)).strftime("%m-%d %H:%M") if text else ""


def code_text(purpose: str, digits: str, *, minutes: int, language: str) -> str:
    return CODE_TEXTS[purpose][1 if language == "en" else 0].format(code=digits, minutes=minutes)


def text_of(fact: str, params: Mapping[str, Any], *, language: str) -> str:
    """`params` hold codes, amounts and estimates only. A fact may name its plan part after a colon."""
    name = fact.split(":", 1)[0]
    is_zh = language != "en"
    if name in STAFF_TEXTS:
        return STAFF_TEXTS[name][0 if is_zh else 1].format(**words_of(params, language=language))
    filled = TEXTS[name][0 if is_zh else 1].format(**words_of(params, language=language))
    return f"{filled}{NEVER_ASK[0] if is_zh else ' ' + NEVER_ASK[1]}"
