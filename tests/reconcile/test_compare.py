"""Every way a bill and a ledger can differ, each by its own name."""

from datetime import UTC, datetime

import pytest

from unwind.domain.bill import BillKind, BillRow, DifferenceKind, OurPayment, OurRefund
from unwind.reconcile.compare import compare

AT = datetime(2026, 11, 23, tzinfo=UTC)


def refund(number: str = "R1", minor: int = 100) -> BillRow:
    return BillRow(kind=BillKind.REFUND, trade_no="T1", refund_no=number, amount_minor=minor, currency="CNY", at=AT)


def payment(trade: str = "T1", minor: int = 100) -> BillRow:
    return BillRow(kind=BillKind.PAYMENT, trade_no=trade, refund_no="", amount_minor=minor, currency="CNY", at=AT)


def ours(state: str = "final", minor: int = 100) -> dict[str, OurRefund]:
    return {"R1": OurRefund(refund_no="R1", trade_no="T1", amount_minor=minor, state=state, case_id="C1")}


def captured(state: str = "captured", minor: int = 100) -> dict[str, OurPayment]:
    return {"T1": OurPayment(trade_no="T1", captured_minor=minor, state=state)}


@pytest.mark.parametrize(
    ("row", "refunds", "payments", "kind"),
    [
        (refund(), ours(), {}, None),
        (refund(), ours("adopted"), {}, None),
        (refund("R9"), ours(), {}, DifferenceKind.REFUND_NOT_OURS),
        (refund(minor=101), ours(), {}, DifferenceKind.REFUND_AMOUNT),
        (refund(), ours("sent"), {}, DifferenceKind.REFUND_NOT_FINAL),
        (refund(), ours("dead"), {}, DifferenceKind.REFUND_NOT_FINAL),
        (payment(), {}, captured(), None),
        (payment("T9"), {}, captured(), None),
        (payment(minor=99), {}, captured(), DifferenceKind.PAYMENT_AMOUNT),
        (payment(), {}, captured("created", 0), DifferenceKind.PAYMENT_NOT_BOOKED),
        (payment(), {}, captured("closed", 0), DifferenceKind.PAYMENT_NOT_BOOKED),
    ],
)
def test_each(
    row: BillRow, refunds: dict[str, OurRefund], payments: dict[str, OurPayment], kind: DifferenceKind | None
) -> None:
    found = compare([row], refunds, payments, missing=[])
    assert [one.kind for one in found] == ([] if kind is None else [kind])


def test_what_is_ours_alone_is_missing() -> None:
    (found,) = compare([], {}, {}, missing=ours().values())
    assert (found.kind, found.ours_minor, found.theirs_minor) == (DifferenceKind.REFUND_MISSING, 100, None)
