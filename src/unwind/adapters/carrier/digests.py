"""MD5 as carriers sign with it: over texts put one behind the other, in Base64 or in hexadecimal digits. Theirs, not our choice."""

import base64
import hashlib


def base64_md5(*parts: str) -> str:
    """ZTO, STO and J&T: (body, secret). YTO: (param, method, version, secret). SF: (encoded text,)."""
    return base64.b64encode(_md5(parts)).decode()


def hex_md5(*parts: str) -> str:
    """Lower case. JD Logistics and Kuaidi100 (there in upper case): see them. Yunda: (body, "_", secret)."""
    return _md5(parts).hex()


def _md5(parts: tuple[str, ...]) -> bytes:
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).digest()
