"""Microsoft's cloud series (26 by the hour, 6 by the minute): what a user gets at the shipped line.

An event (a labelled run) is found by an alarm within it or up to 3 hours (hour data) or 7 minutes (minute data) after
its start. Alarms elsewhere, those closer than 10 rows being one, are false; they are counted per series-day, also on
the four series without any label. Beside it a rolling z-score at 3 and as many alarms as ours at random.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.scoring.judging import LINE, Array, folder, interval, judge_series, rolling_z, runs

APART = 10


@dataclass(frozen=True)
class Case:
    """One series: t ms, value, label; rows after an event's start that still count; its alarms by rival."""

    t: Array
    value: Array
    label: Array
    grace: int


def measure(data: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Event precision, recall and F1; false alarms per series-day over all and over unlabelled series."""
    cases = load(folder("ms_cloud", data))
    ours = [judge_series(c.t, c.value).score >= LINE for c in cases]
    rng = np.random.default_rng(0)
    rivals = {
        "record": ours,
        "rolling_z_100_at_3": [rolling_z(c.value) >= 3 for c in cases],
        "chance": [rng.permutation(alarm) for alarm in ours],
    }
    out: dict[str, Any] = {}
    for name, alarms in rivals.items():
        counts = [_count(c, a) for c, a in zip(cases, alarms, strict=True)]
        out[name] = _sum_up(counts)
        out[name]["f1_interval"] = interval(counts, lambda drawn: _sum_up(drawn)["f1"], 100 if quick else 1000)
        quiet = [n for c, n in zip(cases, counts, strict=True) if not c.label.any()]
        out[name]["false_per_day_unlabelled"] = _sum_up(quiet)["false_per_day"]
        for kind, grace in (("hour", 3), ("minute", 7)):
            some = [n for c, n in zip(cases, counts, strict=True) if c.grace == grace]
            out[name][f"{kind}_series"] = _sum_up(some)
    return out


def load(at: Path) -> list[Case]:
    """The 32 series in file order; missing values stay NaN."""
    with (at / "index.csv").open() as lines:
        steps = {row["series"]: float(row["step_s"]) for row in csv.DictReader(lines)}
    table = pq.read_table(at / "series.parquet")
    names = np.asarray(table["series"].to_pylist())
    t = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    value, label = table["value"].to_numpy(), table["label"].to_numpy()
    rows = {name: names == name for name in dict.fromkeys(names.tolist())}
    return [Case(t[r], value[r], label[r], 7 if steps[name] < 3600 else 3) for name, r in rows.items()]


def _count(case: Case, alarm: Array) -> tuple[int, int, int, float]:
    """Events, events found, false episodes, days."""
    near = case.label > 0
    found = 0
    events = runs(case.label)
    for a, b in events:
        end = max(b, a + case.grace + 1)
        found += bool(alarm[a:end].any())
        near[a:end] = True
    outside = np.flatnonzero(alarm & ~near)
    false = int(len(outside) > 0) + int((np.diff(outside) >= APART).sum())
    return len(events), found, false, float((case.t[-1] - case.t[0]) / 86_400_000)


def _sum_up(counts: Any) -> dict[str, Any]:
    events, found, false, days = (sum(c[k] for c in counts) for k in range(4))
    precision, recall = found / max(found + false, 1), found / max(events, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"events": events, "precision": precision, "recall": recall, "f1": f1, "false_per_day": false / days}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
