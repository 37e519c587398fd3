"""The buyer's in-app inbox: a table of our own, written with the case. Nothing leaves the house."""

from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall


class InboxNotifier:
    """Always delivers: the message row that made this call is what the buyer's page reads."""

    resend_is_safe = True

    async def send(self, call: MessageCall) -> Outcome:
        return Outcome(kind=OutcomeKind.SUCCEEDED, reference=call.message_id)
