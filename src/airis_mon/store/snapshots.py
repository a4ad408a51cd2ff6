"""Detector state on disk: named arrays, written only where they changed, kept long enough to redraw history.

A snapshot is a manifest that names one file per array; an array that did not change since the last snapshot is named
again instead of being written again. Manifests are renamed into place last, so a crash leaves the former one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import StoreError

Arrays = dict[str, NDArray[np.generic]]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class _Entry(TypedDict):
    file: str
    shape: list[int]


_Manifest = dict[str, _Entry]  # by array name


class Snapshots:
    """Snapshots by their time (ms) under one folder. Not for several writers.

    layout: what the arrays mean; snapshots of another layout cannot be read.
    """

    def __init__(
        self, root: Path, *, layout: str = "", keep_all_ms: int = 2 * HOUR_MS, keep_hourly_ms: int = DAY_MS
    ) -> None:
        self._root = root
        self._layout = layout
        self._keep_all_ms = keep_all_ms
        self._keep_hourly_ms = keep_hourly_ms

    def times(self) -> list[int]:
        """Times of all kept snapshots, oldest first."""
        return sorted(int(p.stem) for p in self._root.glob("*.json"))

    def save(self, t: int, arrays: Mapping[str, NDArray[np.generic]], unchanged: Collection[str] = ()) -> int:
        """Writes a snapshot; answers the bytes written.

        unchanged: names of arrays equal to those of the latest snapshot; one of another shape is written all the same.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        before = self._readable(times[-1]) if (times := self.times()) else {}
        manifest: _Manifest = {}
        written = 0
        for name, array in arrays.items():
            known = before.get(name)
            if name in unchanged and known is not None and known["shape"] == list(array.shape):
                manifest[name] = known
                continue
            file = f"{name}.{t}.npy"
            np.save(self._root / file, array, allow_pickle=False)
            manifest[name] = {"file": file, "shape": list(array.shape)}
            written += array.nbytes
        self._publish(t, manifest)
        return written

    def load(self, t: int) -> Arrays:
        """The arrays of the snapshot at `t`, mapped: only what is touched is read.

        Raises StoreError when a file is missing or broken.
        """
        try:
            return {
                name: np.load(self._root / entry["file"], mmap_mode="r", allow_pickle=False)
                for name, entry in self._manifest(t).items()
            }
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise StoreError(f"snapshot {t} in {self._root} cannot be read ({error}); it is passed over") from error

    def nearest(self, t: int) -> int | None:
        """The time of the latest snapshot not after `t`."""
        return max((s for s in self.times() if s <= t), default=None)

    def thin(self, now: int, oldest: int) -> None:
        """Drops what is no longer kept: all for a while, then one an hour, then one a day, none before `oldest`."""
        kept: list[int] = []
        seen: set[tuple[int, int]] = set()
        for t in reversed(self.times()):
            age = now - t
            step = 1 if age <= self._keep_all_ms else HOUR_MS if age <= self._keep_hourly_ms else DAY_MS
            slot = (step, t // step)
            if t >= oldest and slot not in seen:
                kept.append(t)
                seen.add(slot)
            else:
                (self._root / f"{t}.json").unlink()
        used = {entry["file"] for t in kept for entry in self._readable(t).values()}
        for file in self._root.glob("*.npy"):
            if file.name not in used:
                file.unlink()

    def clear(self) -> None:
        """Forgets everything."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _manifest(self, t: int) -> _Manifest:
        """Raises OSError, ValueError or KeyError for one that is broken or of another layout."""
        content = json.loads((self._root / f"{t}.json").read_text())
        if content["layout"] != self._layout:
            raise ValueError(f"layout {content['layout']} is not {self._layout}")
        manifest: _Manifest = content["arrays"]
        return manifest

    def _readable(self, t: int) -> _Manifest:
        try:
            return self._manifest(t)
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _publish(self, t: int, manifest: _Manifest) -> None:
        temporary = self._root / f"{t}.tmp"
        with temporary.open("w") as file:
            json.dump({"layout": self._layout, "arrays": manifest}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._root / f"{t}.json")
