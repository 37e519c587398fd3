"""Telephone numbers as they are dialled, printed and passed on by telephone systems, brought to one form. National rules of China."""

import re
import unicodedata
from dataclasses import dataclass

MOBILE = re.compile(r"1[3-9]\d{9}")
LANDLINE = re.compile(r"0\d{2,3}\d{7,8}")
EXTENSION = re.compile(r"(?:转|分机|;?\s*ext\.?\s*=?|x|#|,|;)\s*(\d{1,8})\s*$|(?<=\d{11})-(\d{1,6})\s*$", re.IGNORECASE)
CALLING_CODE = re.compile(r"^(?:\+|00)?86(?=0?1[3-9]\d{9}$|0?[1-9]\d{8,11}$)")
PRIVACY_PREFIXES = ("950", "951")
"""Numbers that platforms put in front of people (隐私号). Numbers with an extension are of that kind too."""
TAIL_DIGITS = 4
DIGITS_MIN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    number: str
    """Digits only: mobile without calling code, landline with its area code's zero, foreign with its calling code."""
    extension: str = ""

    @property
    def canonical(self) -> str:
        """What is compared: a number with an extension belongs to somebody else than the number alone."""
        return f"{self.number}-{self.extension}" if self.extension else self.number

    @property
    def tail(self) -> str:
        return self.number[-TAIL_DIGITS:]

    @property
    def is_virtual(self) -> bool:
        """Stands in front of the real number, so it does not say whose it is."""
        return bool(self.extension) or self.number.startswith(PRIVACY_PREFIXES)


def parse_phone(text: str) -> Phone | None:
    """None for what is no telephone number: empty, "anonymous", an internal extension."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.lower().startswith(("tel:", "sip:")):
        plain = plain[4:].split("@", 1)[0]
    squeezed = re.sub(r"[\s().]", "", plain)
    extension = ""
    found = EXTENSION.search(squeezed)
    if found is not None:
        extension = found[1] or found[2]
        squeezed = squeezed[: found.start()]
    if re.fullmatch(r"\+?[\d-]+", squeezed) is None:
        return None
    digits = _national(squeezed.replace("-", ""))
    return Phone(number=digits, extension=extension) if len(digits) >= DIGITS_MIN else None


def _national(dialled: str) -> str:
    bare = CALLING_CODE.sub("", dialled)
    if bare != dialled and LANDLINE.fullmatch(f"0{bare}") and not MOBILE.fullmatch(bare):
        bare = f"0{bare}"
    if bare.startswith("0") and MOBILE.fullmatch(bare[1:]):
        return bare[1:]
    return bare.removeprefix("+")


def canonical_phone(text: str) -> str:
    """For comparing; text that is no number is compared digit by digit."""
    phone = parse_phone(text)
    return phone.canonical if phone else "".join(ch for ch in text if ch.isdigit())


def tail_of(text: str) -> str:
    """The last four digits; empty where there are fewer."""
    phone = parse_phone(text)
    return phone.tail if phone else ""
