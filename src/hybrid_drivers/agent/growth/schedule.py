"""Windows of the week in which a growth policy asks for more: ``mon-fri 08:00-19:00 min=2; sat 10:00-12:00 warm=1``.

Days and times are the front-end's local ones. A window that ends before it begins goes on into the next day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as datetime.weekday() counts
DAY: Final = 24 * 60  # minutes
_WINDOW = re.compile(r"(?P<days>[a-z,-]+)\s+(?P<begin>[0-9:]+)-(?P<end>[0-9:]+)(?P<floors>(\s+(min|warm)=[0-9]{1,6})+)")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A local time: the day of the week (0 is Monday) and the minute of the day."""

    weekday: int
    minute: int


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window; ``begin`` and ``end`` are minutes of the day, ``end`` not included. 0 asks for nothing more."""

    days: frozenset[int]
    begin: int
    end: int
    min_hosts: int = 0
    warm_hosts: int = 0

    def holds(self, when: Moment) -> bool:
        """Tell whether the window is open."""
        if self.begin < self.end:
            return when.weekday in self.days and self.begin <= when.minute < self.end
        late = when.weekday in self.days and when.minute >= self.begin
        return late or ((when.weekday - 1) % 7 in self.days and when.minute < self.end)


def read_schedule(text: str) -> tuple[Window, ...]:
    """Read windows separated by ``;``. Raises: ValueError, which says what is wrong with which."""
    return tuple(_window(one.strip().lower()) for one in text.split(";") if one.strip())


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text[:60]}' is not like 'mon-fri 08:00-19:00 min=2'")
    begin, end = _minute(found["begin"]), _minute(found["end"])
    if begin == end:
        raise ValueError(f"'{text[:60]}' ends when it begins")
    if begin == DAY:
        raise ValueError(f"'{text[:60]}' begins at 24:00: write 00:00 of the next day")
    told = [one.split("=") for one in found["floors"].split()]
    floors = dict(told)
    if len(floors) < len(told):
        raise ValueError(f"'{text[:60]}' says min or warm twice")
    return Window(
        days=_days(found["days"]),
        begin=begin,
        end=end,
        min_hosts=int(floors.get("min", 0)),
        warm_hosts=int(floors.get("warm", 0)),
    )


def _minute(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text)
    minute = int(found[1]) * 60 + int(found[2]) if found else DAY + 1
    if not found or int(found[2]) > 59 or minute > DAY:
        raise ValueError(f"'{text[:20]}' is not a time from 00:00 to 24:00")
    return minute


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"'{part[:20]}' is not a day, or days, of {', '.join(DAYS)}")
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        found |= {day % 7 for day in range(begin, (end if end >= begin else end + 7) + 1)}
    return frozenset(found)
