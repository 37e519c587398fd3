"""The merchant cancels by itself (砍单): it says why, shows it, bears the fault, and asks the buyer who has paid."""

from enum import StrEnum


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
