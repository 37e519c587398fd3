"""Prints a case as a story on a terminal."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from unwind.domain.money import format_minor

SHOP_TIME = ZoneInfo("Asia/Shanghai")

EVENTS = {
    "received": "收到申请 request received",
    "screened_auto": "初筛:自动处理 screened: automatic",
    "screened_review": "初筛:转人工 screened: to a person",
    "screened_decline": "初筛:不可取消 screened: declined",
    "closed_at_once": "当场取消并归档 closed at once",
    "needs_person": "需要人工 needs a person",
    "part_decided": "部分已决定 one part decided",
    "approved": "人工同意 approved",
    "rest_continues": "其余部分继续 the rest goes on",
    "declined": "人工驳回 declined",
    "withdrawn": "买家撤回 withdrawn by the buyer",
    "answered": "已答复 answered",
    "performed": "全部步骤已执行 every step performed",
    "settled": "款项与货物已落定 settled",
    "told": "已通知,归档 told, archived",
    "leg_claimed": "步骤开始 step begins",
    "leg_recorded": "步骤结果 step outcome",
    "message_recorded": "消息 message",
    "contacted_again": "再次来访 contacted again",
    "clock_half": "时限过半 half the time is gone",
    "clock_warned": "即将超时 answer due soon",
    "clock_again": "再次提醒 the group is told again",
    "clock_due": "已超时 answer overdue",
    "clocks_reset": "时限重算 clocks worked out again",
    "claimed": "领取 claimed",
    "claim_released": "释放 claim released",
    "transferred": "转交 transferred",
    "escalated": "升级至组长 escalated to a lead",
    "buyer_asked": "询问买家 the buyer is asked",
    "buyer_answered": "买家已答复 the buyer has answered",
    "buyer_silent": "买家未答复 the buyer did not answer in time",
    "question_asked": "提出询问 a question is asked",
    "question_reminded": "催问 reminded",
    "question_answered": "收到答复 the question is answered",
    "question_silent": "逾期未答 nobody answered in time",
    "offer_accepted": "买家愿意等待 the buyer agrees to wait",
    "wait_rewarded": "等到了 the wait was rewarded",
    "wait_in_vain": "白等了 the wait was in vain",
    "reconsidered": "买家不再等待 the buyer will not wait any longer",
    "kept": "保留订单 the order is kept",
    "handed_on": "转售后 handed to after-sales",
    "cost_noted": "登记费用 a cost is noted",
    "attached": "上传附件 a file is attached",
    "buyer_wrote": "买家留言 the buyer wrote",
    "agent_wrote": "客服回复 an agent wrote",
    "woken": "被唤醒 woken",
    "order_changed": "订单有变化 order changed",
    "identity_checked": "身份已核验 identity checked",
    "call_recorded": "通话记录 call recorded",
    "promise_made": "作出承诺 promise made",
    "promise_warned": "承诺即将到期 promise due soon",
    "promise_kept": "承诺已兑现 promise kept",
    "promise_broken": "承诺逾期 promise broken",
    "true_reason_set": "真实原因 true reason",
    "handed_over": "交班 handed over",
    "handover_taken": "接班确认 hand-over taken",
    "scam_flagged": "疑似诈骗 flagged as a scam",
    "parcel_scanned": "仓库扫描 scanned in the warehouse",
    "return_scanned": "退货到仓 a return has arrived",
    "return_inspected": "退货验收 the return is inspected",
    "false_dispatch": "虚假发货 called shipped, not picked up",
    "payout_proposed": "提议另行付款 another way of payment proposed",
    "payout_dropped": "另行付款作罢 proposal dropped",
}


def print_story(console: Console, dossier: Mapping[str, Any]) -> None:
    order = dossier["order"]
    head = (
        f"{dossier['case_id']}  {dossier['kind']}  [bold]{dossier['state']}[/bold] {dossier['outcome'] or ''}\n"
        f"订单 order {dossier['order_id']} · {dossier['channel']} · {dossier['reason']} · 规则 rule {dossier['rule']}\n"
        f"退款 refund {format_minor(dossier['money_minor'], order['currency'])}"
    )
    console.print(Panel(head, title="取消工单 case"))
    table = Table("时间 time", "事件 event", "谁 who", "内容 what", show_lines=False)
    for event in dossier["timeline"]:
        what = " ".join(f"{k}={v}" for k, v in event["data"].items() if v not in ("", None) and k != "words")
        table.add_row(_time(event["at"]), EVENTS[event["event"]], event["actor"], what)
    console.print(table)
    if dossier["parcels"]:
        parcels = Table("包裹 parcel", "承运 carrier", "状态 stage", "最后 last", "判断 verdict")
        for parcel in dossier["parcels"]:
            last = f"{parcel['last_place']} {parcel['last_stage']}".strip()
            parcels.add_row(parcel["waybill_no"], parcel["carrier"], parcel["stage"], last, parcel["verdict"])
        console.print(parcels)


def _time(at: datetime) -> str:
    return at.astimezone(SHOP_TIME).strftime("%m-%d %H:%M:%S")
