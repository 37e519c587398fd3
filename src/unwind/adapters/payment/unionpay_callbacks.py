"""UnionPay's notices to `backUrl`: a signed form. It carries no instant of its own, so only its signature and its number speak for it.

Source: ACP 5.1.0 SDK and demo comments (open.unionpay.com).
"""

from collections.abc import Callable, Mapping

from unwind.adapters.fields import Malformed, read_same, read_text
from unwind.adapters.payment.forms import read_form
from unwind.adapters.payment.unionpay_codes import (
    CURRENCIES,
    DOUBTFUL_CODES,
    PAYMENT_TYPE,
    REFUND_TYPE,
    SUCCESS_CODES,
    VOID_TYPE,
    read_fen,
)
from unwind.adapters.payment.unionpay_signing import MessageInvalid, Trust
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News


class UnionPayNotices:
    """Implements ports.callback.CallbackVerifier."""

    accepted = CallbackAnswer(status=200, body=b"ok", media_type="text/plain")

    def __init__(self, *, mer_id: str, trust: Trust, clock: Callable[[], float]) -> None:
        self._mer_id, self._trust, self._clock = mer_id, trust, clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        parameters = read_form(incoming.body)
        try:
            self._trust.verify(parameters, now=self._clock())
        except MessageInvalid as invalid:
            raise CallbackUnverified(invalid.reason) from None
        try:
            read_same(parameters, "merId", self._mer_id)
            return (_read(parameters),)
        except Malformed:
            raise CallbackUnverified("malformed") from None


def _read(parameters: Mapping[str, str]) -> News:
    """A refund's notice names the payment by its queryId only, so `trade_no` is not part of its news."""
    txn_type, code = read_text(parameters, "txnType"), read_text(parameters, "respCode")
    order_id, txn_time = read_text(parameters, "orderId"), read_text(parameters, "txnTime")
    event_id = f"{txn_type}:{order_id}:{txn_time}:{code}"
    if txn_type not in {PAYMENT_TYPE, REFUND_TYPE, VOID_TYPE} or code in DOUBTFUL_CODES:
        return News(event_id=event_id, kind="nothing", data={})
    amount: dict[str, str | int] = {
        "amount_minor": read_fen(parameters, "txnAmt", least_minor=1),
        "currency": CURRENCIES.get(parameters.get("currencyCode", "156"), "XXX"),
    }
    if txn_type == PAYMENT_TYPE:
        kind = "trade.paid" if code in SUCCESS_CODES else "nothing"
        return News(event_id=event_id, kind=kind, data={"trade_no": f"{order_id}:{txn_time}", **amount})
    kind = "refund.succeeded" if code in SUCCESS_CODES else "refund.closed"
    return News(event_id=event_id, kind=kind, data={"refund_no": order_id, **amount})
