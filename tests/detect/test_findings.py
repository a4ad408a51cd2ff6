from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.detect.entity import BLAMED, EntityScores
from airis_mon.detect.findings import Findings
from airis_mon.events.finding import Finding

HOLD = 900_000
Row = tuple[int, int, float]
"""entity, minute, score."""


def scores(rows: Sequence[Row], slot: int = 0) -> EntityScores:
    n = len(rows)
    blamed = np.full((n, BLAMED), -1, np.int32)
    blamed[:, 0] = slot
    share = np.zeros((n, BLAMED), np.float32)
    share[:, 0] = 1
    entity, minute, score = (np.array(c) for c in zip(*rows, strict=True)) if rows else (np.empty(0),) * 3
    return EntityScores(
        entity.astype(np.int32), minute.astype(np.int64) * 60_000, score.astype(np.float32), blamed, share
    )


def followed(*updates: Sequence[Row]) -> tuple[list[Finding], Findings]:
    findings = Findings(lambda e: f"e{e}", lambda s: f"s{s}")
    ended = [f for i, rows in enumerate(updates) for f in findings.update(scores(rows, i))]
    return ended, findings


def minutes(finding: Finding) -> tuple[str, int, int | None]:
    return finding.entity, finding.start // 60_000, None if finding.end is None else finding.end // 60_000


def test_a_score_at_the_line_begins_a_finding_that_may_go_on() -> None:
    ended, findings = followed([(0, 1, 0.79), (0, 2, 0.8), (0, 3, 0.1)])
    assert ended == []
    assert [minutes(f) for f in findings.open] == [("e0", 2, None)]


def test_it_ends_when_it_was_last_at_the_line() -> None:
    ended, findings = followed([(0, 2, 0.9), (0, 5, 0.85)], [(0, 20, 0.1)], [(0, 21, 0.1)])
    assert [minutes(f) for f in ended] == [("e0", 2, 5)]
    assert findings.open == []


def test_exactly_fifteen_minutes_later_it_is_the_same_finding() -> None:
    ended, findings = followed([(0, 2, 0.9)], [(0, 17, 0.9)])
    assert (ended, [minutes(f) for f in findings.open]) == ([], [("e0", 2, None)])


def test_later_than_that_it_is_another_one() -> None:
    ended, findings = followed([(0, 2, 0.9)], [(0, 18, 0.9)])
    assert [minutes(f) for f in ended] == [("e0", 2, 2)]
    assert [minutes(f) for f in findings.open] == [("e0", 18, None)]


def test_the_peak_names_its_time_and_whom_to_blame() -> None:
    _, findings = followed([(0, 1, 0.8)], [(0, 2, 0.95)], [(0, 3, 0.9)])
    (finding,) = findings.open
    assert (round(finding.peak, 3), finding.peak_t, [b.name for b in finding.blamed]) == (0.95, 120_000, ["s1"])


def test_the_silence_of_an_entity_ends_its_finding_as_others_go_on() -> None:
    ended, _ = followed([(0, 1, 0.9), (1, 1, 0.1)], [(1, 17, 0.1)])
    assert [minutes(f) for f in ended] == [("e0", 1, 1)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 90), st.floats(0, 1)), max_size=60), st.integers(1, 60))
def test_how_the_scores_are_cut_changes_nothing(rows: list[Row], size: int) -> None:
    rows.sort(key=lambda r: r[1])
    cuts = [[r for r in rows if k <= r[1] < k + size] for k in range(0, 91, size)]
    whole, one = followed(rows)
    parts, other = followed(*cuts)
    spans = [sorted(map(minutes, [*ended, *left.open]), key=repr) for ended, left in ((whole, one), (parts, other))]
    assert [(e, s) for e, s, _ in spans[0]] == [(e, s) for e, s, _ in spans[1]]
