"""Reads a provider's bill of one day from its own file, in our words."""

from collections.abc import Callable

from unwind.domain.bill import BillRow


class BillUnreadable(ValueError):
    """The file is not such a bill. The message names the line and what is missing, nothing of its content."""


BillReader = Callable[[bytes], tuple[BillRow, ...]]
"""Reads the plain file. Raises BillUnreadable."""
