import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Peer

from airis_mon.analyze.isolation import SAMPLE, IsolationForest, scores, usual_path
from airis_mon.errors import InputError, ModelError
from airis_mon.series.batch import Values


def peer(x: Values, seeds: int = 4) -> Values:
    forests = (Peer(max_samples=min(256, len(x)), random_state=s).fit(x) for s in range(seeds))
    return np.asarray(np.mean([-f.score_samples(x) for f in forests], axis=0))


def own(x: Values, seeds: int = 4) -> Values:
    return np.asarray(np.mean([IsolationForest(seed=s).fit(x).score(x) for s in range(seeds)], axis=0))


def points(n: int, d: int, seed: int = 0) -> Values:
    x = np.random.default_rng(seed).standard_normal((n, d))
    x[3] += 5
    return np.asarray(x)


@pytest.mark.parametrize(("n", "d"), [(20, 1), (150, 1), (600, 1), (600, 4)])
def test_scores_are_those_of_scikit_learn_within_the_noise_of_sampling(n: int, d: int) -> None:
    x = points(n, d)
    other = peer(x)
    found = own(x)
    assert np.corrcoef(found, other)[0, 1] > 0.98
    assert np.abs(found - other).mean() < 0.01
    assert found.argmax() == other.argmax() == 3


def test_a_constant_feature_is_never_cut() -> None:
    x = points(400, 3)
    wider = np.column_stack([x[:, :1], np.full(400, 7.0), x[:, 1:]])
    assert np.abs(own(wider) - own(x)).mean() < 0.01


def test_the_same_seed_gives_the_same_scores_and_another_one_others() -> None:
    x = points(300, 2)
    first = IsolationForest(seed=3).fit(x).score(x)
    np.testing.assert_array_equal(first, IsolationForest(seed=3).fit(x).score(x))
    assert not np.array_equal(first, IsolationForest(seed=4).fit(x).score(x))


def grown(x: list[float], at: float, rng: np.random.Generator) -> float:
    """The path to a value in one tree that is grown to its end."""
    depth = 0
    while len(set(x)) > 1:
        cut = rng.uniform(min(x), max(x))
        x = [y for y in x if (y <= cut) == (at <= cut)]
        depth += 1
    return depth + usual_path(float(len(x)))


def test_the_closed_form_is_the_mean_of_many_grown_trees() -> None:
    x = [0.0, 0.3, 0.3, 1.0, 1.1, 4.0]
    rng = np.random.default_rng(5)
    mean = [np.mean([grown(x, at, rng) for _ in range(4_000)]) for at in x]
    path = -np.log2(scores(np.array(x))) * usual_path(6.0)
    np.testing.assert_allclose(path, mean, atol=0.08)


@pytest.mark.parametrize("n", [30, SAMPLE, SAMPLE + 1, 2_000])
def test_one_dimension_scores_as_the_forest_does(n: int) -> None:
    value = np.sort(points(n, 1)[:, 0])
    found, other = scores(value), own(value[:, None])
    assert np.corrcoef(found, other)[0, 1] > 0.95
    assert np.abs(found - other).mean() < 0.02
    assert (found[1:-1].max(), found[-1]) == (found[1:-1].max(), found.max())


def test_equal_values_score_the_same() -> None:
    found = scores(np.array([1.0, 1.0, 2.0, 2.0, 2.0, 9.0]))
    assert found[0] == found[1]
    assert found[2] == found[3] == found[4]
    assert found[5] == found.max()


def test_a_forest_of_equal_points_finds_none_stranger() -> None:
    assert len(set(IsolationForest().fit(np.ones((50, 2))).score(np.ones((5, 2))).tolist())) == 1


def test_what_cannot_be_used_is_named() -> None:
    with pytest.raises(ModelError, match="call fit first"):
        IsolationForest().score(np.ones((1, 1)))
    with pytest.raises(InputError, match="needs 2 points, has 1"):
        IsolationForest().fit(np.ones((1, 1)))
    with pytest.raises(InputError, match="point 1 is nan in feature 0"):
        IsolationForest().fit(np.array([[1.0], [np.nan]]))
    with pytest.raises(InputError, match="2 features, the forest was grown on 1"):
        IsolationForest().fit(np.array([[1.0], [2.0]])).score(np.ones((1, 2)))
    with pytest.raises(InputError, match="sample 1 "):
        IsolationForest(sample=1)
