"""Notifications of one route, by example and against a server that is stepped through flush by flush."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from airis_mon.correlate.group import SWEEP_MS, Firing, Grouping, Notification, group_of, notifications
from airis_mon.series.labels import Labels

S, MIN = 1000, 60_000
QUICK = Grouping(("alertname",), wait_ms=30 * S, interval_ms=5 * MIN, repeat_ms=60 * MIN)


def alert(name: str, instance: str = "a") -> Labels:
    return (("alertname", name), ("instance", instance))


def told(*firings: Firing, grouping: Grouping = QUICK, until: int = 600 * MIN) -> list[tuple[float, str, str]]:
    """(seconds, instances that fire, instances that are resolved) of each message."""
    return [(n.t / S, _names(n.firing), _names(n.resolved)) for n in notifications(firings, grouping, until)]


def _names(some: tuple[Labels, ...]) -> str:
    return "".join(dict(labels)["instance"] for labels in some)


def test_first_message_comes_after_the_wait_with_all_that_came_meanwhile() -> None:
    firings = [Firing(alert("x", "a"), 0, None), Firing(alert("x", "b"), 29 * S, None)]
    assert told(*firings, until=MIN) == [(30, "ab", "")]


def test_alert_that_comes_after_the_first_message_waits_for_the_interval() -> None:
    firings = [Firing(alert("x", "a"), 0, None), Firing(alert("x", "b"), 31 * S, None)]
    assert told(*firings, until=6 * MIN) == [(30, "a", ""), (330, "ab", "")]


def test_alert_that_ends_within_the_wait_of_a_new_group_is_told_to_nobody() -> None:
    assert told(Firing(alert("x"), 0, 29 * S)) == []


def test_alert_that_came_and_went_between_two_flushes_is_told_as_resolved_beside_one_that_fires() -> None:
    firings = [Firing(alert("x", "a"), 0, None), Firing(alert("x", "b"), 40 * S, 50 * S)]
    assert told(*firings, until=20 * MIN) == [(30, "a", ""), (330, "a", "b")]


def test_alert_that_came_and_went_between_two_flushes_of_a_silent_group_is_told_to_nobody() -> None:
    again = Firing(alert("x", "b"), 331 * S, 340 * S)  # the group is empty, but not swept yet
    assert told(Firing(alert("x", "a"), 0, 40 * S), again) == [(30, "a", ""), (330, "", "a")]


def test_end_is_told_once_and_nothing_after_it() -> None:
    assert told(Firing(alert("x"), 0, 31 * S)) == [(30, "a", ""), (330, "", "a")]


def test_one_of_two_ends_and_the_other_is_told_to_fire_still() -> None:
    firings = [Firing(alert("x", "a"), 0, 40 * S), Firing(alert("x", "b"), 0, None)]
    assert told(*firings, until=20 * MIN) == [(30, "ab", ""), (330, "b", "a")]


def test_alert_that_is_away_only_between_two_flushes_was_never_away() -> None:
    firings = [Firing(alert("x"), 0, 40 * S), Firing(alert("x"), 50 * S, None)]
    assert told(*firings, until=20 * MIN) == [(30, "a", "")]


def test_nothing_new_is_repeated_at_the_first_flush_after_the_repeat_interval() -> None:
    odd = Grouping(("alertname",), 30 * S, 5 * MIN, 11 * MIN)
    times = [t for t, _, _ in told(Firing(alert("x"), 0, None), grouping=odd, until=35 * MIN)]
    assert times == [30, 30 + 15 * 60, 30 + 30 * 60]


def test_repeat_counts_from_the_last_message_of_the_group() -> None:
    firings = [Firing(alert("x", "a"), 0, None), Firing(alert("x", "b"), 50 * MIN, None)]
    assert [t for t, _, _ in told(*firings, until=120 * MIN)] == [30, 30 + 50 * 60, 30 + 110 * 60]


def test_alert_after_the_sweep_makes_a_new_group_which_waits() -> None:
    firings = [Firing(alert("x", "a"), 10 * S, 41 * S), Firing(alert("x", "b"), 361 * S, None)]
    assert told(*firings, until=20 * MIN)[-1] == (391, "b", "")


def test_alert_before_the_sweep_waits_for_the_interval_of_the_empty_group() -> None:
    firings = [Firing(alert("x", "a"), 10 * S, 41 * S), Firing(alert("x", "b"), 359 * S, None)]
    assert told(*firings, until=20 * MIN)[-1] == (640, "b", "")


def test_phase_of_the_sweeps_is_that_of_the_server() -> None:
    firings = [Firing(alert("x", "a"), 10 * S, 41 * S), Firing(alert("x", "b"), 342 * S, None)]
    last = [notifications(firings, QUICK, 20 * MIN, swept_from=phase)[-1].t for phase in (0, 11 * S)]
    assert last == [640 * S, 372 * S]


def test_groups_are_made_of_the_labels_asked_for() -> None:
    labels = (("alertname", "x"), ("instance", "a"), ("zone", "1"))
    assert group_of(labels, ("zone", "alertname", "team")) == (("alertname", "x"), ("zone", "1"))
    assert group_of(labels, ("...",)) == labels
    assert group_of(labels, ()) == ()


def test_groups_know_nothing_of_each_other() -> None:
    one, other = Firing(alert("x"), 0, None), Firing(alert("y"), 10 * S, 20 * MIN)
    together = notifications([one, other], QUICK, 100 * MIN)
    assert together == sorted(
        notifications([one], QUICK, 100 * MIN) + notifications([other], QUICK, 100 * MIN), key=lambda n: (n.t, n.group)
    )


def test_without_alerts_there_are_no_messages() -> None:
    assert notifications([], QUICK, 100 * MIN) == []


# --- against every tick of the clock ------------------------------------------------------------------------------


@dataclass
class Server:
    """One group as the program has it: every tick of a second is gone through, nothing is passed over."""

    grouping: Grouping
    exists: bool = False
    next_flush: int = 0
    held: dict[Labels, int | None] = field(default_factory=dict)
    log: tuple[int, frozenset[Labels], frozenset[Labels]] | None = None
    sent: list[Notification] = field(default_factory=list)

    def tick(self, t: int, came: list[Firing]) -> None:
        self.sweep(t)
        if came and not self.exists:
            self.exists, self.next_flush = True, t + self.grouping.wait_ms
        self.held |= {one.labels: one.end for one in came}
        if self.exists and t == self.next_flush:
            self.next_flush += self.grouping.interval_ms
            self.flush(t)
            self.sweep(t)

    def sweep(self, t: int) -> None:
        if not self.held and t % SWEEP_MS == 0:
            self.exists = False

    def flush(self, t: int) -> None:
        resolved = frozenset(x for x, end in self.held.items() if end is not None and end <= t)
        firing = frozenset(self.held) - resolved
        self.held = {x: end for x, end in self.held.items() if x in firing}
        if (firing or resolved) and self.needs(t, firing, resolved):
            self.log = (t, firing, resolved)
            group = group_of(next(iter(firing | resolved)), self.grouping.by)
            self.sent.append(Notification(t, group, tuple(sorted(firing)), tuple(sorted(resolved))))

    def needs(self, t: int, firing: frozenset[Labels], resolved: frozenset[Labels]) -> bool:
        if self.log is None:
            return len(firing) > 0
        at, before, ended = self.log
        if firing - before:
            return True
        if not firing:
            return len(before) > 0
        return bool(resolved - ended) or at + self.grouping.repeat_ms <= t


seconds = st.integers(0, 300)
drawn = st.lists(st.tuples(st.sampled_from("abc"), seconds, st.integers(1, 80), st.booleans()), max_size=14)


@given(drawn, st.integers(0, 50), st.integers(1, 60), st.integers(1, 200))
def test_passing_over_quiet_flushes_changes_nothing(
    some: list[tuple[str, int, int, bool]], wait: int, interval: int, repeat: int
) -> None:
    grouping = Grouping(("alertname",), wait * S, interval * S, repeat * S)
    firings, busy_until = [], {"a": -1, "b": -1, "c": -1}
    for name, start, length, lasts in sorted(some, key=lambda x: x[1]):
        if start > busy_until[name]:
            busy_until[name] = 10_000 if lasts else start + length
            firings.append(Firing(alert("x", name), start * S, None if lasts else (start + length) * S))
    server = Server(grouping)
    for t in range(0, 500 * S, S):
        server.tick(t, [one for one in firings if one.start == t])
    assert notifications(firings, grouping, 499 * S) == server.sent


@given(st.lists(st.tuples(seconds, st.integers(0, 80)), min_size=1, max_size=8))
def test_overlapping_alerts_of_the_same_labels_are_one(spans: list[tuple[int, int]]) -> None:
    together = [Firing(alert("x"), a * S, (a + n + 1) * S) for a, n in spans]
    seconds_on = {t for a, n in spans for t in range(a, a + n + 1)}
    edges = (
        sorted(t for t in seconds_on if t - 1 not in seconds_on),
        sorted(t + 1 for t in seconds_on if t + 1 not in seconds_on),
    )
    apart = [Firing(alert("x"), a * S, b * S) for a, b in zip(*edges, strict=True)]
    assert notifications(together, QUICK, 100 * MIN) == notifications(apart, QUICK, 100 * MIN)
