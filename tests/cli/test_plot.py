"""Pictures of characters."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.cli.axes import numbers, time_ticks, value_ticks
from airis_mon.cli.plot import COLOURS, LETTERS, Curve, Frame, Pen, in_blocks, picture, sparkline
from airis_mon.cli.table import width

UTC, SEOUL, BERLIN = ZoneInfo("UTC"), ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin")
T0 = 1_790_000_000_000
COLOUR, BRAILLE, PLAIN = Pen(True, True), Pen(False, True), Pen(False, False)


def curve(values, step=1000, name="c"):
    return Curve(name, T0 + np.arange(len(values)) * step, np.array(values, float))


def frame(count, step=1000, columns=60, rows=10):
    return Frame(T0, T0 + (count - 1) * step, 1.5 * step, columns, rows)


def drawn(lines):
    """What stands right of the axis."""
    return [re.split("[│┤|+]", line, maxsplit=1)[1] for line in lines[:-2]]


def test_a_line_rises_from_the_lower_left_to_the_upper_right():
    assert picture([curve(range(11))], frame(11, columns=34, rows=5), UTC, BRAILLE) == [
        "10 ┤                        ⢀⣀⠤⠔⠒⠉",
        "   │                  ⢀⣀⠤⠔⠒⠉⠁",
        "   │           ⢀⣀⡠⠤⠤⠒⠉⠁",
        "   │     ⢀⣀⠤⠔⠒⠉⠁",
        " 0 ┤⣀⠤⠔⠒⠉⠁",
        "   └┬─────────────┬──────────────┬",
        "    14:13:20  14:13:25    14:13:30",
    ]


def test_a_gap_stays_a_gap():
    values = [1.0] * 20 + [np.nan] * 20 + [1.0] * 20
    missing = np.r_[0:20, 40:60]
    whole = curve(values)
    for c in (whole, Curve("c", whole.t[missing], whole.value[missing])):
        (row,) = [line for line in drawn(picture([c], frame(60, columns=70), UTC, PLAIN)) if "*" in line]
        assert re.fullmatch(r"\*+ {15,25}\*+", row)


def test_a_lone_sample_is_a_dot():
    assert "".join(drawn(picture([curve([7])], frame(1), UTC, PLAIN))).strip() == "*"


def test_infinite_and_missing_values_leave_the_others_their_place():
    lines = picture([curve([1, np.inf, 3, -np.inf, np.nan])], frame(5), UTC, PLAIN)
    assert "".join(lines).count("*") == 2


def test_each_series_has_its_colour_and_the_first_lies_on_top():
    same = [curve([5] * 50), curve([5] * 50), curve([1] * 50)]
    text = "".join(drawn(picture(same, frame(50), UTC, COLOUR)))
    assert f"38;5;{COLOURS[0]}m" in text
    assert f"38;5;{COLOURS[1]}m" not in text
    assert f"38;5;{COLOURS[2]}m" in text
    assert text.count("\x1b[0m") == text.count("\x1b[38")


def test_without_colours_several_series_have_letters():
    both = [curve([5] * 50), curve([1] * 50)]
    for pen in (BRAILLE, PLAIN):
        text = "".join(drawn(picture(both, frame(50), UTC, pen)))
        assert set(text) - {" "} == set(LETTERS[:2])
        assert "\x1b" not in text
        assert pen.marks(2) == ["* ", "x "]
    assert BRAILLE.marks(1) == ["━━"]


def test_a_terminal_without_unicode_gets_ascii_alone():
    assert "".join(picture([curve(range(50))], frame(50), UTC, PLAIN)).isascii()


values = st.lists(st.floats(width=64) | st.floats(-1e3, 1e3), min_size=1, max_size=50)


@given(st.lists(values, min_size=1, max_size=8), st.sampled_from([COLOUR, BRAILLE, PLAIN]), st.integers(20, 150))
def test_any_numbers_fit_into_the_picture(rows, pen, columns):
    curves = [curve(v) for v in rows]
    lines = picture(curves, frame(50, columns=columns), SEOUL, pen)
    assert len(lines) == 12
    margin = lines[-2].index("└" if pen.has_unicode else "+")
    most = max(columns, margin + 11)
    assert all(width(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= most for line in lines)


@given(values, st.integers(1, 30))
def test_a_small_line_has_a_place_for_each_moment(numbers_, columns):
    c = curve(numbers_)
    assert len(sparkline(c, int(c.t[0]), int(c.t[-1]), columns)) <= columns


def test_a_small_line_shows_the_spike_and_the_gap():
    v = np.ones(240)
    v[100] = 50
    v[150:200] = np.nan
    c = curve(v)
    assert sparkline(c, int(c.t[0]), int(c.t[-1]), 24) == "▁▁▁▁▁▁▁▁▁▁█▁▁▁▁    ▁▁▁▁▁"


def test_blocks_span_lowest_to_highest():
    assert in_blocks(np.array([0, 1, 2, np.nan, 7])) == "▁▂▃ █"
    assert in_blocks(np.array([3.0, 3.0])) == "▁▁"
    assert in_blocks(np.array([np.nan])) == " "


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0, 1, ["0.0", "0.5", "1.0"]),
        (0.03, 0.97, ["0.0", "0.5", "1.0"]),
        (-3, 12, ["-5", "0", "5", "10", "15"]),
        (0, 4000, ["0", "2000", "4000"]),
        (0, 20_000, ["0k", "10k", "20k"]),
        (0, 3.2e9, ["0G", "2G", "4G"]),
        (5, 5, ["4.5", "5.0", "5.5"]),
        (0, 0, ["-1", "0", "1"]),
        (0, 2e-9, ["0e+00", "1e-09", "2e-09"]),
        (1.7e9, 1.7e9 + 4, ["1.700000000G", "1.700000002G", "1.700000004G"]),
    ],
)
def test_ticks_are_round_numbers_told_apart(low, high, written):
    ticks, step = value_ticks(np.array([low, high], float), 3)
    assert numbers(ticks, step) == written


def ms(text, zone):
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_times_are_round_on_the_clocks_of_the_zone():
    kathmandu = ZoneInfo("Asia/Kathmandu")  # UTC+05:45
    ticks = time_ticks(ms("2026-03-01T10:20", kathmandu), ms("2026-03-01T12:20", kathmandu), 40, kathmandu)
    assert [label for _, label in ticks] == ["10:30", "11:00", "11:30", "12:00"]
    assert ticks[0][0] == ms("2026-03-01T10:30", kathmandu)


def test_midnight_is_a_day():
    ticks = time_ticks(ms("2026-03-01T20:00", SEOUL), ms("2026-03-02T04:00", SEOUL), 50, SEOUL)
    assert [label for _, label in ticks] == ["20:00", "22:00", "03-02", "02:00", "04:00"]


def test_days_stay_days_when_the_clocks_change():
    ticks = time_ticks(ms("2026-03-28T00:00", BERLIN), ms("2026-03-31T00:00", BERLIN), 40, BERLIN)
    assert [label for _, label in ticks] == ["03-28", "03-29", "03-30", "03-31"]
    assert np.diff([t for t, _ in ticks]).tolist() == [86_400_000, 82_800_000, 86_400_000]


@pytest.mark.parametrize("length_ms", [10, 50, 3000, 3_600_000, 30 * 86_400_000, 250 * 365 * 86_400_000])
def test_every_length_of_time_has_labels(length_ms):
    assert time_ticks(T0, T0 + length_ms, 60, UTC)
