"""Real transactions played through the whole service: orders at their own times, every cancellation line as a request.

file -> rows -> (orders, cancellation lines) -> load -> play, moment by moment -> recount -> report
"""

from unwind.replay.refusal import ReplayRefused
from unwind.replay.run import run_replay

__all__ = ["ReplayRefused", "run_replay"]
