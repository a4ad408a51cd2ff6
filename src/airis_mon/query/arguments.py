"""What a function was given, and when. The parser has checked the types, so another one here is a fault of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from airis_mon.query.labelling import Spending
from airis_mon.query.values import Scalar, Text, Value, Vector
from airis_mon.series.batch import Times, Values


@dataclass(frozen=True, slots=True)
class Given:
    """args: those written, an optional one may be missing; t: (steps,) ms, the moments of evaluation.

    spending: of the query.
    """

    args: Sequence[Value]
    t: Times
    spending: Spending = field(default_factory=Spending)

    @property
    def seconds(self) -> Values:
        """(steps,) the moments in s."""
        return self.t / 1000

    def vector(self, index: int) -> Vector:
        """The argument, which is a vector."""
        value = self.args[index]
        assert isinstance(value, Vector)  # noqa: S101  the parser has checked the types
        return value

    def scalar(self, index: int, default: float = np.nan) -> Values:
        """(steps,) the argument, which is a scalar."""
        if index >= len(self.args):
            return np.full(len(self.t), default)
        value = self.args[index]
        assert isinstance(value, Scalar)  # noqa: S101  the parser has checked the types
        return value.value

    def texts(self, start: int = 0) -> list[str]:
        """The arguments from there on, which are strings."""
        values = self.args[start:]
        return [value.value for value in values if isinstance(value, Text)]
