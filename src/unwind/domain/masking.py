"""What staff see of a buyer by default: enough to recognise what they are told, not enough to use it. Whoever needs more reveals it, by name."""

import re
from typing import Final

from unwind.domain.phone import parse_phone

HIDDEN: Final = "****"
_DISTRICT: Final = re.compile("(?<!自治)(?<!小|社|园|校|厂|景|片|院)(?:区|县|旗)")
_CITY: Final = re.compile("市")
_BELOW: Final = re.compile("[路街弄巷号栋座室村镇乡]|[0-9A-Za-z]")
"""What stands below a district: a beginning that names one of these is no district."""
_BEGINNING_MAX: Final = 30


def mask_phone(phone: str) -> str:
    """`138****1234`, or less where there is less."""
    parsed = parse_phone(phone)
    if parsed is None:
        return HIDDEN if phone else ""
    return f"{parsed.number[:3]}{HIDDEN}{parsed.tail}"


def mask_name(name: str) -> str:
    """`王*`; of a name in letters the first one."""
    plain = name.strip()
    return f"{plain[0]}*" if plain else ""


def mask_address(address: str) -> str:
    """`上海市浦东新区****`: down to the district, or the city. Where neither can be told for certain, nothing."""
    plain = "".join(address.split())
    if not plain:
        return ""
    for pattern in (_DISTRICT, _CITY):
        found = pattern.search(plain, 0, _BEGINNING_MAX)
        if found is not None and not _BELOW.search(plain[: found.end()]):
            return f"{plain[: found.end()]}{HIDDEN}"
    return HIDDEN


def mask_mail(mail: str) -> str:
    """`z****@example.com`."""
    name, _, host = mail.strip().partition("@")
    return f"{name[:1]}{HIDDEN}@{host}" if name and host else (HIDDEN if mail.strip() else "")
