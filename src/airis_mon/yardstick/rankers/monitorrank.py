"""MonitorRank: a random walk over the call graph among what moves like the alarm.

Kim, Sumbaly & Shah, "Root cause detection in a service-oriented architecture" (SIGMETRICS 2013,
doi:10.1145/2465529.2465753). Similarity S is the largest |r| of a node's signals with what alarmed. The walker goes to
a callee with its S, back to a caller with RHO times its S, stays with what S exceeds the callees' by, and never goes to
the entity that alarmed.
"""

from __future__ import annotations

import numpy as np

from airis_mon.yardstick.cases import Case, Floats
from airis_mon.yardstick.ranking import calls, correlation, per_candidate, stationary

DAMPING, RHO = 0.85, 0.1


def rank(case: Case) -> Floats:
    """(candidate,) how often a walker is there."""
    alike = np.maximum(per_candidate(case, correlation(case)[0]), 0)
    alike = np.where(np.array(case.candidates) == case.alarmed, 0.0, alike)
    forward = calls(case) * alike
    stay = np.maximum(alike - forward.max(axis=1, initial=0), 0)
    return stationary(forward + RHO * calls(case).T * alike + np.diag(stay), alike, DAMPING)
