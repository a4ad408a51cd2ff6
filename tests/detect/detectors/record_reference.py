"""The record detector of one series in plain Python and float64: slow, and easy to hold beside the kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MEAN_S = (1800.0, 7200.0, 28800.0, 86400.0)
MEAN_STEPS = (6, 12, 24, 48)
BORN_H = (0, 0, 0, 0, 0, 24, 24, 0, 168, 168, 168, 24, 24)
MATURE_H = (8, 8, 2, 8, 24, 24, 24, 24, 24, 24, 24, 24, 24)
STILL = (0.005, 0.005, 0.005, 0.002, 0.002, 0.005, 0.002, 0.005, 0.005, 0.002, 0.002, 0.005, 0.002)


@dataclass
class Reference:
    """Settings as `Record`; `judge` answers the onset, the raw level and the feature."""

    points_s: float = 0.0
    warm: int = 12
    ease: float = 200.0
    maturity: float = 2.0
    excess: float = 0.15
    decay: float = 0.6
    rearm_s: float = 7200.0
    stretch: float = 0.5
    epoch_s: float = 604_800.0
    n: int = 0
    span: float = 0.0
    t: int = 0
    step: float = 0.0
    last: float = 0.0
    means: list[float] = field(default_factory=list)
    smooth: list[float] = field(default_factory=lambda: [0.0] * 4)
    spread: float = 0.0
    size: float = 0.0
    day: dict[int, float] = field(default_factory=dict)
    day_scale: dict[int, float] = field(default_factory=dict)
    day_level: dict[int, float] = field(default_factory=dict)
    week: dict[int, float] = field(default_factory=dict)
    bands: list[list[float]] = field(default_factory=list)
    votes: list[float] = field(default_factory=lambda: [0.0] * 13)
    near: list[list[bool]] = field(default_factory=lambda: [[False, False] for _ in range(13)])
    peak: float = 0.0
    age: float = 0.0
    epoch: float = 0.0
    fast: float = 0.0
    level: float = 0.0
    level_spread: float = 0.0

    def judge(self, t: int, x: float) -> tuple[float, float, int]:
        if not math.isfinite(x) or (self.n and t <= self.t):
            return 0.0, 0.0, -1
        if not self.n:
            self.last = self.fast = self.level = x
            self.means = [x] * 4
        dt = self.points_s or ((t - self.t) / 1000 if self.n else 1.0)
        self._pace(dt)
        week_hour = (t // 3_600_000 + 72) % 168
        features = self._features(x, self._taken(x), dt, min(dt, self.step), week_hour)
        z, distance, size = self._level_of(x, week_hour % 24)
        if not self.n:
            self.bands = [[f, f] for f in features]
        onset, which = self._vote(x, features)
        self._learn(features, dt, onset)
        self._learn_level(x, week_hour % 24, distance, size, min(dt, self.step))
        self.n, self.t, self.last = self.n + 1, t, x
        self.span += min(dt, self.step)
        return onset, z, which

    def _pace(self, dt: float) -> None:
        if self.n <= 1:
            self.step = dt
        elif dt < self.step:
            self.step = max(dt, self.step * (0.7 if self.n < 16 else 0.95))
        else:
            self.step = min(dt, self.step * 1.05)

    def _taken(self, x: float) -> float:
        low, high = self.bands[0] if self.bands else (x, x)
        most = self.stretch * (high - low)
        return min(max(x, low - most), high + most) if self.n > 100 and most > 0 else x

    def _features(self, x: float, taken: float, dt: float, passed: float, week_hour: int) -> list[float]:
        hour, share = week_hour % 24, 1 / (self.n + 1)
        silent = dt > 3 * self.step and dt > 1800
        last = self.last + ((x - self.last) * (1 - self.step / dt) if silent else 0)
        taus = [max(s, p * self.step) for s, p in zip(MEAN_S, MEAN_STEPS, strict=True)]
        for k, tau in enumerate(taus):
            if silent:
                self.means[k] += (taken - (self.day.get(hour, 0) if k == 3 else 0) - self.means[k]) * dt / (dt + tau)
            self.means[k] += (taken - self.means[k]) * max(share, min(1, passed / tau))
        m6, m24, m96, m288 = self.means
        rate = min(1, 0.1 / 300 * passed)
        dev = taken - m288
        if hour in self.day:
            r = dev - self.day[hour]
            self.day[hour] += rate * r
            self.day_scale[hour] += rate * (min(abs(r), 4 * self.spread) - self.day_scale[hour])
        else:
            r, self.day[hour], self.day_scale[hour] = 0.0, dev, self.spread
        self.spread += (abs(r) - self.spread) * max(share, min(1, passed / max(300_000, 100 * self.step)))
        self.size = 0.5 * (self.day_scale[hour] + self.spread) + 1e-3 * abs(m288) + 1e-9
        rz = r / self.size
        if week_hour in self.week:
            rw = taken - self.week[week_hour]
            self.week[week_hour] += min(1, 1.5 * rate) * rw
        else:
            rw, self.week[week_hour] = (r if self.span >= 600_000 else 0.0), taken
        for k, (value, tau) in enumerate(((r, taus[0]), (rz, taus[0]), (rw, taus[0]), (rw, taus[1]))):
            self.smooth[k] += (value - self.smooth[k]) * min(1, passed / tau)
        s_r, s_rz, s_rw, s_rw_slow = self.smooth
        return [x, x - last, x - m24, m6 - m96, m24 - m288, r, s_r, x - m288, rw, s_rw, s_rw_slow, rz, s_rz]

    def _need(self, k: int, low: float, high: float) -> float:
        early = self.maturity * MATURE_H[k] * 3600 / (max(self.span - BORN_H[k] * 3600, 0) + 1)
        early = min(early, 8) if k < 2 else early**2
        floor = 1e-9 + (1e-3 * abs(self.means[3]) if k == 0 else 0)
        return self.excess * (1 + (self.ease / max(self.n, 1)) ** 2 + early) * (high - low + floor)

    def _vote(self, x: float, features: list[float]) -> tuple[float, int]:
        best, which = 0.0, -1
        for k, v in enumerate(features):
            low, high = self.bands[k]
            reach = STILL[k] * abs(self.means[3]) / (1 if k < 11 else self.size)
            out = max(0.0, v - max(high, (low + high) / 2 + reach), min(low, (low + high) / 2 - reach) - v)
            heard = self.n > self.warm and (k < 2 or (high > low and self.span > BORN_H[k] * 3600))
            heard = heard and (not 8 <= k <= 10 or self.span >= 700_000)
            g = out / (out + self._need(k, low, high)) if heard else 0.0
            if g > self.votes[k]:
                self.votes[k] = g
                if g > best:
                    best, which = g, k
        total = sum(self.votes)
        return (total, which) if which >= 0 and total > self.peak else (0.0, -1)

    def _learn(self, features: list[float], dt: float, onset: float) -> None:
        self.epoch += min(dt, self.step)
        turn = self.epoch > max(self.epoch_s, 500 * self.step)
        for k, v in enumerate(features):
            low, high = self.bands[k]
            if turn:
                pull = 0.25 * (high - low)
                low, high = low + pull * (not self.near[k][0]), high - pull * (not self.near[k][1])
                self.near[k] = [False, False]
            middle = (low + high) / 2
            self.near[k] = [self.near[k][0] or v <= middle, self.near[k][1] or v >= middle]
            most = self.stretch * (high - low) if self.n > 100 and high > low else math.inf
            self.bands[k] = [max(min(v, low), low - most), min(max(v, high), high + most)]
            self.votes[k] /= 1 + dt / self.step * (1 / self.decay - 1)
            self.votes[k] *= self.votes[k] > 1e-4
        self.epoch *= not turn
        self.age = 0 if onset else self.age + dt
        self.peak = onset or self.peak
        if self.age > max(self.rearm_s, 100 * self.step):
            self.peak = self.age = 0

    def _level_of(self, x: float, hour: int) -> tuple[float, float, float]:
        low, high = self.bands[0] if self.bands else (0.0, 0.0)
        size = self.level_spread + 0.002 * (high - low) + 1e-3 * abs(self.level) + 1e-9
        far = x - self.day_level.get(hour, 0) - self.level
        far = min(max(far, -100 * size), 100 * size) if self.n > 100 else far
        self.fast += (self.level + far - self.fast) / 3
        distance = self.fast - self.level
        z, doubt = abs(distance) / size, (self.ease / max(self.n, 1)) ** 2 + self.maturity * 8 * 3600 / (self.span + 1)
        return z / (1 + doubt * (1 + z / 30)) * (self.n > self.warm), distance, size

    def _learn_level(self, x: float, hour: int, distance: float, size: float, passed: float) -> None:
        usual = x - self.day_level.get(hour, 0) - self.level
        if self.n > 100:
            distance = min(max(distance, -5 * size), 5 * size)
            usual = min(max(usual, -5 * size), 5 * size)
            self.day_level[hour] = self.day_level.get(hour, 0) + min(1, passed * 0.5 / 3600) * usual
        a = max(1 / (self.n + 1), min(1, passed / 1_200_000))
        self.level += a * distance
        self.level_spread += a * (abs(distance) - self.level_spread)
