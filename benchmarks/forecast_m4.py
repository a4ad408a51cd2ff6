"""M4 hourly (414 series, 48 h ahead, the official test part): accuracy, intervals and CPU seconds of forecasts.

What is chosen, FAST without any extra and FULL with LightGBM, beside each single model, seasonal naive as published,
Theta of statsforecast in the same run, and the published figures. Models, settings and the way they are mixed were
chosen on the training part (its last 48 h and earlier ones held out) and on the training part of ETTh1;
`python -m benchmarks.forecast_m4 --held-out` prints that view. A fleet of 2,000 series of 1,440 points each, 96 ahead,
is forecast for its time alone.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import BASELINE, Forecast, Panel
from airis_mon.forecast.fleet import FAST, FULL, forecast, own
from benchmarks.scoring.forecasts import DAY, HORIZON, WEEK, Set, judge, load, ranks
from benchmarks.scoring.judging import Array, folder

HOUR_MS = 3_600_000
FLEET = (2000, 1440, 96)
"""Series, points of 15 min, points ahead."""
Row = dict[str, Any]


def measure(data: Path | None = None, *, quick: bool = False, held_out: bool = False) -> dict[str, Any]:
    """Quick: every eighth series, and a tenth of the fleet."""
    at = folder("m4_hourly", data)
    m4 = load(at).held_out() if held_out else load(at)
    m4 = m4.every(8) if quick else m4
    _warm(m4)
    single = {kind: row for kind in FULL if (row := _single(m4, kind))}
    chosen, full = _chosen(m4, FAST), _chosen(m4, FULL)
    result = {
        "series": len(m4.actual),
        "published_as": "held out of training" if held_out else "test part",
        "fast": chosen,
        "full": full,
        "single": single,
        "peers": {"seasonal naive, one day": _repeated(m4), "Theta of statsforecast": _theta(m4)},
        "ranks": {"fast": ranks(at, chosen), "full": ranks(at, full)},
        "fleet": _fleet(FLEET[0] // 10 if quick else FLEET[0]),
    }
    print(_table(result), file=sys.stderr)
    return result


def _panel(data: Set) -> Panel:
    return Panel(data.value, (DAY, WEEK), HOUR_MS)


def _warm(data: Set) -> None:
    """Compiles kernels and imports libraries, so that seconds are those of work."""
    few = Set(data.value[:3], data.actual[:3])
    for kind in FULL:
        _single(few, kind)
    _theta(few)


def _timed(work: Callable[[], Any], series: int) -> tuple[Any, float]:
    """What work answers, and its CPU seconds for 1,000 series."""
    began = time.process_time()
    found = work()
    return found, (time.process_time() - began) * 1000 / series


def _single(data: Set, kind: str) -> Row | None:
    """One model; where it says nothing the baseline stands in. None when its library is missing."""

    def work() -> Array:
        model = own(kind)
        model.fit(_panel(data))
        return model.predict(HORIZON)

    try:
        mean, seconds = _timed(work, len(data.actual))
    except MissingExtra:
        return None
    base = own(BASELINE)
    base.fit(_panel(data))
    silent = ~np.isfinite(mean).all(axis=1)
    mean[silent] = base.predict(HORIZON)[silent]
    return {**judge(data, mean), "cpu_s_per_1000": seconds, "silent": int(silent.sum())}


def _chosen(data: Set, kinds: tuple[str, ...]) -> Row:
    found, seconds = _timed(lambda: forecast(_panel(data), HORIZON, models=kinds), len(data.actual))
    assert isinstance(found, Forecast)
    scores = judge(data, found.mean, found.lower, found.upper)
    return {
        **scores,
        "coverage_off": abs(scores["coverage"] - 0.95),
        "cpu_s_per_1000": seconds,
        "baseline_alone": found.model.count(BASELINE),
        "left_out": list(found.left_out),
    }


def _repeated(data: Set) -> Row:
    """Seasonal naive as published: the last day, for every series."""
    return judge(data, data.value[:, -DAY:][:, np.arange(HORIZON) % DAY])


def _theta(data: Set) -> Row | None:
    try:
        from statsforecast.models import Theta
    except ImportError:
        return None

    def work() -> list[dict[str, Array]]:
        model = Theta(season_length=DAY)
        return [model.forecast(y=row[np.isfinite(row)], h=HORIZON, level=[95]) for row in data.value]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said, seconds = _timed(work, len(data.actual))
    mean, lower, upper = (np.array([one[part] for one in said]) for part in ("mean", "lo-95", "hi-95"))
    return {**judge(data, mean, lower, upper), "cpu_s_per_1000": seconds}


def _fleet(series: int) -> dict[str, float]:
    """CPU seconds of the fast set for seeded series with a day, a week, wandering and noise."""
    _, length, horizon = FLEET
    rng, t = np.random.default_rng(0), np.arange(length)
    day = rng.uniform(1, 20, (series, 1)) * np.sin(2 * np.pi * t / 96 + rng.uniform(0, 6, (series, 1)))
    wander = 0.2 * rng.normal(0, 2, (series, length)).cumsum(axis=1) + rng.normal(0, 1, (series, length))
    value = 50 + day + np.where(t // 96 % 7 > 4, -5, 0) + wander
    panel = Panel(value, (96, 672), HOUR_MS // 4)
    found, seconds = _timed(lambda: forecast(panel, horizon), series)
    gain = float(np.nanmean(found.error / found.baseline_error))
    return {"series": series, "cpu_s": seconds * FLEET[0] / 1000, "cpu_s_per_1000": seconds, "error_to_baseline": gain}


def _table(result: dict[str, Any]) -> str:
    rows = {"FAST, chosen": result["fast"], "FULL, chosen": result["full"], **result["single"], **result["peers"]}
    columns = ("smape", "mase", "owa", "msis", "coverage", "cpu_s_per_1000")
    lines = [f"{result['series']} series, {result['published_as']}", f"{'':26}" + "".join(f"{c:>15}" for c in columns)]
    for name, row in rows.items():
        if row:
            figures = "".join(f"{row[c]:15.3f}" if c in row else f"{'-':>15}" for c in columns)
            lines.append(f"{name:26}{figures}")
    for name, place in result["ranks"].items():
        said = ", ".join(f"{c} {p['rank']} of {p['of']} (best {p['best']:.3f})" for c, p in place.items())
        lines.append(f"{name.upper()} among the published: {said}")
    fleet = result["fleet"]
    lines.append(f"fleet of {FLEET[0]} x {FLEET[1]}, {FLEET[2]} ahead: {fleet['cpu_s']:.1f} CPU s")
    return "\n".join(lines)


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv, held_out="--held-out" in sys.argv)
