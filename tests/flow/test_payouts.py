"""A blocked refund by another way: the same name, two people, the account sealed while it waits and gone afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.world import World
from unwind.doctor import examine
from unwind.flow.payouts import drop_lapsed
from unwind.flow.wording import text_of
from unwind.storage.embedded import EmbeddedPostgres

ACCOUNT_NO = "6225000011112222"
CARD = {"kind": "user_bank_card", "bank_type": "CMB_DEBIT", "account_no": ACCOUNT_NO, "account_name": "测试买家"}
OWN_CARD = {"kind": "merchant_bank_card"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    order_id: str
    case_id: str
    leg_no: int
    version: int
    amount_minor: int
    kind: str

    def path(self, way: str) -> str:
        prefix = "desk" if way == "other-account" else "finance"
        return f"/api/v1/{prefix}/cases/{self.case_id}/legs/{self.leg_no}/{way}"


@pytest.fixture
async def wechat_shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """The usual world; WeChat Pay speaks its own format."""
    async with AsyncExitStack() as stack:
        speaking = {"wxpay": "wechat_pay"}
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking)


async def exceptions(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.ok("GET", "/api/v1/desk/refund-exceptions", role="finance"))["refunds"]
    return found


async def stuck(world: World, order_id: str, case_id: str) -> Stuck:
    [row] = [row for row in await exceptions(world) if row["case_id"] == case_id]
    return Stuck(
        order_id=order_id,
        case_id=case_id,
        leg_no=row["leg_no"],
        version=row["case_version"],
        amount_minor=row["amount_minor"],
        kind=row["kind"],
    )


async def abnormal(world: World, **given: Any) -> Stuck:
    """A refund that the payer's account cannot receive."""
    await world.ask_sandbox("connections/wxpay", {"refund_final": "ABNORMAL"})
    order_id = await world.order(**given)
    case_id = (await world.cancel(order_id))["case_id"]
    for _ in range(5):
        await world.run()
        await world.pass_time(timedelta(seconds=5))
    await world.ask_sandbox("connections/wxpay", {"refund_final": "SUCCESS"})
    return await stuck(world, order_id, case_id)


async def refused_refund(world: World) -> Stuck:
    """One that the gateway refuses for good: the trade was closed behind our back."""
    order_id = await world.order(trades={"P-O1-wxpay": "CLOSED"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    found = await stuck(world, order_id, case_id)
    assert found.kind == "refused"
    return found


async def propose(world: World, one: Stuck, *, role: str = "agent", **card: Any) -> httpx.Response:
    body = {"case_version": one.version, **(card or CARD)}
    return await world.call("POST", one.path("other-account"), role=role, json=body)


async def pay_off_line(world: World, one: Stuck, *, role: str = "finance", **given: Any) -> httpx.Response:
    today = (await world.now()).astimezone(ZoneInfo("Asia/Shanghai")).date().isoformat()
    body = {
        "case_version": one.version,
        "paid_by": "bank_transfer",
        "reference": "V-2026-1",
        "paid_on": today,
        "amount_minor": one.amount_minor,
        **given,
    }
    return await world.call("POST", one.path("off-line"), role=role, json=body)


async def answer(world: World, proposal_id: str, *, role: str = "finance", agree: bool = True) -> httpx.Response:
    return await world.call("POST", f"/api/v1/finance/payouts/{proposal_id}", role=role, json={"agree": agree})


async def sealed_accounts(world: World) -> int:
    return len(await world.sql("SELECT FROM private_data WHERE field LIKE 'payee%'"))


WAYS_TOLD = {
    "user_bank_card": ("other_account", "退回您本人的另一银行卡,1-3个工作日"),
    "merchant_bank_card": ("merchant_account", "渠道已退至商家账户,由商家另行支付给您"),
}


async def refund_done_text(world: World) -> str:
    """Where the money is said to be."""
    [row] = await world.sql("SELECT fact, params FROM messages WHERE fact LIKE 'refund_done%'")
    return text_of(row["fact"], row["params"], language="zh")


async def waiting(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.ok("GET", "/api/v1/finance/payouts", role="lead"))["payouts"]
    return found


async def assert_nowhere(world: World, number: str) -> None:
    """Not in any table, in any form in which it would be readable."""
    tables = await world.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        found = await world.sql(f"SELECT t::text AS row FROM {table['name']} t WHERE t::text LIKE %s", f"%{number}%")
        assert found == [], table["name"]


async def assert_sound(world: World) -> None:
    assert (await world.violations())["violations"] == []
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


@pytest.mark.rule("money.other_payee")
@pytest.mark.parametrize("card", [CARD, OWN_CARD])
async def test_an_abnormal_refund_goes_to_another_account_once_two_people_agree(
    wechat_shop: World, card: dict[str, str]
) -> None:
    world = wechat_shop
    one = await abnormal(world)
    answers = await asyncio.gather(*(propose(world, one, **card) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [202, 409], "two clicks at once"
    proposal_id = next(answer.json()["proposal_id"] for answer in answers if answer.is_success)
    assert await world.sql("SELECT count(*) FROM refunds WHERE state = 'final'") == [{"count": 0}]
    [row] = await waiting(world)
    assert (row["account_kind"], row["account_tail"]) == (card["kind"], "2222" if card == CARD else "")
    assert ACCOUNT_NO not in str(row)
    assert (await exceptions(world))[0]["proposal"]["proposal_id"] == proposal_id
    seconds = await asyncio.gather(*(answer(world, proposal_id, role=role) for role in ("finance", "lead")))
    assert sorted(second.status_code for second in seconds) == [200, 409], "two people at once"
    await world.pass_time(timedelta(minutes=1))
    await world.run(until="archived", case_id=one.case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(one.order_id)] == [("SUCCESS", 1)]
    how, told = WAYS_TOLD[card["kind"]]
    assert await world.sql("SELECT how, state FROM refunds") == [{"how": how, "state": "final"}]
    text = await refund_done_text(world)
    assert text.startswith("退款10.00 CNY已完成:")
    assert f",{told},退款单号" in text
    assert await exceptions(world) == []
    assert await waiting(world) == []
    assert await sealed_accounts(world) == 0
    await assert_nowhere(world, ACCOUNT_NO)
    await assert_sound(world)


async def test_while_it_waits_the_account_stands_sealed_and_nowhere_else(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    await propose(world, one)
    assert await sealed_accounts(world) == 1
    await assert_nowhere(world, ACCOUNT_NO)
    timeline = await world.timeline(one.case_id)
    assert any("payout_proposed" in entry for entry in timeline)


@pytest.mark.rule("money.other_payee")
async def test_nobody_agrees_to_their_own_proposal(wechat_shop: World) -> None:
    world = wechat_shop
    await world.hire("wang", "wang-2", role="lead")
    one = await abnormal(world)
    proposal_id = (await propose(world, one, role="uk_wang")).json()["proposal_id"]
    own = await answer(world, proposal_id, role="uk_wang")
    assert (own.status_code, own.json()["code"]) == (403, "different_person_needed")
    for role in ("agent", "warehouse", "integrator"):
        assert (await answer(world, proposal_id, role=role)).status_code == 403
    await world.sql("UPDATE cases SET barred = '{test-finance}'")
    barred = await answer(world, proposal_id, role="finance")
    assert barred.json()["code"] == "different_person_needed", "whose decision it appeals against is no second person"
    assert await sealed_accounts(world) == 1
    assert (await answer(world, proposal_id, role="uk_wang-2")).status_code == 200, (
        "a name that begins alike is another"
    )


@pytest.mark.rule("money.other_payee")
@pytest.mark.parametrize(
    ("holder", "known", "code"),
    [
        ("测试 买家", "测试买家", None),
        ("JOHN  Smith", "john smith", None),
        ("买买提·吐尔逊", "买买提•吐尔逊", None),
        ("买买提・吐尔逊", "买买提吐尔逊", None),
        ("ＪＯＨＮ", "John", None),
        ("测试卖家", "测试买家", "payee_name_differs"),
        ("测试", "测试买家", "payee_name_differs"),
        ("··", "测试买家", "payee_name_differs"),
        ("测试买家", None, "payee_name_unknown"),
        ("测试买家", " · ", "payee_name_unknown"),
    ],
)
async def test_the_holder_bears_the_name_that_stands_with_the_order(
    wechat_shop: World, holder: str, known: str | None, code: str | None
) -> None:
    world = wechat_shop
    buyer = {"phone": "13800001234"} if known is None else {"phone": "13800001234", "name": known}
    one = await abnormal(world, buyer=buyer)
    given = await propose(world, one, **{**CARD, "account_name": holder})
    assert (given.status_code, given.json().get("code")) == ((202, None) if code is None else (409, code))
    if code is not None:
        assert await sealed_accounts(world) == 0
        assert (await propose(world, one, **OWN_CARD)).status_code == 202, "the merchant's own account needs no name"
        assert holder not in given.text


async def test_declined_and_withdrawn_the_account_is_gone(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    declined = (await propose(world, one)).json()["proposal_id"]
    assert (await answer(world, declined, agree=False)).json()["agreed"] is False
    assert await sealed_accounts(world) == 0
    assert (await answer(world, declined)).json()["code"] == "payout_closed"
    withdrawn = (await propose(world, one)).json()["proposal_id"]
    path = f"/api/v1/finance/payouts/{withdrawn}"
    assert (await world.call("DELETE", path, role="lead")).json()["code"] == "payout_not_yours"
    assert (await world.call("DELETE", path, role="agent")).status_code == 204
    assert await sealed_accounts(world) == 0
    states = await world.sql("SELECT state FROM payout_proposals ORDER BY proposal_id")
    assert [row["state"] for row in states] == ["declined", "withdrawn"]
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(one.order_id)] == [("ABNORMAL", 0)]


async def test_somebody_elses_proposal_is_not_there_however_it_stands(world: World) -> None:
    await world.put_merchant("other")
    [stranger] = await world.hire("stranger", role="lead", merchant_id="other")
    one = await refused_refund(world)
    proposal_id = (await pay_off_line(world, one)).json()["proposal_id"]
    path = f"/api/v1/finance/payouts/{proposal_id}"
    for _ in range(2):
        assert (await answer(world, proposal_id, role=stranger)).status_code == 404
        assert (await world.call("DELETE", path, role=stranger)).status_code == 404
        await answer(world, proposal_id, role="lead", agree=False)


async def test_a_case_that_has_moved_on_makes_a_proposal_stale(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    proposal_id = (await propose(world, one)).json()["proposal_id"]
    await world.ok("POST", f"/api/v1/cancellations/{one.case_id}/conversation", json={"text": "钱到了吗"})
    late = await answer(world, proposal_id)
    assert (late.status_code, late.json()["code"]) == (409, "stale")
    assert await sealed_accounts(world) == 0, "dropped all the same"
    assert await world.sql("SELECT state FROM payout_proposals") == [{"state": "stale"}]
    assert (await propose(world, one)).json()["code"] == "stale"


async def test_nobody_needs_to_look_for_an_account_to_be_destroyed(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    proposal_id = (await propose(world, one)).json()["proposal_id"]
    await world.pass_time(timedelta(hours=23, minutes=59))
    await drop_lapsed(world.services)
    assert await sealed_accounts(world) == 1
    await world.pass_time(timedelta(minutes=2))
    await drop_lapsed(world.services)
    assert await sealed_accounts(world) == 0
    assert await world.sql("SELECT state FROM payout_proposals") == [{"state": "expired"}]
    assert (await answer(world, proposal_id)).json()["code"] == "payout_closed"
    await world.run()
    await assert_sound(world)


async def test_after_a_day_nobody_agrees_any_more_though_no_worker_has_looked(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    proposal_id = (await propose(world, one)).json()["proposal_id"]
    await world.pass_time(timedelta(hours=24))
    assert (await answer(world, proposal_id)).json()["code"] == "payout_expired"
    assert await sealed_accounts(world) == 0


async def test_who_does_not_hold_the_case_proposes_nothing(wechat_shop: World) -> None:
    world = wechat_shop
    one = await abnormal(world)
    await world.hire("wang")
    await world.ok("POST", f"/api/v1/desk/cases/{one.case_id}/claim", role="uk_wang", json={})
    for role in ("agent", "finance"):
        refused = await propose(world, one, role=role)
        assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_other")
    assert (await propose(world, one, role="uk_wang")).status_code == 202


async def test_an_answer_that_never_came_is_asked_for(wechat_shop: World) -> None:
    """The gateway took the other account and we never heard: the query by the refund's own number tells."""
    world = wechat_shop
    one = await abnormal(world)
    fault = {
        "connection": "wxpay",
        "operation": "payment.refund_elsewhere",
        "fault": "timeout_after_effect",
        "seconds": 0,
    }
    await world.ask_sandbox("faults", fault)
    proposal_id = (await propose(world, one)).json()["proposal_id"]
    assert (await answer(world, proposal_id)).is_success
    await world.pass_time(timedelta(minutes=1))
    await world.run(until="archived", case_id=one.case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(one.order_id)] == [("SUCCESS", 1)]
    await assert_sound(world)


@pytest.mark.parametrize("wrong", [{"account_no": "1234"}, {"account_no": "622500001111222X"}, {"account_name": ""}])
async def test_a_nonsensical_account_is_refused(world: World, wrong: dict[str, str]) -> None:
    given = {"case_version": 1, **CARD, **wrong}
    response = await world.call("POST", "/api/v1/desk/cases/C/legs/1/other-account", role="agent", json=given)
    assert response.status_code == 422
    assert given["account_no"] not in response.text


@pytest.mark.rule("money.other_payee")
async def test_no_account_goes_out_in_a_chat(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.identify(order_id)
    path = f"/api/v1/desk/cases/{case_id}/conversation"
    for text in ("请核对卡号 6225 7583 1111 1115", "尾数 12 的卡 6225758311111115 100元"):
        refused = await world.call("POST", path, role="agent", json={"text": text})
        assert (refused.status_code, refused.json()["code"]) == (422, "text_not_allowed")
        assert refused.json()["facts"]["rule"] == "personal_number"


@pytest.mark.rule("money.other_payee")
async def test_a_refused_refund_is_paid_off_line_and_booked_once(world: World) -> None:
    one = await refused_refund(world)
    proposal_id = (await pay_off_line(world, one)).json()["proposal_id"]
    assert await world.sql("SELECT sent_minor, final_minor FROM payments") == [{"sent_minor": 1000, "final_minor": 0}]
    own = await answer(world, proposal_id)
    assert own.json()["code"] == "different_person_needed"
    seconds = await asyncio.gather(*(answer(world, proposal_id, role="lead") for _ in range(2)))
    assert sorted(second.status_code for second in seconds) == [200, 409]
    await world.run(until="archived", case_id=one.case_id)
    assert await world.sql("SELECT sent_minor, final_minor FROM payments") == [{"sent_minor": 0, "final_minor": 1000}]
    assert await world.sql("SELECT how, state FROM refunds") == [{"how": "off_line", "state": "final"}]
    [leg] = await world.sql("SELECT state, evidence FROM legs WHERE kind = 'refund'")
    assert (leg["state"], leg["evidence"]["reference"], leg["evidence"]["paid_by"]) == (
        "succeeded",
        "V-2026-1",
        "bank_transfer",
    )
    assert await world.refunds(one.order_id) == [], "no gateway moved anything"
    assert "线下支付10.00 CNY,已由人工线下支付给您,凭证号V-2026-1。" in await refund_done_text(world)
    seen = await world.ok("GET", f"/api/v1/cancellations/{one.case_id}")
    assert seen["refund"]["payments"][0]["estimate"]["zh"] == "已由人工线下支付给您"
    await assert_sound(world)


async def test_off_line_money_is_exactly_what_is_owed_and_of_a_possible_day(world: World) -> None:
    one = await refused_refund(world)
    today: datetime = (await world.now()).astimezone(ZoneInfo("Asia/Shanghai"))
    for wrong, code in (
        ({"amount_minor": 999}, "amount_differs"),
        ({"amount_minor": 1001}, "amount_differs"),
        ({"paid_on": (today + timedelta(days=1)).date().isoformat()}, "proof_date_unsound"),
        ({"paid_on": (today - timedelta(days=1)).date().isoformat()}, "proof_date_unsound"),
        ({"reference": "卡号 6225"}, "invalid"),
        ({"case_version": 1}, "stale"),
    ):
        refused = await pay_off_line(world, one, **wrong)
        assert refused.json()["code"] == code, wrong
    assert await world.sql("SELECT FROM payout_proposals") == []


async def test_what_may_have_arrived_is_not_paid_again_by_hand(world: World) -> None:
    """I13: an unknown outcome is asked for at the gateway first."""
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(days=3, minutes=1))
    await world.run()
    one = await stuck(world, order_id, case_id)
    assert one.kind == "unfinished"
    refused = await pay_off_line(world, one)
    assert (refused.status_code, refused.json()["code"]) == (409, "ask_gateway_first")


async def test_a_refund_that_was_paid_off_line_is_missed_on_no_bill_and_noticed_on_any(world: World) -> None:
    from unwind.domain.bill import BillKind, BillRow, DifferenceKind
    from unwind.reconcile import load_bill

    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    one = await stuck(world, order_id, case_id)
    proposal_id = (await pay_off_line(world, one)).json()["proposal_id"]
    assert (await answer(world, proposal_id, role="lead")).is_success
    await world.run(until="archived", case_id=case_id)
    sent = (await world.now()).astimezone(ZoneInfo("Asia/Shanghai")).date()
    await load_bill(world.services.database, "wxpay", sent, [])
    report = await load_bill(world.services.database, "wxpay", sent + timedelta(days=1), [])
    assert report.differences == ()
    [refund] = await world.sql("SELECT refund_no FROM refunds")
    row = BillRow(
        kind=BillKind.REFUND,
        trade_no=f"T-{order_id}-wxpay",
        refund_no=refund["refund_no"],
        amount_minor=1000,
        currency="CNY",
        at=await world.now(),
    )
    report = await load_bill(world.services.database, "wxpay", sent + timedelta(days=1), [row])
    assert [d.kind for d in report.differences] == [DifferenceKind.REFUND_PAID_TWICE]
