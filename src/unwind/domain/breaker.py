"""When a connection gives no answer that can be trusted, time after time and for different cases, it is left alone for a while.

One stubborn case is no proof that a whole provider is down; several are. While it is open, what can wait is parked, not failed; after the pause
one call may try, and its answer decides.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

FAILURES_MIN = 5
SUBJECTS_MIN = 3
PAUSE_FIRST = timedelta(seconds=30)
PAUSE_LONGEST = timedelta(minutes=5)
TRIAL_MAX = timedelta(seconds=30)


@dataclass(slots=True)
class Breaker:
    """Of one connection, in one process. Times are those of the one clock."""

    open_until: datetime | None = None
    _failures: int = 0
    _subjects: set[str] = field(default_factory=set)
    _pause: timedelta = PAUSE_FIRST
    _trial_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.open_until is not None

    def waits_until(self, now: datetime) -> datetime | None:
        """None: the call may go. After the pause one may, until its answer is noted or it is given up for lost."""
        if self.open_until is None:
            return None
        if now < self.open_until:
            return self.open_until
        if self._trial_until is not None and now < self._trial_until:
            return self._trial_until
        self._trial_until = now + TRIAL_MAX
        return None

    def note(self, *, is_answered: bool, subject: str, now: datetime) -> bool:
        """What came of a call. True when this opened or closed the breaker."""
        was_open = self.is_open
        self._trial_until = None
        if is_answered:
            self.open_until = None
            self._failures, self._pause = 0, PAUSE_FIRST
            self._subjects.clear()
            return was_open
        self._failures += 1
        self._subjects.add(subject)
        if was_open:
            self._pause = min(PAUSE_LONGEST, self._pause * 2)
            self.open_until = now + self._pause
            return False
        if self._failures >= FAILURES_MIN and len(self._subjects) >= SUBJECTS_MIN:
            self.open_until = now + self._pause
            return True
        return False
