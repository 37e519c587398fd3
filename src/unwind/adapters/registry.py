"""Every provider that `connections.json` may name. A new one is added here, and nowhere else on this side (docs/adding-a-provider.md)."""

from unwind.adapters.carrier import jdl, kuaidi100, sf, yto, zto
from unwind.adapters.generic import providers as generic
from unwind.adapters.notifier import aliyun_sms, email, group_chats, webhook, wechat_subscribe
from unwind.adapters.payment import alipay, stripe, unionpay, wechat_pay
from unwind.adapters.provider import Provider
from unwind.adapters.warehouse import qimen

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        generic.PAYMENT,
        generic.WAREHOUSE,
        generic.CARRIER,
        generic.SHOP,
        generic.MESSAGES,
        qimen.PROVIDER,
        sf.PROVIDER,
        kuaidi100.PROVIDER,
        zto.PROVIDER,
        jdl.PROVIDER,
        yto.PROVIDER,
        aliyun_sms.PROVIDER,
        wechat_subscribe.PROVIDER,
        email.PROVIDER,
        webhook.PROVIDER,
        *group_chats.PROVIDERS,
        wechat_pay.PROVIDER,
        alipay.PROVIDER,
        unionpay.PROVIDER,
        stripe.PROVIDER,
    )
}
