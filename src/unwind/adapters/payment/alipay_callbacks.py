"""Alipay's notifications. They go to the notify_url of the payment, never to one of the refund, so the shop has to name ours when it
creates the payment.

Source: opendocs.alipay.com (asynchronous notification of alipay.trade.*); zhifubao.apifox.cn/doc-3290173.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from unwind.adapters.fields import Malformed, read_same, read_text
from unwind.adapters.payment.alipay_signing import BEIJING, is_notification_signed
from unwind.adapters.payment.forms import read_form
from unwind.adapters.payment.yuan import read_yuan
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News

AGE_MAX_S = 48 * 3600
"""Notifications are repeated for about 25 hours (unverified), and we do not know whether a repeat has a new notify_time."""
PAID_STATUSES = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})
CURRENCY = "CNY"


class AlipayNotifications:
    """Implements ports.callback.CallbackVerifier. `keys`: Alipay's present public key, and its predecessor."""

    accepted = CallbackAnswer(status=200, body=b"success", media_type="text/plain")

    def __init__(
        self, *, app_id: str, seller_id: str, keys: Sequence[rsa.RSAPublicKey], clock: Callable[[], float]
    ) -> None:
        self._app_id, self._seller_id = app_id, seller_id
        self._keys, self._clock = keys, clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        parameters = read_form(incoming.body)
        if not parameters.get("sign"):
            raise CallbackUnverified("missing")
        if not is_notification_signed(self._keys, parameters):
            raise CallbackUnverified("wrong")
        try:
            self._check_ours(parameters)
            return (_read(parameters),)
        except Malformed as malformed:
            raise CallbackUnverified("expired" if malformed.name == "notify_time" else "malformed") from None

    def _check_ours(self, parameters: Mapping[str, str]) -> None:
        read_same(parameters, "app_id", self._app_id)
        if self._seller_id:
            read_same(parameters, "seller_id", self._seller_id)
        said_at = read_text(parameters, "notify_time")
        try:
            at = datetime.strptime(said_at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
        except ValueError:
            raise Malformed("notify_time") from None
        if abs(self._clock() - at.timestamp()) > AGE_MAX_S:
            raise Malformed("notify_time")


def _read(parameters: Mapping[str, str]) -> News:
    """A refund shows by its own fields; TRADE_CLOSED alone is an unpaid trade that ran out. `refund_fee` is what was refunded so far."""
    event_id, status = read_text(parameters, "notify_id"), read_text(parameters, "trade_status")
    trade_no = read_text(parameters, "out_trade_no")
    if parameters.get("refund_fee") and parameters.get("gmt_refund"):
        refund_no = read_text(parameters, "out_biz_no", required=False)
        amount_minor = read_yuan(parameters, "refund_fee", least_minor=1)
        refund: dict[str, str | int] = {
            "trade_no": trade_no,
            "refund_no": refund_no,
            "amount_minor": amount_minor,
            "currency": CURRENCY,
        }
        return News(event_id=event_id, kind="refund.succeeded" if refund_no else "nothing", data=refund)
    if status not in PAID_STATUSES:
        return News(event_id=event_id, kind="nothing", data={})
    amount_minor = read_yuan(parameters, "total_amount", least_minor=1)
    paid: dict[str, str | int] = {"trade_no": trade_no, "amount_minor": amount_minor, "currency": CURRENCY}
    return News(event_id=event_id, kind="trade.paid", data=paid)
