"""Every provider that `connections.json` may name. A new one is added here, and nowhere else on this side (docs/adding-a-provider.md)."""

from unwind.adapters.generic import providers as generic
from unwind.adapters.payment.alipay import ALIPAY
from unwind.adapters.payment.stripe import STRIPE
from unwind.adapters.payment.unionpay import UNIONPAY
from unwind.adapters.payment.wechat_pay import WECHAT_PAY
from unwind.adapters.provider import Provider

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        generic.PAYMENT,
        generic.WAREHOUSE,
        generic.CARRIER,
        generic.SHOP,
        generic.MESSAGES,
        WECHAT_PAY,
        ALIPAY,
        UNIONPAY,
        STRIPE,
    )
}
