"""How long a question to the store may take, and whether somebody still waits for the answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from airis_mon.errors import QueryError, QueryTimeout

TIMED_OUT = "query timed out in expression evaluation"


class TooMuch(QueryError):
    """A query needs more memory than one may take."""

    def __init__(self) -> None:
        super().__init__(
            "query processing would load too many samples into memory in query execution; "
            "ask for fewer series, a shorter time or a shorter range, or raise store.memory_bytes"
        )


@dataclass(frozen=True, slots=True)
class Patience:
    """until: when the answer must be there, of `time.monotonic`; check: raises when nobody waits for it any more."""

    until: float
    check: Callable[[], None]

    @classmethod
    def of(cls, timeout_s: float | None, check: Callable[[], None]) -> Patience:
        """So long from now on; None = for as long as the store lets a query run."""
        return cls(math.inf if timeout_s is None else time.monotonic() + timeout_s, check)

    def left_s(self) -> float:
        """What is left, infinite when nothing was said. Raises QueryTimeout when it is over, and as `check` does."""
        self.check()
        left = self.until - time.monotonic()
        if left <= 0:
            raise QueryTimeout(TIMED_OUT)
        return left


ENDLESS = Patience(math.inf, lambda: None)
