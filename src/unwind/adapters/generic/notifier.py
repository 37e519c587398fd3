"""A message service that speaks the generic contract."""

from collections.abc import Mapping
from typing import Any

from unwind.adapters.fields import read_answer, read_choice, read_same, read_text
from unwind.adapters.generic.client import SignedClient
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall

RESULT_KINDS: Mapping[str, OutcomeKind] = {"SENT": OutcomeKind.SUCCEEDED, "FAILED": OutcomeKind.REFUSED}


class GenericNotifier:
    """Implements ports.notifier.Notifier. The contract removes repeats of one `message_id`."""

    resend_is_safe = True

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def send(self, call: MessageCall) -> Outcome:
        body = {
            "message_id": call.message_id,
            "audience": call.audience,
            "channel": call.channel,
            "address": call.address,
            "template": call.template,
            "text": call.text,
            "params": dict(call.params),
        }
        answer = await self._client.call("/messages", body)
        return read_answer(answer, lambda found: _read(found, call))


def _read(answer: dict[str, Any], call: MessageCall) -> Outcome:
    read_same(answer, "message_id", call.message_id)
    result, kind = read_choice(answer, "result", RESULT_KINDS)
    return Outcome(kind=kind, code=result, reference=read_text(answer, "reference", required=False))
