"""A provider's bill of one day, from the ledger, as it would be downloaded: every payment of that day and every refund that was accepted.

Times of payments are not kept; a payment stands on the bill of the day that is asked for.
"""

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sandbox.world import World

BEIJING = ZoneInfo("Asia/Shanghai")
NS_PER_S = 1_000_000_000

WECHAT_HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
WECHAT_SUMS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
ALIPAY_HEAD = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ZM_WIDTHS = (
    3,
    11,
    11,
    6,
    10,
    19,
    12,
    4,
    2,
    21,
    2,
    32,
    2,
    6,
    10,
    13,
    13,
    4,
    15,
    2,
    2,
    6,
    2,
    4,
    32,
    1,
    21,
    15,
    1,
    15,
    32,
)


def write_bill(world: World, connection: str, provider: str, day: date) -> bytes | None:
    """None: this provider has no bill here."""
    writer = WRITERS.get(provider)
    if writer is None:
        return None
    trades = world.ledger.all(
        "SELECT * FROM trades WHERE connection = ? AND state = 'PAID' ORDER BY trade_no", connection
    )
    accepted = world.ledger.all(
        "SELECT * FROM refunds WHERE connection = ? AND status <> 'CLOSED' ORDER BY accepted_at_ns, refund_no",
        connection,
    )
    refunds = [row for row in accepted if _time(row).date() == day]
    return writer(day, trades, refunds)


def _time(refund: sqlite3.Row) -> datetime:
    return datetime.fromtimestamp(refund["accepted_at_ns"] / NS_PER_S, UTC).astimezone(BEIJING)


def _yuan(minor: int) -> str:
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _wechat(day: date, trades: list[sqlite3.Row], refunds: list[sqlite3.Row]) -> bytes:
    names = WECHAT_HEAD.split(",")
    zero = dict.fromkeys(names, "") | dict.fromkeys(
        ("应结订单金额", "代金券金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额"), "0.00"
    )
    lines = []
    for trade in trades:
        amount = _yuan(trade["amount_minor"])
        row = {
            "交易时间": f"{day} 00:00:01",
            "商户订单号": trade["trade_no"],
            "交易状态": "SUCCESS",
            "货币种类": trade["currency"],
        }
        lines.append(zero | row | {"应结订单金额": amount, "订单金额": amount})
    for refund in refunds:
        amount = _yuan(refund["amount_minor"])
        row = {
            "交易时间": f"{_time(refund):%Y-%m-%d %H:%M:%S}",
            "商户订单号": refund["trade_no"],
            "交易状态": "REFUND",
            "货币种类": refund["currency"],
            "微信退款单号": refund["reference"],
            "商户退款单号": refund["refund_no"],
            "退款状态": refund["status"],
        }
        lines.append(zero | row | {"退款金额": amount, "申请退款金额": amount})
    body = [",".join(f"`{line[name]}" for name in names) for line in lines]
    paid, back = sum(t["amount_minor"] for t in trades), sum(r["amount_minor"] for r in refunds)
    sums = [str(len(lines)), _yuan(paid - back), _yuan(back), "0.00", "0.00", _yuan(paid), _yuan(back)]
    tail = [WECHAT_SUMS, ",".join(f"`{value}" for value in sums)]
    return ("﻿" + "\r\n".join([WECHAT_HEAD, *body, *tail]) + "\r\n").encode()


def _alipay(day: date, trades: list[sqlite3.Row], refunds: list[sqlite3.Row]) -> bytes:
    names = ALIPAY_HEAD.split(",")
    lines = []
    for trade in trades:
        row = dict.fromkeys(names, "") | {"业务类型": "交易", "商户订单号": trade["trade_no"] + "\t"}
        amount = _yuan(trade["amount_minor"])
        lines.append(row | {"完成时间": f"{day} 00:00:01", "订单金额（元）": amount, "商家实收（元）": amount})
    for refund in refunds:
        row = dict.fromkeys(names, "") | {"业务类型": "退款", "商户订单号": refund["trade_no"] + "\t"}
        amount = _yuan(-refund["amount_minor"])
        at = f"{_time(refund):%Y-%m-%d %H:%M:%S}"
        number = {"退款批次号/请求号": refund["refund_no"]}
        lines.append(row | {"完成时间": at, "订单金额（元）": amount, "商家实收（元）": amount} | number)
    head = ["#支付宝业务明细查询", f"#起始日期：[{day} 00:00:00]", "#-----业务明细列表----"]
    body = [",".join(line[name] for name in names) for line in lines]
    tail = ["#-----业务明细列表结束----", f"#交易合计：{len(trades)}笔", f"#退款合计：{len(refunds)}笔"]
    return ("\r\n".join([*head, ALIPAY_HEAD, *body, *tail]) + "\r\n").encode("gb18030")


def _unionpay(day: date, trades: list[sqlite3.Row], refunds: list[sqlite3.Row]) -> bytes:
    """`trade_no` is `orderId:txnTime`; the time on the bill has no year."""

    def line(*, order: str, at: str, minor: int, kind: str) -> str:
        cells = {0: "S22", 4: at, 6: f"{minor:012d}", 11: order, 19: kind}
        return " ".join(cells.get(i, "").ljust(width) for i, width in enumerate(ZM_WIDTHS))

    lines = []
    for trade in trades:
        order, _, at = trade["trade_no"].partition(":")
        if at.startswith(f"{day:%Y%m%d}"):
            lines.append(line(order=order, at=at[4:], minor=trade["amount_minor"], kind="01"))
    for refund in refunds:
        at = f"{_time(refund):%m%d%H%M%S}"
        lines.append(line(order=refund["refund_no"], at=at, minor=refund["amount_minor"], kind="04"))
    return "".join(f"{text}\r\n" for text in lines).encode()


WRITERS: dict[str, Callable[[date, list[sqlite3.Row], list[sqlite3.Row]], bytes]] = {
    "wechat_pay": _wechat,
    "alipay": _alipay,
    "unionpay": _unionpay,
}
