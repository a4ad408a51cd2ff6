"""How many users ask for what: daily and weekly seasons, holidays, campaigns, noise with memory, bursts."""

from __future__ import annotations

from functools import reduce

import numpy as np

from airis_mon.simulate.dice import DAY, HOUR, MINUTE, Dice, Floats, Times
from airis_mon.simulate.topology import Topology

WEEK = np.array([1.0, 1.03, 1.02, 1.0, 1.08, 0.8, 0.72])
"""Monday to Sunday, each at its noon."""
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
HOLIDAY_ODDS, CAMPAIGN_ODDS, BURST_ODDS = 0.03, 0.08, 0.06
NOISE = ((2 * MINUTE, 0.015), (10 * MINUTE, 0.03), (2 * HOUR, 0.05), (DAY, 0.04))
"""Each a period and the share of demand that its noise moves."""


def demand(topology: Topology, dice: Dice, t: Times, noise: float) -> Floats:
    """(time, endpoint) requests/s of users, faults aside."""
    width = len(topology.demand)
    parts = (s * noise * dice.smooth(f"load {p}", t, p, width) for p, s in NOISE)
    wobble = np.exp(reduce(np.add, parts))
    return np.asarray(season(topology, dice, t) * topology.demand * wobble * (1 + _bursts(dice, t, width)))


def season(topology: Topology, dice: Dice, t: Times) -> Floats:
    """(time, endpoint) expected demand over its mean: what a calendar would know, and campaigns."""
    width = len(topology.demand)
    rng = dice.at("season")
    peak, depth = 14 + rng.normal(0, 1, width), rng.uniform(0.3, 0.5, width)
    hour = (t % DAY / HOUR)[:, None]
    daily = 1 + depth * np.cos((hour - peak) * np.pi / 12) + 0.12 * np.cos((hour - peak - 5) * np.pi / 6)
    return np.asarray(daily * (_week(t) * _holidays(dice, t))[:, None] * (1 + _campaigns(dice, t, width)))


def _week(t: Times) -> Floats:
    """(time,) from noon to noon in a straight line."""
    noon = t / DAY - 0.5
    return np.asarray(noon % 1 * _step(noon) + WEEK[_weekday(noon)])


def _weekday(day: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return (np.floor(day).astype(np.int64) + EPOCH_WEEKDAY) % 7


def _step(noon: Floats) -> Floats:
    return np.asarray(WEEK[_weekday(noon + 1)] - WEEK[_weekday(noon)])


def _holidays(dice: Dice, t: Times) -> Floats:
    """(time,) less on a holiday."""
    factor = np.ones(len(t))
    for day in range(int(t[0]) // DAY, int(t[-1]) // DAY + 1):
        if dice.at("holiday", day).random() < HOLIDAY_ODDS:
            factor[t // DAY == day] = 0.65
    return factor


def _campaigns(dice: Dice, t: Times, width: int) -> Floats:
    """(time, endpoint) more while a campaign runs: some hours of a day, on one endpoint."""
    extra = np.zeros((len(t), width))
    for day in range(int(t[0]) // DAY, int(t[-1]) // DAY + 1):
        rng = dice.at("campaign", day)
        if rng.random() < CAMPAIGN_ODDS:
            start = day * DAY + int(rng.uniform(8, 18) * HOUR)
            extra[:, rng.integers(width)] += bump(t, start, int(rng.uniform(1, 4) * HOUR), 10 * MINUTE) * rng.uniform(
                0.2, 0.6
            )
    return extra


def _bursts(dice: Dice, t: Times, width: int) -> Floats:
    """(time, endpoint) the heavy tail: some minutes of much more."""
    extra = np.zeros((len(t), width))
    for hour in range(int(t[0]) // HOUR, int(t[-1]) // HOUR + 1):
        rng = dice.at("burst", hour)
        if rng.random() < BURST_ODDS:
            start, height = hour * HOUR + int(rng.uniform(0, 55) * MINUTE), min(1.0, 0.15 * (1 + rng.pareto(2.5)))
            extra[:, rng.integers(width)] += height * bump(t, start, int(rng.uniform(1, 4) * MINUTE), MINUTE // 2)
    return extra


def bump(t: Times, start: int, length: int, ramp: int) -> Floats:
    """(time,) 0, rising to 1 from `start` within `ramp`, falling to 0 from `start + length` on."""
    rise = (t - start) / max(ramp, 1)
    fall = (start + length + ramp - t) / max(ramp, 1)
    return np.asarray(np.clip(np.minimum(rise, fall), 0, 1) * (t >= start))
