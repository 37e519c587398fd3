"""The number under which a gateway knows a refund: the same for ever, for the same payment and n (DESIGN section 6)."""

import base64
import hashlib


def refund_number(*, connection: str, trade_no: str, n: int) -> str:
    """30 characters of upper Base32: fits every provider's charset and length (PROTOCOLS 0.2)."""
    digest = hashlib.sha256(f"{connection}\n{trade_no}\n{n}".encode()).digest()
    return base64.b32encode(digest).decode()[:30]


def request_number(*parts: str | int) -> str:
    """The fixed number of any other outside call, derived from what it is about."""
    digest = hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
    return base64.b32encode(digest).decode()[:30]
