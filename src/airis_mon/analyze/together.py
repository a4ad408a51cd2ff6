"""Several metrics of one entity judged together: by the live detector's bank, or by a model trained on a quiet time.

Each answers one score per time and what part of it each metric gave. Trained models draw their line from a part of the
training time that they were not fitted on, so the share of false alarms that it promises is one that was held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from airis_mon.analyze.isolation import IsolationForest
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.entity import LINE, Entities
from airis_mon.errors import InputError
from airis_mon.series.batch import Times, Values
from airis_mon.series.zone import Zone

Method = Literal["bank", "pca", "isolation_forest"]
METHODS: tuple[Method, ...] = ("bank", "pca", "isolation_forest")
LEAST_TRAINED = 100
"""Rows: below that no line with a hundredth of false alarms can be drawn."""
HELD_BACK = 1 / 3
FALSE_SHARE = 0.002
"""Of quiet rows lie above the line of a trained model, as far as there are so many; else it is their highest."""
BLAMED = 100
CLIP = 10.0
"""Usual distances: one metric far out of its range must not hide all others for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Judgements of an entity, one per time.

    score: (n,) 0..1, 0.8 is the line. share: (n, metrics), rows sum to 1; of trained models they are 0 but for those at
    the line and the `BLAMED` highest. raw: (n,) in the method's own unit; line: of raw. p: (n,) share of quiet rows
    that were held back and scored as high or higher, None for the bank. components: kept by PCA, else 0.
    """

    score: Values
    share: Values
    raw: Values
    line: float
    p: Values | None
    components: int = 0


class _Model(Protocol):
    components: int

    def raw(self, z: Values) -> Values:
        """(n,) raw scores of scaled rows."""

    def parts(self, z: Values) -> Values:
        """(n, metrics) what each metric gave to them, not negative."""


def together(
    value: Values, trained: int, method: str = "pca", *, t: Times | None = None, zone: Zone | None = None, seed: int = 0
) -> Together:
    """Judges the rows from `trained` on, after learning from those before.

    value: (time, metrics), NaN = gap; a metric that is all gaps before `trained` counts for nothing. t: (time,) ms,
    needed by the bank, which goes on learning as it judges. Raises InputError for an unknown method, for less than
    `LEAST_TRAINED` rows to learn from, and for no metric or row at all.
    """
    _check(value, trained, method, t)
    if method == "bank":
        return _banked(value, trained, np.asarray(t), zone)
    quiet, judged = value[:trained], value[trained:]
    centre, scale = _scale(quiet)
    z = _scaled(quiet, centre, scale)
    fitted = len(z) - round(HELD_BACK * len(z))
    model: _Model = _Components(z[:fitted]) if method == "pca" else _Forest(z[:fitted], seed)
    held = np.sort(model.raw(z[fitted:]))
    z = _scaled(judged, centre, scale)
    raw = model.raw(z)
    line = float(held[min(len(held) - 1, int(np.ceil((1 - FALSE_SHARE) * len(held))))])
    p = (1 + len(held) - np.searchsorted(held, raw)) / (len(held) + 1)
    score = _graded(raw, line)
    return Together(score, _blame(model, z, score), raw, line, p, model.components)


def _check(value: Values, trained: int, method: str, t: Times | None) -> None:
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; there are {', '.join(METHODS)}")
    if value.ndim != 2 or not value.shape[1] or len(value) <= trained:
        raise InputError("there is no metric, or no time after the training time; name both")
    if trained < LEAST_TRAINED:
        raise InputError(
            f"{trained} rows to learn from are too few, at least {LEAST_TRAINED}; let training begin earlier"
        )
    if method == "bank" and t is None:
        raise InputError("the bank needs times: it knows hours and days; give timestamps, or another method")


# --- the live detector --------------------------------------------------------------------------------------------


def _banked(value: Values, trained: int, t: Times, zone: Zone | None) -> Together:
    """What the live engine would have scored, row by row, without looking ahead."""
    rows, metrics = value.shape
    bank = Record(zone=zone) if zone is not None else Record()
    bank.reserve(metrics)
    slot = np.tile(np.arange(metrics, dtype=np.int32), rows)
    when = np.repeat(t, metrics)
    scores = bank.update(slot, when, np.ascontiguousarray(value).ravel())
    entities = Entities()
    entities.assign(np.arange(metrics, dtype=np.int32), np.zeros(metrics, np.int32))
    known = ~np.isnan(value).ravel()
    found = entities.update(slot[known], when[known], scores.onset[known], scores.level[known])
    score, share = np.zeros(rows), np.zeros((rows, metrics))
    row = np.searchsorted(t, found.t)
    score[row] = found.score
    for k in range(found.slot.shape[1]):
        some = found.slot[:, k] >= 0
        share[row[some], found.slot[some, k]] = found.share[some, k]
    raw = np.where(score < 0.8, score / 0.8, 0.2 / np.maximum(1 - score, 1e-9)) * LINE
    return Together(score[trained:], share[trained:], raw[trained:], LINE, None)


# --- trained ------------------------------------------------------------------------------------------------------


def _scale(quiet: Values) -> tuple[Values, Values]:
    """Centre and usual distance of each metric; the floors keep one that hardly moved from shouting about a trifle."""
    known = ~np.isnan(quiet)
    count = np.maximum(known.sum(0), 1)
    filled = np.where(known, quiet, 0.0)
    centre = filled.sum(0) / count
    spread = np.sqrt((np.where(known, quiet - centre, 0.0) ** 2).sum(0) / count)
    reach = np.where(
        known.any(0), np.nanmax(np.where(known, quiet, -np.inf), 0) - np.where(known, quiet, np.inf).min(0), 0
    )
    scale = spread + 0.01 * reach + 1e-3 * np.abs(centre) + 1e-12
    return centre, np.where(known.any(0), scale, np.inf)  # never seen: it counts for nothing


def _scaled(value: Values, centre: Values, scale: Values) -> Values:
    """(n, metrics) usual distances from the centre; a gap lies at it."""
    z = (value - centre) / scale
    return np.clip(np.where(np.isfinite(z), z, 0.0), -CLIP, CLIP)


class _Components:
    """Distance from the plane in which the metrics move together (Jackson & Mudholkar 1979, doi:10.2307/1267757).

    They sum squares; the mean absolute residual, which one wild metric rules less, ranks better on ASD and SMD.
    """

    SHARE = 0.9

    def __init__(self, z: Values) -> None:
        self._mean = z.mean(0)
        _, sizes, axes = np.linalg.svd(z - self._mean, full_matrices=False)
        told = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
        # one axis is left out at least: on all of them everything would lie in the plane
        self.components = min(int(np.searchsorted(told, self.SHARE)) + 1, max(z.shape[1] - 1, 1))
        self._axes = axes[: self.components]

    def raw(self, z: Values) -> Values:
        return np.asarray(self.parts(z).mean(1))

    def parts(self, z: Values) -> Values:
        rest = z - self._mean
        if z.shape[1] > 1:
            rest = rest - (rest @ self._axes.T) @ self._axes
        return np.asarray(np.abs(rest))


class _Forest:
    """Isolation forest; a metric's part is by how much the score falls when it is put back to its centre."""

    components = 0

    def __init__(self, z: Values, seed: int) -> None:
        self._forest = IsolationForest(seed=seed).fit(z)

    def raw(self, z: Values) -> Values:
        return np.asarray(self._forest.score(z))

    def parts(self, z: Values) -> Values:
        score = self._forest.score(z)
        part = np.zeros(z.shape)
        for metric in range(z.shape[1]):
            calm = z.copy()
            calm[:, metric] = 0.0
            part[:, metric] = np.maximum(score - self._forest.score(calm), 0.0)
        return part


def _blame(model: _Model, z: Values, score: Values) -> Values:
    """(n, metrics) shares, of rows at the line and the `BLAMED` highest others: a forest takes a walk per metric."""
    share = np.zeros(z.shape)
    rows = np.union1d(np.flatnonzero(score >= 0.8), np.argsort(-score, kind="stable")[:BLAMED])
    share[rows] = _shares(model.parts(z[rows]))
    return share


def _graded(raw: Values, line: float) -> Values:
    """0..1 with 0.8 at the line, as entities are graded live."""
    line = max(line, 1e-12)
    return np.asarray(np.where(raw < line, 0.8 * raw / line, 1 - 0.2 * line / np.maximum(raw, line)))


def _shares(part: NDArray[Any]) -> Values:
    whole = part.sum(1, keepdims=True)
    shares: Values = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return shares
