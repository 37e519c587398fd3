"""What every provider has to offer, asked of each by name. A new provider is finished when this and its own table test pass
(docs/adding-a-provider.md)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from sandbox.app import running
from sandbox.dialects.registry import DIALECTS
from sandbox.settings import Settings as SandboxSettings
from tests.world import Switch, private_key
from unwind.adapters.provider import Connected, Surroundings
from unwind.adapters.registry import PROVIDERS
from unwind.domain.outcome import OutcomeKind
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.probe import ProbeResult

WITHOUT_SANDBOX = frozenset({"email"})
"""Spoken by something that is not HTTP; its own test plays the other side."""

ROOT = Path(__file__).parent.parent.parent
METHODS = {
    "payment": ("refund", "query_refund", "close_trade", "query_trade"),
    "warehouse": ("hold", "query_hold"),
    "carrier": ("void_waybill", "recall", "query_recall", "track"),
    "shop": ("cancel_lines", "query_cancel"),
    "messages": ("send",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One provider's adapter, connected to the sandbox with what the sandbox handed out."""

    values: dict[str, Any]
    connected: Connected
    sandbox: httpx.AsyncClient


@pytest.fixture
async def trial(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Trial]:
    name = request.param
    assert name in DIALECTS, f"{name}: write sandbox/dialects/{name}.py and add it to sandbox/dialects/registry.py"
    async with AsyncExitStack() as stack:
        to_sandbox = Switch()
        to_sandbox.app = await stack.enter_async_context(
            running(
                SandboxSettings(
                    ledger=tmp_path / "ledger.sqlite",
                    callback_url="http://nobody.test",
                    time_scale=0.001,
                    dialects={"one": name},
                    make_key=private_key,
                )
            )
        )
        sandbox = await stack.enter_async_context(
            httpx.AsyncClient(transport=to_sandbox, base_url="http://sandbox.test")
        )
        values = (await sandbox.get("/control/settings")).json()[0]
        assert values.pop("connection_id") == "one"
        assert values.pop("provider") == name, "the dialect names the provider it plays"
        connected = connect(name, values, to_sandbox)
        stack.push_async_callback(connected.close)
        yield Trial(values=values, connected=connected, sandbox=sandbox)


def connect(name: str, values: dict[str, Any], transport: httpx.AsyncBaseTransport) -> Connected:
    import secrets
    import time

    provider = PROVIDERS[name]
    return provider.connect(
        provider.settings.model_validate(values),
        Surroundings(
            connection_id="one",
            clock=time.time,
            nonces=lambda: secrets.token_hex(16),
            callback_url="http://unwind.test/callbacks/one",
            transport=transport,
        ),
    )


def test_both_sides_know_the_same_providers() -> None:
    assert set(PROVIDERS) - WITHOUT_SANDBOX == set(DIALECTS)


IN_SANDBOX = sorted(set(PROVIDERS) - WITHOUT_SANDBOX)


@pytest.mark.parametrize("trial", IN_SANDBOX, indirect=True)
async def test_settings_are_typed_and_refuse_what_they_do_not_know(
    trial: Trial, request: pytest.FixtureRequest
) -> None:
    provider = PROVIDERS[request.node.callspec.params["trial"]]
    assert issubclass(provider.settings, BaseModel)
    with pytest.raises(ValidationError):
        provider.settings.model_validate({**trial.values, "misspelt": "x"})
    shown = repr(provider.settings.model_validate(trial.values))
    secrets = [v for k, v in trial.values.items() if isinstance(v, str) and ("secret" in k or "private" in k)]
    for secret in secrets:
        assert secret not in shown, f"{provider.name}: keep secrets as SecretStr"


@pytest.mark.parametrize("trial", IN_SANDBOX, indirect=True)
async def test_the_port_is_implemented(trial: Trial, request: pytest.FixtureRequest) -> None:
    provider = PROVIDERS[request.node.callspec.params["trial"]]
    for method in METHODS[provider.kind.value]:
        assert callable(getattr(trial.connected.party, method, None)), f"{provider.name} has no {method}"
    if provider.kind.value == "payment":
        assert trial.connected.party.spacing_s >= 0  # type: ignore[union-attr]
    if provider.kind.value == "messages":
        assert isinstance(trial.connected.party.resend_is_safe, bool)  # type: ignore[union-attr]
        assert trial.connected.channel, f"{provider.name}: say which channel it carries"
    assert provider.error_kinds, f"{provider.name}: write its error table"
    assert set(provider.error_kinds.values()) <= set(OutcomeKind)


@pytest.mark.parametrize("trial", IN_SANDBOX, indirect=True)
async def test_probe_finds_the_sandbox(trial: Trial) -> None:
    probe = await trial.connected.probe()
    assert probe.result in {ProbeResult.OK, ProbeResult.NOT_PROBED}, probe


@pytest.mark.parametrize("trial", IN_SANDBOX, indirect=True)
async def test_probe_says_when_nobody_is_there(trial: Trial, request: pytest.FixtureRequest) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody")

    name = request.node.callspec.params["trial"]
    lonely = connect(name, trial.values, httpx.MockTransport(refuse))
    try:
        assert (await lonely.probe()).result in {ProbeResult.UNREACHABLE, ProbeResult.NOT_PROBED}
    finally:
        await lonely.close()


@pytest.mark.parametrize("trial", IN_SANDBOX, indirect=True)
async def test_a_callback_that_is_not_genuine_is_refused(trial: Trial) -> None:
    verifier = trial.connected.verifier
    if verifier is None:
        return
    for body in (b"", b"{}", b"a=b&sign=zzz", b"\xff\xfe", b'{"event_id": "e1"}', b"<xml/>"):
        with pytest.raises(CallbackUnverified):
            verifier.verify(Incoming(headers={}, body=body, peer="203.0.113.9"))


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_handbook_for_settings_names_the_provider(name: str) -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text, f"docs/settings.md: say what {name} needs"
    for field in PROVIDERS[name].settings.model_fields:
        assert f"`{field}`" in text, f"docs/settings.md: {name}: say what {field} is"
