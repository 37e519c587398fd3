"""What a payment connection still holds against what has to leave through it, now and in the next days. Pure: amounts in, amounts out.

The forecast says that each coming hour sends as much as the same hour of the day did on the average of the last seven days, rounded up. It
knows no growth and no promotion: it is a reason to look, not a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DAYS_LOOKED_BACK = 7
HOURS_OF_DAY = 24
HORIZONS_H = (24, 72)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`short_in_h`: so many hours from now it is no longer enough; 0: not enough now, None: enough. Amounts in minor units."""

    hours: int
    expected_minor: int
    shortfall_minor: int
    short_in_h: int | None


def expected_in_hour(outflow: Mapping[int, int], hour: int) -> int:
    """`outflow`: minor units that left so many whole hours ago. `hour`: 0 is the hour that begins now."""
    ago = range(HOURS_OF_DAY - 1 - hour % HOURS_OF_DAY, HOURS_OF_DAY * DAYS_LOOKED_BACK, HOURS_OF_DAY)
    return -(-sum(outflow.get(hours, 0) for hours in ago) // DAYS_LOOKED_BACK)


def look_ahead(outflow: Mapping[int, int], *, hours: int, available_minor: int | None, owed_minor: int) -> Forecast:
    """`available_minor` None: nobody knows, so nothing is called short."""
    expected = [expected_in_hour(outflow, hour) for hour in range(hours)]
    if available_minor is None:
        return Forecast(hours=hours, expected_minor=sum(expected), shortfall_minor=0, short_in_h=None)
    left, short_in_h = available_minor - owed_minor, None
    for hour, amount in enumerate([0, *expected]):
        left -= amount
        if left < 0 and short_in_h is None:
            short_in_h = hour
    return Forecast(hours=hours, expected_minor=sum(expected), shortfall_minor=max(0, -left), short_in_h=short_in_h)
