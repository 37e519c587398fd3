"""Chinese words for the codes in an export. A cell shows both: the word for people, the code for whoever counts."""

from collections.abc import Mapping
from typing import Final

LABELS: Final[Mapping[str, str]] = {
    # how a refund reached its payer
    "gateway": "原路",
    "other_account": "改退其他账户",
    "merchant_account": "退至商家账户",
    "off_line": "线下",
    "own_books": "账内返还",
    "adopted": "渠道已有",
    "elsewhere": "渠道后台",
    "pending": "未到账",
    "total": "合计",
    # states
    "final": "已到账",
    "sent": "已发出",
    "assigned": "已归单",
    "open": "未结",
    "settled": "已结清",
    "written_off": "已核销",
    "filed": "已提交",
    "accepted": "已受理",
    "rejected": "被拒",
    "paid": "已赔付",
    "planned": "待执行",
    "claimed": "执行中",
    "unknown": "结果未知",
    "task": "待人工办理",
    "blocked": "受阻",
    "succeeded": "已完成",
    "released": "已放弃",
    "waived": "已豁免",
    # fees and who bears them
    "recall": "拦截费",
    "freight": "运费",
    "goods_loss": "货损",
    "gift": "赠品",
    "deposit": "定金",
    "tax": "关税税费",
    "points": "积分",
    "compensation": "补偿",
    "other": "其他",
    "buyer": "买家",
    "merchant": "商家",
    "carrier": "承运商",
    "platform": "平台",
    # why a carrier owes
    "late": "延误",
    "lost": "丢失",
    "damaged": "破损",
    "recall_failed": "拦截失败",
    "short": "短少",
    # how a bill and the books differ, and what was done
    "refund_not_ours": "非本系统退款",
    "refund_amount": "退款金额不符",
    "refund_not_final": "账单已退而账内未结",
    "refund_paid_twice": "线下已付又见于账单",
    "refund_missing": "账单缺少退款",
    "payment_amount": "支付金额不符",
    "payment_not_booked": "支付未入账",
    "book_elsewhere": "登记为渠道后台退款",
    "explained": "已说明",
    "no_longer_found": "已自行消除",
}


def labelled(code: str) -> str:
    """`原路 gateway`; a code without a word stands alone."""
    word = LABELS.get(code)
    return f"{word} {code}" if word else code
