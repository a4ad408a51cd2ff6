"""What must stand before anything else: the data directory, the kernels' cache, the host's clock and zone.

Imports nothing heavy: `prepare` must run before numba is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from pathlib import Path

import airis_mon
from airis_mon.errors import ConfigError


def prepare(data_dir: Path) -> None:
    """Makes the data directory and says where compiled kernels are cached; to be called before a kernel is imported.

    Raises ConfigError when the directory cannot be written.
    """
    try:
        (data_dir / "kernels").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir {str(data_dir)!r} cannot be written ({error.strerror}); set data_dir") from error
    os.environ.setdefault("NUMBA_CACHE_DIR", str(data_dir / "kernels"))


class KernelCache:
    """Knows whether the kernels of this very code were compiled before, so that a start need not wait for them."""

    def __init__(self, folder: Path) -> None:
        code = [f.stat() for f in sorted(Path(airis_mon.__file__).parent.rglob("*.py"))]
        state = (sys.version, [(s.st_mtime_ns, s.st_size) for s in code])
        self._mark = folder / f"complete-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}"

    @property
    def is_complete(self) -> bool:
        """Whether everything will be loaded instead of compiled."""
        return self._mark.exists()

    def complete(self) -> None:
        """Notes that everything was compiled; an unwritable folder is no error: the next start compiles again."""
        with contextlib.suppress(OSError):
            for old in self._mark.parent.glob("complete-*"):
                old.unlink()
            self._mark.touch()


def now_ms() -> int:
    """The wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def local_zone() -> str:
    """The host's time zone as an IANA name, UTC when it has none."""
    if name := os.environ.get("TZ", "").removeprefix(":"):
        return name
    link = Path("/etc/localtime")
    parts = str(link.resolve()).split("zoneinfo/") if link.exists() else []
    return parts[1] if len(parts) == 2 else "UTC"
