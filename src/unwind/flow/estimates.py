"""When money arrives, by the way it was paid; shown with every refund (PROTOCOLS 1.3, 2.3, 4; RULES: money)."""

from dataclasses import dataclass

from unwind.domain.order import CASH_TENDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    zh: str
    en: str
    days_max: int
    """Bank working days."""


BY_METHOD = {
    "wechat": Estimate(
        zh="零钱约5分钟内到账,银行卡1-3个工作日",
        en="within minutes to balance, 1-3 working days to a bank card",
        days_max=3,
    ),
    "alipay": Estimate(
        zh="余额即时到账,银行卡1-3个工作日", en="at once to balance, 1-3 working days to a bank card", days_max=3
    ),
    "huabei": Estimate(zh="退回花呗额度,1-3个工作日", en="back to the credit limit in 1-3 working days", days_max=3),
    "card": Estimate(zh="1-3个工作日退回原银行卡", en="1-3 working days to the original card", days_max=3),
    "credit_card": Estimate(zh="1-3个工作日退回信用卡账单", en="1-3 working days to the credit card bill", days_max=3),
    "stripe": Estimate(zh="5-10个工作日退回原卡", en="5-10 working days to the original card", days_max=10),
    "cash": Estimate(zh="请到门店柜台领取现金", en="to be fetched in cash at the counter", days_max=0),
    "balance": Estimate(zh="即时退回账户余额", en="at once to the account balance", days_max=0),
    "bonus": Estimate(zh="即时退回账户赠金", en="at once to the account as bonus", days_max=0),
    "instalments": Estimate(
        zh="退回信用卡分期账单,已还部分恢复额度,1-3个工作日",
        en="1-3 working days to the instalment bill; what was repaid returns to the credit limit",
        days_max=3,
    ),
    "points": Estimate(zh="即时退回积分", en="points are restored at once", days_max=0),
    "gift_card": Estimate(zh="即时退回礼品卡", en="at once to the gift card", days_max=0),
}
GATEWAY = "gateway"
BY_HOW = {
    "other_account": Estimate(
        zh="退回您本人的另一银行卡,1-3个工作日", en="to another bank card of yours in 1-3 working days", days_max=3
    ),
    "merchant_account": Estimate(
        zh="渠道已退至商家账户,由商家另行支付给您",
        en="returned to the shop's account; the shop pays it to you",
        days_max=3,
    ),
    "off_line": Estimate(zh="已由人工线下支付给您", en="paid to you by hand", days_max=0),
}
"""Where it did not go the way it came (`refunds.how`)."""
ORIGINAL_ROUTE = Estimate(
    zh="款项将在1-3个工作日退回原支付账户", en="back to the original payment account in 1-3 working days", days_max=3
)


def estimate_for(method: str, how: str = GATEWAY) -> Estimate:
    """Cash goes over the counter whatever happens."""
    return BY_METHOD.get(method, ORIGINAL_ROUTE) if method == CASH_TENDER or how not in BY_HOW else BY_HOW[how]
