from __future__ import annotations

import pytest

from airis_mon.explain.together import told_of

NOON = 1_772_366_400_000


@pytest.mark.parametrize(("score", "said"), [(0.7999, "was 0.79 at"), (0.62, "was 0.62 at"), (0.8, "reached 0.80 at")])
def test_no_score_below_the_line_is_told_as_if_it_lay_there(score, said):
    assert said in told_of("web-1", "bank", score, NOON, [], 100, "en")
