"""Calendar periods as policies write them: ``1y``, ``6mo``, ``14d``, ``1y6mo``.

What a period does to a day is calendar arithmetic and belongs to whoever evaluates; here is only the spelling.
"""

from __future__ import annotations

import re

from reconciler.errors import ReconcilerError
from reconciler.policy.model import Period

PERIOD_PATTERN = r"^(?=[0-9])([0-9]{1,3}y)?([0-9]{1,4}mo)?([0-9]{1,5}d)?$"
_PERIOD = re.compile(r"(?=[0-9])(?:([0-9]{1,3})y)?(?:([0-9]{1,4})mo)?(?:([0-9]{1,5})d)?", re.ASCII)
_LONGEST_DAYS = 36_525


class BadPeriod(ReconcilerError):
    """A text that is no period."""

    code = "period"


def parse_period(text: str) -> Period:
    """The period that a text spells: years, months and days in this order, each at most once.

    Raises `BadPeriod` for anything else, and for more than a hundred years, beyond which calendars end.
    """
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise BadPeriod(f"`{text}` is not a period", remedy="write years, months or days, such as `1y`, `6mo` or `14d`")
    period = Period(*(int(number or 0) for number in match.groups()))
    if period.years * 365 + period.months * 30 + period.days > _LONGEST_DAYS:
        raise BadPeriod(f"`{text}` is more than a hundred years", remedy="leave the field out where nothing ends")
    return period
