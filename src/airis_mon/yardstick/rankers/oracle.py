"""The first to move, known from the truth: what ranking by onsets could reach at best."""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats


def rank(case: Case) -> Floats:
    """(candidate,) the earlier reached, the more suspect; -inf who never was, or where nobody knows."""
    moved = case.moved_ms or {}
    return np.array([-moved[c] if c in moved else -np.inf for c in case.candidates], float)
