"""Keys and secrets of the outside world, made once per ledger: what a provider keeps for itself and what it hands to the merchant.

Kept in the ledger, so that a sandbox that is started again still knows its merchants.
"""

import functools
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.ledger import Ledger

RSA_BITS = 2048


def make_rsa_key(name: str) -> str:
    """A fresh private key as PKCS #8 PEM. `name` says whose; a test may answer the same name with the same key."""
    del name
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@functools.lru_cache(maxsize=256)
def _load(pem: str) -> rsa.RSAPrivateKey:
    """Kept, since OpenSSL examines a key whenever it reads one, which takes longer than a signature."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError
    return key


class Keyring:
    def __init__(self, ledger: Ledger, make_key: Callable[[str], str] = make_rsa_key) -> None:
        self._ledger = ledger
        self._make_key = make_key

    def text(self, connection: str, name: str, make: Callable[[], str] = lambda: secrets.token_hex(16)) -> str:
        """A secret or any other text of this connection; made by `make` when it is first asked for."""
        return self._kept(connection, name, make)

    def private_pem(self, connection: str, name: str) -> str:
        return self._kept(connection, name, lambda: self._make_key(f"{connection}/{name}"))

    def private_key(self, connection: str, name: str) -> rsa.RSAPrivateKey:
        return _load(self.private_pem(connection, name))

    def public_pem(self, connection: str, name: str) -> str:
        public = self.private_key(connection, name).public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def _kept(self, connection: str, name: str, make: Callable[[], str]) -> str:
        query = "SELECT value FROM keyring WHERE connection = ? AND name = ?"
        row = self._ledger.one(query, connection, name)
        if row is None:
            self._ledger.run(
                "INSERT INTO keyring (connection, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                *(connection, name, make()),
            )
            row = self._ledger.one(query, connection, name)
        if row is None:
            raise KeyError(name)
        return str(row["value"])
