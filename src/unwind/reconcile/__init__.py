"""A provider's bill against our own ledger: what agrees, and what a person has to look at."""

from unwind.reconcile.load import BillReport, day_of, load_bill
from unwind.reconcile.settle import Resolution, settle_difference
from unwind.reconcile.unpack import unpacked

__all__ = ["BillReport", "Resolution", "day_of", "load_bill", "settle_difference", "unpacked"]
