"""What of each source's past is stored and learned already: one small file beside the cursors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from airis_mon.ingest.base import Missing

log = structlog.get_logger()

MISSING_KEPT = 100
"""So many missing parts of a source are remembered, the latest told."""


@dataclass(slots=True)
class Progress:
    """One source's past. Times are ms; it is fetched backwards, span by span, each span forwards.

    until: when this began; what is newer comes live. since: everything in [since, until) is stored. Of the span under
    way, which ends at since, [begin, ahead) is; without one both are since. learned: from here on the detector knows
    it; until = nothing yet.
    """

    until: int
    since: int
    begin: int
    ahead: int
    learned: int
    samples: int = 0
    refused: int = 0
    seconds: float = 0.0
    missing: list[Missing] = field(default_factory=list)

    @classmethod
    def at(cls, now: int) -> Progress:
        """Nothing yet."""
        return cls(now, now, now, now, now)

    def lacks(self, missing: Sequence[Missing]) -> None:
        """Notes what could not be had."""
        self.missing = [*self.missing, *missing][-MISSING_KEPT:]


class Spans:
    """Progress by the source's name. A file that cannot be read is an empty one: the past is then fetched again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = b""
        self.known = self._read()

    @property
    def past_end(self) -> int:
        """What is older than this (ms) was the past when it was first fetched: no news for anybody."""
        return max((p.until for p in self.known.values()), default=0)

    def save(self) -> None:
        """Writes down what has changed; waits for the disk. Raises OSError when it cannot be written.

        Not to be called by two threads at once.
        """
        content = msgspec.json.encode(self.known)
        if content == self._written:
            return
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._written = content

    def _read(self) -> dict[str, Progress]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Progress])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("backfill.unreadable", path=str(self._path), error=str(error))
            return {}
