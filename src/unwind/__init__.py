"""Unwind (原路): takes an order back, and proves that it did."""

__version__ = "0.4.0"
