"""Dates as people write them, and as ISO 8601 has them: pairs of texts that need no file, for models that translate."""

from __future__ import annotations

import datetime
import random

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: The ways of writing; names are English whatever the language of the machine is.
WAYS = (
    "{weekday}, {day:02} {month} {year}",
    "{day:02} {month:.3} {year}",
    "{month} {day:02}, {year}",
    "{day:02}.{number:02}.{short:02} ({weekday:.3})",
    "{day:02}/{number:02}/{year}",
    "{month:.3} {day:02} {year}, a {weekday}",
    "{short:02}{number:02}{day:02}",
)


def date_pairs(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Random dates from 1950 to 2049, as somebody might write them and as ISO 8601 has them. Same seed, same dates.

    >>> date_pairs(2, seed=1)
    (['February 09, 1974', 'Friday, 28 April 1961'], ['1974-02-09', '1961-04-28'])
    """
    draw, first = random.Random(seed), datetime.date(1950, 1, 1).toordinal()
    days = [datetime.date.fromordinal(first + draw.randrange(36525)) for _ in range(count)]
    return [_written(day, draw.choice(WAYS)) for day in days], [day.isoformat() for day in days]


def _written(day: datetime.date, way: str) -> str:
    return way.format(
        weekday=_DAYS[day.weekday()], day=day.day, month=_MONTHS[day.month - 1], number=day.month, year=day.year,
        short=day.year % 100,
    )  # fmt: skip
