import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.scoring import nab
from benchmarks.scoring.judging import average_precision, best_f1, episodes, folder, interval, rolling_z, runs


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2).filter(lambda x: any(a for a, _ in x)))
def test_average_precision_is_that_of_scikit_learn(cases: list[tuple[bool, int]]) -> None:
    label, score = (np.array(column, float) for column in zip(*cases, strict=True))
    assert average_precision(label, score) == pytest.approx(average_precision_score(label, score))


def test_a_perfect_score_has_f1_one() -> None:
    assert best_f1(np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.2])) == 1


def test_runs_and_episodes_are_counted_as_described() -> None:
    assert runs(np.array([1, 1, 0, 1])) == [(0, 2), (3, 4)]
    assert episodes(np.array([3, 50, 102, 300]), 100) == 2
    assert episodes(np.array([], int), 100) == 0


def test_rolling_z_knows_only_the_past() -> None:
    value = np.random.default_rng(0).normal(size=300)
    full, part = rolling_z(value), rolling_z(value[:200])
    np.testing.assert_allclose(full[:200], part)
    at = 250
    wanted = abs(value[at] - value[at - 100 : at].mean()) / value[at - 100 : at].std()
    assert full[at] == pytest.approx(wanted)


def test_an_interval_holds_the_mean() -> None:
    low, high = interval([0.0, 1.0] * 20, lambda drawn: float(np.mean(drawn)))
    assert low < 0.5 < high


def one_file() -> nab.File:
    return nab.File("a/b.csv", np.arange(1000) * 300_000, np.zeros(1000), [(400, 499)], 150)


def test_nab_gives_most_for_the_earliest_detection_and_nothing_for_silence() -> None:
    early, late, none = (np.zeros(1000) for _ in range(3))
    early[400], late[499] = 1, 1
    scores = [nab.Board([one_file()], [s]).at(0.5) for s in (early, late, none)]
    assert scores[0] == pytest.approx(100, abs=0.1)
    assert 50 < scores[1] < 60
    assert scores[2] == 0


def test_nab_counts_one_detection_per_window_and_each_false_alarm() -> None:
    twice, noisy, probation = (np.zeros(1000) for _ in range(3))
    twice[[400, 450]] = noisy[[300, 400]] = probation[[10, 400]] = 1
    scores = [nab.Board([one_file()], [s]).at(0.5) for s in (twice, noisy, probation)]
    assert scores[0] == scores[2] == pytest.approx(100, abs=0.1)
    assert scores[1] == pytest.approx(100 - 0.11 * 50, abs=0.1)


def test_nab_halves_share_out_every_file() -> None:
    files = [nab.File(f"{'ab'[k % 2]}/{k}", np.arange(5), np.zeros(5), [], 0) for k in range(10)]
    for first, second in zip(*[iter(nab.halves(files))] * 2, strict=True):
        assert (first ^ second).all()
        assert abs(int(first.sum()) - 5) <= 1


def test_a_missing_set_says_what_to_set(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="AIRIS_BENCH_DATA"):
        folder("nab", tmp_path)
