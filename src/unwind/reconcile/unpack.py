"""A bill as it was downloaded: plain, gzipped, or the one table of a zip; bounded, whatever the archive claims."""

import gzip
import io
import zipfile

from unwind.ports.bill import BillUnreadable

PLAIN_BYTES_MAX = 512 * 1024 * 1024


def unpacked(raw: bytes) -> bytes:
    """Bills come plain, gzipped, or as the one CSV or text of a zip; bounded, whatever the archive claims."""
    try:
        if raw.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(raw)) as file:
                return _bounded(file.read(PLAIN_BYTES_MAX + 1))
        if raw.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                details = [name for name in archive.namelist() if not _is_summary(archive, name)]
                if len(details) != 1:
                    raise BillUnreadable(f"an archive of {len(details)} files")
                with archive.open(details[0]) as file:
                    return _bounded(file.read(PLAIN_BYTES_MAX + 1))
    except (OSError, EOFError, zipfile.BadZipFile):
        raise BillUnreadable("a broken archive") from None
    return raw


def _is_summary(archive: zipfile.ZipFile, name: str) -> bool:
    """Alipay packs the sums beside the details; names are GBK, and may arrive as CP437."""
    info = archive.getinfo(name)
    plain = (
        name if info.flag_bits & 0x800 else name.encode("cp437", errors="replace").decode("gb18030", errors="replace")
    )
    return info.is_dir() or "汇总" in plain


def _bounded(plain: bytes) -> bytes:
    if len(plain) > PLAIN_BYTES_MAX:
        raise BillUnreadable(f"more than {PLAIN_BYTES_MAX} bytes")
    return plain
