"""Durations as Prometheus writes them: `1d2h3m4s5ms`, each unit at most once and in this order, or a plain 0."""

from __future__ import annotations

import re

from airis_mon.errors import InputError

_UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_FORM = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _UNITS_MS))
_LONGEST_MS = (1 << 63) // 1_000_000  # Prometheus counts nanoseconds in 64 bits


def parse_duration(text: str) -> int:
    """The duration in ms. Raises InputError in Prometheus' words for anything else."""
    if text == "0":
        return 0
    if not text:
        raise InputError("empty duration string")
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputError(f'not a valid duration string: "{text}"')
    if any(len(number) > 19 for number in found.groups("")):  # no such number is in range, and huge ones are slow
        raise InputError("duration out of range")
    total = sum(int(number) * unit for number, unit in zip(found.groups("0"), _UNITS_MS.values(), strict=True))
    if total > _LONGEST_MS:
        raise InputError("duration out of range")
    return total
