from __future__ import annotations

import sys

import numpy as np
import pytest

from airis_mon.errors import MissingExtra
from airis_mon.forecast.base import Panel
from airis_mon.forecast.fleet import own

T = np.arange(24 * 15)
DAY = 20 + 5 * np.sin(T * np.pi / 12)
OPTIONAL = {"lightgbm": "lightgbm", "auto_ets": "statsforecast", "auto_theta": "statsforecast", "mstl": "statsforecast"}


@pytest.fixture(params=OPTIONAL)
def model(request):
    pytest.importorskip(OPTIONAL[request.param])
    return own(request.param)


def said(model, value, horizon, seasons=(24,)):
    model.fit(Panel(np.atleast_2d(value), seasons))
    return model.predict(horizon)


def test_a_clean_season_goes_on(model):
    value = np.array([DAY, DAY * 3, 100 - DAY])
    np.testing.assert_allclose(said(model, value[:, :-24], 24), value[:, -24:], rtol=0.05)


def test_gaps_late_beginnings_and_constants_are_borne(model):
    value = np.tile(DAY, (4, 1))
    value[0, 50:60] = np.nan
    value[1, :200] = np.nan
    value[2] = 4.0
    value[3] = np.nan
    mean = said(model, value, 12)
    assert np.isfinite(mean[0]).all()
    np.testing.assert_allclose(mean[2], 4.0, atol=1e-6)
    assert np.isnan(mean[3]).all()


def test_the_same_panel_gives_the_same_forecast(model):
    value = np.random.default_rng(1).normal(10, 1, (2, 150)) + DAY[:150]
    np.testing.assert_array_equal(said(model, value, 12), said(model, value, 12))


@pytest.mark.parametrize("kind", OPTIONAL)
def test_a_missing_library_is_named_with_its_extra(kind, monkeypatch):
    for name in (OPTIONAL[kind], f"{OPTIONAL[kind]}.models"):
        monkeypatch.setitem(sys.modules, name, None)
    extra = "forecast" if kind == "lightgbm" else "statsforecast"
    with pytest.raises(MissingExtra, match=rf"airis-mon\[{extra}\]"):
        own(kind)


def test_a_missing_openmp_library_is_said_as_what_it_is(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "lightgbm":
                raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtra, match="libgomp1") as raised:
        own("lightgbm")
    assert "not installed" not in str(raised.value)
