"""RSA keys as merchants have them, and the one signature that WeChat Pay, Alipay and UnionPay share: PKCS #1 v1.5 with SHA-256, in Base64.

A key is PEM, or the bare Base64 that the providers' consoles show. One that cannot be read is refused when the settings are read.
"""

import base64
import binascii
import functools
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import AfterValidator, SecretStr

SIGNATURE_LENGTH_MAX = 1024


@functools.lru_cache(maxsize=64)
def load_private_key(text: str) -> rsa.RSAPrivateKey:
    """Raises ValueError for anything but an RSA key. Kept: OpenSSL examines a key whenever it reads one."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_private_key(text.strip().encode(), password=None)
    else:
        key = serialization.load_der_private_key(_bare(text), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no RSA key")  # noqa: TRY004 - what Pydantic turns into a message
    return key


def load_public_key(text: str) -> rsa.RSAPublicKey:
    """Of a public key or a certificate. Raises ValueError for anything but an RSA key."""
    if "-----BEGIN CERTIFICATE" in text:
        key = x509.load_pem_x509_certificate(text.strip().encode()).public_key()
    elif "-----BEGIN" in text:
        key = serialization.load_pem_public_key(text.strip().encode())  # type: ignore[assignment]
    else:
        key = serialization.load_der_public_key(_bare(text))  # type: ignore[assignment]
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("no RSA key")  # noqa: TRY004 - what Pydantic turns into a message
    return key


def sign(key: rsa.RSAPrivateKey, message: bytes) -> str:
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(key: rsa.RSAPublicKey, message: bytes, signature: str) -> bool:
    if not signature or len(signature) > SIGNATURE_LENGTH_MAX:
        return False
    try:
        given = base64.b64decode(signature, validate=True)
        key.verify(given, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _bare(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("neither PEM nor Base64") from None


def _check_private(given: SecretStr) -> SecretStr:
    try:
        load_private_key(given.get_secret_value())
    except (ValueError, TypeError):
        raise ValueError("not an RSA private key, as PEM or bare Base64, without a password") from None
    return given


def _check_public(given: str) -> str:
    try:
        load_public_key(given)
    except (ValueError, TypeError):
        raise ValueError("not an RSA public key or certificate, as PEM or bare Base64") from None
    return given


PrivateKeyText = Annotated[SecretStr, AfterValidator(_check_private)]
PublicKeyText = Annotated[str, AfterValidator(_check_public)]
