import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.yardstick.ranking import calls, correlation, per_candidate, quantiles, stationary
from tests.yardstick.incidents import NAMES, incident


@given(st.integers(1, 12), st.floats(0, 1), st.integers(0, 99))
def test_quantiles_are_those_of_numpy_with_gaps_left_out(rows: int, q: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((rows, 5)) < 0.3, np.nan, rng.normal(size=(rows, 5)))
    x[0] = 1.0  # numpy warns of columns without any value
    np.testing.assert_allclose(quantiles(x, q)[0], np.nanquantile(x, q, axis=0), atol=1e-12)


def test_the_correlation_is_pearsons_over_the_rows_that_both_have() -> None:
    case = incident()
    case.values[case.split : case.split + 4, 2] = np.nan
    r, n = correlation(case)
    x, y = case.window[4:, 2], case.window[4:, case.target]
    assert r[2] == pytest.approx(abs(np.corrcoef(x, y)[0, 1]))
    assert (n[2], n[4]) == (len(case.window) - 4, len(case.window))
    assert r[1] == 0  # another kind


def test_two_rows_are_no_correlation() -> None:
    case = incident()
    case.values[case.split + 2 :, 2] = np.nan
    assert correlation(case)[0][2] == 0


def test_a_candidate_has_the_best_score_of_its_signals_and_none_without_any() -> None:
    case = incident()
    best = per_candidate(case, np.arange(8.0))
    assert best.tolist() == [1, 3, 5, 7]
    assert set(per_candidate(case, np.full(8, -np.inf)).tolist()) == {-np.inf}


def test_calls_are_from_caller_to_callee() -> None:
    adjacent = calls(incident())
    assert adjacent[NAMES.index("gateway"), NAMES.index("cart")]
    assert adjacent.sum() == 3


def test_a_walker_without_edges_stays_home_and_one_with_edges_follows_their_weights() -> None:
    home = np.array([1.0, 0, 0])
    np.testing.assert_allclose(stationary(np.zeros((3, 3)), home, 0.85), home)
    weight = np.array([[0, 3.0, 1.0], [0, 0, 0], [0, 0, 0]])
    where = stationary(weight, home, 0.85)
    assert where.sum() == pytest.approx(1)
    assert where[1] == pytest.approx(3 * where[2])
    for _ in range(300):  # the same by walking
        home = 0.85 * (home @ np.array([[0, 0.75, 0.25], [1, 0, 0], [1, 0, 0]])) + 0.15 * np.array([1.0, 0, 0])
    np.testing.assert_allclose(where, home, atol=1e-12)
