"""Stored series as questions see them: the watched signal, or the samples themselves of what is not watched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airis_mon.app.curves import Check, Curves
from airis_mon.detect.watch import Watch
from airis_mon.errors import InputError, NotFound, Refusal
from airis_mon.events.anomaly import signal_name
from airis_mon.series.batch import Times, Values
from airis_mon.series.catalogue import NEVER
from airis_mon.series.labels import Labels, hex_id
from airis_mon.store.base import SeriesStore

VALUE = "value"
Found = tuple[str, Times, Values]
"""(name, t, value) of a signal: (n,) each, ms ascending, finite."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signal of a stored series within [start, end] ms; None = its first one, or the samples."""

    fp: int
    signal: str | None
    start: int
    end: int


class StoredSignals:
    """Reads signals of stored series, in the caller's thread.

    curves: draws watched signals; watch: gives the live one, which may be exchanged.
    """

    def __init__(self, store: SeriesStore, curves: Curves, watch: Callable[[], Watch]) -> None:
        self._store = store
        self._curves = curves
        self._watch = watch

    def load(self, fp: int, signal: str | None, start: int, end: int, most: int, check: Check) -> Found:
        """The signal of a series within [start, end] ms; None = its first one, or the samples when none is watched.

        Raises NotFound for a series or signal that does not exist, InputError for more than `most` samples.
        """
        return self.load_many([Wanted(fp, signal, start, end)], most, check)[0]

    def load_many(self, wanted: Sequence[Wanted], most: int, check: Check) -> list[Found]:
        """As `load`, of many, in their order; `most` of all together.

        What lies in one window is drawn at once: a curve alone takes as long as a hundred together.
        """
        labels = {row.fp: row.labels for row in self._store.series_by_fp(sorted({w.fp for w in wanted}))}
        check()
        kinds = [self._kind(w, labels) for w in wanted]
        windows: dict[tuple[int, int], list[int]] = {}
        for i, w in enumerate(wanted):
            windows.setdefault((w.start, w.end), []).append(i)
        found: dict[int, Found] = {}
        left = most
        for (start, end), places in windows.items():
            for i, t, value in self._within(start, end, [(i, wanted[i].fp, *kinds[i]) for i in places], left, check):
                left -= len(t)
                kind = kinds[i][0]
                if left < 0:
                    raise _too_many(labels[wanted[i].fp], kind, most)
                found[i] = signal_name(labels[wanted[i].fp], kind), t, value
        return [found[i] for i in range(len(wanted))]

    def last_t(self, fp: int) -> int | None:
        """Time of the latest sample of a series, ms; None when it has had none for as long as that is remembered."""
        catalogue = self._watch().catalogue
        sid = catalogue.find(fp)
        return None if sid is None or (t := int(catalogue.last_t[sid])) == NEVER else t

    def _kinds(self, fp: int) -> list[str]:
        watch = self._watch()
        kinds = []
        for slot in watch.slots_of(fp):
            with contextlib.suppress(KeyError):  # given up at this moment
                kinds.append(watch.signal(slot).kind)
        return kinds

    def _kind(self, wanted: Wanted, labels: Mapping[int, Labels]) -> tuple[str, bool]:
        """The signal that is meant, and whether it is a watched one."""
        fp, signal = wanted.fp, wanted.signal
        if fp not in labels:
            raise NotFound(f"no series {hex_id(fp)}; GET /series lists what is known")
        watched = self._kinds(fp)
        kind = signal or (watched[0] if watched else VALUE)
        if kind not in watched and kind != VALUE:
            known = ", ".join(dict.fromkeys([*watched, VALUE]))
            raise NotFound(f"series {hex_id(fp)} has no signal {kind!r}, but {known}; GET /series/coverage says why")
        return kind, kind in watched

    def _within(
        self,
        start: int,
        end: int,
        asked: Sequence[tuple[int, int, str, bool]],
        most: int,
        check: Check,
    ) -> Iterator[tuple[int, Times, Values]]:
        """(place, t, value) of signals (place, fp, kind, is watched) in one window, in any order."""
        drawn = [(place, (fp, kind)) for place, fp, kind, is_watched in asked if is_watched]
        curves = self._curves.of([signal for _, signal in drawn], start, end, check, has_bands=False)
        for (place, _), curve in zip(drawn, curves, strict=True):
            yield place, *_finite(curve.t, curve.value)
        plain = [(place, fp) for place, fp, _, is_watched in asked if not is_watched]
        if not plain:
            return
        samples = self._store.samples(sorted({fp for _, fp in plain}), start, end, most + 1, check=check)
        for place, fp in plain:
            first, end_row = (np.searchsorted(samples.fp, np.uint64(fp), side=side) for side in ("left", "right"))
            rows = slice(first, end_row)
            yield place, *_finite(samples.t[rows], samples.value[rows])


def _finite(t: Times, value: Values) -> tuple[Times, Values]:
    is_number = np.isfinite(value)
    return t[is_number], value[is_number]


def _too_many(labels: Labels, kind: str, most: int) -> InputError:
    name = signal_name(labels, kind)
    reason = f"{name} has more than {most:,} samples in this window; narrow start and end"
    return InputError(reason, (Refusal("$.start", name, reason),))
