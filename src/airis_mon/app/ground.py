"""What must stand before anything else: the data directory, the kernels' cache, the host's clock and zone.

Imports nothing heavy: `prepare` must run before numba is imported.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import airis_mon
from airis_mon.errors import ConfigError

CACHE = "NUMBA_CACHE_DIR"
WITH_KERNELS = ("series", "forecast", "detect", "analyze", "store", "ingest", "cli")


def prepare(data_dir: Path) -> None:
    """Makes the data directory and says where compiled kernels are cached; to be called before a kernel is imported.

    Raises ConfigError when the directory cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir {str(data_dir)!r} cannot be written ({error.strerror}); set data_dir") from error
    keep_kernels(data_dir / "kernels")


def keep_kernels(folder: Path) -> None:
    """Caches compiled kernels under `folder`, or where NUMBA_CACHE_DIR already says, apart for each state of the code.

    numba notices a change of a kernel's own file only: a cached kernel would go on calling what other files held when
    it was compiled.
    """
    base = Path(os.environ.get(CACHE, folder))
    if base.name != _code():
        os.environ[CACHE] = str(base / _code())
    _try(Path(os.environ[CACHE]))


def user_cache() -> Path:
    """Where a command without a data directory keeps its kernels."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "airis-mon" / "kernels"


@functools.cache
def _try(folder: Path) -> None:
    """Says so, once, when nothing can be cached there: numba would compile at every start without a word."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        import structlog

        structlog.get_logger().warning(
            "kernels.not_cached",
            folder=str(folder),
            error=error.strerror,
            note=f"every start compiles anew; make the folder writable or set {CACHE} to one that is",
        )


@functools.cache
def _code() -> str:
    """Names this very code of the packages with kernels, and what they take constants from, and this interpreter."""
    home = Path(airis_mon.__file__).parent
    files = [f.stat() for part in WITH_KERNELS for f in sorted((home / part).rglob("*.py"))]
    state = (sys.version, [(f.st_mtime_ns, f.st_size) for f in files])
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


class KernelCache:
    """Knows whether the kernels of this very code were compiled before, so that a start need not wait for them."""

    def __init__(self) -> None:
        self._folder = Path(os.environ.get(CACHE, "."))
        self._mark = self._folder / "complete"

    @property
    def is_complete(self) -> bool:
        """Whether everything will be loaded instead of compiled."""
        return self._mark.exists()

    def complete(self) -> None:
        """Notes that everything was compiled, and forgets other states of the code.

        A folder that cannot be written is no error: the next start compiles again.
        """
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
            for other in self._folder.parent.iterdir():
                if other.name != self._folder.name and (other / "complete").exists():
                    shutil.rmtree(other, ignore_errors=True)


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
