"""Stored series as questions see them: the watched signal, or the samples themselves of what is not watched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

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
        rows = self._store.series_by_fp([fp])
        if not rows:
            raise NotFound(f"no series {hex_id(fp)}; GET /series lists what is known")
        check()
        labels = rows[0].labels
        watched = self._kinds(fp)
        kind = signal or (watched[0] if watched else VALUE)
        if kind in watched:
            t, value = self._drawn(fp, kind, start, end, check)
        elif kind == VALUE:
            t, value = self._samples(fp, start, end, most, check)
        else:
            known = ", ".join(dict.fromkeys([*watched, VALUE]))
            raise NotFound(f"series {hex_id(fp)} has no signal {kind!r}, but {known}; GET /series/coverage says why")
        if len(t) > most:
            raise _too_many(labels, kind, most)
        return signal_name(labels, kind), t, value

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

    def _drawn(self, fp: int, kind: str, start: int, end: int, check: Check) -> tuple[Times, Values]:
        found = [(c.t, c.value) for c in self._curves.of([(fp, kind)], start, end, check, has_bands=False)]
        if not found:
            return np.empty(0, np.int64), np.empty(0)
        return _finite(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _samples(self, fp: int, start: int, end: int, most: int, check: Check) -> tuple[Times, Values]:
        found = self._store.samples([fp], start, end, most + 1, check=check)
        return _finite(found.t, found.value)


def _finite(t: Times, value: Values) -> tuple[Times, Values]:
    is_number = np.isfinite(value)
    return t[is_number], value[is_number]


def _too_many(labels: Labels, kind: str, most: int) -> InputError:
    name = signal_name(labels, kind)
    reason = f"{name} has more than {most:,} samples in this window; narrow start and end"
    return InputError(reason, (Refusal("$.start", name, reason),))
