"""The demo as a newcomer meets it: started by its command, used by curl as the README says, watched, stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent
READY_S = 150
pytestmark = pytest.mark.timeout(400)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Demo:
    environment: dict[str, str]
    client: httpx.Client
    base: str
    sandbox: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "unwind.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    def cancel(self, order_id: str, **given: Any) -> dict[str, Any]:
        response = self.client.post("/api/v1/cancellations", json={"order_id": order_id, **given})
        assert response.is_success, response.text
        body: dict[str, Any] = response.json()
        return body

    def wait(self, case_id: str, state: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            body: dict[str, Any] = self.client.get(f"/api/v1/cancellations/{case_id}").json()
            if body["state"] == state:
                return body
            assert time.monotonic() < deadline, body
            time.sleep(0.2)

    def dossier(self, case_id: str) -> dict[str, Any]:
        headers = {"Authorization": "Bearer uk_demo_agent"}
        body: dict[str, Any] = self.client.get(f"/api/v1/desk/cases/{case_id}", headers=headers).json()
        return body


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="unwind-demo-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        web, sandbox = free_port(), free_port()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("UNWIND", "DATABASE"))},
            "UNWIND_HOME": f"{folder}/var",
            "UNWIND_PORT": str(web),
            "UNWIND_SANDBOX_PORT": str(sandbox),
            "UNWIND_DEMO": "1",
        }
        log = Path(folder) / "demo.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "unwind.cli", "demo"], env=environment, stdout=out, stderr=subprocess.STDOUT
            )
        base = f"http://127.0.0.1:{web}"
        with httpx.Client(base_url=base, timeout=20, headers={"Authorization": "Bearer uk_demo_integrator"}) as client:
            deadline = time.monotonic() + READY_S
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    if client.get("/api/v1/orders/STORY-CAKE").is_success:
                        break
                except httpx.TransportError:
                    pass
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
            yield Demo(environment=environment, client=client, base=base, sandbox=f"http://127.0.0.1:{sandbox}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0, log.read_text()
        for port in (web, sandbox):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, "something was left running"


def test_there_is_a_believable_shop(demo: Demo) -> None:
    figures = httpx.get(f"{demo.base}/demo/board").json()["figures"]
    assert figures["orders"] >= 300
    page = httpx.get(demo.base)
    assert page.headers["content-type"].startswith("text/html")
    assert "原路" in page.text


def test_backpack(demo: Demo) -> None:
    """Limited stock, unpaid: one transaction, stock back by one, 取消成功, no human."""
    stock = {"sku": "BAG-LTD"}

    def limited() -> int:
        rows = demo.client.get("/api/v1/stock", params=stock).json()
        return next(int(row["available"]) for row in rows if row["pool"] == "limited")

    before = limited()
    answer = demo.cancel("STORY-BACKPACK", reason="CHANGED_MIND")
    assert (answer["outcome"], answer["state"]) == ("cancelled", "archived")
    assert limited() >= before + 1
    seen = demo.dossier(answer["case_id"])
    assert [m["fact"] for m in seen["messages"]] == ["cancelled_unpaid"]
    assert all(event["actor"].startswith(("system", "integrator")) for event in seen["timeline"])


def test_tableware(demo: Demo) -> None:
    """Ordered in the evening, the merchant opens in the morning: held before any refund leaves, all legs final, within minutes."""
    answer = demo.cancel("STORY-TABLEWARE", reason="CHANGED_MIND")
    assert (answer["outcome"], answer["rule"]) == ("cancelling", "merchant_closed")
    demo.wait(answer["case_id"], "archived", 180)
    seen = demo.dossier(answer["case_id"])
    legs = {leg["kind"]: leg for leg in seen["parts"][0]["legs"]}
    assert {leg["state"] for leg in legs.values()} == {"succeeded"}
    events = [(e["event"], e["data"].get("kind"), e["seq"]) for e in seen["timeline"]]
    assert legs["hold_shipment"]["leg_no"] < legs["refund"]["leg_no"]
    assert not any(kind == "hold_shipment" and event == "leg_claimed" for event, kind, _ in events), "our own block"
    told = next(m for m in seen["messages"] if m["fact"] == "refund_done:1")
    assert told["state"] == "sent"
    assert "工作日" in told["params"]["estimate_zh"] or "分钟" in told["params"]["estimate_zh"]


def test_phone(demo: Demo) -> None:
    """ "第5天还没物流信息": a review that shows the parcel at the distribution centre, and that the feed was late."""
    answer = demo.cancel("STORY-PHONE", channel="hotline", text="第5天还没物流信息")
    assert answer["outcome"] in {"inquiry", "in_review"}
    demo.wait(answer["case_id"], "review")
    deadline = time.monotonic() + 30
    while not (parcel := demo.dossier(answer["case_id"])["parcels"][0])["route"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert parcel["verdict"] == "feed_late"
    assert "中心" in parcel["last_place"]
    assert not demo.client.get("/api/v1/orders/STORY-PHONE").json()["is_cancelled"]


@pytest.mark.parametrize(
    ("order_id", "line", "kept"),
    [
        ("MONEY-THRESHOLD", "L2:1", 2790),
        ("MONEY-DEPOSIT", "L1:1", 20_000),
        ("MONEY-POINTS", "L1:1", 0),
        ("MONEY-INVOICE", "L1:1", 0),
        ("MONEY-PLATFORM", "L1:1", 0),
        ("MONEY-CUSTOMS", "L1:1", 0),
    ],
)
def test_every_kind_of_money_can_be_looked_at(demo: Demo, order_id: str, line: str, kept: int) -> None:
    seen = demo.client.get(f"/api/v1/orders/{order_id}/cancellability", params={"line": line}).json()
    assert (seen["consent"] or {"deducted_minor": 0})["deducted_minor"] == kept


def test_birthday_cake(demo: Demo) -> None:
    """Perishable, shipped, wrong address: an urgent review on top of the queue."""
    answer = demo.cancel("STORY-CAKE", channel="hotline", text="蛋糕地址填错了，已经发货了，必须马上取消")
    assert (answer["outcome"], answer["rule"], answer["reason"]) == (
        "in_review",
        "perishable_past_dispatch",
        "ADDRESS_ERROR",
    )
    headers = {"Authorization": "Bearer uk_demo_agent"}
    queue = demo.client.get("/api/v1/desk/cases", headers=headers).json()["cases"]
    top = [case for case in queue if case["priority"] == queue[0]["priority"]]
    assert "STORY-CAKE" in {case["order_id"] for case in top}


def test_phone_waits_when_asked_by_link(demo: Demo) -> None:
    """The buyer calls again and wants to cancel; the agent offers to wait; a yes by link, and the promise is watched."""
    answer = demo.cancel("STORY-PHONE", channel="hotline", text="太慢了，不要了，取消订单退款")
    assert (answer["outcome"], answer["reason"]) == ("in_review", "SHIPPING_TOO_SLOW")
    case_id = answer["case_id"]
    headers = {"Authorization": "Bearer uk_demo_agent"}
    promised_at = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    path = f"/api/v1/desk/cases/{case_id}"
    offer = demo.client.post(f"{path}/offers", headers=headers, json={"offer": "wait", "promised_at": promised_at})
    assert offer.status_code == 201, offer.text
    page = httpx.get(offer.json()["link"])
    assert page.headers["content-type"].startswith("text/html")
    token = offer.json()["link"].rsplit("/", 1)[1]
    said = httpx.post(f"{demo.base}/api/v1/links/{token}", json={"agree": True})
    assert (said.status_code, said.json()["state"]) == (200, "agreed")
    assert demo.wait(case_id, "watching")["outcome"] == "waiting"


def test_the_demo_speaks_the_providers_own_formats(demo: Demo) -> None:
    headers = {"Authorization": "Bearer uk_demo_admin"}
    rows = demo.client.get("/api/v1/admin/connections", headers=headers).json()["connections"]
    assert {row["connection_id"]: row["provider"] for row in rows} == {
        "wxpay": "wechat_pay",
        "alipay": "alipay",
        "unionpay": "unionpay",
        "wms": "qimen",
        "sf": "sf",
        "zto": "zto",
        "yto": "yto",
        "sms": "aliyun_sms",
        "wechat": "wechat_subscribe",
        "dingtalk": "dingtalk",
    }


def test_people_sign_in(demo: Demo) -> None:
    """As the README says; and with rights of their own."""

    def sign_in(login: str) -> dict[str, str]:
        deadline = time.monotonic() + 60
        while True:
            given = httpx.post(
                f"{demo.base}/api/v1/session", json={"login": login, "password": "unwind-demo-2026"}, timeout=20
            )
            if given.status_code == 201:
                return {"Authorization": f"Bearer {given.json()['token']}"}
            assert time.monotonic() < deadline, given.text
            time.sleep(4)

    agent, auditor = sign_in("lin"), sign_in("audit")
    queue = f"{demo.base}/api/v1/desk"
    assert httpx.get(f"{queue}/cases", headers=agent).status_code == 200
    assert httpx.get(f"{queue}/cases", headers=auditor).status_code == 200
    assert httpx.post(f"{queue}/claims/next", headers=auditor).status_code == 403
    listed = demo.run("staff", "list")
    assert listed.returncode == 0, listed.stderr
    assert "auditor" in listed.stdout


def test_show_tells_the_story(demo: Demo) -> None:
    case_id = demo.cancel("STORY-BACKPACK")["case_id"]
    told = demo.run("show", case_id)
    assert told.returncode == 0, told.stderr
    assert case_id in told.stdout
    assert "收到申请" in told.stdout
    unknown = demo.run("show", "UW000000-NOTHING")
    assert unknown.returncode == 1
    assert "no such case" in unknown.stdout


def test_doctor_finds_nothing(demo: Demo) -> None:
    found = demo.run("doctor")
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_quick_start_works_verbatim(demo: Demo, readme: str, tmp_path: Path) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    marked = re.search(r"<!-- quick-start -->(.*?)<!-- /quick-start -->", text, re.DOTALL)
    assert marked is not None
    script = "\n".join(re.findall(r"```sh\n(.*?)```", marked[1], re.DOTALL))
    environment = {**demo.environment, "UNWIND": demo.base, "SANDBOX": demo.sandbox}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cancelled" in done.stdout
    assert "archived" in done.stdout


def test_a_second_demo_on_the_same_port_is_refused(demo: Demo) -> None:
    refused = demo.run("demo")
    assert refused.returncode != 0
    assert "in use" in refused.stdout + refused.stderr
