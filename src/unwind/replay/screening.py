"""Which rows are sales of products, and why the others are not. One written rule each, the first that applies speaks.

A product's code begins with five digits and goes on with letters or digits only (`85123A`, `15056BL`). Every other code is a
charge, a correction or a voucher, named below where the data set's users agree on what it is.
"""

import re
from decimal import Decimal

from unwind.replay.transactions import Row

PRODUCT_CODE = re.compile(r"[0-9]{5}[0-9A-Za-z]{0,15}", re.ASCII)
NOT_PRODUCTS = {
    "POST": ("邮费", "postage"),
    "DOT": ("网店邮费", "postage of the web shop"),
    "C2": ("运费", "carriage"),
    "M": ("手工录入", "manual entry"),
    "D": ("折扣", "discount"),
    "S": ("样品", "samples"),
    "B": ("坏账调整", "bad debt"),
    "BANK CHARGES": ("银行手续费", "bank charges"),
    "AMAZONFEE": ("平台佣金", "marketplace fee"),
    "CRUK": ("慈善佣金", "charity commission"),
    "PADS": ("包材", "packing pads"),
}
PENCE = Decimal(100)

NO_FIT = "no_fitting_purchase"
REASONS = {
    "fee": ("不是商品", "not a product"),
    "price_not_positive": ("价格不大于零", "price not above zero"),
    "price_below_a_penny": ("价格不足一便士的零头", "price has fractions of a penny"),
    "no_customer": ("没有顾客", "customer missing"),
    "quantity_sign": ("数量符号与单据不符", "quantity has the wrong sign"),
    "another_customer": ("单据已属另一顾客", "invoice of another customer"),
    NO_FIT: ("没有匹配的购买", "no fitting purchase"),
}


def pence(price: Decimal) -> int:
    return int(price * PENCE)


def why_left_out(row: Row) -> str | None:
    """The reason a row is no sale, or no cancellation of one; None when it is. `fee` is followed by the code: `fee:POST`."""
    if PRODUCT_CODE.fullmatch(row.stock_code) is None:
        return f"fee:{_family(row.stock_code)}"
    if row.price <= 0:
        return "price_not_positive"
    if row.price * PENCE % 1:
        return "price_below_a_penny"
    if not row.customer:
        return "no_customer"
    if row.quantity == 0 or (row.quantity < 0) is not row.is_cancellation:
        return "quantity_sign"
    return None


def _family(code: str) -> str:
    """Vouchers come in many codes and are told as one."""
    upper = code.upper()
    if upper in NOT_PRODUCTS:
        return upper
    return "gift_*" if upper.startswith("GIFT_") else "other"


def words_of(reason: str) -> tuple[str, str]:
    """Chinese and English, for the table."""
    kind, _, code = reason.partition(":")
    zh, en = REASONS[kind]
    if not code:
        return zh, en
    more_zh, more_en = {"gift_*": ("礼券", "gift vouchers"), "other": ("非商品代码", "no product code")}.get(
        code, NOT_PRODUCTS.get(code, ("", ""))
    )
    return f"{zh}:{code} {more_zh}", f"{en}: {code} ({more_en})"
