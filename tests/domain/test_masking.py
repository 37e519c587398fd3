"""What staff see by default gives nothing away that can be used."""

import pytest

from unwind.domain.masking import mask_address, mask_mail, mask_name, mask_phone
from unwind.domain.personal import is_personal, is_telephone, mask_numbers


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("13800001234", "138****1234"),
        ("+86 138-0000-1234", "138****1234"),
        ("021-5555666", "021****5666"),
        ("不详", "****"),
        ("", ""),
    ],
)
def test_a_telephone_shows_three_and_four(given: str, shown: str) -> None:
    assert mask_phone(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"), [("王小明", "王*"), ("欧阳修", "欧*"), ("Ann Lee", "A*"), (" ", ""), ("", "")]
)
def test_a_name_shows_its_first_character(given: str, shown: str) -> None:
    assert mask_name(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("上海市浦东新区世纪大道100号2楼", "上海市浦东新区****"),
        ("浙江省 杭州市 西湖区 文三路 小区5栋", "浙江省杭州市西湖区****"),
        ("内蒙古自治区呼和浩特市新城区中山路1号", "内蒙古自治区呼和浩特市新城区****"),
        ("广西壮族自治区桂林市阳朔县西街8号", "广西壮族自治区桂林市阳朔县****"),
        ("江苏省昆山市花桥镇绿地大道9号", "江苏省昆山市****"),
        ("海南省文昌市", "海南省文昌市****"),
        ("幸福里小区5栋301", "****"),
        ("建国路5号院A区3栋", "****"),
        ("1 High Street, London", "****"),
        ("", ""),
    ],
)
def test_an_address_shows_its_district_and_nothing_below(given: str, shown: str) -> None:
    assert mask_address(given) == shown


def test_a_mail_address_shows_where_it_is() -> None:
    assert (mask_mail("zhang.san@example.com"), mask_mail("nonsense"), mask_mail("")) == (
        "z****@example.com",
        "****",
        "",
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("电话13800001234,谢谢", "电话138****1234,谢谢"),
        ("138 0000 1234 或 13900005678", "138******1234 或 139****5678"),
        ("身份证11010519491231002X", "身份证110***********002X"),
        ("卡号6225880137706777", "卡号622*********6777"),
        ("订单20261124000123,2件", "订单20261124000123,2件"),
    ],
)
def test_numbers_in_words_are_masked_in_place(given: str, shown: str) -> None:
    assert mask_numbers(given) == shown
    assert len(shown) == len(given), "so that what points into the words still points at the same"


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("一三八零零零零一二三四", True),
        ("１３８００００１２３４", True),
        ("找 zhang@example.com", True),
        ("大促期间放宽,工单UW261125-SBW214ZVZY", False),
        ("限额改为 20000000 分", False),
    ],
)
def test_what_belongs_to_a_person_is_recognised(text: str, is_so: bool) -> None:
    assert is_personal(text) is is_so


@pytest.mark.parametrize(
    ("reference", "is_so"),
    [
        ("13800001234", True),
        ("tel:8613800001234", True),
        ("rec-13800001234.wav", True),
        ("4200001234202611251380000123", False),
        ("W13800001234", False),
        ("1732490000.123", False),
    ],
)
def test_a_reference_that_is_a_telephone_is_recognised(reference: str, is_so: bool) -> None:
    assert is_telephone(reference) is is_so
