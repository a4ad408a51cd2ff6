"""What is asked of well-known exporters, and which limit holds for which series."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.limitrows import LabelRows, limits_for, nameless_labels
from airis_mon.app.limits import KNOWN, Limit, all_limits, metrics_of, narrowed
from airis_mon.app.limitwatch import falls
from airis_mon.errors import ConfigError
from airis_mon.explain.prediction import KINDS
from airis_mon.query.engine import Deadline
from airis_mon.query.values import Vector
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps
from tests.app.memory import T0, Memory

A, B = (("host", "a"),), (("host", "b"),)


RISING = [x for x in KNOWN if not x.is_deadline]
TOLD = {
    "kube_resourcequota": (
        'kube_resourcequota{namespace="shop",resource="pods",type="used"} 40',
        'kube_resourcequota{namespace="shop",resource="pods",type="hard"} 60',
    ),
    "pg_stat_activity_count": (
        'pg_stat_activity_count{server="db:5432",datname="shop",state="active"} 30',
        'pg_stat_activity_count{server="db:5432",datname="shop",state="idle"} 10',
        'pg_settings_max_connections{server="db:5432"} 60',
    ),
    "system_filesystem_usage_bytes": (
        'system_filesystem_usage_bytes{mountpoint="/",type="ext4",state="used"} 38',
        'system_filesystem_usage_bytes{mountpoint="/",type="ext4",state="reserved"} 2',
        'system_filesystem_usage_bytes{mountpoint="/",type="ext4",state="free"} 20',
        'system_filesystem_usage_bytes{mountpoint="/run",type="tmpfs",state="free"} 20',
    ),
    "system_memory_usage_bytes": (
        'system_memory_usage_bytes{host="a",state="used"} 40',
        'system_memory_usage_bytes{host="a",state="cached"} 15',
        'system_memory_usage_bytes{host="a",state="free"} 5',
        'system_memory_usage_bytes{host="a",state="slab_reclaimable"} 3',
    ),
}
"""Of exporters that tell both sides in one metric, or with different labels; by metric."""


def name(limit: Limit) -> str:
    return f"{limit.kind} {min(metrics_of(limit.used))}"


def told(limit: Limit) -> tuple[str, ...]:
    """40 of 60, as the exporter tells it."""
    used, most = metrics_of(limit.used), metrics_of(limit.limit)
    if lines := TOLD.get(min(used)):
        return lines
    labels = '{host="a",fstype="ext4",volume="C:",container="app"}'
    if used & most:  # the limit, and what of it is free
        return (*(f"{m}{labels} 60" for m in used & most), *(f"{m}{labels} 20" for m in used - most))
    return (*(f"{m}{labels} 40" for m in used), *(f"{m}{labels} 60" for m in most))


@pytest.mark.parametrize("limit", [x for x in RISING if x.unit != "ratio"], ids=name)
def test_a_known_limit_gives_what_is_used_and_its_limit_as_the_exporter_tells_them(limit: Limit) -> None:
    memory = Memory()
    for line in told(limit):
        series, value = line.rsplit(" ", 1)
        memory.put(series, float(value))
    used, most = ask(memory, limit.used), ask(memory, limit.limit)
    assert (used.value.tolist(), most.value.tolist()) == ([[40.0]], [[60.0]])
    assert limits_for(nameless_labels(used.labels), nameless_labels(most.labels)).tolist() == [0]


def test_every_kind_of_the_known_limits_has_its_words() -> None:
    assert {limit.kind for limit in KNOWN} - KINDS.keys() == set()


@pytest.mark.parametrize("limit", [x for x in KNOWN if x.is_deadline], ids=name)
def test_a_known_deadline_is_a_unix_time(limit: Limit) -> None:
    memory = Memory()
    (metric,) = metrics_of(limit.used)
    end_s = T0 // 1000 + 9 * 86_400
    memory.put(metric, 9.0 if "days" in metric else 9 * 86_400.0 if "ttl" in metric else float(end_s))
    assert ask(memory, limit.used).value.tolist() == [[end_s]]


@pytest.mark.parametrize("limit", KNOWN, ids=name)
def test_a_known_limit_narrowed_to_labels_means_only_them(limit: Limit) -> None:
    memory = Memory()
    for metric in sorted(metrics_of(limit.used)):
        for host in "ab":
            memory.put(f'{metric}{{host="{host}",state="used",type="used"}}', 7.0)
    everything = ask(memory, limit.used)
    wanted = next(x for x in everything.labels if ("host", "b") in x)
    found = ask(memory, narrowed(limit.used, without(wanted, METRIC)))
    assert list(found.labels) == [wanted]


def ask(memory: Memory, text: str) -> Vector:
    found = memory.engine.query(text, Steps.at(T0 + 1000), Deadline.after(9)).value
    assert isinstance(found, Vector)
    return found


def test_disks_in_memory_and_images_are_not_watched() -> None:
    memory = Memory()
    for kind in ("ext4", "tmpfs", "squashfs", "overlay"):
        for metric in ("node_filesystem_size_bytes", "node_filesystem_avail_bytes"):
            memory.put(f'{metric}{{fstype="{kind}"}}', 5.0)
    (disk,) = [x for x in KNOWN if x.kind == "disk" and "node_" in x.used]
    assert [dict(x)["fstype"] for x in ask(memory, disk.used).labels] == ["ext4"]


def test_a_limit_misses_a_metric_when_a_side_has_none_of_its_metrics() -> None:
    limit = Limit("disk", "size - free", "size > 0")
    assert limit.missing({"size", "free"}) == ""
    assert limit.missing({"free"}) == "size"
    assert limit.missing(set()) == "free, size"
    assert Limit("odd", '{__name__=~"a.*"}', "7").missing(set()) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("used", 'used{host="a"}'),
        ("used - used_free", 'used{host="a"} - used_free{host="a"}'),
        ('sum without (x) (used{y="used"})', 'sum without (x) (used{host="a",y="used"})'),
        ("used * on (host) size", "used * on (host) size"),
        ('label_replace(used, "host", "$1", "h", "(.*)")', 'label_replace(used, "host", "$1", "h", "(.*)")'),
        ("100", "100"),
        ("used{x='used'} / size", 'used{host="a",x=\'used\'} / size{host="a"}'),
        (r'used{x="\" used", y=`used`}', r'used{host="a",x="\" used", y=`used`}'),
        ('used {used!~"a|used"} # used', 'used{host="a",used!~"a|used"} # used'),
        ("sum by (used) (used{})", 'sum by (used) (used{host="a"})'),
        ("rate(rate[5m])", 'rate(rate{host="a"}[5m])'),
        ('count_values("used", used)', 'count_values("used", used{host="a"})'),
    ],
)
def test_labels_are_added_where_they_are_those_of_the_selectors(text: str, expected: str) -> None:
    assert narrowed(text, A) == expected
    assert narrowed(text, ()) == text


def test_labels_are_added_with_their_quotes() -> None:
    assert narrowed("used", (("path", 'C:\\"x"'),)) == r'used{path="C:\\\"x\""}'


def test_the_settings_add_to_the_known_limits_or_stand_alone() -> None:
    own = Limit("pool", "pool_used", "pool_size")
    assert all_limits([own]) == (*KNOWN, own)
    assert all_limits([own], is_known=False) == (own,)


@pytest.mark.parametrize(("field", "limit"), [("used", Limit("x", "a{")), ("limit", Limit("x", "a", "b +"))])
def test_a_limit_that_is_no_promql_is_refused_by_its_setting(field: str, limit: Limit) -> None:
    with pytest.raises(ConfigError, match=rf"predict\.limits\[1\]\.{field} = .* is no PromQL"):
        all_limits([Limit("ok", "a"), limit])


def test_a_deadline_with_a_limit_is_refused_by_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"predict\.limits\[0\]\.limit = 'b' says nothing beside .*; leave it out"):
        all_limits([Limit("licence", "a", "b", is_deadline=True)])


def test_a_limit_holds_for_the_same_labels_or_for_those_that_it_lacks() -> None:
    used: list[Labels] = [A, B, (("host", "a"), ("mount", "/")), (("host", "c"),)]
    assert limits_for(used, [B, A]).tolist() == [1, 0, 1, -1]
    assert limits_for(used, [()]).tolist() == [0, 0, 0, 0]
    assert limits_for(used, [(), A]).tolist() == [1, 0, 1, 0]
    assert limits_for(used, []).tolist() == [-1] * 4


def test_rows_are_given_out_once_up_to_the_most_and_again_when_they_are_free() -> None:
    rows = LabelRows(2)
    assert rows.take([A, B, (), A]).tolist() == [0, 1, -1, 0]
    rows.forget(np.array([0]))
    assert (len(rows), rows.find(A)) == (1, None)
    assert rows.take([(), B]).tolist() == [0, 1]
    assert (rows.size, rows.labels) == (2, [(), B])


def test_falls_are_counted_that_gave_back_half_of_a_rise_of_this_height() -> None:
    share = np.concatenate([np.linspace(0.2, 0.8, 30), np.linspace(0.2, 0.5, 30), np.linspace(0.1, 0.8, 30), [0.3]])
    share[5] = np.nan
    t = np.arange(len(share), dtype=np.int64) * 1000
    assert falls(t, share, 0.7) == [30_000, 90_000]
    assert falls(t, share, 0.4) == [30_000, 60_000, 90_000]
    assert falls(t, share * 1.24, 0.7) == []  # full each time
