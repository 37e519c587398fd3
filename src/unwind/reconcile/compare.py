"""The comparison itself, without input or output: rows of a bill and rows of our ledger in, differences out."""

from collections.abc import Iterable, Mapping

from unwind.domain.bill import BillKind, BillRow, Difference, DifferenceKind, OurPayment, OurRefund

FINAL = frozenset({"final", "adopted", "assigned"})


def compare(
    bill: Iterable[BillRow],
    refunds: Mapping[str, OurRefund],
    payments: Mapping[str, OurPayment],
    *,
    missing: Iterable[OurRefund],
) -> tuple[Difference, ...]:
    """`refunds` by number and `payments` by trade: whatever the bill names and we know. `missing`: see REFUND_MISSING.

    Payments of trades that we do not know are not ours to judge: a shop sells more than it takes back.
    """
    found: list[Difference] = []
    for row in bill:
        difference = _refund(row, refunds) if row.kind is BillKind.REFUND else _payment(row, payments)
        if difference is not None:
            found.append(difference)
    found += [
        Difference(
            kind=DifferenceKind.REFUND_MISSING,
            trade_no=one.trade_no,
            refund_no=one.refund_no,
            ours_minor=one.amount_minor,
            case_id=one.case_id,
        )
        for one in missing
    ]
    return tuple(found)


def _refund(row: BillRow, refunds: Mapping[str, OurRefund]) -> Difference | None:
    ours = refunds.get(row.refund_no)
    if ours is None:
        return Difference(
            kind=DifferenceKind.REFUND_NOT_OURS,
            trade_no=row.trade_no,
            refund_no=row.refund_no,
            theirs_minor=row.amount_minor,
        )
    kind = None
    if ours.amount_minor != row.amount_minor:
        kind = DifferenceKind.REFUND_AMOUNT
    elif ours.state not in FINAL:
        kind = DifferenceKind.REFUND_NOT_FINAL
    elif ours.how == "off_line":
        kind = DifferenceKind.REFUND_PAID_TWICE
    if kind is None:
        return None
    return Difference(
        kind=kind,
        trade_no=ours.trade_no,
        refund_no=row.refund_no,
        ours_minor=ours.amount_minor,
        theirs_minor=row.amount_minor,
        case_id=ours.case_id,
    )


def _payment(row: BillRow, payments: Mapping[str, OurPayment]) -> Difference | None:
    ours = payments.get(row.trade_no)
    if ours is None:
        return None
    if ours.state != "captured":
        kind = DifferenceKind.PAYMENT_NOT_BOOKED
    elif ours.captured_minor != row.amount_minor:
        kind = DifferenceKind.PAYMENT_AMOUNT
    else:
        return None
    return Difference(kind=kind, trade_no=row.trade_no, ours_minor=ours.captured_minor, theirs_minor=row.amount_minor)
