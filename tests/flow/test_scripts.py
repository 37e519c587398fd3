"""Scripts: the set the program brings, what is suggested for whom, how they are filled, searched, versioned and counted."""

from datetime import timedelta
from typing import Any

import pytest

from tests.world import World, shipment
from unwind.flow.scripts import PLACE, VARIABLES, Script, default_scripts, fill, initials, rank, require_sound, search
from unwind.tagging.outgoing import MISSING, OutgoingFacts, TextRule, faults_of

EVERY = {name: f"<{name}>" for name in VARIABLES}


@pytest.mark.parametrize("script", default_scripts().values(), ids=lambda script: script.script_id)
def test_every_script_that_comes_with_the_program_is_sound(script: Script) -> None:
    require_sound(script)
    filled = fill(script, EVERY)
    assert filled.missing == ()
    assert MISSING not in filled.zh + filled.en
    early = {fault.rule for text in (filled.zh, filled.en) for fault in faults_of(text, OutgoingFacts())}
    assert early == ({TextRule.REFUNDED_TOO_EARLY} if script.script_id == "refund_arrived" else set())
    assert any("\u4e00" <= ch <= "\u9fff" for ch in script.zh)
    assert not any("\u4e00" <= ch <= "\u9fff" for ch in script.en)
    assert set(PLACE.findall(script.zh)) == set(PLACE.findall(script.en))


def test_the_set_covers_the_trade() -> None:
    found = default_scripts()
    assert len(found) >= 30
    titles = "".join(script.title for script in found.values())
    for word in (
        "安抚",
        "查物流",
        "再等等",
        "拦截失败",
        "拒收引导",
        "驳回并给出路",
        "改地址",
        "到账说明",
        "优惠券退回",
        "防诈骗",
    ):
        assert word in titles, word


def test_a_missing_value_is_shown_as_missing() -> None:
    script = Script(script_id="s", version=1, title="t", zh="运单{waybill},到{place}", en="{waybill}")
    filled = fill(script, {"waybill": "W1"})
    assert (filled.zh, filled.missing) == ("运单W1,到【缺:最新位置】", ("place",))


def test_a_value_is_text_and_never_a_template() -> None:
    script = Script(script_id="s", version=1, title="t", zh="{goods}", en="{goods}")
    assert fill(script, {"goods": "{order_id}{goods.__class__}"}).zh == "{order_id}{goods.__class__}"


def test_rank() -> None:
    situation = {"emotion": "ANGRY", "reason": "x", "stage": "y", "channel": "z"}

    def one(name: str, **given: Any) -> Script:
        return Script(script_id=name, version=1, title=name, zh="x", en="x", **given)

    scripts = [
        one("a_plain"),
        one("b_used"),
        one("c_close", reasons=("x",), stages=("y",)),
        one("d_calm", emotions=("ANGRY",)),
        one("e_calm_close", emotions=("ANGRY",), reasons=("x",)),
    ]
    used = {"b_used": {"sent": 2, "sent_edited": 1}}
    ranked = sorted(scripts, key=lambda script: rank(script, situation, used))
    assert [script.script_id for script in ranked] == ["e_calm_close", "d_calm", "c_close", "b_used", "a_plain"]
    calm = sorted(scripts, key=lambda script: rank(script, {**situation, "emotion": "NEUTRAL"}, used))
    assert calm[0].script_id == "c_close"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("拦截", "intercept_started"),
        ("查物流", "track_in_transit"),
        ("cwl", "track_in_transit"),
        ("CWL", "track_in_transit"),
        ("fzptx", "fraud_warning"),
        ("jsyd", "refuse_guide"),
        ("share your screen", "fraud_warning"),
        ("共享屏幕", "fraud_warning"),
        ("gxpm", "fraud_warning"),
    ],
)
def test_search(query: str, expected: str) -> None:
    assert expected in [script.script_id for script in search(list(default_scripts().values()), query)]


def test_search_finds_nothing_for_nonsense_and_everything_for_nothing() -> None:
    everything = list(default_scripts().values())
    assert search(everything, "zzzzqq") == []
    assert len(search(everything, "")) == len(everything)
    assert initials("查物流 ABC1") == "cwlabc1"
    assert initials("重庆") == "cq", "read as people read it"


async def case(world: World, text: str = "", **given: Any) -> str:
    now = await world.now()
    order_id = await world.order(
        released_stage="released",
        planned_dispatch_at=(now + timedelta(hours=5)).isoformat(),
        risk="suspected",
        shipments=[shipment(at=now - timedelta(hours=1))],
        **given,
    )
    return str((await world.cancel(order_id, text=text, channel="chat"))["case_id"])


async def suggested(world: World, case_id: str) -> list[dict[str, Any]]:
    body = await world.ok("GET", f"/api/v1/desk/cases/{case_id}/scripts", role="agent")
    found: list[dict[str, Any]] = body["scripts"]
    return found


async def test_suggestions_fit_the_case_and_are_filled(world: World) -> None:
    close = {"stages": ["in_transit"], "channels": ["chat"], "emotions": ["NEUTRAL"]}
    await put(world, "early", role="admin", zh="退款已完成", en="The refund is complete", **close)
    await put(world, "closest", role="admin", **close)
    found = await suggested(world, await case(world, "我的包裹到哪了"))
    assert found[0]["script_id"] == "closest"
    by_id = {row["script_id"]: row for row in found}
    assert not any(name.startswith("calm_") for name in by_id)
    assert not {"early", "refund_arrived"} & set(by_id), "it is not final"
    row = by_id["track_in_transit"]
    assert "顺丰" in row["zh"]
    assert "W-S1" in row["zh"]
    assert row["missing"] == ["place"]
    assert "【缺:最新位置】" in row["zh"]


async def test_an_angry_buyer_is_calmed_first(world: World) -> None:
    case_id = await case(world, "什么破店!!三天了还不发货,我要投诉!!!")
    found = await suggested(world, case_id)
    assert [row["script_id"] for row in found[:2]] == ["calm_slow", "calm_general"]


async def test_usage_is_counted(world: World) -> None:
    case_id = await case(world)
    await suggested(world, case_id)
    path = f"/api/v1/desk/cases/{case_id}"
    inserted = await world.ok("POST", f"{path}/scripts/fraud_warning/insert", role="agent")
    assert await world.sql("SELECT FROM conversation") == [], "nothing is sent by itself"
    for text in (inserted["zh"], inserted["en"], inserted["zh"] + "谢谢"):
        await world.ok("POST", f"{path}/conversation", role="agent", json={"text": text, "script_id": "fraud_warning"})
    rows = (await world.ok("GET", "/api/v1/admin/scripts", role="auditor"))["scripts"]
    [used] = [row["used"] for row in rows if row["script_id"] == "fraud_warning"]
    assert (used["inserted"], used["sent"], used["sent_edited"]) == (1, 2, 1)
    assert sum(row["used"]["shown"] for row in rows) == 8
    said = (await world.dossier(case_id))["conversation"]
    assert [(one["script_id"], one["script_version"], one["is_edited"]) for one in said] == [
        ("fraud_warning", 0, False),
        ("fraud_warning", 0, False),
        ("fraud_warning", 0, True),
    ]


async def test_a_script_with_a_gap_is_not_sent(world: World) -> None:
    case_id = await case(world)
    path = f"/api/v1/desk/cases/{case_id}"
    inserted = await world.ok("POST", f"{path}/scripts/track_in_transit/insert", role="agent")
    response = await world.call(
        "POST", f"{path}/conversation", role="agent", json={"text": inserted["zh"], "script_id": "track_in_transit"}
    )
    assert response.json()["facts"]["rule"] == "missing_value"


PLAIN = {"title": "问候", "zh": "您好,订单{order_id}", "en": "Hello, order {order_id}"}


async def put(world: World, name: str = "hello", role: str = "ops", **given: Any) -> Any:
    return await world.call("PUT", f"/api/v1/admin/scripts/{name}", role=role, json={**PLAIN, **given})


async def test_versions_lie_over_what_the_program_brings(world: World) -> None:
    await world.hire("ops", role="ops")
    assert (await put(world, role="uk_ops")).json()["version"] == 1
    assert (await put(world, role="uk_ops", title="问候二")).json()["version"] == 2
    assert (await put(world, "close_answered", role="admin", is_active=False)).json()["version"] == 1
    history = (await world.ok("GET", "/api/v1/admin/scripts/close_answered", role="admin"))["versions"]
    assert [(row["version"], row["is_active"]) for row in history] == [(1, False), (0, True)]
    found = (await world.ok("GET", "/api/v1/desk/scripts?q=wh", role="agent"))["scripts"]
    assert ("hello", 2) in [(row["script_id"], row["version"]) for row in found]
    everything = (await world.ok("GET", "/api/v1/desk/scripts", role="agent"))["scripts"]
    assert "close_answered" not in [row["script_id"] for row in everything]
    assert (await world.call("GET", "/api/v1/admin/scripts/nothing", role="admin")).status_code == 404


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"zh": "您好{password}"}, "unknown_variable"),
        ({"en": "Hello {order_id.__class__}"}, "unknown_variable"),
        ({"zh": "您好{"}, "unknown_variable"),
        ({"zh": "一定会退给您"}, "text_not_allowed"),
        ({"zh": "加我微信"}, "text_not_allowed"),
        ({"reasons": ["NONSENSE"]}, "invalid"),
        ({"zh": ""}, "invalid"),
    ],
)
async def test_what_a_script_cannot_say(world: World, given: dict[str, Any], code: str) -> None:
    response = await put(world, role="admin", **given)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert await world.sql("SELECT FROM scripts") == []
