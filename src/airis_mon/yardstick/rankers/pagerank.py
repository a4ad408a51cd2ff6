"""Personalised PageRank on the published call graph: from the anomalous, towards anomalous callees.

The way of MicroRCA (Wu, Tordsson, Elmroth & Kao, NOMS 2020, doi:10.1109/NOMS47738.2020.9110353) on what every case
here has: an entity's anomaly is log(1 + its N-sigma score), for it finds anomalies by clustering response times and
weighs hosts by resources that not every set measures. Damping .85.
"""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats
from airis_mon.yardstick.ranking import calls, per_candidate, sigmas, stationary, worst

DAMPING = 0.85


def rank(case: Case) -> Floats:
    """(candidate,) how often a walker is there."""
    anomaly = np.log1p(np.maximum(per_candidate(case, worst(np.abs(sigmas(case)))), 0))
    return stationary(np.where(calls(case), anomaly, 0.0), anomaly, DAMPING)
