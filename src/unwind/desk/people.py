"""The people of an order as staff see them: masked. In full they are seen by `flow/reveal.py` only, which writes down who looked."""

from unwind.domain.reveal import MASKS
from unwind.storage import privacy
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault


async def masked_people(conn: Connection, vault: Vault, order_id: str) -> dict[str, str]:
    """By field; empty where there is nothing, or the buyer has asked to be forgotten."""
    texts = await privacy.open_newest(conn, vault, order_id, [field.value for field in MASKS])
    return {field.value: mask(texts.get(field.value, "")) for field, mask in MASKS.items()}
