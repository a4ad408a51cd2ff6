"""Times and durations of a command line."""

from zoneinfo import ZoneInfo

import pytest

from airis_mon.cli.times import read_duration, read_time
from airis_mon.errors import ConfigError

NOW = 1_790_000_000_000
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.mark.parametrize(
    ("text", "ms"),
    [("15s", 15_000), ("1h30m", 5_400_000), ("500ms", 500), ("15", 15_000), ("0.5", 500), ("1d", 86_400_000)],
)
def test_a_duration_is_prometheus_own_or_seconds(text, ms):
    assert read_duration(text) == ms


@pytest.mark.parametrize("text", ["", "0", "0s", "m", "1.5h", "-1m", "1s1h", "9" * 40, "٣s", "1e3", "inf", "301y"])
def test_what_is_no_duration_is_wrong_use(text):
    with pytest.raises(ConfigError, match="duration"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("now", NOW),
        ("1h", NOW - 3_600_000),
        ("-30m", NOW - 1_800_000),
        ("+20h", NOW + 72_000_000),
        ("+1h30m", NOW + 5_400_000),
        ("0s", None),
        ("1790000000", NOW),
        ("1790000000.5", NOW + 500),
        ("1790000000000", NOW),
        ("2026-09-21T13:33:20Z", 1_789_997_600_000),
        ("2026-09-21T22:33:20.250+09:00", 1_789_997_600_250),
        ("2026-09-21 22:33", 1_789_997_580_000),
        ("2026-09-21", 1_789_916_400_000),
    ],
)
def test_a_time_is_a_date_a_number_or_so_far_from_now(text, t):
    if t is not None:
        assert read_time(text, NOW, SEOUL) == t


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "-",
        "+",
        "+5",
        "+-5m",
        "-+5m",
        "1hour",
        "2026-13-01",
        "12:00",
        "nan",
        "-5",
        "99999999999",
        "2400-01-01",
    ],
)
def test_what_is_no_time_is_wrong_use(text):
    with pytest.raises(ConfigError):
        read_time(text, NOW, SEOUL)


def test_an_error_names_the_forms_that_work():
    with pytest.raises(
        ConfigError, match=r"'yesterday' is no time; write 2026-03-01T12:00:00Z, epoch seconds, now, how long ago .*20h"
    ):
        read_time("yesterday", NOW, SEOUL)
