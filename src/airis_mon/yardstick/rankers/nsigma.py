"""N-sigma: the largest |z| of any signal, against mean and deviation of its history.

As in Pham, Ha & Zhang, "BARO" (FSE 2024, doi:10.1145/3660805), but of both signs: which direction is bad is told by
knowledge of the metric, which this method has not. Falls count, as of traffic or of replicas.
"""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats
from airis_mon.yardstick.ranking import per_candidate, sigmas, worst


def rank(case: Case) -> Floats:
    """(candidate,) its largest |z| in the window."""
    return per_candidate(case, worst(np.abs(sigmas(case))))
