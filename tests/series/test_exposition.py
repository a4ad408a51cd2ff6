import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open
from prometheus_client.parser import text_string_to_metric_families

from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.exposition import Exposition, attach, parse_series
from airis_mon.series.labels import canonical, series_name

OPEN = "application/openmetrics-text; version=1.0.0"


def read(text, **kw):
    page = Exposition(Catalogue(), **kw)
    return page, page.parse(text.encode(), now_ms=1000)


def named(page, batch):
    return [
        (series_name(page.catalogue.labels(s)), t, v)
        for s, t, v in zip(batch.sid.tolist(), batch.t.tolist(), batch.value.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("line", "series", "t", "value"),
    [
        ("up 1", "up", 1000, 1.0),
        ("up 1 5000", "up", 5000, 1.0),
        ("up\t1\t-5", "up", -5, 1.0),
        ("up  1", "up", 1000, 1.0),
        ("up  1  5000 ", "up", 5000, 1.0),
        ("up 1\t5000", "up", 5000, 1.0),
        ('a{b="c"} +Inf', 'a{b="c"}', 1000, math.inf),
        ('a{b="c",} -2.5e3', 'a{b="c"}', 1000, -2500.0),
        ('a { b = "c" , d="e" } 3', 'a{b="c",d="e"}', 1000, 3.0),
        ('a{b="x y} \\" \\\\ \\n"} 3', 'a{b="x y} \\" \\\\ \\n"}', 1000, 3.0),
        ("a{} 3", "a", 1000, 3.0),
        ('{"a.b",c="d"} 3', 'a.b{c="d"}', 1000, 3.0),
        ('{"a.b","c.d"="e"} 3 7', 'a.b{c.d="e"}', 7, 3.0),
        ('a{b=""} 3\r', "a", 1000, 3.0),
        ('a{b="ü"} 3', 'a{b="ü"}', 1000, 3.0),
    ],
)
def test_a_line_is_read_the_first_and_the_second_time(line, series, t, value):
    page, first = read(line)
    second = page.parse(line.encode(), now_ms=1000)
    assert named(page, first) == named(page, second) == [(series, t, value)]
    assert first.refused == second.refused == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("up", "a value must follow"),
        ("up x", "no number"),
        ("up 1_0", "no number"),
        ("up 1 2 3", "at most a timestamp"),
        ("up 1 nan", "is no time"),
        ("up 1 1e30", "is no time"),
        ("up 1 soon", "could not convert"),
        ("9up 1", "is no metric name"),
        ('a{b="c" 1', "not closed"),
        ('a{b="c"d="e"} 1', "malformed"),
        ("a{b} 1", "'b' has no value"),
        ("a{b=c} 1", "malformed"),
        ('a{b="1",b="2"} 1', "'b' stands twice"),
        ('{b="1"} 1', "'__name__' (the metric's name) is missing"),
        ('a{b="\udcff"} 1', "utf-8"),
    ],
)
def test_a_broken_line_is_refused_by_number_and_the_others_kept(line, reason):
    page = Exposition(Catalogue())
    body = b"good 1\n" + line.encode(errors="surrogateescape") + b"\nbetter 2\n"
    for _ in range(2):
        batch = page.parse(body, now_ms=1000)
        assert batch.value.tolist() == [1.0, 2.0]
        assert batch.refused == 1
        assert batch.refusals[0].path == "line 2"
        assert reason in batch.refusals[0].reason


def test_type_lines_give_types():
    page, _ = read("# HELP a some help\n# TYPE a counter\n# TYPE b histogram\n# a remark\n# TYPE c untyped\n")
    assert page.catalogue.types == {"a": MetricType.COUNTER, "b": MetricType.HISTOGRAM}


def test_open_metrics_counts_seconds_drops_exemplars_and_ends_with_eof():
    text = '# TYPE a counter\na_total{b="c"} 5 12.5 # {trace="x"} 0.5\na_total{b="d"} 5 # {trace="x"} 0.5\n# EOF\n'
    page = Exposition(Catalogue())
    batch = page.parse(text.encode(), OPEN, 1000)
    assert named(page, batch) == [('a_total{b="c"}', 12_500, 5.0), ('a_total{b="d"}', 1000, 5.0)]
    assert batch.refused == 0


def test_an_open_metrics_page_that_is_cut_off_says_so():
    page = Exposition(Catalogue())
    batch = page.parse(b"a 1\nb", OPEN, 1000)
    assert len(batch) == 1
    assert "'# EOF' is missing" in batch.refusals[-1].reason
    after = page.parse(b"# EOF\na 1\n", OPEN, 1000)
    assert (len(after), after.refused) == (0, 1)


def test_timestamps_can_be_left_aside():
    page, batch = read("up 1 5000", honor_timestamps=False)
    assert named(page, batch) == [("up", 1000, 1.0)]


def test_the_targets_labels_win_unless_labels_are_honoured():
    target = {"job": "node", "instance": "h:1"}
    line = 'a{job="x",exported_instance="y",instance="z"} 1'
    page, batch = read(line, name=attach(target))
    assert named(page, batch)[0][0] == (
        'a{exported_exported_instance="z",exported_instance="y",exported_job="x",instance="h:1",job="node"}'
    )
    page, batch = read(line, name=attach(target, honor_labels=True))
    assert named(page, batch)[0][0] == 'a{exported_instance="y",instance="z",job="x"}'


def test_series_beyond_the_limit_are_refused():
    page = Exposition(Catalogue(max_series=1))
    batch = page.parse(b"a 1\nb 2\n", now_ms=1)
    assert (len(batch), batch.refused) == (1, 1)
    assert "limits.max_series" in batch.refusals[0].reason


def test_evicted_series_are_learned_anew():
    page, batch = read("a 1")
    page.catalogue.observe(batch)
    page.catalogue.evict(10_000)
    assert named(page, page.parse(b"a 2", now_ms=1000)) == [("a", 1000, 2.0)]


def test_texts_that_came_once_are_forgotten():
    page = Exposition(Catalogue(max_series=10_000))
    for i in range(30):
        page.parse("".join(f"a{{i={chr(34)}{i}-{k}{chr(34)}}} 1\n" for k in range(100)).encode(), now_ms=1)
    assert len(page._sids) < 1300


def test_pages_of_the_reference_client_are_read_in_full():
    registry = CollectorRegistry()
    Counter("c", "a counter", ["l"], registry=registry).labels('x"y\\z\nw').inc(2)
    Gauge("g", "a gauge", registry=registry).set(-1.5)
    Histogram("h", "a histogram", registry=registry).observe(0.3)
    Summary("s", "a summary", registry=registry).observe(4)
    for text, kind in ((generate_latest(registry), ""), (generate_open(registry), OPEN)):
        page = Exposition(Catalogue())
        batch = page.parse(text, kind, 1000)
        theirs = {}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            theirs.update({canonical([("__name__", s.name), *s.labels.items()]): s.value for s in family.samples})
        ours = {page.catalogue.labels(s): v for s, v in zip(batch.sid.tolist(), batch.value.tolist(), strict=True)}
        assert ours == theirs
        assert batch.refused == 0


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), WORDS, max_size=4))
def test_what_series_name_writes_is_read_back(pairs):
    labels = canonical([("__name__", "m"), *((n, v) for n, v in pairs.items() if n != "__name__")])
    assert canonical(parse_series(series_name(labels).encode())) == labels


LINES = st.text(st.sampled_from('ab_{}=",\\# \t\n1.eE+-NIinf'), max_size=60) | st.binary(max_size=60).map(
    lambda b: b.decode("latin-1")
)


@settings(max_examples=500)
@given(LINES, st.sampled_from(["", OPEN]))
def test_any_text_gives_a_batch(text, kind):
    page = Exposition(Catalogue())
    first, second = page.parse(text.encode("latin-1"), kind, 5), page.parse(text.encode("latin-1"), kind, 5)
    assert first.sid.tolist() == second.sid.tolist()
    assert first.t.tolist() == second.t.tolist()
    assert np.array_equal(first.value, second.value, equal_nan=True)
    assert first.refusals == second.refusals


def test_long_lines_are_read_in_linear_time():
    hostile = (
        b'a{b="' + b"\\" * 200_001 + b"\n" + b"a{" * 100_000 + b"\n" + b" " * 200_000 + b"\n" + b'a{b="c"' * 50_000
    )
    start = time.process_time()
    Exposition(Catalogue()).parse(hostile)
    assert time.process_time() - start < 2.0
