"""What the rules of today notified: told by rules that are evaluated anew, or read from Prometheus' `ALERTS`."""

from __future__ import annotations

import numpy as np

from airis_mon.correlate.group import Firing
from airis_mon.correlate.rules import ALERTS, ALERTS_FOR_STATE
from airis_mon.events.alert import Alert
from airis_mon.series.batch import Batch, is_stale
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, Labels, without

STATE = "alertstate"
GAP_MS = 300_000
"""An alert whose series is silent for longer had ended: that is how far Prometheus looks back."""
_NOT_FIRING = -1


class Firings:
    """Alerts from when they fired to when they were resolved, in whatever order they become known."""

    def __init__(self) -> None:
        self._ended: list[Firing] = []
        self._open: dict[Labels, int] = {}

    def tell(self, alert: Alert) -> None:
        """Takes an alert of our own evaluation that fires or is resolved."""
        if alert.state == "firing":
            self._open.setdefault(alert.labels, _moment(alert.fired_at, alert.active_at))
        elif alert.labels in self._open:
            start = self._open.pop(alert.labels)
            self._ended.append(Firing(alert.labels, start, _moment(alert.resolved_at, start)))

    def all(self) -> list[Firing]:
        """Every alert, in order of start; those without an end still fire."""
        found = [*self._ended, *(Firing(labels, start, None) for labels, start in self._open.items())]
        return sorted(found, key=lambda f: (f.start, f.labels))


class Told:
    """The alerts that a source's own `ALERTS{alertstate="firing"}` tells of. Batches come in order of time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._of: dict[int, int] = {}  # sid -> which alert, _NOT_FIRING for none
        self._labels: list[Labels] = []
        self._spans: list[list[list[int]]] = []  # of each alert: [start, last, ended as 0 or 1]
        self.latest = 0

    def take(self, batch: Batch) -> None:
        """Notes the samples of ALERTS in a batch."""
        if len(batch):
            self.latest = max(self.latest, int(batch.t.max()))
        for row in np.flatnonzero(is_alerts(batch, self._catalogue, (ALERTS,))).tolist():
            alert = self._alert(int(batch.sid[row]))
            if alert != _NOT_FIRING:
                self._note(self._spans[alert], int(batch.t[row]), bool(is_stale(batch.value[row : row + 1])[0]))

    def firings(self) -> list[Firing]:
        """The alerts in order of start; one seen up to the end of what was read still fires."""
        found = [
            Firing(labels, start, last if has_ended or self.latest - last > GAP_MS else None)
            for labels, spans in zip(self._labels, self._spans, strict=True)
            for start, last, has_ended in spans
        ]
        return sorted(found, key=lambda f: (f.start, f.labels))

    def _alert(self, sid: int) -> int:
        if sid not in self._of:
            labels = self._catalogue.labels(sid)
            self._of[sid] = _NOT_FIRING
            if (STATE, "firing") in labels:
                self._of[sid] = len(self._labels)
                self._labels.append(without(labels, METRIC, STATE))
                self._spans.append([])
        return self._of[sid]

    @staticmethod
    def _note(spans: list[list[int]], t: int, has_ended: bool) -> None:
        if has_ended:
            if spans:
                spans[-1][2] = 1
        elif spans and not spans[-1][2] and t - spans[-1][1] <= GAP_MS:
            spans[-1][1] = t
        else:
            spans.append([t, t, 0])


def is_alerts(
    batch: Batch, catalogue: Catalogue, names: tuple[str, ...] = (ALERTS, ALERTS_FOR_STATE)
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) whether each sample is of one of the series that rules write of alerts."""
    metrics = [i for i, name in enumerate(catalogue.metrics) if name in names]
    if not metrics:
        return np.zeros(len(batch), np.bool_)
    is_one = np.isin(catalogue.metric[: catalogue.size], metrics)  # a look-up costs a tenth of comparing every sample
    return np.asarray(is_one[batch.sid])


def _moment(t: int | None, otherwise: int) -> int:
    return otherwise if t is None else t
