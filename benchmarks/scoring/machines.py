"""What the two sets of many metrics per machine (SMD, ASD) share: loading, streaming, scoring, baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from airis_mon.analyze.together import together
from airis_mon.detect.entity import Entities
from benchmarks.scoring.judging import LINE, Array, average_precision, best_f1, interval, judge_matrix, rolling_z, runs


@dataclass(frozen=True)
class Machine:
    """One machine: train and test (time, metric), label (time,), events as (start, end, metrics to blame)."""

    name: str
    train: Array
    test: Array
    label: Array
    events: list[tuple[int, int, set[int]]]


def load(at: Path, pattern: str, key: str, end_is_inside: bool) -> Iterator[Machine]:
    """Machines one by one, in the order of their names."""
    blame = pq.read_table(at / "interpretation.parquet").to_pylist()
    for path in sorted(at.glob(pattern)):
        table = pq.read_table(path)
        metrics = sorted(n for n in table.column_names if n[0] == "m" and n[1:].isdigit())
        values = np.column_stack([table[m].to_numpy().astype(float) for m in metrics])
        is_test = np.asarray(table["split"].to_pylist()) == "test"
        label = table["label"].to_numpy()[is_test]
        events = [
            (int(e["start"]), int(e["end"]) + end_is_inside, {int(d) - 1 for d in e["dims"]})
            for e in blame
            if e[key] == path.stem
        ]
        yield Machine(path.stem, values[~is_test], values[is_test], label, events)


def stream(values: Array, step_ms: int) -> tuple[Array, Array]:
    """The shipped detector and entity score over a matrix, row by row: score (time,), blamed metrics (time, 5)."""
    slot, t, scores = judge_matrix(values, step_ms)
    entities = Entities()
    entities.assign(slot[: values.shape[1]], np.zeros(values.shape[1], np.int32))
    joined = entities.update(slot, t, scores.onset, scores.level)
    return joined.score, joined.slot


def measure(machines: Iterator[Machine], step_ms: int, draws: int) -> dict[str, Any]:
    """Per machine and as means: after the train part, on the test part alone, baselines, and what the line gives."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for m in machines:
        score, blamed = (a[len(m.train) :] for a in stream(np.vstack([m.train, m.test]), step_ms))
        alone, _ = stream(m.test, step_ms)
        z = np.abs(m.test - m.train.mean(0)) / (m.train.std(0) + 0.01)
        rivals = {
            "mean_abs_z_of_train": np.minimum(z, 10).mean(1),
            "rolling_z_100_max": np.max([rolling_z(column) for column in m.test.T], axis=0),
            "chance": rng.random(len(m.label)),
        } | {f"{method}_trained": _trained(m, method) for method in ("pca", "isolation_forest")}
        rows.append({"machine": m.name, "ap": average_precision(m.label, score), "f1_best": best_f1(m.label, score)}
            | {"ap_test_alone": average_precision(m.label, alone), "share_anomalous": float(m.label.mean())}
            | {f"ap_{name}": average_precision(m.label, rival) for name, rival in rivals.items()}
            | {"at_line": _at_line(m, score, step_ms), "blame": _blame(m, score, blamed)})  # fmt: skip
    means: dict[str, Any] = {k: float(np.mean([r[k] for r in rows])) for k in rows[0] if k.startswith(("ap", "f1"))}
    means["ap_interval"] = interval([r["ap"] for r in rows], lambda drawn: float(np.mean(drawn)), draws)
    halves = {"ap_first_half": rows[: (len(rows) + 1) // 2], "ap_second_half": rows[(len(rows) + 1) // 2 :]}
    means |= {k: float(np.mean([r["ap"] for r in half])) for k, half in halves.items()}
    return means | {"at_line": _sum_up([r["at_line"] for r in rows]), "blame": _blame_sum(rows), "machines": rows}


def _trained(m: Machine, method: str) -> Array:
    """The option beside the bank: a model fitted on the train part, raw scores of the test part."""
    return together(np.vstack([m.train, m.test]), len(m.train), method).raw


def _at_line(m: Machine, score: Array, step_ms: int) -> dict[str, float]:
    """Counts at the shipped line: points, events found, false episodes (10 rows apart), days."""
    alarm = score >= LINE
    events = runs(m.label)
    outside = np.flatnonzero(alarm & (m.label == 0))
    false = int(len(outside) > 0) + int((np.diff(outside) >= 10).sum())
    return {
        "true": int((alarm & (m.label > 0)).sum()), "alarms": int(alarm.sum()), "labelled": int(m.label.sum()),
        "events": len(events), "found": sum(bool(alarm[a:b].any()) for a, b in events),
        "false_episodes": false, "days": len(score) * step_ms / 86_400_000,
    }  # fmt: skip


def _sum_up(counts: Sequence[dict[str, float]]) -> dict[str, float]:
    total = {k: sum(c[k] for c in counts) for k in counts[0]}
    precision, recall = total["true"] / max(total["alarms"], 1), total["true"] / total["labelled"]
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "event_recall": total["found"] / total["events"],
        "false_episodes_per_day": total["false_episodes"] / total["days"],
    }


def _blame(m: Machine, score: Array, blamed: Array) -> list[tuple[bool, bool, float]]:
    """Per event, where its score is highest: is the first, is one of five to blame; chance that a guess is right."""
    out = []
    for a, b, guilty in m.events:
        at = blamed[a + int(score[a:b].argmax())]
        out.append((int(at[0]) in guilty, bool(guilty & set(at.tolist())), len(guilty) / m.test.shape[1]))
    return out


def _blame_sum(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    hits = np.array([hit for row in rows for hit in row.pop("blame")], float)
    return {"first_is_right": hits[:, 0].mean(), "one_of_five_is_right": hits[:, 1].mean(), "chance": hits[:, 2].mean()}
