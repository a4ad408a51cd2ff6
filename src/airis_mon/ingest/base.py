"""How samples come in: decoders turn pushed bodies into batches, collectors pull batches from other systems."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from airis_mon.series.batch import Batch


@dataclass(frozen=True, slots=True)
class Decoded(Batch):
    """A batch from a push format that carries more than samples.

    exemplars stood in the body and were skipped; of the refused items `unsupported` are of kinds that are never stored.
    """

    exemplars: int = 0
    unsupported: int = 0


class Decoder(Protocol):
    """One push format. The constructor takes the Catalogue that gives out sids, then limits by keyword.

    Items are judged one by one: what cannot be used is a refusal of the batch, the rest is in its rows.
    """

    def decode(self, body: bytes, content_type: str = "", now_ms: int = 0) -> Batch:
        """The samples of a body whose Content-Encoding is undone already (remote write alone undoes its snappy).

        content_type chooses the dialect, now_ms dates samples without a timestamp. Any number of threads may call.
        Raises InputError when the body as a whole cannot be read, TooLarge beyond a limit; then nothing was taken.
        """


class Collector(Protocol):
    """One source that is polled. The constructor takes the Catalogue that gives out sids, then settings by keyword."""

    @property
    def kind(self) -> str:
        """The name of the plug-in, as in the settings."""

    @property
    def cursor(self) -> str:
        """Where to go on after a restart, "" at the start; it covers the batches handed out before the last one."""

    def batches(self) -> AsyncGenerator[Batch, None]:
        """Batches, until the collector is cancelled or the source is exhausted.

        A source that fails yields refusals or raises Transient; the engine starts the iterator again later.
        """


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of a source's past that could not be had: [start, end) ms, of what, and why, in words."""

    start: int
    end: int
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Slice:
    """All that a source has of [start, end) ms.

    batch: in order of time. fraction: 0..1 of what was asked for that has been read. A slice may be empty, with
    start = end: then it tells of progress alone.
    """

    start: int
    end: int
    batch: Batch
    fraction: float
    missing: tuple[Missing, ...] = ()


class History(Protocol):
    """The past of one source. The constructor takes the Catalogue that gives out sids, then settings by keyword."""

    @property
    def name(self) -> str:
        """The source as people see it; no secrets."""

    def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms, slice after slice, each beginning where the last one ended; None = all that there is.

        Slices are small enough to be held in memory a few at a time. What cannot be had, after patient retries, is
        `missing` of its slice. Raises InputError for what the source will never answer, Transient when it cannot be
        reached at all.
        """
