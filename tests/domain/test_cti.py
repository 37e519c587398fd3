"""Every telephone system says the same few things under its own names."""

import pytest

from unwind.domain.cti import VENDORS, CallEvent, read_news, tells_number
from unwind.domain.errors import Refusal
from unwind.domain.phone import parse_phone


@pytest.mark.parametrize(
    ("vendor", "given"),
    [
        ("generic", {"caller": "13800001234", "callid": "c-1", "agent": "8001", "queue": "vip", "dir": "in"}),
        (
            "huawei_cec",
            {
                "callerNum": "013800001234",
                "calledNum": "4001",
                "callid": "c-1",
                "workNo": "8001",
                "callskill": "vip",
                "callType": "0",
            },
        ),
        (
            "asterisk",
            {"Callerid": "+8613800001234", "Calleeid": "4001", "Uniqueid": "c-1", "Agent": "8001", "queue": "vip"},
        ),
        (
            "zammad",
            {
                "event": "newCall",
                "from": "8613800001234",
                "to": "4001",
                "direction": "in",
                "callId": "c-1",
                "queue": "vip",
                "user[]": "8001",
            },
        ),
        (
            "servicenow",
            {"sysparm_caller_phone": "138 0000 1234", "sysparm_call_id": "c-1", "agent": "8001", "queue": "vip"},
        ),
    ],
)
def test_names_of_vendors(vendor: str, given: dict[str, str]) -> None:
    news = read_news({name: [text] for name, text in given.items()}, vendor=vendor, aliases={})
    assert (news.event, news.call_id, news.is_outgoing) == (CallEvent.RING, "c-1", False)
    assert news.other is not None
    assert news.other.number == "13800001234"
    assert (news.agents, news.queue) == (("8001",), "vip")


def test_znuny_says_who_calls_and_nothing_else() -> None:
    news = read_news({"CallerID": ["057188886666"]}, vendor="znuny", aliases={})
    assert news.other == parse_phone("0571 8888 6666")
    assert news.call_id == ""


def test_an_installations_own_names_come_first() -> None:
    given = {"ANI": ["13900005678"], "caller": ["13800001234"], "CALLID": ["c-2"]}
    news = read_news(given, vendor="generic", aliases={"caller": ["ani"]})
    assert news.other is not None
    assert (news.other.number, news.call_id) == ("13900005678", "c-2")


def test_on_a_call_of_ours_the_buyer_is_the_called() -> None:
    given = {
        "from": ["4001"],
        "to": ["13800001234"],
        "direction": ["out"],
        "callId": ["c-3"],
        "user[]": ["8001", "8002"],
    }
    news = read_news(given, vendor="zammad", aliases={})
    assert news.is_outgoing
    assert news.other is not None
    assert (news.other.number, news.agents) == ("13800001234", ("8001", "8002"))


@pytest.mark.parametrize(
    ("word", "event"), [("newCall", "ring"), ("Answer", "answered"), ("hangup", "hung_up"), ("CDR", "record")]
)
def test_words_for_what_happens(word: str, event: str) -> None:
    assert read_news({"event": [word]}, vendor="zammad", aliases={}).event == event


def test_hidden_numbers_are_nobody() -> None:
    for text in ("", "anonymous", "unknown"):
        assert read_news({"caller": [text], "callid": ["c"]}, vendor="generic", aliases={}).other is None


@pytest.mark.parametrize(
    "given",
    [
        {"callid": "c 1"},
        {"callid": "x" * 65},
        {"agent": "<b>"},
        {"duration": "-1"},
        {"duration": "12345678"},
        {"duration": "٣"},
        {"recording": "a b"},
        {"event": "explode"},
    ],
)
def test_what_cannot_be_a_call_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        read_news({name: [text] for name, text in given.items()}, vendor="generic", aliases={})


def test_recordings_named_after_their_caller_are_personal() -> None:
    phone = parse_phone("057188886666")
    assert tells_number("/rec/20261124-13800001234.wav", None)
    assert tells_number("/rec/0571-88886666.wav", phone)
    assert not tells_number("/rec/20261124/c-1.wav", phone)
    assert not tells_number("/rec/913800001234.wav", None), "a longer number is no mobile"


def test_every_vendor_names_only_fields_there_are() -> None:
    from unwind.domain.cti import FIELDS

    assert all(set(names) <= set(FIELDS) for names in VENDORS.values())
