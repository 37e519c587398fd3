"""The words of every message: complete in both languages, filled, and honest."""

import string

import pytest

from unwind.flow.wording import CODE_TEXTS, NEVER_ASK, STAFF_TEXTS, TEXTS, text_of

PARAMS = {
    "amount_minor": 13_400,
    "kept_minor": 100,
    "paid_minor": 13_500,
    "currency": "CNY",
    "minutes": 15,
    "estimate_zh": "1-3个工作日退回原银行卡",
    "estimate_en": "1-3 working days to the original card",
    "ways": "appeal refuse_at_door return",
    "promised_at": "2026-11-26T02:30:00+00:00",
    "link": "https://unwind.example/a/ul_x",
    "reason_zh": "缺货",
    "reason_en": "out of stock",
    "case": "UW261124-X",
    "order": "O1",
    "connection": "wxpay",
    "kind": "is_down",
    "code": "5",
}


@pytest.mark.rule("people.never_asks")
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("fact", sorted(TEXTS))
def test_every_message_to_a_buyer_says_that_nobody_asks_for_codes(fact: str, language: str) -> None:
    """RULES, identity: every message says that nobody will ask for codes or transfers."""
    text = text_of(fact, PARAMS, language=language)
    assert NEVER_ASK[language == "en"] in text
    assert "{" not in text


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("fact", sorted(STAFF_TEXTS))
def test_every_message_to_staff_is_filled(fact: str, language: str) -> None:
    assert "{" not in text_of(fact, PARAMS, language=language)


@pytest.mark.parametrize("fact", sorted({*TEXTS, *STAFF_TEXTS}))
def test_both_languages_say_the_same_things(fact: str) -> None:
    zh, en = {**TEXTS, **STAFF_TEXTS}[fact]
    fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (zh, en)]
    assert fields[0] == fields[1]


def test_codes_are_asked_for_by_nobody_but_the_one_who_was_called() -> None:
    for zh, en in CODE_TEXTS.values():
        assert "不会索要" in zh
        assert "Nobody will ever ask" in en or "nobody will ever ask" in en


def test_ways_on_and_moments_read_as_people_say_them() -> None:
    assert text_of("declined", PARAMS, language="zh").startswith(
        "本次不能按取消处理。包裹送到时您可以当面拒收,退回后退款;收货后可申请退货退款;也可要求另一位客服复核。"
    )
    assert "11-26 10:30" in text_of("offer_wait", PARAMS, language="zh")
    assert "You may ask for another person" in text_of("declined", {**PARAMS, "ways": "appeal"}, language="en")
