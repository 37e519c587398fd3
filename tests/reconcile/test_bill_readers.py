"""Bills as they are downloaded, read by us; written by hand here, and by the sandbox, which shares no code with the readers."""

import gzip
import io
import zipfile
from datetime import UTC, datetime

import pytest

from unwind.adapters.payment.bills import ZM_WIDTHS, read_alipay, read_unionpay, read_wechat
from unwind.domain.bill import BillKind
from unwind.ports.bill import BillUnreadable
from unwind.reconcile import unpacked

WECHAT = (
    "\ufeff交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
    "`2026-11-23 10:00:01,`wx1,`190,`0,`,`4200,`T1,`o1,`JSAPI,`SUCCESS,`OTHERS,`CNY,`12.34,`0.00,`0,`0,`0.00,`0.00,`,`,`包,`,`0.07,`0.60%,`12.34,`0.00,`\r\n"
    "`2026-11-23 23:59:59,`wx1,`190,`0,`,`4200,`T1,`o1,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5030,`R1,`8.00,`0.00,`ORIGINAL,`SUCCESS,`包,`,`0.00,`0.60%,`0.00,`10.01,`\r\n"
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
    "`2,`12.34,`8.00,`0.00,`0.07,`12.34,`10.01\r\n"
)
ALIPAY = (
    "#支付宝业务明细查询\r\n#账号：[2088]\r\n#-----业务明细列表----\r\n"
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,退款批次号/请求号,备注\r\n"
    "2026112322,T1\t,交易,包,2026-11-23 09:00:00,2026-11-23 09:00:05,,,,,***,12.34,12.34,,\r\n"
    "2026112322,T1\t,退款,包,2026-11-23 09:00:00,2026-11-23 12:00:05,,,,,***,-10.01,-10.01,R1,\r\n"
    "#-----业务明细列表结束----\r\n#交易合计：1笔\r\n"
)


def zm(order: str, at: str, minor: int, kind: str) -> str:
    cells = {4: at, 6: f"{minor:012d}", 11: order, 19: kind}
    return " ".join(cells.get(i, "").ljust(width) for i, width in enumerate(ZM_WIDTHS)) + " " * 40


def test_wechat_is_in_yuan_and_ends_with_sums() -> None:
    paid, back = read_wechat(WECHAT.encode())
    assert (paid.kind, paid.trade_no, paid.amount_minor) == (BillKind.PAYMENT, "T1", 1234)
    assert paid.refund_no == "", "the bill says 0"
    assert (back.kind, back.trade_no, back.refund_no) == (BillKind.REFUND, "T1", "R1")
    assert back.amount_minor == 1001, "what was asked for, vouchers included"
    assert back.at == datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)


def test_alipay_is_gbk_with_comments_and_signs() -> None:
    paid, back = read_alipay(ALIPAY.encode("gb18030"))
    assert (paid.kind, paid.trade_no, paid.amount_minor) == (BillKind.PAYMENT, "T1", 1234)
    assert (back.kind, back.refund_no, back.amount_minor) == (BillKind.REFUND, "R1", 1001)
    assert back.at == datetime(2026, 11, 23, 4, 0, 5, tzinfo=UTC)


def test_unionpay_has_columns_and_no_year() -> None:
    text = "\r\n".join(
        [zm("ORDER1", "1123100000", 1234, "01"), zm("RF1", "1123120000", 1001, "04"), zm("X", "1123120000", 5, "00")]
    )
    paid, back = read_unionpay(text.encode(), today=datetime(2026, 11, 24, tzinfo=UTC))
    assert (paid.trade_no, paid.amount_minor) == ("ORDER1:20261123100000", 1234)
    assert (back.refund_no, back.amount_minor) == ("RF1", 1001)
    (old,) = read_unionpay(zm("RF2", "1231235959", 7, "31").encode(), today=datetime(2027, 1, 1, tzinfo=UTC))
    assert old.at == datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC), "a voided sale of last year's last evening"


@pytest.mark.parametrize(
    ("reader", "raw"),
    [
        (read_wechat, b""),
        (read_wechat, b"\xff\xfe\x00"),
        (read_wechat, b"a,b\r\n1,2\r\n"),
        (read_wechat, WECHAT.replace("10.01", "10.015").encode()),
        (read_wechat, WECHAT.replace("10.01", "ten").encode()),
        (read_wechat, WECHAT.replace("2026-11-23 23:59:59", "yesterday").encode()),
        (read_alipay, b"#nothing"),
        (read_unionpay, b"S22 short"),
        (read_unionpay, zm("R", "1323120000", 1, "04").encode()),
    ],
)
def test_what_is_no_bill_is_refused_without_quoting_it(reader: object, raw: bytes) -> None:
    with pytest.raises(BillUnreadable) as refused:
        reader(raw)  # type: ignore[operator]
    assert "T1" not in str(refused.value)
    assert "ten" not in str(refused.value)


def test_archives() -> None:
    plain = WECHAT.encode()
    assert unpacked(plain) == plain
    assert unpacked(gzip.compress(plain)) == plain
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("20881_20261123_业务明细.csv", plain)
        archive.writestr("20881_20261123_业务明细(汇总).csv", b"sums")
    assert unpacked(packed.getvalue()) == plain
    for broken in (gzip.compress(plain)[:-9], packed.getvalue()[:-30], b"PK\x03\x04nonsense"):
        with pytest.raises(BillUnreadable):
            unpacked(broken)
