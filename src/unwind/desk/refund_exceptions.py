"""Refunds that need a person, each with what has to be done next."""

from collections.abc import Mapping
from typing import Any

NEXT_STEPS: Mapping[str, tuple[str, str]] = {
    "needs_funds": (
        "商户账户余额不足:请充值后点“重试”,使用同一退款单号。",
        "The merchant's account is short: top it up, then retry under the same number.",
    ),
    "abnormal": (
        "买家账户无法收款:请提出改退到买家本人的其他银行卡或商户账户,或线下退款,由另一位人员同意。",
        "The payer's account cannot receive it: propose another account in the same name, or an off-line refund; a second person agrees.",
    ),
    "needs_new_number": (
        "退款单号多次被渠道关闭:请联系支付渠道后重试。",
        "The gateway has closed several numbers in a row: ask the gateway, then retry.",
    ),
    "refused": (
        "渠道拒绝退款:请核对原因,必要时提出线下退款,由另一位人员同意。",
        "The gateway refuses it: look at its code; propose an off-line refund where it must be, and a second person agrees.",
    ),
    "unfinished": (
        "结果未知:请向渠道核实后重试,系统会先查询再发起。",
        "The outcome is unknown: check with the gateway, then retry; it is asked for before it is sent.",
    ),
}


IN_HANDS = (
    "等待另一位人员同意。",
    "Waits for a second person to agree.",
)


def exception_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of storage.desk.refund_exceptions as people read it. `age_s`: since it has waited for a person."""
    word, _, provider_code = str(row["code"]).partition(":")
    kind = word if word in NEXT_STEPS else "unfinished"
    zh, en = IN_HANDS if row["proposal"] else NEXT_STEPS[kind]
    shown = {name: value for name, value in row.items() if name not in {"code", "now"}}
    return {
        **shown,
        "kind": kind,
        "provider_code": provider_code if kind == word else str(row["code"]),
        "age_s": int((row["now"] - row["blocked_at"]).total_seconds()),
        "next_step": {"zh": zh, "en": en},
    }
