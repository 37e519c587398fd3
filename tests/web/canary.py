"""Canaries: people who exist nowhere but in one test, in every shape their data could be hidden in, and the search for them."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from tests.world import World

PEOPLE: Final = {
    "buyer's phone": "13977712345",
    "caller's phone": "13988823456",
    "recipient's phone": "13966634567",
    "phone somebody looked for": "13944456789",
    "phone in a wrong field": "13933367891",
    "phone in words": "13922278912",
    "courier's phone": "13911189123",
    "buyer's name": "欧阳金丝雀",
    "recipient's name": "司徒画眉",
    "name somebody looked for": "诸葛百灵",
    "address": "上海市浦东新区金丝雀路777弄8号",
    "new address": "杭州市西湖区夜莺路666号3单元",
    "mail": "jinsique.canary@example.test",
    "openid": "oCanaryOpenId777Xy",
    "card": "6225880137706777",
    "holder of the card": "慕容鹦鹉",
    "words": "楼下保安知更鸟替我收过快递",
    "words of a talk": "我家的虎皮鹦鹉不喜欢这个颜色",
    "words of an appeal": "上次那位云雀客服答应过我",
    "words of an agent": "买家说她养的文鸟病了",
    "words of a merchant": "仓库的喜鹊师傅说已经打包",
    "words of a hand-over": "斑鸠女士下午五点后有空",
    "words of a rating": "再也不找那只八哥客服了",
    "words in a file": "PDF-CANARY-HOUSEHOLD-REGISTER",
}
FILE: Final = b"%PDF-1.7\n" + PEOPLE["words in a file"].encode() + "户主欧阳金丝雀".encode() + b"\n%%EOF"
_BETWEEN: Final = re.compile(rb"(?:[\s\-_.()+]|\\[nrt]|%20)+")
_SPACES: Final = re.compile(rb"\s+")


@dataclass(frozen=True, slots=True)
class Sighting:
    what: str
    shape: str
    where: str


def shapes_of(value: str) -> dict[str, bytes]:
    """What to look for, in text without separators: as written, and as programs write it down."""
    raw = value.encode()
    wide = "".join(chr(ord(ch) + 0xFEE0) if "!" <= ch <= "~" else ch for ch in value).encode()
    shapes = {
        "plain": raw,
        "wide": wide,
        "escaped": json.dumps(value)[1:-1].encode(),
        "percent": quote(value).encode(),
        "hex": raw.hex().encode(),
        "utf-16": value.encode("utf-16-le"),
        "reversed": value[::-1].encode(),
        **{f"base64 from {start}": _base64_inside(raw, start) for start in range(3)},
        **{name: hashlib.new(name, raw).hexdigest().encode() for name in ("md5", "sha1", "sha256")},
        "sha256 base64": base64.b64encode(hashlib.sha256(raw).digest()),
    }
    return {name: _BETWEEN.sub(b"", shape) for name, shape in shapes.items()}


def _base64_inside(raw: bytes, start: int) -> bytes:
    """The characters that do not depend on what stands before and after."""
    padded = base64.b64encode(b"\0" * start + raw)
    first = -(-start * 8 // 6)
    return padded[first : (start + len(raw)) * 8 // 6]


SHAPES: Final = {what: shapes_of(value) for what, value in PEOPLE.items()}


def look_through(content: bytes, where: str, *, shapes: dict[str, dict[str, bytes]] = SHAPES) -> list[Sighting]:
    """Every canary in it, once per shape. Also behind percent-encoding, letters of the other case, and base64 for addresses."""
    squeezed = _BETWEEN.sub(b"", content)
    folded = squeezed.lower()
    opened = _BETWEEN.sub(b"", unquote_to_bytes(content)) if b"%" in content else squeezed
    url_safe = _SPACES.sub(b"", content).replace(b"-", b"+").replace(b"_", b"/")
    unquoted = content.replace(b"\\\\", b"\\")
    return [
        Sighting(what, name, where)
        for what, forms in shapes.items()
        for name, form in forms.items()
        if form in squeezed or form.lower() in folded or any(form in other for other in (opened, url_safe, unquoted))
    ]


async def table_rows(world: World) -> dict[str, list[dict[str, object]]]:
    """Everything in the database, as its owner."""
    tables = await world.sql(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    return {t["relname"]: await world.sql(f'SELECT * FROM "{t["relname"]}"') for t in tables}


def look_through_rows(rows: dict[str, list[dict[str, object]]]) -> list[Sighting]:
    """Column by column; of bytes the bytes themselves."""
    return list(_sightings(rows))


def _sightings(tables: dict[str, list[dict[str, object]]]) -> Iterator[Sighting]:
    for table, rows in tables.items():
        columns: dict[str, list[bytes]] = {}
        for row in rows:
            for name, value in row.items():
                columns.setdefault(name, []).append(_as_bytes(value))
        for name, values in columns.items():
            yield from look_through(b"\n|\n".join(values), f"{table}.{name}")


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str).encode()
    return str(value).encode()


def places(sightings: Iterable[Sighting]) -> set[str]:
    return {f"{s.what} ({s.shape}) in {s.where}" for s in sightings}
