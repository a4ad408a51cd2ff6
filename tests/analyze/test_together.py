from __future__ import annotations

import numpy as np
import pytest

from airis_mon.analyze.together import HELD_BACK, METHODS, together
from airis_mon.errors import InputError
from airis_mon.series.batch import Times, Values

TRAINED, MINUTE_MS = 2000, 60_000


def machine(seed: int = 0, rows: int = 2400) -> Values:
    """Six metrics that follow two loads, and noise of their own."""
    rng = np.random.default_rng(seed)
    load = np.zeros((rows, 2))
    for row in range(1, rows):
        load[row] = 0.8 * load[row - 1] + 0.3 * rng.normal(size=2)
    mix = np.array([[1.0, 0.0], [0.8, 0.2], [0.5, 0.5], [0.0, 1.0], [0.3, 0.9], [1.0, -0.5]])
    return np.asarray(load @ mix.T + 0.05 * rng.normal(size=(rows, 6)) + 100)


def times(rows: int) -> Times:
    return np.arange(rows, dtype=np.int64) * MINUTE_MS


def judged(value: Values, method: str, trained: int = TRAINED):  # type: ignore[no-untyped-def]
    return together(value, trained, method, t=times(len(value)))


@pytest.mark.parametrize(("method", "broken"), [("pca", {3}), ("isolation_forest", {2, 3, 5})])
def test_metrics_that_leave_the_others_are_found_and_blamed(method: str, broken: set[int]) -> None:
    value = machine()
    for metric in broken:
        value[2200:2230, metric] += 12 * value[:TRAINED, metric].std()
    found = judged(value, method)
    assert found.p is not None
    assert found.p[200:230].max() < 0.04 < np.median(found.p[:200])
    at = 200 + int(found.score[200:230].argmax())
    assert set(np.argsort(-found.share[at])[: len(broken)]) == broken


def test_the_bank_judges_an_entity_by_many_metrics_not_by_one() -> None:
    value = machine()
    value[2200:2230, 3] += 12
    assert judged(value, "bank").score.max() < 0.8
    value[2200:2230, [0, 1, 4]] += 12
    found = judged(value, "bank")
    at = int(found.score.argmax())
    assert found.score[at] >= 0.8 and 200 <= at < 230
    assert set(np.flatnonzero(found.share[at] > 0.1)) == {0, 1, 3, 4}


def test_pca_sees_what_no_metric_shows_alone() -> None:
    value = machine()
    row = 2300
    value[row, 0] -= 0.6  # well within its own range, and against the one that it always follows
    value[row, 1] += 0.6
    assert abs(value[row, 0] - value[:TRAINED, 0].mean()) < 2 * value[:TRAINED, 0].std()
    found = judged(value, "pca")
    assert found.score[row - TRAINED] >= 0.8
    assert set(np.argsort(-found.share[row - TRAINED])[:2]) == {0, 1}
    assert 1 <= found.components < 6


@pytest.mark.parametrize("method", METHODS)
def test_shares_sum_to_one_and_scores_lie_between_0_and_1(method: str) -> None:
    found = judged(machine(1), method)
    sums = found.share.sum(1)
    some = sums > 0
    assert some.sum() >= 90
    assert sums.max() < 1 + 1e-6
    assert sums[some].min() > (0.5 if method == "bank" else 1 - 1e-6)  # the bank names five metrics at most
    assert found.score.min() >= 0 and found.score.max() <= 1
    assert found.score.shape == (400,) and found.share.shape == (400, 6)


@pytest.mark.parametrize("method", ["pca", "isolation_forest"])
def test_p_of_quiet_rows_is_spread_evenly(method: str) -> None:
    rng = np.random.default_rng(5)
    value = rng.normal(size=(6000, 5))
    found = together(value, 3000, method)
    assert found.p is not None
    held = round(HELD_BACK * 3000)
    assert found.p.min() >= 1 / (held + 1)
    for share in (0.05, 0.2, 0.5):
        assert abs(float((found.p <= share).mean()) - share) < 0.06
    assert (found.score >= 0.8).mean() < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_gaps_and_metrics_that_never_were_change_nothing_of_the_shape(method: str) -> None:
    value = machine(2)
    value[::7, 2] = np.nan
    value[:, 5] = np.nan
    found = judged(value, method)
    assert np.isfinite(found.score).all() and np.isfinite(found.share).all()
    assert (found.share[:, 5] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_question_has_the_same_answer(method: str) -> None:
    first, second = judged(machine(3), method), judged(machine(3), method)
    assert (first.score == second.score).all() and (first.share == second.share).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_metric_alone_can_be_judged(method: str) -> None:
    value = machine(4)[:, :1]
    value[2200:] += 50
    assert judged(value, method).score[200:].max() >= 0.8


def test_a_metric_that_never_moved_shouts_only_when_it_moves() -> None:
    value = machine(6)
    value[:, 4] = 7.0
    quiet = judged(value, "pca").score.copy()
    value[2300, 4] = 8.0
    found = judged(value, "pca")
    assert found.score[300] >= 0.8 > quiet[300]
    assert int(found.share[300].argmax()) == 4


def test_what_cannot_be_judged_is_refused_with_the_limit() -> None:
    value = machine()
    with pytest.raises(InputError, match="unknown; there are bank, pca, isolation_forest"):
        judged(value, "magic")
    with pytest.raises(InputError, match="99 rows to learn from are too few, at least 100"):
        judged(value, "pca", 99)
    with pytest.raises(InputError, match="no time after the training"):
        judged(value, "pca", len(value))
    with pytest.raises(InputError, match="no metric"):
        together(np.empty((500, 0)), 300)
    with pytest.raises(InputError, match="bank needs times"):
        together(value, TRAINED, "bank")
