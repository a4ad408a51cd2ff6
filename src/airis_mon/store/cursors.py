"""Where pull sources go on after a restart: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import structlog

log = structlog.get_logger()


class Cursors:
    """Cursors by the source's name. A file that cannot be read is an empty one: sources then read their lookback."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = self._read()

    def get(self, name: str) -> str:
        """The cursor last kept for a source, "" when there is none."""
        return self._known.get(name, "")

    def keep(self, name: str, cursor: str) -> None:
        """Writes a cursor down if it moved; waits for the disk, any thread may call.

        What it covers must be committed before. Raises OSError when it cannot be written.
        """
        with self._lock:
            if not cursor or self._known.get(name) == cursor:
                return
            known = self._known | {name: cursor}
            temporary = self._path.with_suffix(".tmp")
            with temporary.open("w") as file:
                json.dump(known, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            self._known = known

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("cursors.unreadable", path=str(self._path), error=str(error))
            return {}
        return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}
