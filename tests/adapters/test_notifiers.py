"""Message services by their own formats: signatures against published vectors, every code, and the sandbox that checks them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.app import running
from sandbox.dialects.notices import demo_templates
from sandbox.settings import Settings as SandboxSettings
from tests.world import Switch, World, private_key
from unwind.adapters.notifier import aliyun_sms, group_chats, webhook, wechat_subscribe
from unwind.adapters.notifier.email import Email, EmailSettings
from unwind.adapters.provider import Connected, Surroundings
from unwind.adapters.registry import PROVIDERS
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow.wording import CODE_TEXTS, TEXTS
from unwind.ports.notifier import MessageCall, Notifier
from unwind.ports.probe import ProbeResult
from unwind.storage.embedded import EmbeddedPostgres

NOW = 1_800_000_000.0
CALL = MessageCall(
    message_id="UW1-buyer-refund_done:1",
    audience="buyer",
    channel="sms",
    address="13800001234",
    template="refund_done",
    text="退款 39.00 元已完成",
    params={"amount": "39.00", "estimate": "预计1-3个工作日到账,以银行为准,请注意查收", "minutes": "0"},
)
SPEAKING = ("aliyun_sms", "wechat_subscribe", "webhook", "dingtalk", "wecom", "feishu")
Handler = Callable[[httpx.Request], httpx.Response]


def surroundings(transport: httpx.AsyncBaseTransport) -> Surroundings:
    import secrets

    return Surroundings(
        connection_id="one",
        clock=time.time,
        nonces=lambda: secrets.token_hex(16),
        callback_url="",
        transport=transport,
    )


def connect(name: str, values: dict[str, Any], transport: httpx.AsyncBaseTransport) -> Connected:
    provider = PROVIDERS[name]
    return provider.connect(provider.settings.model_validate(values), surroundings(transport))


def notifier(connected: Connected) -> Notifier:
    party = connected.party
    assert hasattr(party, "send")
    return party  # type: ignore[return-value]


# Signatures ----------------------------------------------------------------------------------------------------------------------------------


def test_dingtalk_vector() -> None:
    assert group_chats.dingtalk_sign("SECdemo", 1735689600000) == "vZPqcNDJWGe6DD+kGCeBI0uhtGGTFBT3DeRbfRCuBwc="


def test_feishu_vector() -> None:
    assert group_chats.feishu_sign("SECdemo", 1735689600) == "W/Y4ukYvTT+H2maOWFDminzbmlqIxkeuc9j0gNtldog="


def test_standard_webhooks_vector() -> None:
    """The example of the specification's reference libraries: message, time and signature."""
    key = webhook.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = webhook.sign(
        key, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_acs3_is_the_hash_of_the_canonical_request() -> None:
    """Written out by hand from the description of the signature."""
    headers = {"host": "h", "x-acs-action": "A", "x-acs-content-sha256": hashlib.sha256(b"").hexdigest()}
    canonical = (
        "POST\n/\nB=2&a%20b=1\nhost:h\nx-acs-action:A\nx-acs-content-sha256:"
        f"{headers['x-acs-content-sha256']}\n\nhost;x-acs-action;x-acs-content-sha256\n{headers['x-acs-content-sha256']}"
    )
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    expected = hmac.new(b"secret", to_sign.encode(), hashlib.sha256).hexdigest()
    query = aliyun_sms.canonical({"a b": "1", "B": "2"})
    assert aliyun_sms.sign("secret", method="POST", path="/", query=query, headers=headers) == expected


# Against the sandbox -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def outside(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[str, dict[str, Any], Switch, httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        to_sandbox = Switch()
        settings = SandboxSettings(
            ledger=tmp_path / "ledger.sqlite",
            callback_url="http://nobody.test",
            time_scale=0.001,
            dialects={"one": request.param},
            make_key=private_key,
        )
        to_sandbox.app = await stack.enter_async_context(running(settings))
        control = await stack.enter_async_context(
            httpx.AsyncClient(transport=to_sandbox, base_url="http://sandbox.test")
        )
        values = (await control.get("/control/settings")).json()[0]
        name = values.pop("provider")
        values.pop("connection_id")
        yield name, values, to_sandbox, control


@pytest.mark.parametrize("outside", SPEAKING, indirect=True)
async def test_a_message_arrives_once_with_its_values(outside: Any) -> None:
    name, values, transport, control = outside
    connected = connect(name, values, transport)
    outcome = await notifier(connected).send(CALL)
    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    (said,) = (await control.get("/control/ledger")).json()["messages"]
    assert "39.00" in said["text"]
    await connected.close()


@pytest.mark.parametrize("outside", SPEAKING, indirect=True)
async def test_a_refusal_is_final_and_a_busy_service_is_not(outside: Any) -> None:
    name, values, transport, control = outside
    connected = connect(name, values, transport)
    await control.post("/control/faults", json={"fault": "rate_limit_bare"})
    assert (await notifier(connected).send(CALL)).kind is OutcomeKind.RETRY_SAME_NUMBER
    await control.post("/control/connections/one", json={"message_result": "FAILED"})
    assert (await notifier(connected).send(replace(CALL, message_id="another"))).kind is OutcomeKind.REFUSED
    says_it_in_the_body = name != "webhook"
    for fault in ("reset_mid_answer", "error_502_after_effect", *(["malformed_body"] if says_it_in_the_body else [])):
        await control.post("/control/faults", json={"fault": fault})
        outcome = await notifier(connected).send(replace(CALL, message_id=fault))
        assert outcome.kind is OutcomeKind.UNKNOWN, (fault, outcome)
    await connected.close()


WRONG = {
    "aliyun_sms": ({"access_key_secret": "another"}, {"access_key_id": "LTAIanother"}),
    "wechat_subscribe": ({"app_secret": "another"}, {"app_id": "wxanother"}),
    "webhook": ({"secret": "whsec_" + base64.b64encode(b"another").decode()},),
    "dingtalk": ({"secret": "SECanother"}, {"token": "another"}, {"secret": None}),
    "wecom": ({"token": "another"},),
    "feishu": ({"secret": "another"}, {"token": "another"}),
}


@pytest.mark.parametrize("outside", SPEAKING, indirect=True)
async def test_a_wrong_key_is_refused_and_somebody_is_told(outside: Any) -> None:
    name, values, transport, control = outside
    for change in WRONG[name]:
        connected = connect(name, {**values, **change}, transport)
        outcome = await notifier(connected).send(CALL)
        assert outcome.kind is not OutcomeKind.SUCCEEDED
        assert outcome.alert == "configuration", (name, change, outcome)
        await connected.close()
    assert (await control.get("/control/ledger")).json()["messages"] == []


@pytest.mark.parametrize("outside", ["webhook"], indirect=True)
async def test_a_receiver_that_changes_its_secret_takes_both(outside: Any) -> None:
    name, values, transport, _ = outside
    fresh = "whsec_" + base64.b64encode(b"the-next-secret").decode()
    connected = connect(name, {**values, "secret": fresh, "previous_secret": values["secret"]}, transport)
    assert (await notifier(connected).send(CALL)).kind is OutcomeKind.SUCCEEDED
    await connected.close()


@pytest.mark.parametrize("outside", ["aliyun_sms", "wechat_subscribe"], indirect=True)
async def test_a_fact_without_template_goes_to_the_next_channel(outside: Any) -> None:
    name, values, transport, _ = outside
    connected = connect(name, values, transport)
    outcome = await notifier(connected).send(replace(CALL, template="something_new"))
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "no_template")
    await connected.close()


# Tables --------------------------------------------------------------------------------------------------------------------------------------


def answering(body: Any, status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: streamed(body, status))


def streamed(body: Any, status: int = 200) -> httpx.Response:
    """As from a network: not read yet."""
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))


async def ask(name: str, transport: httpx.AsyncBaseTransport, **changes: Any) -> Outcome:
    template = {"refund_done": {"code": "T1", "params": {"amount": "amount"}}}
    values: dict[str, Any] = {
        "aliyun_sms": {"access_key_id": "k", "access_key_secret": "s", "sign_name": "n", "templates": template},
        "wechat_subscribe": {"app_id": "a", "app_secret": "s", "templates": template},
        "dingtalk": {"token": "t"},
        "wecom": {"token": "t"},
        "feishu": {"token": "t"},
    }[name]
    connected = connect(name, {**values, **changes}, transport)
    try:
        return await notifier(connected).send(CALL)
    finally:
        await connected.close()


REFUSED, AGAIN, DOUBT = OutcomeKind.REFUSED, OutcomeKind.RETRY_SAME_NUMBER, OutcomeKind.UNKNOWN
CODES: Mapping[str, Mapping[tuple[OutcomeKind, str], str]] = {
    "aliyun_sms": {
        (REFUSED, ""): (
            "isv.BUSINESS_LIMIT_CONTROL isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL isv.MOBILE_NUMBER_ILLEGAL "
            "isv.MOBILE_COUNT_OVER_LIMIT isv.BLACK_KEY_CONTROL_LIMIT isv.PARAM_LENGTH_LIMIT isv.PARAM_NOT_SUPPORT_URL "
            "isv.INVALID_PARAMETERS isv.INVALID_JSON_PARAM isv.SMS_SIGNATURE_SCENE_ILLEGAL"
        ),
        (REFUSED, "configuration"): (
            "isv.TEMPLATE_MISSING_PARAMETERS isv.TEMPLATE_PARAMS_ILLEGAL isv.SMS_TEMPLATE_ILLEGAL isv.SMS_SIGNATURE_ILLEGAL "
            "isv.ACCOUNT_NOT_EXISTS isv.ACCOUNT_ABNORMAL isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE "
            "isp.RAM_PERMISSION_DENY SignatureDoesNotMatch InvalidTimeStamp.Expired InvalidAccessKeyId.NotFound"
        ),
        (AGAIN, "configuration"): "isv.AMOUNT_NOT_ENOUGH isv.OUT_OF_SERVICE",
        (AGAIN, ""): "Throttling Throttling.User",
        (DOUBT, ""): "isp.SYSTEM_ERROR ServiceUnavailable InternalError SignatureNonceUsed",
    },
    "wechat_subscribe": {
        (AGAIN, ""): "-1 40001 40014 42001",
        (AGAIN, "configuration"): "45009",
        (REFUSED, ""): "40003 43101",
        (REFUSED, "configuration"): "40013 40037 40125 41030 47003",
    },
    "dingtalk": {(AGAIN, ""): "-1 130101", (REFUSED, "configuration"): "300001 310000 400013"},
    "wecom": {(AGAIN, ""): "-1 45009", (REFUSED, "configuration"): "40058 93000"},
    "feishu": {(AGAIN, ""): "11232", (REFUSED, "configuration"): "9499 19001 19021 19022 19024"},
}
"""The providers' own tables, written down a second time: what each code means, and whether somebody has to look at our settings."""


@pytest.mark.parametrize(
    ("name", "code", "kind", "alert"),
    [
        (name, code, kind, alert)
        for name, table in CODES.items()
        for (kind, alert), codes in table.items()
        for code in codes.split()
    ],
)
async def test_every_code(name: str, code: str, kind: OutcomeKind, alert: str) -> None:
    field = {"aliyun_sms": "Code", "feishu": "code"}.get(name, "errcode")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == wechat_subscribe.TOKEN_PATH:
            return streamed({"access_token": "tok", "expires_in": 7200})
        return streamed({field: code if name == "aliyun_sms" else int(code), "errmsg": "x"})

    outcome = await ask(name, httpx.MockTransport(answer))
    assert (outcome.kind, outcome.code, outcome.alert or "") == (kind, code, alert)


def test_no_code_stands_in_one_table_only() -> None:
    ours = {
        "aliyun_sms": set(aliyun_sms.ERROR_KINDS),
        "wechat_subscribe": set(wechat_subscribe.ERROR_KINDS),
        "dingtalk": set(group_chats.DINGTALK.errors.kinds),
        "wecom": set(group_chats.WECOM.errors.kinds),
        "feishu": set(group_chats.FEISHU.errors.kinds),
    }
    written = {name: {code for codes in table.values() for code in codes.split()} for name, table in CODES.items()}
    assert written == ours


def test_the_demo_has_a_template_for_every_fact() -> None:
    wanted = set(TEXTS) | {f"{purpose}_code" for purpose in CODE_TEXTS}
    assert set(demo_templates("{n}", places={})) == wanted


@pytest.mark.parametrize("name", ["aliyun_sms", "dingtalk", "wecom", "feishu", "wechat_subscribe"])
async def test_a_code_that_nobody_knows_is_doubt_and_an_alert(name: str) -> None:
    field = {"aliyun_sms": "Code", "feishu": "code"}.get(name, "errcode")
    outcome = await ask(name, answering({field: "isv.NEW" if name == "aliyun_sms" else 987654}))
    assert outcome.alert == "unknown_code"
    assert outcome.kind in {OutcomeKind.UNKNOWN, OutcomeKind.RETRY_SAME_NUMBER}, (
        "a token in doubt may be asked for again"
    )


@pytest.mark.parametrize("body", [[], "x", None, {}, {"errcode": "x"}, {"Code": 5}, {"Code": "x" * 500}])
@pytest.mark.parametrize("name", ["aliyun_sms", "dingtalk", "feishu"])
async def test_nonsense_is_doubt(name: str, body: Any) -> None:
    assert (await ask(name, answering(body))).kind is OutcomeKind.UNKNOWN


async def test_the_token_is_fetched_once_and_again_when_it_is_refused() -> None:
    asked: list[str] = []
    codes = [0, 42001, 0]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == wechat_subscribe.TOKEN_PATH:
            return streamed({"access_token": f"tok{len(asked)}", "expires_in": 7200})
        return streamed({"errcode": codes.pop(0)})

    template = {"refund_done": {"code": "T1", "params": {"thing1": "estimate"}}}
    connected = connect(
        "wechat_subscribe", {"app_id": "a", "app_secret": "s", "templates": template}, httpx.MockTransport(answer)
    )
    kinds = [(await notifier(connected).send(CALL)).kind for _ in range(3)]
    assert kinds == [OutcomeKind.SUCCEEDED, OutcomeKind.RETRY_SAME_NUMBER, OutcomeKind.SUCCEEDED]
    assert asked.count(wechat_subscribe.TOKEN_PATH) == 2
    await connected.close()


async def test_long_values_are_cut_where_wechat_refuses_them() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == wechat_subscribe.TOKEN_PATH:
            return streamed({"access_token": "tok", "expires_in": 7200})
        seen.append(json.loads(request.content))
        return streamed({"errcode": 0})

    template = {"refund_done": {"code": "T1", "params": {"thing1": "estimate", "thing2": "nothing"}}}
    await ask("wechat_subscribe", httpx.MockTransport(answer), templates=template)
    values = {place: v["value"] for place, v in seen[0]["data"].items()}
    assert len(values["thing1"]) == 20
    assert values["thing2"] == "-", "an empty value is refused too"


def test_secrets_are_not_shown() -> None:
    for name, values in {
        "aliyun_sms": {"access_key_id": "k", "access_key_secret": "TOPSECRET", "sign_name": "n", "templates": {}},
        "wechat_subscribe": {"app_id": "a", "app_secret": "TOPSECRET", "templates": {}},
        "dingtalk": {"token": "TOPSECRET", "secret": "TOPSECRET"},
        "email": {"base_url": "smtp://h", "sender": "a@b", "password": "TOPSECRET"},
    }.items():
        assert "TOPSECRET" not in repr(PROVIDERS[name].settings.model_validate(values))


# E-mail --------------------------------------------------------------------------------------------------------------------------------------


class Mailbox:
    """The other side of an SMTP conversation."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.refusal = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        del server, session
        if self.refusal:
            return self.refusal
        self.letters.append(envelope)
        return "250 OK"


@pytest_asyncio.fixture(loop_scope="session")
async def mailbox() -> AsyncIterator[tuple[Mailbox, EmailSettings]]:
    import asyncio

    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box, hostname="mail.test"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield box, EmailSettings(base_url=f"smtp://127.0.0.1:{port}", sender="shop@example.test", tls="off")
    server.close()
    await server.wait_closed()


LETTER = replace(CALL, address="buyer@example.test", channel="email")


async def test_a_letter_arrives(mailbox: tuple[Mailbox, EmailSettings]) -> None:
    box, settings = mailbox
    email = Email(settings, surroundings(httpx.MockTransport(lambda _: httpx.Response(500))))
    assert (await email.probe()).result is ProbeResult.OK
    assert (await email.send(LETTER)).kind is OutcomeKind.SUCCEEDED
    (letter,) = box.letters
    assert letter.rcpt_tos == ["buyer@example.test"]
    text = letter.content.decode() if isinstance(letter.content, bytes) else str(letter.content)
    assert "Message-ID: <UW1-buyer-refund_done.1@unwind>" in text
    assert base64.b64encode("退款".encode())[:6].decode() in text or "退款" in text


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [("550 no such user", OutcomeKind.REFUSED), ("451 later", OutcomeKind.RETRY_SAME_NUMBER)],
)
async def test_a_letter_is_refused(mailbox: tuple[Mailbox, EmailSettings], refusal: str, kind: OutcomeKind) -> None:
    box, settings = mailbox
    box.refusal = refusal
    email = Email(settings, surroundings(httpx.MockTransport(lambda _: httpx.Response(500))))
    outcome = await email.send(LETTER)
    assert (outcome.kind, outcome.code) == (kind, f"smtp_{refusal[:3]}")


async def test_no_mail_server() -> None:
    settings = EmailSettings(base_url="smtp://127.0.0.1:1", sender="shop@example.test", tls="off")
    email = Email(settings, surroundings(httpx.MockTransport(lambda _: httpx.Response(500))))
    assert (await email.send(LETTER)).kind is OutcomeKind.RETRY_SAME_NUMBER
    assert (await email.probe()).result is ProbeResult.UNREACHABLE


# Through the flow ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def chinese_shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        speaking = {"sms": "aliyun_sms", "wechat": "wechat_subscribe", "ding": "dingtalk"}
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking)


async def test_a_buyer_who_switched_wechat_off_gets_a_text_message(chinese_shop: World) -> None:
    world = chinese_shop
    await world.ask_sandbox("connections/wechat", {"message_result": "FAILED"})
    order_id = await world.order(buyer={"phone": "13800001234", "openid": "o-buyer"})
    case_id = (await world.cancel(order_id, channel="hotline"))["case_id"]
    await world.run(until="archived", case_id=case_id)
    rows = await world.sql("SELECT channel, state, tried FROM messages WHERE case_id = %s", case_id)
    assert rows
    assert all((row["channel"], row["state"], row["tried"]) == ("sms", "sent", ["wechat"]) for row in rows)
    said = [m for m in (await world.ledger())["messages"] if m["result"] == "SENT"]
    assert {m["connection"] for m in said} == {"sms"}
    assert all("10.00" in m["text"] for m in said), "the amount stands in the template's places"
    assert "13800001234" not in str(await world.sql("SELECT data FROM case_events"))
