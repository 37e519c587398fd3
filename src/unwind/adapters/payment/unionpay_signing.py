"""UnionPay ACP 5.1.0: the signature that is hashed twice, and the certificate that comes with every message.

The text that RSA signs is the lower-case hexadecimal SHA-256 of the sorted parameters, not the parameters themselves. The certificate in
`signPubKeyCert` proves nothing by itself: it counts only below a configured root and under UnionPay's name.

Source: ACP 5.1.0 SDK and demo comments (open.unionpay.com).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from unwind.adapters.payment.keys import is_signed, sign

CHAIN_LENGTH_MAX = 4
CERTIFICATE_LENGTH_MAX = 8_000
REMEMBERED_MAX = 16


class MessageInvalid(Exception):
    """`reason` is one of missing, certificate, wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningKey:
    key: rsa.RSAPrivateKey
    cert_id: str
    """Serial number of the certificate, in decimal."""


def load_signing_key(pfx: str, password: str) -> SigningKey:
    """From a PFX file in Base64. Raises ValueError."""
    try:
        raw = base64.b64decode("".join(pfx.split()), validate=True)
    except binascii.Error:
        raise ValueError("not Base64") from None
    key, certificate, _ = pkcs12.load_key_and_certificates(raw, password.encode())
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None:
        raise ValueError("no RSA key with its certificate")
    return SigningKey(key, str(certificate.serial_number))


def digest(parameters: Mapping[str, str]) -> bytes:
    """What is signed: ASCII text of 64 characters."""
    filled = sorted((name, value) for name, value in parameters.items() if value and name != "signature")
    text = "&".join(f"{name}={value}" for name, value in filled)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def sign_message(signing: SigningKey, parameters: Mapping[str, str]) -> dict[str, str]:
    filled = {name: value for name, value in {**parameters, "certId": signing.cert_id}.items() if value}
    return {**filled, "signature": sign(signing.key, digest(filled))}


class Trust:
    """Which certificates speak for UnionPay."""

    def __init__(
        self, *, roots: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate], names: Iterable[str]
    ) -> None:
        self._roots, self._intermediates = tuple(roots), tuple(intermediates)
        self._names = frozenset(names)
        self._known: dict[str, x509.Certificate] = {}
        """Chains that held; their dates are looked at every time."""

    def verify(self, parameters: Mapping[str, str], *, now: float) -> None:
        """Raises MessageInvalid. The certificate is judged before its key is used."""
        pem, signature = parameters.get("signPubKeyCert", ""), parameters.get("signature", "")
        if not pem or not signature:
            raise MessageInvalid("missing")
        key = self._certificate(pem, datetime.fromtimestamp(now, UTC)).public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not is_signed(key, digest(parameters), signature):
            raise MessageInvalid("wrong")

    def _certificate(self, pem: str, at: datetime) -> x509.Certificate:
        known = self._known.get(pem)
        if known is None:
            known = self._examine(pem, at)
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[pem] = known
        if not _is_valid_at(known, at):
            raise MessageInvalid("certificate")
        return known

    def _examine(self, pem: str, at: datetime) -> x509.Certificate:
        if len(pem) > CERTIFICATE_LENGTH_MAX:
            raise MessageInvalid("certificate")
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            raise MessageInvalid("certificate") from None
        if not self._is_named(certificate) or not self._is_below_a_root(certificate, at, CHAIN_LENGTH_MAX):
            raise MessageInvalid("certificate")
        return certificate

    def _is_named(self, certificate: x509.Certificate) -> bool:
        """UnionPay's common names are made of parts with `@` between them; one of them is the name."""
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            name = str(attribute.value)
            if self._names & {name, *name.split("@")}:
                return True
        return False

    def _is_below_a_root(self, certificate: x509.Certificate, at: datetime, length_left: int) -> bool:
        if length_left == 0 or not _is_valid_at(certificate, at):
            return False
        if any(_is_issued_by(certificate, root, at) for root in self._roots):
            return True
        return any(
            _is_issued_by(certificate, one, at) and self._is_below_a_root(one, at, length_left - 1)
            for one in self._intermediates
        )


def _is_valid_at(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    if not _is_valid_at(issuer, at) or not _is_authority(issuer):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def read_pairs(raw: bytes, trust: Trust, *, now: float) -> dict[str, str]:
    """An answer: `name=value&name=value`, as it is or percent-encoded, which the certificate in it shows. Raises MessageInvalid."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MessageInvalid("missing") from None
    plain = dict(part.partition("=")[::2] for part in text.strip().split("&"))
    decoded = {unquote_plus(name): unquote_plus(value) for name, value in plain.items()}
    found = plain if "-----BEGIN CERTIFICATE-----" in plain.get("signPubKeyCert", "") else decoded
    trust.verify(found, now=now)
    return found
