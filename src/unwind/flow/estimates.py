"""When money arrives, by the way it was paid; shown with every refund (PROTOCOLS 1.3, 2.3, 4; RULES: money)."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from unwind.domain.order import CASH_TENDER, Payment
from unwind.domain.terms import Payer


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    name_zh: str
    name_en: str
    """Of the method, as buyers know it."""
    zh: str
    en: str
    days_max: int
    """Bank working days."""


def _method(name_zh: str, name_en: str, zh: str, en: str, days_max: int = 0) -> Estimate:
    return Estimate(name_zh=name_zh, name_en=name_en, zh=zh, en=en, days_max=days_max)


BY_METHOD = {
    "wechat": _method(
        "微信支付",
        "WeChat Pay",
        "零钱约5分钟内到账,银行卡1-3个工作日",
        "within minutes to balance, 1-3 working days to a bank card",
        3,
    ),
    "alipay": _method(
        "支付宝",
        "Alipay",
        "余额即时到账,银行卡1-3个工作日",
        "at once to balance, 1-3 working days to a bank card",
        3,
    ),
    "huabei": _method("花呗", "Huabei", "退回花呗额度,1-3个工作日", "back to the credit limit in 1-3 working days", 3),
    "card": _method("银行卡", "bank card", "1-3个工作日退回原银行卡", "1-3 working days to the original card", 3),
    "credit_card": _method(
        "信用卡", "credit card", "1-3个工作日退回信用卡账单", "1-3 working days to the credit card bill", 3
    ),
    "stripe": _method("银行卡", "bank card", "5-10个工作日退回原卡", "5-10 working days to the original card", 10),
    "cash": _method("现金", "cash", "请到门店柜台领取现金", "to be fetched in cash at the counter"),
    "balance": _method("账户余额", "account balance", "即时退回账户余额", "at once to the account balance"),
    "bonus": _method("赠金", "bonus", "即时退回账户赠金", "at once to the account as bonus"),
    "instalments": _method(
        "分期付款",
        "instalments",
        "退回信用卡分期账单,已还部分恢复额度,1-3个工作日",
        "1-3 working days to the instalment bill; what was repaid returns to the credit limit",
        3,
    ),
    "points": _method("积分", "points", "即时退回积分", "points are restored at once"),
    "gift_card": _method("礼品卡", "gift card", "即时退回礼品卡", "at once to the gift card"),
    "subsidy": _method("国家补贴", "government subsidy", "资格即时恢复", "the entitlement is restored at once"),
}
GATEWAY = "gateway"
BY_HOW = {
    "other_account": _method(
        "您的另一银行卡",
        "another bank card of yours",
        "退回您本人的另一银行卡,1-3个工作日",
        "to another bank card of yours in 1-3 working days",
        3,
    ),
    "merchant_account": _method(
        "商家账户",
        "the shop's account",
        "渠道已退至商家账户,由商家另行支付给您",
        "returned to the shop's account; the shop pays it to you",
        3,
    ),
    "off_line": _method("线下支付", "payment by hand", "已由人工线下支付给您", "paid to you by hand"),
}
"""Where it did not go the way it came (`refunds.how`)."""
ORIGINAL_ROUTE = _method(
    "原支付方式",
    "the original method",
    "款项将在1-3个工作日退回原支付账户",
    "back to the original payment account in 1-3 working days",
    3,
)


class Route(NamedTuple):
    """How one payment goes back."""

    method: str
    payer: str = Payer.BUYER
    how: str = GATEWAY
    """`refunds.how`."""


def route_of(payment: Payment, how: str = GATEWAY) -> Route:
    return Route(payment.method, payment.payer, how)


def estimate_for(route: Route) -> Estimate:
    """Cash goes over the counter whatever happens. Paid by somebody else (亲友代付): they get it, by the same route and in the same time."""
    if route.method != CASH_TENDER and route.how in BY_HOW:
        return BY_HOW[route.how]
    estimate = BY_METHOD.get(route.method, ORIGINAL_ROUTE)
    if route.payer != Payer.OTHER:
        return estimate
    days = f"1-{estimate.days_max}个工作日" if estimate.days_max else "即时"
    in_days = f"in 1-{estimate.days_max} working days" if estimate.days_max else "at once"
    return replace(estimate, zh=f"退回代付人的支付账户,{days}", en=f"to whoever paid for you, {in_days}")
