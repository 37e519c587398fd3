"""The demo's merchants, goods and people. All invented; phone numbers are from no real range."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    sku: str
    title: str
    price_minor: int
    traits: dict[str, Any] = field(default_factory=dict)
    pool: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMerchant:
    merchant_id: str
    name: str
    hours: tuple[tuple[int, int], ...]
    warehouse: str
    products: tuple[Product, ...]


MERCHANTS = (
    DemoMerchant(
        merchant_id="demo-home",
        name="禾木家居",
        hours=(),
        warehouse="wms",
        products=(
            Product(sku="BAG-LTD", title="限量双肩背包", price_minor=39900, pool="limited"),
            Product(sku="LAMP", title="原木台灯", price_minor=15900),
            Product(sku="QUILT", title="四季薄被", price_minor=26800),
            Product(
                sku="SHELF",
                title="定制书架",
                price_minor=89900,
                traits={"made_to_order": True, "production_started": False},
            ),
        ),
    ),
    DemoMerchant(
        merchant_id="demo-tableware",
        name="青瓷餐具",
        hours=((540, 1080),),
        warehouse="wms",
        products=(
            Product(sku="BOWL6", title="青瓷餐具六件套", price_minor=12900),
            Product(sku="TEAPOT", title="手作茶壶", price_minor=23800),
        ),
    ),
    DemoMerchant(
        merchant_id="demo-phone",
        name="远航数码",
        hours=((510, 1320),),
        warehouse="wms",
        products=(
            Product(sku="PHONE", title="远航手机 12G+256G", price_minor=299900),
            Product(sku="BUDS", title="降噪耳机", price_minor=49900),
        ),
    ),
    DemoMerchant(
        merchant_id="demo-cake",
        name="甜里烘焙",
        hours=((480, 1260),),
        warehouse="manual",
        products=(
            Product(sku="CAKE8", title="8寸生日蛋糕", price_minor=25800, traits={"perishable": True}),
            Product(sku="COOKIE", title="曲奇礼盒", price_minor=9900),
        ),
    ),
    DemoMerchant(
        merchant_id="demo-dress",
        name="江南衣铺",
        hours=((540, 720), (780, 1260)),
        warehouse="wms",
        products=(
            Product(sku="DRESS", title="真丝连衣裙", price_minor=45900),
            Product(sku="COAT", title="羊毛大衣", price_minor=128000),
            Product(sku="SCARF", title="羊绒围巾", price_minor=19900),
        ),
    ),
)

METHODS = (("wxpay", "wechat"), ("wxpay", "wechat"), ("alipay", "alipay"), ("unionpay", "card"))
CITIES = ("杭州转运中心", "上海分拨中心", "北京分拨中心", "成都转运中心", "武汉分拨中心")
WISHES: tuple[tuple[str, str | None, str], ...] = (
    ("app", "CHANGED_MIND", ""),
    ("app", "ADDRESS_ERROR", "地址填错了,搬家了没改"),
    ("app", "SHIPPING_TOO_SLOW", "下单三天了还没发货"),
    ("app", "WRONG_ITEM_ORDERED", ""),
    ("app", "PRICE_DROP", "刚买完就降价了"),
    ("hotline", None, "帮我取消吧,买重复了"),
    ("chat", None, "你们怎么还不发货!!再不发就投诉"),
    ("store", None, "顾客在店里要求取消网上订单"),
    ("chat", None, "我的包裹到哪了"),
    ("app", "NOT_AS_DESCRIBED", "页面是红色,客服说发蓝色"),
)
"""(channel, option picked, words): what the demo's buyers ask, one after the other."""

DEMO_KEYS = {
    "integrator": "uk_demo_integrator",
    "agent": "uk_demo_agent",
    "warehouse": "uk_demo_warehouse",
    "admin": "uk_demo_admin",
}
"""Public on purpose. They are only ever written into a demo database."""

DEMO_PASSWORD = "unwind-demo-2026"  # noqa: S105 - published, and refused by every process that does not run the demo
DEMO_STAFF = (
    ("lin", "agent", None, "林晓 客服"),
    ("wang", "lead", None, "王敏 组长"),
    ("ops", "ops", None, "陈刚 运营"),
    ("finance", "finance", None, "赵芸 财务"),
    ("cang", "warehouse", None, "刘海 仓库"),
    ("shop", "merchant", "demo-home", "禾木家居"),
    ("boss", "admin", None, "管理员"),
    ("audit", "auditor", None, "审计"),
)
"""(login, role, merchant, name). They are only ever written into a demo database, all with `DEMO_PASSWORD`."""
