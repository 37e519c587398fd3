"""Telephone numbers as they are dialled, printed and passed on come to one form."""

import pytest

from unwind.domain.phone import canonical_phone, parse_phone, tail_of


@pytest.mark.parametrize(
    "dialled",
    [
        "13800001234",
        "+8613800001234",
        "+86 138 0000 1234",
        "008613800001234",
        "8613800001234",
        "013800001234",
        "138-0000-1234",
        "１３８００００１２３４",
        "tel:+86-138-0000-1234",
        "sip:13800001234@pbx.example",
        "(+86) 138.0000.1234",
    ],
)
def test_one_mobile_in_every_dress(dialled: str) -> None:
    phone = parse_phone(dialled)
    assert phone is not None
    assert (phone.number, phone.extension, phone.tail, phone.is_virtual) == ("13800001234", "", "1234", False)


@pytest.mark.parametrize("dialled", ["057188886666", "0571-8888 6666", "+8657188886666", "+86057188886666"])
def test_a_landline_keeps_its_area(dialled: str) -> None:
    assert canonical_phone(dialled) == "057188886666"


@pytest.mark.parametrize(
    "dialled",
    ["13800001234转5678", "13800001234 ext. 5678", "13800001234-5678", "13800001234,5678", "13800001234#5678"],
)
def test_a_number_with_an_extension_is_somebody_else(dialled: str) -> None:
    phone = parse_phone(dialled)
    assert phone is not None
    assert (phone.canonical, phone.is_virtual) == ("13800001234-5678", True)
    assert phone.canonical != canonical_phone("13800001234")


def test_numbers_of_platforms_are_virtual() -> None:
    phone = parse_phone("95013123456789")
    assert phone is not None
    assert phone.is_virtual


@pytest.mark.parametrize("text", ["", "anonymous", "unknown", "8001", "张三", "UW261124-ABCDEFGHJK", "O-1"])
def test_what_is_no_number(text: str) -> None:
    assert parse_phone(text) is None
    assert tail_of(text) == ""


def test_foreign_numbers_keep_their_calling_code() -> None:
    assert canonical_phone("+44 20 7946 0958") == "442079460958"
    assert canonical_phone("+1 415 555 2671") == "14155552671"
