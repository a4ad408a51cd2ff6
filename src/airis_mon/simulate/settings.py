"""What world is wanted, and why some worlds cannot be had."""

from __future__ import annotations

from dataclasses import dataclass

from airis_mon.errors import InputError, Refusal
from airis_mon.simulate.classics import CLASSICS
from airis_mon.simulate.kinds import KINDS

TOPOLOGIES = (*CLASSICS, "random")
START_MS = 1_767_571_200_000
"""2026-01-05, a Monday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One world's settings, checked: raises InputError naming field, value, limit and remedy.

    services: of a random topology only. faults_per_day: expected, over long times. amplitude, noise and dirt multiply
    what the version was frozen with (0 = none). edges_wrong: share of the published graph's edges that are missing, and
    as many that are extra. history_days: faults before that are the history's and not to be scored. kinds: only these
    faults.
    """

    topology: str = "shop"
    services: int = 20
    days: float = 14.0
    step_s: float = 15.0
    start_ms: int = START_MS
    faults_per_day: float = 4.0
    amplitude: float = 1.0
    noise: float = 1.0
    dirt: float = 1.0
    edges_wrong: float = 0.1
    history_days: float = 0.0
    histogram: bool = True
    kinds: tuple[str, ...] = tuple(KINDS)

    def __post_init__(self) -> None:
        _one_of("topology", self.topology, TOPOLOGIES)
        for kind in self.kinds:
            _one_of("kinds", kind, tuple(KINDS))
        _need(bool(self.kinds), "kinds", "()", "at least one fault kind is needed; faults_per_day 0 means none")
        _between("services", self.services, 8, 200, "a smaller or larger graph was never checked")
        _between("days", self.days, 1 / 24, 366, "take a longer world in pieces, with start_ms and the same seed")
        _between("step_s", self.step_s, 1, 300, "faults of minutes could not be seen at a longer step")
        _between("start_ms", self.start_ms, 0, 4_102_444_800_000, "the years 1970 to 2100 are known")
        _between("faults_per_day", self.faults_per_day, 0, 288, "a fault needs minutes to be felt, and some quiet")
        _between("amplitude", self.amplitude, 0.01, 100, "for no faults at all set faults_per_day to 0")
        _between("noise", self.noise, 0, 10, "beyond it nothing else is left")
        _between("dirt", self.dirt, 0, 10, "beyond it nothing else is left")
        _between("edges_wrong", self.edges_wrong, 0, 0.9, "a graph with less truth is no graph")
        _between("history_days", self.history_days, 0, self.days, "the history is a part of the days")
        _need(float(self.step_s * 1000).is_integer(), "step_s", f"{self.step_s:g}", "it must be whole milliseconds")
        self._check_density()

    def _check_density(self) -> None:
        steps = 86_400 / self.step_s / max(self.faults_per_day, 1e-9)
        reason = (
            f"between two faults lie {steps:.0f} steps of {self.step_s:g} s, fewer than 10; take fewer or a shorter"
        )
        _need(steps >= 10, "faults_per_day", f"{self.faults_per_day:g}", f"{reason} step")

    @property
    def step_ms(self) -> int:
        """The step in whole milliseconds."""
        return round(self.step_s * 1000)

    @property
    def end_ms(self) -> int:
        """The end of the days."""
        return self.start_ms + round(self.days * 86_400_000)

    @property
    def steps(self) -> int:
        """Scrapes in the days."""
        return (self.end_ms - self.start_ms) // self.step_ms


def check_seed(seed: int) -> None:
    """Raises InputError for a seed that is none."""
    _need(0 <= seed < 2**63, "seed", str(seed), "must be at least 0 and below 2^63; any such number is a world")


def _between(field: str, value: float, low: float, high: float, reason: str) -> None:
    limit = f"must be at least {low:g} and at most {high:g}"
    _need(low <= value <= high, field, f"{value:g}", f"{limit}: {reason}")


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    _need(value in known, field, repr(value), f"is unknown; choose from {', '.join(known)}")


def _need(holds: bool, field: str, value: str, reason: str) -> None:
    if not holds:
        raise InputError(f"simulate: {field} = {value}: {reason}", (Refusal(field, value, reason),))
