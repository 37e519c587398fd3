"""The merchant cancels by itself (砍单): it says why, shows it, bears the fault, and asks the buyer who has paid."""

from enum import StrEnum

from unwind.domain.order import AttemptState, Order

CHANNEL, FAULT = "merchant", "merchant"
REASONS = frozenset({"OUT_OF_STOCK", "MERCHANT_ASKED"})
"""True reasons of a cancellation that lie with the merchant, whoever asks."""
RULE = "buyer_must_agree"
"""Of a case that goes on by itself as soon as the buyer has agreed."""


class MerchantReason(StrEnum):
    OUT_OF_STOCK = "out_of_stock"
    """缺货"""
    PRICE_MISTAKE = "price_mistake"
    """标错价"""
    CANNOT_DELIVER = "cannot_deliver"
    """地址无法配送"""
    QUALITY_STOP = "quality_stop"
    """质量问题停售"""
    SUSPECTED_RESALE = "suspected_resale"
    """疑似倒卖或风险订单"""
    FORCE_MAJEURE = "force_majeure"
    """不可抗力"""


REASON_WORDS = {
    MerchantReason.OUT_OF_STOCK: ("缺货", "out of stock"),
    MerchantReason.PRICE_MISTAKE: ("标价有误", "a mistake in the price"),
    MerchantReason.CANNOT_DELIVER: ("收货地址无法配送", "the address cannot be delivered to"),
    MerchantReason.QUALITY_STOP: ("商品质量问题停售", "the goods are held back for quality"),
    MerchantReason.SUSPECTED_RESALE: ("订单存在风险", "the order looks risky"),
    MerchantReason.FORCE_MAJEURE: ("不可抗力", "force majeure"),
}


def is_merchants_fault(channel: str, reason: str) -> bool:
    """Never counted against the buyer: what the merchant asks for, lacks, or has somebody else ask for."""
    return channel == CHANNEL or reason in REASONS


def needs_agreement(channel: str, order: Order) -> bool:
    """Of the buyer who has paid, unless the merchant's terms say that telling is enough."""
    has_paid = any(p.state is AttemptState.CAPTURED and p.share_minor > 0 for p in order.payments)
    return channel == CHANNEL and has_paid and not order.merchant.may_only_tell
