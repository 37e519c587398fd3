"""Names, phones, addresses and free text: encrypted, one key per order, the key itself wrapped by the master key.

Destroying the row in `order_keys` makes everything about that order's people unreadable and leaves the sealed history verifiable.
"""

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unwind.domain.errors import require
from unwind.domain.phone import canonical_phone, tail_of
from unwind.domain.seal import commit_to
from unwind.storage.database import Connection

__all__ = [
    "Unreadable",
    "Vault",
    "commit_to",
    "forget_private",
    "has_any",
    "index_person",
    "keep_private",
    "open_file",
    "open_newest",
    "open_numbered",
    "open_private",
    "open_sealed",
    "seal_file",
    "tail_kind",
]

NONCE_BYTES = 12


class Unreadable(Exception):
    """Sealed with another key than this process holds, or changed since."""


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
        """Keyed digest of a normalised phone, tail or name, for exact look-up. Another kind, another digest."""
        plain = unicodedata.normalize("NFKC", value).strip().casefold()
        if kind == "phone":
            plain = canonical_phone(value)
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

    def code_digest(self, code_id: str, order_id: str, code: str) -> bytes:
        """Of a one-time code: good for this code row and this order only."""
        return hmac.new(self._derived(b"code"), f"{code_id}\n{order_id}\n{code}".encode(), hashlib.sha256).digest()

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self.master_key, purpose, hashlib.sha256).digest()


def _seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def _open(key: bytes, sealed: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except InvalidTag:
        raise Unreadable from None


async def keep_private(
    conn: Connection,
    vault: Vault,
    order_id: str,
    fields: Mapping[str, str],
    *,
    wrapped_key: bytes | None,
    case_id: str | None = None,
    merchant_id: str | None = None,
) -> bytes:
    """Encrypts and stores; phones and names also get a blind index entry. Returns the order's key, for commitments.

    `wrapped_key` is the order's, as read under its lock; None makes and stores a new one. `merchant_id`: with the buyer's own data.
    """
    key = await _key_of(conn, vault, order_id, wrapped_key)
    for field, text in fields.items():
        sealed = _seal(key, text.encode(), f"{order_id}\n{field}".encode())
        await conn.execute(
            "INSERT INTO private_data (order_id, case_id, field, ciphertext) VALUES (%s, %s, %s, %s)",
            (order_id, case_id, field, sealed),
        )
    if merchant_id is not None:
        await index_person(conn, vault, order_id, fields, merchant_id=merchant_id)
    return key


async def _key_of(conn: Connection, vault: Vault, order_id: str, wrapped_key: bytes | None) -> bytes:
    """The order's key; a new one, stored, where it has none yet. Refuses with `records_erased` where it has been destroyed."""
    if wrapped_key is not None:
        return vault.unwrap(order_id, wrapped_key)
    key, wrapped_key = vault.new_order_key(order_id)
    cursor = await conn.execute(
        """
        INSERT INTO order_keys (order_id, wrapped_key)
        SELECT %(order)s, %(key)s WHERE NOT EXISTS (SELECT FROM erasures WHERE order_id = %(order)s AND erased_at IS NOT NULL)
        RETURNING order_id
        """,
        {"order": order_id, "key": wrapped_key},
    )
    require(await cursor.fetchone() is not None, "records_erased")
    return key


def tail_kind(merchant_id: str) -> str:
    """Tails are short, so one is found within one merchant only; its digest says nothing about another's."""
    return f"tail:{merchant_id}"


async def index_person(
    conn: Connection, vault: Vault, order_id: str, fields: Mapping[str, str], *, merchant_id: str
) -> None:
    """By the newest phone and name of the buyer: whoever had the number before finds nothing any more."""
    entries = [(kind, vault.blind(kind, fields[kind])) for kind in ("phone", "name") if fields.get(kind)]
    tail = tail_of(fields.get("phone", ""))
    if tail:
        entries.append((tail_kind(merchant_id), vault.blind(tail_kind(merchant_id), tail)))
    for kind, digest in entries:
        await conn.execute(
            """
            WITH gone AS (DELETE FROM blind_index WHERE order_id = %(order)s AND kind = %(kind)s AND digest <> %(digest)s)
            INSERT INTO blind_index (kind, digest, order_id, at)
            SELECT %(kind)s, %(digest)s, order_id, placed_at FROM orders WHERE order_id = %(order)s
            ON CONFLICT (kind, digest, order_id) DO UPDATE SET at = excluded.at
            """,
            {"order": order_id, "kind": kind, "digest": digest},
        )


async def forget_private(conn: Connection, order_id: str, field: str) -> None:
    """Destroys every value of a field: what was needed for a moment only."""
    await conn.execute("DELETE FROM private_data WHERE order_id = %s AND field = %s", (order_id, field))


def open_sealed(vault: Vault, order_id: str, field: str, *, sealed: bytes, wrapped_key: bytes) -> str:
    """What a query brought along still sealed."""
    return _open(vault.unwrap(order_id, wrapped_key), sealed, f"{order_id}\n{field}".encode()).decode()


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


async def open_newest(conn: Connection, vault: Vault, order_id: str, fields: Sequence[str]) -> dict[str, str]:
    """The newest values of several fields of the order itself, under the same conditions."""
    cursor = await conn.execute(
        """
        SELECT DISTINCT ON (d.field) d.field, d.ciphertext, k.wrapped_key FROM private_data d JOIN order_keys k USING (order_id)
        WHERE d.order_id = %s AND d.field = ANY(%s) AND NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = d.order_id)
        ORDER BY d.field, d.private_id DESC
        """,
        (order_id, list(fields)),
    )
    rows = await cursor.fetchall()
    if not rows:
        return {}
    key = vault.unwrap(order_id, rows[0]["wrapped_key"])
    return {
        row["field"]: _open(key, row["ciphertext"], f"{order_id}\n{row['field']}".encode()).decode() for row in rows
    }


async def has_any(conn: Connection, order_id: str, fields: Sequence[str]) -> bool:
    """Whether one of these is known; nothing is opened."""
    cursor = await conn.execute(
        "SELECT FROM private_data WHERE order_id = %s AND field = ANY(%s) LIMIT 1", (order_id, list(fields))
    )
    return await cursor.fetchone() is not None


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


async def drop_stale_index(conn: Connection, order_id: str) -> None:
    """What an earlier version wrote for this order and the newest values no longer say."""
    await conn.execute("DELETE FROM blind_index WHERE order_id = %s AND at IS NULL", (order_id,))
