"""Names, phones, addresses and free text: encrypted, one key per order, the key itself wrapped by the master key.

Destroying the row in `order_keys` makes everything about that order's people unreadable and leaves the sealed history verifiable.
"""

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unwind.domain.seal import commit_to
from unwind.storage.database import Connection

__all__ = [
    "Vault",
    "commit_to",
    "keep_private",
    "open_file",
    "open_numbered",
    "open_private",
    "orders_of_person",
    "seal_file",
]

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Vault:
    """`master_key`: 32 bytes, from the environment or the data folder; never in the database."""

    master_key: bytes

    def new_order_key(self, order_id: str) -> tuple[bytes, bytes]:
        """(key, wrapped key)."""
        key = AESGCM.generate_key(256)
        return key, _seal(self._derived(b"wrap"), key, order_id.encode())

    def unwrap(self, order_id: str, wrapped_key: bytes) -> bytes:
        return _open(self._derived(b"wrap"), wrapped_key, order_id.encode())

    def blind(self, kind: str, value: str) -> bytes:
        """Keyed digest of a normalised phone or name, for exact look-up."""
        plain = unicodedata.normalize("NFKC", value).strip().casefold()
        if kind == "phone":
            plain = "".join(ch for ch in plain if ch.isdigit())
            plain = plain.removeprefix("0086") if len(plain) > 11 else plain  # noqa: PLR2004 - national number length
            plain = plain.removeprefix("86") if len(plain) > 11 else plain  # noqa: PLR2004
        return hmac.new(self._derived(b"blind"), f"{kind}\n{plain}".encode(), hashlib.sha256).digest()

    def seal(self, context: str, plain: bytes) -> bytes:
        """A secret of the program's own, such as the seed of a second factor; opens only with the same context."""
        return _seal(self._derived(b"secret"), plain, context.encode())

    def unseal(self, context: str, sealed: bytes) -> bytes:
        return _open(self._derived(b"secret"), sealed, context.encode())

    def derive(self, purpose: str, value: str) -> bytes:
        """32 bytes that only we can make again from the value."""
        return hmac.new(self._derived(b"derive"), f"{purpose}\n{value}".encode(), hashlib.sha256).digest()

    @property
    def anchor_key(self) -> bytes:
        return self._derived(b"anchor")

    @property
    def token_key(self) -> bytes:
        return self._derived(b"token")

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self.master_key, purpose, hashlib.sha256).digest()


def _seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def _open(key: bytes, sealed: bytes, context: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)


async def keep_private(
    conn: Connection,
    vault: Vault,
    order_id: str,
    fields: Mapping[str, str],
    *,
    wrapped_key: bytes | None,
    case_id: str | None = None,
) -> bytes:
    """Encrypts and stores; phones and names also get a blind index entry. Returns the order's key, for commitments.

    `wrapped_key` is the order's, as read under its lock; None makes and stores a new one.
    """
    key = await _key_of(conn, vault, order_id, wrapped_key)
    for field, text in fields.items():
        sealed = _seal(key, text.encode(), f"{order_id}\n{field}".encode())
        await conn.execute(
            "INSERT INTO private_data (order_id, case_id, field, ciphertext) VALUES (%s, %s, %s, %s)",
            (order_id, case_id, field, sealed),
        )
        if field in {"phone", "name"}:
            await conn.execute(
                "INSERT INTO blind_index (kind, digest, order_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (field, vault.blind(field, text), order_id),
            )
    return key


async def _key_of(conn: Connection, vault: Vault, order_id: str, wrapped_key: bytes | None) -> bytes:
    """The order's key; a new one, stored, where it has none yet."""
    if wrapped_key is not None:
        return vault.unwrap(order_id, wrapped_key)
    key, wrapped_key = vault.new_order_key(order_id)
    await conn.execute("INSERT INTO order_keys (order_id, wrapped_key) VALUES (%s, %s)", (order_id, wrapped_key))
    return key


async def open_private(
    conn: Connection,
    vault: Vault,
    order_id: str,
    field: str,
    *,
    case_id: str | None = None,
    is_restricted_too: bool = False,
) -> str | None:
    """The newest value of a field; None where there is none, the order's key has been destroyed, or its buyer has asked to be forgotten.

    `is_restricted_too`: for what an open case still has to tell them.
    """
    cursor = await conn.execute(
        """
        SELECT d.ciphertext, k.wrapped_key FROM private_data d JOIN order_keys k USING (order_id)
        WHERE d.order_id = %(o)s AND d.field = %(f)s AND (%(c)s::text IS NULL OR d.case_id = %(c)s)
          AND (%(all)s OR NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = d.order_id))
        ORDER BY private_id DESC LIMIT 1
        """,
        {"o": order_id, "f": field, "c": case_id, "all": is_restricted_too},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    key = vault.unwrap(order_id, row["wrapped_key"])
    return _open(key, row["ciphertext"], f"{order_id}\n{field}".encode()).decode()


async def open_numbered(conn: Connection, vault: Vault, order_id: str, field: str, *, case_id: str) -> dict[int, str]:
    """The values of `field:1`, `field:2` ... of a case. Empty where the key has been destroyed, or the buyer has asked to be forgotten."""
    cursor = await conn.execute(
        """
        SELECT d.field, d.ciphertext, k.wrapped_key FROM private_data d JOIN order_keys k USING (order_id)
        WHERE d.order_id = %s AND d.case_id = %s AND d.field LIKE %s
          AND NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = d.order_id)
        """,
        (order_id, case_id, f"{field}:%"),
    )
    rows = await cursor.fetchall()
    if not rows:
        return {}
    key = vault.unwrap(order_id, rows[0]["wrapped_key"])
    return {
        int(row["field"].partition(":")[2]): _open(
            key, row["ciphertext"], f"{order_id}\n{row['field']}".encode()
        ).decode()
        for row in rows
    }


async def orders_of_person(conn: Connection, vault: Vault, *, kind: str, value: str, orders_max: int) -> list[str]:
    """Orders by full phone or exact name."""
    cursor = await conn.execute(
        "SELECT order_id FROM blind_index WHERE kind = %s AND digest = %s ORDER BY order_id LIMIT %s",
        (kind, vault.blind(kind, value), orders_max),
    )
    return [row["order_id"] for row in await cursor.fetchall()]


async def seal_file(
    conn: Connection, vault: Vault, order_id: str, name: str, content: bytes, *, wrapped_key: bytes | None
) -> bytes:
    """Encrypts a file with the order's key; `name` is bound into it."""
    key = await _key_of(conn, vault, order_id, wrapped_key)
    return _seal(key, content, f"{order_id}\n{name}".encode())


async def open_file(conn: Connection, vault: Vault, order_id: str, name: str, sealed: bytes) -> bytes | None:
    """None once the order's key has been destroyed, or its buyer has asked to be forgotten."""
    cursor = await conn.execute(
        """
        SELECT wrapped_key FROM order_keys k
        WHERE order_id = %s AND NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = k.order_id)
        """,
        (order_id,),
    )
    row = await cursor.fetchone()
    return (
        None
        if row is None
        else _open(vault.unwrap(order_id, row["wrapped_key"]), sealed, f"{order_id}\n{name}".encode())
    )
