"""Samples -> anomalies: the stage that a live engine and a replay have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airis_mon.detect.arrange import arranged
from airis_mon.detect.base import Bands, Scores
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Signals, Watch
from airis_mon.events.anomaly import ALARM, Anomaly
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Judged:
    """What a batch gave: the signals in the order in which they were judged, their scores, those at the line."""

    signals: Signals
    scores: Scores
    anomalies: list[Anomaly]


def judge(batch: Batch, catalogue: Catalogue, bank: Record, watch: Watch) -> Judged:
    """Routes samples to their signals, scores each against what its slot knew before it, then learns it.

    Anomalies come in order of time. Whoever shares bank or watch with other threads holds a lock meanwhile.
    """
    signals = watch.route(batch)
    rows = arranged(signals.slot, bank.size)
    signals = Signals(signals.slot[rows], signals.t[rows], signals.value[rows])
    scores, bands = bank.update_with_bands(signals.slot, signals.t, signals.value, only_alarms=True)
    return Judged(signals, scores, _anomalies(signals, scores, bands, catalogue, bank, watch))


def _anomalies(
    signals: Signals, scores: Scores, bands: Bands, catalogue: Catalogue, bank: Record, watch: Watch
) -> list[Anomaly]:
    found = []
    hits = np.flatnonzero(scores.score >= ALARM)
    for i in hits[np.argsort(signals.t[hits], kind="stable")]:
        try:
            signal = watch.signal(int(signals.slot[i]))
        except KeyError:  # the signal was given up further on in this very batch
            continue
        found.append(
            Anomaly(
                fp=signal.fp,
                labels=catalogue.labels(signal.sid),
                signal=signal.kind,
                t=int(signals.t[i]),
                value=float(signals.value[i]),
                score=float(scores.score[i]),
                onset=float(scores.onset[i]),
                level=float(scores.level[i]),
                expected=float(bands.expected[i]),
                lower=float(bands.lower[i]),
                upper=float(bands.upper[i]),
                feature=bank.FEATURES[scores.feature[i]] if scores.feature[i] >= 0 else "",
            )
        )
    return found
