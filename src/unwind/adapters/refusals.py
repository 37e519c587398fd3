"""A provider's error table as data, and the one reading of it.

A code that the table does not have is UNKNOWN with an alert. A code that says that our own settings are wrong is UNKNOWN as well: a refund
never becomes "failed" by a misconfiguration, and it is not tried in a tight loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from unwind.adapters.outbound import Outbound
from unwind.domain.outcome import Outcome, OutcomeKind

CONFIGURATION = "configuration"
"""The alert of a refusal that only a change of settings, keys or contract ends."""
CONFIGURATION_RETRY_S = 60.0
TOO_OFTEN_RETRY_S = 5.0
"""Where a provider refuses for too many calls and does not say how long to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTable:
    kinds: Mapping[str, OutcomeKind]
    """Code -> what it means as the answer to a refund."""
    alerts: Mapping[str, str]
    """Code -> why a person should look; for codes that need none, absent."""

    def outcome(
        self,
        outbound: Outbound,
        what: str,
        code: str,
        *,
        http_status: int,
        retry_after_s: float | None = None,
        shown: str = "",
    ) -> Outcome:
        """`shown`: the finer code that is stored, where the table knows the coarser one."""
        kind = self.kinds.get(code)
        shown = shown or code
        if kind is None:
            return outbound.unknown_code(what, shown, http_status=http_status)
        alert = self.alerts.get(code, "")
        if alert == CONFIGURATION:
            retry_after_s = CONFIGURATION_RETRY_S
        elif kind is OutcomeKind.RETRY_SAME_NUMBER:
            retry_after_s = TOO_OFTEN_RETRY_S if retry_after_s is None else retry_after_s
        else:
            retry_after_s = None
        return outbound.trouble(what, kind, shown, retry_after_s=retry_after_s, alert=alert, http_status=http_status)
