"""What a file is, is read from its bytes; where a photo was taken does not stay in it."""

import pytest

from unwind.domain.errors import Refusal
from unwind.domain.media import SIZE_BYTES_MAX, media_type_of, without_place


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + b"\x00\x00\x00\x00"


PIXELS = b"\xff\xda\x00\x02\xff\xe1GPS stays: these are pixels\xff\xd9"
JPEG = b"\xff\xd8" + segment(0xE0, b"JFIF") + segment(0xE1, b"Exif GPS") + segment(0xFE, b"device") + PIXELS
PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", b"....")
    + chunk(b"eXIf", b"GPS")
    + chunk(b"IDAT", b"px")
    + chunk(b"IEND", b"")
)
WEBP = b"RIFF" + (12).to_bytes(4, "little") + b"WEBPVP8 ...."
PDF = b"%PDF-1.7\n1 0 obj\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(JPEG, "image/jpeg"), (PNG, "image/png"), (WEBP, "image/webp"), (PDF, "application/pdf")],
)
def test_four_kinds_are_taken(content: bytes, media_type: str) -> None:
    assert media_type_of(content) == media_type


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "attachment_too_large"),
        (b"\xff\xd8\xff" + bytes(SIZE_BYTES_MAX), "attachment_too_large"),
        (JPEG[:-2], "attachment_type"),
        (PNG[:20], "attachment_type"),
        (WEBP[:14], "attachment_type"),
        (PDF[:10], "attachment_type"),
        (b"GIF89a", "attachment_type"),
        (b"<html>", "attachment_type"),
        (b"PK\x03\x04", "attachment_type"),
    ],
)
def test_everything_else_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        media_type_of(content)
    assert refused.value.code == code


def test_place_time_and_device_leave_a_photo_and_its_pixels_stay() -> None:
    assert without_place(JPEG, "image/jpeg") == b"\xff\xd8" + segment(0xE0, b"JFIF") + PIXELS
    assert without_place(PNG, "image/png") == (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"....") + chunk(b"IDAT", b"px") + chunk(b"IEND", b"")
    )
    assert without_place(PDF, "application/pdf") == PDF
