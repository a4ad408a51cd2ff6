from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from airis_mon.analyze.analysis import analyze
from airis_mon.analyze.chance import confidence, farthest, incomplete_beta


# scipy loses digits in the smallest numbers: at 5e-324 it is 2 % off the leading term, which is exact
@given(st.floats(0.25, 5000), st.floats(0, 1, allow_subnormal=False))
def test_the_incomplete_beta_function_is_that_of_scipy(a, x):
    assert incomplete_beta(a, 0.5, x) == pytest.approx(special.betainc(a, 0.5, x), rel=1e-9, abs=1e-300)


@given(st.integers(3, 10_000), st.floats(0, 50))
def test_p_of_the_farthest_is_bonferronis_over_students_t(count, z):
    expected = min(1.0, count * 2 * stats.t.sf(z * math.sqrt((count - 1) / count), count - 2))
    assert farthest(z, count) == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_by_chance_alone_the_farthest_of_ten_is_as_far_as_often_as_p_says():
    rng = np.random.default_rng(7)
    value = rng.normal(size=(20_000, 10))
    others = (value.sum(axis=1, keepdims=True) - value) / 9
    spread = np.sqrt(((value**2).sum(axis=1, keepdims=True) - value**2 - 9 * others**2) / 8)
    farthest_z = np.abs((value - others) / spread).max(axis=1)
    z = 4.3
    assert np.mean(farthest_z >= z) == pytest.approx(farthest(z, 10), abs=0.003)


def test_a_verdict_is_as_sure_as_chance_makes_it():
    value = np.array([45, 67, 89, 95, 12, 78, 156, 34.0])
    found = analyze(value).anomaly
    assert found.is_anomaly
    assert confidence(found, 8) == pytest.approx(1 - farthest(found.score, 8))
    assert 0.5 < confidence(found, 8) < 0.9
    nothing = replace(found, is_anomaly=False)
    assert confidence(nothing, 8) == pytest.approx(farthest(found.score, 8))


def test_a_value_beside_equal_ones_is_sure_and_equal_ones_are_sure_to_be_none():
    spike = analyze(np.array([5.0, 5, 5, 5, 9])).anomaly
    assert (spike.is_anomaly, confidence(spike, 5)) == (True, 1.0)
    flat = analyze(np.full(9, 5.0)).anomaly
    assert (flat.is_anomaly, confidence(flat, 9)) == (False, 1.0)


@pytest.mark.parametrize("value", [[3.0], [3.0, 4.0]])
def test_of_too_few_values_nothing_is_sure(value):
    assert confidence(analyze(np.array(value)).anomaly, len(value)) == 0.0


def test_when_no_method_could_judge_nothing_is_sure():
    found = analyze(np.array([1.0, 2.0, 9.0]), methods=("iqr",)).anomaly
    assert confidence(found, 3) == 0.0
