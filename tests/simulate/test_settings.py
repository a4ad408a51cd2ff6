"""Impossible worlds are refused with the reason."""

import math

import pytest

from airis_mon.errors import InputError
from airis_mon.simulate.settings import Settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"topology": "mesh"}, ["topology = 'mesh'", "shop, ticket, social, random"]),
        ({"services": 7}, ["services = 7", "at least 8 and at most 200"]),
        ({"services": 201}, ["services = 201", "at most 200"]),
        ({"days": 0}, ["days = 0", "at most 366"]),
        ({"days": 400}, ["days = 400", "pieces"]),
        ({"step_s": 0.5}, ["step_s = 0.5", "at least 1"]),
        ({"step_s": 1.00003}, ["step_s", "whole milliseconds"]),
        ({"step_s": math.nan}, ["step_s = nan", "at least 1"]),
        ({"faults_per_day": -1}, ["faults_per_day = -1"]),
        ({"faults_per_day": 400}, ["faults_per_day = 400", "at most 288"]),
        ({"faults_per_day": 200, "step_s": 300}, ["faults_per_day = 200", "fewer than 10", "shorter step"]),
        ({"amplitude": 0}, ["amplitude = 0", "faults_per_day to 0"]),
        ({"noise": -0.1}, ["noise = -0.1"]),
        ({"dirt": 11}, ["dirt = 11"]),
        ({"edges_wrong": 1}, ["edges_wrong = 1", "at most 0.9"]),
        ({"days": 2, "history_days": 3}, ["history_days = 3", "at most 2"]),
        ({"kinds": ("cpu_hog", "gremlin")}, ["kinds = 'gremlin'", "choose from cpu_hog"]),
        ({"kinds": ()}, ["kinds", "at least one"]),
    ],
)
def test_an_impossible_setting_is_refused_by_field_value_limit_and_remedy(given, words):
    with pytest.raises(InputError) as refused:
        Settings(**given)
    assert all(w in str(refused.value) for w in words), str(refused.value)
    assert refused.value.refusals
