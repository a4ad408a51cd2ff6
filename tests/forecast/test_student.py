"""Student's t without scipy."""

import pytest
from scipy import stats

from airis_mon.forecast.student import t_quantile, t_share


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 10, 19, 40, 99, 200])
def test_quantiles_are_those_of_scipy(freedom):
    for share in (0.5, 0.6, 0.9, 0.975, 0.995, 0.99995):
        assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 31])
def test_shares_are_those_of_scipy(freedom):
    for t in (0.0, 0.1, 1.0, 2.5, 40.0):
        assert t_share(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-14)
