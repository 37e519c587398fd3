"""What an attached file really is, told from its bytes and not from its name; and a photo without where it was taken."""

from unwind.domain.errors import Refusal, require

SIZE_BYTES_MAX = 5 * 1024 * 1024
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
_PRIVATE_SEGMENTS = frozenset({0xE1, 0xED, 0xFE})
"""Exif and XMP, Photoshop notes, comments: place, time, device."""
_PRIVATE_CHUNKS = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"})
_SCAN, _END = 0xDA, 0xD9


def media_type_of(content: bytes) -> str:
    """Raises `attachment_too_large` and `attachment_type` for what nobody should open."""
    require(0 < len(content) <= SIZE_BYTES_MAX, "attachment_too_large", bytes_max=SIZE_BYTES_MAX)
    if content.startswith(JPEG_START) and content.rstrip(b"\x00").endswith(b"\xff\xd9"):
        return "image/jpeg"
    if content.startswith(PNG_START) and b"IEND" in content[-16:]:
        return "image/png"
    if (
        content[:4] == b"RIFF"
        and content[8:12] == b"WEBP"
        and int.from_bytes(content[4:8], "little") + 8 <= len(content)
    ):
        return "image/webp"
    if content.startswith(b"%PDF-") and b"%%EOF" in content[-1024:]:
        return "application/pdf"
    raise Refusal("attachment_type")


def without_place(content: bytes, media_type: str) -> bytes:
    """The picture without the metadata that says where, when and with what it was taken. Other types as they are."""
    if media_type == "image/jpeg":
        return _strip_jpeg(content)
    if media_type == "image/png":
        return _strip_png(content)
    return content


def _strip_jpeg(content: bytes) -> bytes:
    kept, at = bytearray(content[:2]), 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in {_SCAN, _END}:  # noqa: PLR2004 - marker
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] not in _PRIVATE_SEGMENTS:
            kept += content[at:end]
        at = end
    return bytes(kept + content[at:])


def _strip_png(content: bytes) -> bytes:
    kept, at = bytearray(content[:8]), 8
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] not in _PRIVATE_CHUNKS:
            kept += content[at:end]
        at = end
    return bytes(kept)
