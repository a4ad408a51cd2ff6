"""Incidents of two public sets, PetShop and Nezha, as cases; and their measured floors, which prove the reading right.

Both lie as Parquet and CSV in a folder each, with a README on where they come from.
"""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airis_mon.yardstick.cases import Case, Floats, Signal, Times

Edges = tuple[tuple[str, str], ...]
Row = dict[str, str]
SETS = ("petshop", "nezha")
REMEDY = "name the folder of the public sets with --data"
SECOND, MINUTE_S = 1000, 60
DAY = "2022-08-22"
AFTER_INJECTION_S = 240
QUIET_AFTER_S = 600
OFFSET_S = 20
"""Nezha's files were written so long after each minute, give or take a second."""


def public_cases(data: Path | None) -> list[Case]:
    """Those of PetShop and Nezha, as far as their folders are there; None: nobody said where they lie."""
    loads = {"petshop": petshop, "nezha": nezha}
    return [case for name in SETS if data and has(data, name) for case in loads[name](data / name)]


def has(data: Path | None, name: str) -> bool:
    """Whether a set is there."""
    return data is not None and (data / name).is_dir()


@dataclass(frozen=True, slots=True)
class _Measured:
    """Values by time and signal, NaN where nothing was measured."""

    t: Times  # (time,) s, rising
    values: Floats  # (time, signal)

    @classmethod
    def of(cls, t: Times, signal: Times, value: Floats, signals: int) -> _Measured:
        """From one row per value."""
        times, row = np.unique(t, return_inverse=True)
        values = np.full((len(times), signals), np.nan)
        values[row, signal] = value
        return cls(times, values)

    def rows(self, wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Measured:
        """Some of the times."""
        return _Measured(self.t[wanted], self.values[wanted])

    def before(self, other: _Measured) -> Times:
        """Its times moved to end one step before another's, in order: it stands for what was before."""
        return np.asarray(self.t - self.t[-1] + other.t[0] - (self.t[1] - self.t[0]))


# --- PetShop (Hardt et al., CLeaR 2024, arXiv 2311.04806): 5 rows of 5 minutes around each alarm ----------------------


def petshop(root: Path) -> list[Case]:
    """Its 38 issues. Candidates are the nodes of the scenario's call graph and all that have series.

    History: the fault-free days of the scenario, of low_traffic where it has none; they were recorded later, but it is
    what the set gives. What alarmed can be compared with the same metric and statistic of others, as its own methods
    do.
    """
    measured, names = _petshop_table(root / "metrics.parquet")
    edges = defaultdict[str, Edges](tuple)
    for row in _rows(root / "call_graph.csv"):
        edges[row["scenario"]] += ((row["source"], row["target"]),)
    return [_issue(row, measured, names, edges[row["scenario"]]) for row in _rows(root / "issues.csv")]


def _petshop_table(path: Path) -> tuple[dict[tuple[str, ...], _Measured], list[tuple[str, str]]]:
    """By scenario, split and issue; and the signals, as (node, metric statistic)."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    of, parts = _coded(table, "scenario", "split", "issue")
    signal, who = _coded(table, "microservice", "metric", "statistic")
    t, value = (table.column(n).to_numpy() for n in ("timestamp", "value"))
    found = {part: of == i for i, part in enumerate(parts)}
    names = [(node, f"{metric} {statistic}") for node, metric, statistic in who]
    return {p: _Measured.of(t[m], signal[m], value[m], len(names)) for p, m in found.items()}, names


def _coded(table: Any, *columns: str) -> tuple[Times, list[tuple[str, ...]]]:
    """(row,) number of each row's words, and the words by number."""
    encoded = [table.column(name).cast("string").combine_chunks().dictionary_encode() for name in columns]
    words = [column.dictionary.to_pylist() for column in encoded]
    sizes = [len(w) for w in words]
    code = np.ravel_multi_index([column.indices.to_numpy() for column in encoded], sizes)
    present, number = np.unique(code, return_inverse=True)
    at = np.stack(np.unravel_index(present, sizes), axis=1).tolist()
    return number, [tuple(w[i] for w, i in zip(words, row, strict=True)) for row in at]


def _issue(
    row: Row, measured: dict[tuple[str, ...], _Measured], names: Sequence[tuple[str, str]], edges: Edges
) -> Case:
    scenario, issue = row["scenario"], (row["scenario"], row["split"], row["issue"])
    quiet = (scenario, "noissue", "noissue")
    history = measured[quiet if quiet in measured else ("low_traffic", "noissue", "noissue")]
    window = measured[issue]
    values = np.concatenate([history.values, window.values])
    kept = np.flatnonzero(np.isfinite(values).any(axis=0))
    signals = [names[i] for i in kept.tolist()]
    return Case(
        id=" ".join(issue),
        source="petshop",
        group=row["target_metric"],
        kind=f"{scenario.rstrip('12')} {row['target_metric']}",
        moment="alarm",
        t=np.concatenate([history.before(window), window.t]) * SECOND,
        values=values[:, kept],
        split=len(history.t),
        signals=tuple(Signal(node, metric, metric) for node, metric in signals),
        candidates=tuple(sorted({n for edge in edges for n in edge} | {node for node, _ in signals})),
        edges=edges,
        target=signals.index((row["target_node"], f"{row['target_metric']} {row['target_statistic']}")),
        truth=row["root_cause_node"],
    )


# --- Nezha (Yu et al., FSE 2023, doi:10.1145/3611643.3616249): Online Boutique by the minute --------------------------


def nezha(root: Path) -> list[Case]:
    """Its 24 faults of some 3 minutes; services are candidates. The window is the 4 minutes after the injection.

    History: the fault-free hours after the last fault, since almost nothing was recorded before the first. An edge's
    latencies count as its callee's. The set names no alarm: the front end's P95 latency stands for it.
    """
    measured, signals = _nezha_table(root)
    edges = tuple((row["Source"], row["Target"]) for row in _rows(root / f"{DAY}_dependency.csv"))
    faults = _rows(root / f"{DAY}_faults.csv")
    history = measured.rows(measured.t > max(int(f["inject_utc"]) for f in faults) + QUIET_AFTER_S)
    return [_injection(f, history, measured, signals, edges) for f in faults]


def _nezha_table(root: Path) -> tuple[_Measured, tuple[Signal, ...]]:
    import pyarrow.parquet as pq

    number: dict[Signal, int] = {}
    found: list[tuple[int, int, float]] = []
    for name in ("pods", "front_service", "source_50", "destination_50"):
        for row in pq.read_table(root / f"{DAY}_{name}.parquet").to_pylist():
            t = MINUTE_S * round((row.pop("time").timestamp() - OFFSET_S) / MINUTE_S) + OFFSET_S
            whose = row.pop("PodName", "") or row.pop("ServiceName", "")
            for metric, value in row.items():
                if value is not None:
                    signal = _signal(name, whose, metric)
                    found.append((t, number.setdefault(signal, len(number)), value))
    t_, of, value_ = zip(*found, strict=True)
    return _Measured.of(np.array(t_), np.array(of), np.array(value_, float), len(number)), tuple(number)


def _signal(table: str, whose: str, metric: str) -> Signal:
    """Of a pod, `cartservice-579f59597d-wc2lz`, of the front end, or of an edge, `frontend_cartservice`."""
    if not whose:
        return Signal(metric.partition("_")[2], f"{table} {metric}", "latency")
    kind = "latency" if "Latency" in metric else ""
    return Signal(whose.lower().rsplit("-", 2)[0], f"{table} {metric}", kind)


def _injection(fault: Row, history: _Measured, measured: _Measured, signals: tuple[Signal, ...], edges: Edges) -> Case:
    at = int(fault["inject_utc"])
    window = measured.rows((measured.t >= at) & (measured.t < at + AFTER_INJECTION_S))
    return Case(
        id=f"{fault['inject_time']} {fault['service']}",
        source="nezha",
        group="online boutique",
        kind=fault["inject_type"],
        moment="injection",
        t=np.concatenate([history.before(window), window.t]) * SECOND,
        values=np.concatenate([history.values, window.values]),
        split=len(history.t),
        signals=signals,
        candidates=tuple(sorted({s.entity for s in signals})),
        edges=edges,
        target=next(i for i, s in enumerate(signals) if s.name == "front_service LatencyP95(s)"),
        truth=fault["service"],
    )


# --- floors -----------------------------------------------------------------------------------------------------------

KNOWN_FLOORS = {"petshop": (0.32, 0.53), "nezha": (0.29, 0.67)}
"""AC@1 and AC@3 that were measured with the rule below before this was written, by other code."""


def floor(case: Case) -> Floats:
    """(candidate,) the largest mean of |z| over the window; -inf without.

    PetShop: of the metric that alarmed, what never varied left out. Nezha: of all a pod's metrics, a deviation of 1
    where one never varied.
    """
    kind, is_petshop = case.signals[case.target].kind, case.source == "petshop"
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without any value
        mean, deviation = np.nanmean(case.history, axis=0), np.nanstd(case.history, axis=0)
        deviation = np.where(deviation > 0, deviation, np.nan if is_petshop else 1.0)
        z = np.nanmean(np.abs(case.window - mean) / deviation, axis=0)
    best = dict.fromkeys(case.candidates, -np.inf)
    for signal, score in zip(case.signals, z.tolist(), strict=True):
        if (signal.kind == kind if is_petshop else signal.name.startswith("pods ")) and np.isfinite(score):
            best[signal.entity] = max(best[signal.entity], score)
    return np.array(list(best.values()))


def _rows(path: Path) -> Iterable[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
