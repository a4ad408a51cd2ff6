from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import ConfigError
from airis_mon.series.zone import Zone, zone

ZONES = {name: zone(name) for name in ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Asia/Seoul")}


def hours(table: Zone, *moments: datetime) -> list[tuple[int, int]]:
    t = np.array([int(m.timestamp() * 1000) for m in moments])
    return list(zip(table.hour_of_day(t).tolist(), table.hour_of_week(t).tolist(), strict=True))


@given(st.sampled_from(sorted(ZONES)), st.integers(0, 3_155_000_000_000))
def test_hours_are_those_of_the_standard_library(name: str, t: int) -> None:
    local = datetime.fromtimestamp(t // 1000, UTC).astimezone(ZoneInfo(name))
    table, moment = ZONES[name], np.array([t])
    assert table.hour_of_day(moment)[0] == local.hour
    assert table.hour_of_week(moment)[0] == local.weekday() * 24 + local.hour


def test_the_clock_jumps_at_the_very_second() -> None:
    berlin = ZONES["Europe/Berlin"]
    before, after = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC)
    assert hours(berlin, before, after) == [(1, 145), (3, 147)]
    before, after = datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, 0, tzinfo=UTC)
    assert hours(berlin, before, after) == [(2, 146), (2, 146)]


def test_the_week_begins_on_monday() -> None:
    assert hours(ZONES["UTC"], datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 22, 23, tzinfo=UTC)) == [
        (0, 0),
        (23, 167),
    ]


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ConfigError, match="'Europe/Atlantis'"):
        zone("Europe/Atlantis")
