"""Counts, durations and times as people write them in a language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from airis_mon.explain.words import ENGLISH, KOREAN

Lang = Literal["en", "ko"]
TABLES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "ko": KOREAN}
UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
NEARLY = 0.01
TO = " \N{EN DASH} "
MANY = 1_000_000
"""Counts from here on are written in three digits and a unit."""
_LARGE: dict[Lang, tuple[tuple[float, str], ...]] = {
    "en": ((1e12, " T"), (1e9, " G"), (1e6, " M")),
    "ko": ((1e12, "조"), (1e8, "억"), (1e4, "만")),
}
_SCALE = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Speaker:
    """One language."""

    def __init__(self, lang: Lang) -> None:
        self.lang: Lang = lang
        self._table = TABLES[lang]

    def __call__(self, key: str, n: int | None = None, **values: str) -> str:
        """The sentence of a key; n tells one from many and stands for {n} and {number}."""
        template = self._table[key]
        if n is None:
            return template.format(**values)
        number = self.number(n)
        one, _, many = template.partition("|")
        return (one if n == 1 or not many else many).format(n=number, number=number, **values)

    def known(self, phrase: str) -> str:
        """A phrase of the engine in this language, as it is where the table does not have it."""
        return self._table.get(f"known {phrase}", phrase)

    def number(self, n: float) -> str:
        """1,234 or, from a million on, 1.23 M."""
        if n < MANY:
            return f"{n:,.0f}"
        n = float(f"{n:.3g}")  # first: 999,999,999 is 1 G, not 1,000 M
        size, unit = next((s, u) for s, u in _LARGE[self.lang] if n >= s)
        return f"{_three_digits(n / size)}{unit}"

    def value(self, x: float) -> str:
        """A measured value in three digits, large ones in thousands, millions ..."""
        x = float(f"{x:.3g}")  # first: 999,999 is 1 M, not 1,000 k
        size, unit = next(((s, u) for s, u in _SCALE if s <= abs(x) < 1e15), (1.0, ""))
        return f"{x / size:.3g}{unit}" if x else "0"

    def duration(self, ms: int) -> str:
        """The two largest units of a duration: 1 h 20 min."""
        parts, rest = [], max(ms, 0)
        for unit, size in UNITS_MS:
            n, rest = divmod(rest, size)
            parts.append((n, unit))
        first = next((at for at, (n, _) in enumerate(parts) if n), None)
        if first is None:
            return self("moment")
        shown = [p for p in parts[first : first + 2] if p[0]]
        written = [self("unit", number=self.number(n), unit=self(unit)) for n, unit in shown]
        return self("between_units").join(written)

    def days(self, days: float) -> str:
        """14 days; what is no whole number of days, give or take `NEARLY`, as a duration."""
        if days >= 1 and abs(days - round(days)) < NEARLY:
            return self("n_days", round(days))
        return self.duration(round(days * 86_400_000))

    def listing(self, words: Sequence[str]) -> str:
        """a, b and c."""
        *first, last = words or [""]
        return self("last_listed").join([*([self("listing").join(first)] if first else []), last])


def clock(moment: datetime) -> str:
    """A moment on the clocks of UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def from_to(start: datetime, end: datetime) -> str:
    """Two moments, the day of the second only where it is another one."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    return f"{clock(start)}{TO}{end:%H:%M}" if start.date() == end.date() else f"{clock(start)}{TO}{clock(end)}"


def at(ms: float) -> datetime:
    """The moment of milliseconds since 1970; beyond the years 1 to 9999 the nearest there is."""
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if ms < 0 else datetime.max.replace(tzinfo=UTC)


def day_label(day: date) -> str:
    """A day without its year."""
    return f"{day:%m-%d}"


def _three_digits(x: float) -> str:
    decimals = max(0, 2 - math.floor(math.log10(x)))
    written = f"{x:,.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
