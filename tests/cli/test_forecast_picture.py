"""What the picture of a forecast draws and says."""

import sys

import numpy as np
import pytest

from airis_mon.cli.forecast import Check
from airis_mon.cli.forecast_grid import Gridded
from airis_mon.cli.forecast_picture import POINTS, _lines, _span, _thin, _title, _unit, demand_matplotlib, draw
from airis_mon.cli.forecast_why import few
from airis_mon.errors import AirisError, MissingExtra
from airis_mon.forecast.base import Forecast, Panel

HOUR_MS = 3_600_000
START = 1_767_571_200_000
HORIZON = 24

pytest.importorskip("matplotlib")


def grid(name="cpu", length=240, step_ms=HOUR_MS):
    value = np.sin(np.arange(length) / 24 * 2 * np.pi)[None] * 10 + 50
    return Gridded([name], Panel(value, (24,), step_ms, START), step_ms, START, np.array([START]), 0)


def made(mean=50.0, half=2.0, model="smooth+ridge", horizon=HORIZON):
    row = np.full((1, horizon), mean)
    return Forecast(row, row - half, row + half, (model,), np.array([1.5]), np.array([3.0]), 0.95, 3)


class Axes:
    """Writes down what is drawn."""

    def __init__(self):
        self.lines = {}
        self.bands = {}

    def plot(self, t, value, *, label, **style):
        self.lines[label] = (t, value)

    def fill_between(self, t, lower, upper, *, label, **style):
        self.bands[label] = (t, lower, upper)

    def axvline(self, at, **style): ...

    def set_xlim(self, first, last):
        self.limits = (first, last)


def drawn(*args, zone="UTC"):
    axes = Axes()
    _lines(axes, *args, 0, zone)
    return axes


def test_past_forecast_interval_and_check_are_drawn_where_they_belong():
    check = Check(made(mean=40.0), np.array([0.9]))
    axes = drawn(grid(), made(), check)
    now = np.datetime64(START + 240 * HOUR_MS, "ms")
    t, value = axes.lines["forecast"]
    assert (t[0], len(t), value[0]) == (now, HORIZON, 50)
    t, lower, upper = axes.bands["95 % interval"]
    assert (t[0], lower[0], upper[0]) == (now, 48, 52)
    t, value = axes.lines["forecast made at the dotted line"]
    assert t[-1] == now - np.timedelta64(1, "h")
    assert value[0] == 40
    assert "its 95 % interval" in axes.bands
    t, value = axes.lines["measured"]
    assert (t[-1], len(t)) == (now - np.timedelta64(1, "h"), 5 * HORIZON)


def test_without_a_check_or_an_interval_these_are_left_out():
    axes = drawn(grid(), made(half=np.nan), None)
    assert set(axes.lines) == {"measured", "forecast"}
    assert axes.bands == {}


def test_times_are_those_of_the_place():
    axes = drawn(grid(), made(), None, zone="Asia/Seoul")
    assert axes.lines["forecast"][0][0] == np.datetime64(START + 249 * HOUR_MS, "ms")


def test_no_line_has_more_points_than_can_be_seen():
    axes = drawn(grid(length=9000), made(horizon=3000), None)
    assert all(len(t) == len(value) <= POINTS for t, value in axes.lines.values())
    assert all(len(t) <= POINTS for t, _, _ in axes.bands.values())


def test_many_points_become_means_and_a_gap_stays_one():
    value = np.repeat(np.arange(POINTS, dtype=float), 2)
    value[1::2] += 1
    value[:2] = np.nan
    value[2] = np.nan
    t, thin = _thin(np.arange(2 * POINTS).astype("datetime64[ms]"), value)
    assert len(t) == POINTS
    assert np.isnan(thin[0])
    assert thin[1] == 2
    assert thin[-1] == POINTS - 0.5


@pytest.mark.parametrize(
    ("name", "rates", "unit"),
    [
        ("node_filesystem_avail_bytes", False, "B"),
        ("network_receive_bytes_total", True, "B/s"),
        ('request_seconds{le="bytes"}', False, "s"),
        ("requests_total", True, "/s"),
        ("requests_total", False, ""),
        ("cpu", True, ""),
    ],
)
def test_the_unit_is_that_of_the_name(name, rates, unit):
    assert _unit(grid(name), 0, rates=rates) == unit


def test_the_title_says_who_forecast_and_how_well():
    title, below = _title(grid("a$b"), made(), Check(made(), np.array([0.92])), 0, "")
    assert title == r"a\$b"
    assert below == (
        "smooth+ridge  ·  mean absolute error 1.5 in 3 backtests, 50% of seasonal naive's  ·  "
        "the earlier interval held 92%"
    )
    assert "1.5 B" in _title(grid(), made(), None, 0, "B")[1]
    assert len(_title(grid("x" * 500), made(), None, 0, "")[0]) == 70


@pytest.mark.parametrize(("ms", "text"), [(900_000, "15 min"), (HOUR_MS, "1 h"), (1500, "1500 ms"), (15_000, "15 s")])
def test_a_step_is_said_as_people_do(ms, text):
    assert _span(ms) == text


@pytest.mark.parametrize(("model", "short"), [("a", "a"), ("a+b+c", "a+b+c"), ("a+b+c+d", "a+b+2 more")])
def test_of_many_models_the_first_are_named(model, short):
    assert few(model) == short


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path):
    with pytest.raises(AirisError, match="cannot be written"):
        draw(tmp_path / "none" / "p.png", grid(), made(), None, 0, "UTC")


@pytest.mark.parametrize("name", [r"$\bad$", r"$\bad$" * 30 + '{a="$x$"}', "$$", "a$"])
def test_dollar_signs_in_a_name_are_drawn_as_letters(tmp_path, name):
    draw(tmp_path / "p.png", grid(name), made(), None, 0, "UTC")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_missing_library_is_told_with_the_command_of_this_environment():
    with pytest.raises(MissingExtra) as told:
        demand_matplotlib(lambda _: None)
    assert f"{sys.executable} -m pip install 'airis-mon[picture]'" in str(told.value)
    demand_matplotlib()
