"""What every SeriesStore promises, on the embedded engine and over HTTP with the real client."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence

import numpy as np
import pytest

from airis_mon.errors import InputError, StoreError, TooLarge
from airis_mon.events.anomaly import Anomaly
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels, canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.base import Columns, Matcher, SeriesRow
from tests.store.conftest import Open

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.parametrize("open_store", ["embedded", "http"], indirect=True),
]
T = 1_760_000_400_000  # a whole hour
HOUR, MINUTE = 3_600_000, 60_000
NASTY = "'; DROP TABLE samples; -- \\ \" \n \t \0 {tenant:String} %s é 한국 \\' /* ` $$"


def labels(metric: str, **rest: str) -> Labels:
    return canonical([("__name__", metric), *rest.items()])


def known(*names: Labels) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.intern(name)
    return catalogue


def batch(rows: Sequence[tuple[int, int, float]]) -> Batch:
    sid, t, value = zip(*rows, strict=True)
    return Batch(np.array(sid, np.int32), np.array(t, np.int64), np.array(value, np.float64))


def note(store: ClickHouse, catalogue: Catalogue, last_seen: int = T) -> None:
    store.write_series([SeriesRow(int(catalogue.fp[s]), catalogue.labels(s), last_seen) for s in catalogue])


def fps(catalogue: Catalogue) -> list[int]:
    return [int(catalogue.fp[s]) for s in catalogue]


def rows(columns: Columns) -> list[tuple[int, int, int]]:
    return list(zip(columns.fp.tolist(), columns.t.tolist(), columns.value.view(np.int64).tolist(), strict=True))


def bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


def test_samples_come_back_bit_for_bit_ordered_by_series_and_time(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("b", x="1"), labels("a"), labels("b", x="2"))
    values = [1.5, float(STALE), math.nan, math.inf, -math.inf, -0.0, 0.1 + 0.2, 1e300, 5e-324, 2.0**53, 12.25, -7.0]
    sent = [(i % 3, T + 1000 * i, v) for i, v in enumerate(values)]
    store.write(catalogue, batch(sent[::-1]), "t")
    want = sorted((int(catalogue.fp[s]), t, bits(v)) for s, t, v in sent)
    assert rows(store.samples(fps(catalogue), T, T + HOUR)) == want


def test_many_random_batches_equal_a_dictionary(open_store: Open) -> None:
    rng = np.random.default_rng(3)
    store, catalogue = open_store(), known(*[labels(f"m{i % 4}", i=str(i)) for i in range(50)])
    want: dict[tuple[int, int], float] = {}
    for n in range(12):
        sid, t = rng.integers(0, 50, 300), T + rng.integers(0, 400, 300) * 15_000
        value = np.round(rng.normal(0, 100, 300), int(rng.integers(0, 14)))
        store.write(catalogue, Batch(sid.astype(np.int32), t, value), str(n))
        for s, at, v in zip(sid.tolist(), t.tolist(), value.tolist(), strict=True):
            key = (int(catalogue.fp[s]), at)
            want[key] = max(want.get(key, -math.inf), v)
    got = store.samples(fps(catalogue), T, T + 10 * HOUR)
    assert {(f, t): v for f, t, v in zip(got.fp.tolist(), got.t.tolist(), got.value.tolist(), strict=True)} == want
    assert len(got.fp) == len(want)


def test_the_same_token_twice_stores_once_and_another_token_again(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"))
    for token in ("one", "one", "two"):
        store.write(catalogue, batch([(0, T, 1.0), (0, T + 1, 2.0)]), token)
    assert store.size()[1] == 4


def test_of_equal_times_the_greatest_number_is_read_and_nan_only_when_alone(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"))
    sent = [(0, T, 3.0), (0, T, 2.0), (0, T, math.nan), (0, T + 1, float(STALE)), (0, T + 2, math.nan), (0, T + 2, 5.0)]
    for n, row in enumerate(sent):
        store.write(catalogue, batch([row]), str(n))
    fp = fps(catalogue)[0]
    assert rows(store.samples([fp], T, T + 9)) == [
        (fp, T, bits(3.0)),
        (fp, T + 1, bits(float(STALE))),
        (fp, T + 2, bits(5.0)),
    ]


def test_samples_keep_to_their_series_their_time_and_their_limit(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"), labels("b"))
    store.write(catalogue, batch([(s, T + i, float(i)) for s in (0, 1) for i in range(10)]), "t")
    a, b = fps(catalogue)
    assert store.samples([a], T + 2, T + 4).t.tolist() == [T + 2, T + 3, T + 4]
    assert rows(store.samples([], T, T + 10)) == rows(store.samples([1, 2], T, T + 10)) == []
    assert len(store.samples([a, b, *range(100_000)], -(2**62), 2**62, most=20).t) == 20
    with pytest.raises(TooLarge, match="fewer series or a shorter time"):
        store.samples([a, b], T, T + 10, most=19)


def test_with_a_limit_the_first_samples_are_given_and_repeated_rows_count_once(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"))
    sent = [(0, T + i, float(i)) for i in range(10)]
    for n in range(3):  # the senders' retries
        store.write(catalogue, batch([(s, t, v + n) for s, t, v in sent]), str(n))
    (fp,) = fps(catalogue)
    want = [(fp, t, bits(v + 2)) for _, t, v in sent]
    for limit in (1, 3, 4, 9, 10, 11, 50):
        assert rows(store.samples([fp], T, T + HOUR, limit)) == want[:limit], limit
    assert rows(store.samples([fp], T + HOUR, T + 2 * HOUR, 5)) == []


def test_an_empty_batch_writes_nothing(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"))
    store.write(catalogue, Batch(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0)), "t")
    store.write_series([])
    store.write_anomalies([])
    assert store.size()[1] == 0


def test_scan_gives_everything_once_in_pieces_that_follow_each_other(open_store: Open) -> None:
    store, catalogue = open_store(), known(*[labels("m", i=str(i)) for i in range(20)])
    sent = [(s, T + step * 7_200_000 + s, float(step)) for step in range(30) for s in range(20)]
    store.write(catalogue, batch(sent), "t")
    pieces = list(store.scan(T, T + 29 * 7_200_000 + 19, rows=50))
    assert len(pieces) > 5
    assert all(len(p.t) < 100 for p in pieces)
    assert all(p.t.max() < q.t.min() for p, q in itertools.pairwise(pieces))
    got = [r for p in pieces for r in rows(p)]
    want = {(int(catalogue.fp[s]), t, bits(v)) for s, t, v in sent if t > T}
    assert len(got) == len(want)
    assert set(got) == want
    assert list(store.scan(T + 10**12, 2**62)) == []


def test_the_last_sample_of_each_series_before_a_time(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"), labels("b"), labels("c"))
    store.write(
        catalogue, batch([(0, T, 1.0), (0, T + 5, 2.0), (0, T + 9, 9.0), (1, T + 1, 3.5), (2, T - 99, 4.0)]), "t"
    )
    a, b, _ = fps(catalogue)
    want = sorted([(a, T + 5, bits(2.0)), (b, T + 1, bits(3.5))])
    assert rows(store.last_samples(None, T + 5, 50)) == want
    assert rows(store.last_samples([b], T + 5, 50)) == [(b, T + 1, bits(3.5))]


SELECTIONS: list[tuple[list[Matcher], str]] = [
    ([], "abcd"),
    ([Matcher("__name__", "=", "up")], "abc"),
    ([Matcher("__name__", "!=", "up")], "d"),
    ([Matcher("__name__", "=~", "u|down")], "d"),
    ([Matcher("host", "=", "h1")], "a"),
    ([Matcher("host", "!=", "h1")], "bcd"),
    ([Matcher("host", "=", "")], "cd"),
    ([Matcher("host", "!=", "")], "ab"),
    ([Matcher("host", "=~", "h")], ""),
    ([Matcher("host", "=~", "h.")], "ab"),
    ([Matcher("host", "=~", "h1|h2|")], "abcd"),
    ([Matcher("host", "!~", "h.*")], "cd"),
    ([Matcher("text", "=~", "one.two")], "c"),
    ([Matcher("__name__", "=", "up"), Matcher("host", "!=", "h1"), Matcher("host", "=~", ".+")], "b"),
]


def test_series_are_found_by_their_fingerprints_whenever_they_were_seen(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("up", job="a"), labels("up", job="b"))
    note(store, catalogue, T - 400 * 24 * HOUR)
    assert [row.labels for row in store.series_by_fp([fps(catalogue)[1], 12345])] == [labels("up", job="b")]
    assert [row.fp for row in store.series_by_fp(fps(catalogue))] == sorted(fps(catalogue))
    assert store.series_by_fp([]) == []


def test_matchers_select_as_in_promql(open_store: Open) -> None:
    series = [labels("up", host="h1"), labels("up", host="h2"), labels("up", text="one\ntwo"), labels("down")]
    store, catalogue = open_store(), known(*series)
    note(store, catalogue)
    for matchers, found in SELECTIONS:
        got = store.series(matchers)
        assert sorted("abcd"[series.index(r.labels)] for r in got) == list(found), matchers
        assert [r.fp for r in got] == sorted(r.fp for r in got)


def test_text_that_looks_like_sql_is_only_text(open_store: Open) -> None:
    nasty = labels("m" + NASTY, **{"l" + NASTY: NASTY, "__x": "y"})
    store, catalogue = open_store(tenant=NASTY), known(nasty, labels("ok"))
    store.write(catalogue, batch([(0, T, 1.0), (1, T, 2.0)]), NASTY)
    note(store, catalogue)
    for name, value in nasty:
        assert [r.labels for r in store.series([Matcher(name, "=", value)])] == [nasty]
        assert nasty not in [r.labels for r in store.series([Matcher(name, "!=", value)])]
        assert store.series([Matcher(value, "=", name)]) == []
    assert store.series([Matcher("ok'] OR 1 OR labels['", "=", "x")]) == []
    assert len(store.samples(fps(catalogue), T, T).t) == 2
    store.write_anomalies([anomaly(nasty, signal=NASTY, feature=NASTY)])
    assert store.anomalies(None, T, T) == [anomaly(nasty, signal=NASTY, feature=NASTY)]


def test_a_regex_that_re2_does_not_take_is_an_input_error(open_store: Open) -> None:
    store, catalogue = open_store(), known(labels("a"))
    note(store, catalogue)
    for regex in ("(", "*", "(?<=a)b", r"(a)\1"):
        with pytest.raises(InputError, match="RE2"):
            store.series([Matcher("x", "=~", regex)])
    with pytest.raises(InputError, match="none of =~"):
        store.series([Matcher("x", "~", "a")])
    assert store.series([Matcher("x", "=~", "a{2")]) == []  # RE2 takes it as text, as Prometheus does


def test_series_know_their_first_and_last_hour_and_are_found_by_them(open_store: Open) -> None:
    store = open_store()
    fp, name = 2**64 - 1, labels("a", b="c")
    for last in (T + 90 * MINUTE, T + 30 * MINUTE, T + 3 * HOUR + 1):
        store.write_series([SeriesRow(fp, name, last)])
    assert store.series() == [SeriesRow(fp, name, T + 3 * HOUR + 1, T)]
    assert store.series(start=T + 3 * HOUR + 59 * MINUTE)
    assert not store.series(start=T + 4 * HOUR)
    assert store.series(end=T)
    assert not store.series(end=T - 1)


def test_series_are_limited_and_loaded_whole(open_store: Open) -> None:
    store, catalogue = open_store(), known(*[labels("m", i=str(i)) for i in range(500)])
    note(store, catalogue)
    assert [r.fp for r in store.series(limit=7)] == sorted(fps(catalogue))[:7]
    loaded = list(store.load_series())
    assert {r.fp: r.labels for r in loaded} == {int(catalogue.fp[s]): catalogue.labels(s) for s in catalogue}
    assert len(loaded) == 500
    assert list(store.load_series(since=T + HOUR)) == []


def anomaly(
    name: Labels, *, fp: int = 7, t: int = T, score: float = 0.9, signal: str = "value", feature: str = "spike"
) -> Anomaly:
    return Anomaly(fp, name, signal, t, 1.25, score, 3.0, 0.5, 1.0, -math.inf, math.inf, feature)


def test_anomalies_come_newest_first_and_replace_themselves(open_store: Open) -> None:
    store, name = open_store(), labels("a", b="c")
    first, again = anomaly(name), anomaly(name, score=0.95)
    rate, later, other = anomaly(name, signal="rate"), anomaly(name, t=T + 5), anomaly(name, fp=8, t=T + 3)
    store.write_anomalies([first, rate, later])
    store.write_anomalies([other, again])
    assert store.anomalies(None, T, T + 9) == [later, other, again, rate]
    assert store.anomalies([8], T, T + 9) == [other]
    assert store.anomalies([], T, T + 9) == []
    assert store.anomalies(None, T, T + 9, min_score=0.92) == [again]
    assert store.anomalies(None, T + 1, T + 4, limit=5) == [other]
    assert store.anomalies(None, T, T + 9, limit=2) == [later, other]


def test_anomalies_are_chosen_by_the_labels_of_their_series(open_store: Open) -> None:
    series = [labels("up", host="h1"), labels("up", host="h2"), labels("up", text="one\ntwo"), labels("down")]
    store = open_store()
    store.write_anomalies([anomaly(name, fp=n) for n, name in enumerate(series)])
    for matchers, found in SELECTIONS:
        got = store.anomalies(None, T, T, matchers=matchers)
        assert sorted("abcd"[a.fp] for a in got) == list(found), matchers
    assert [a.fp for a in store.anomalies([1, 3], T, T, matchers=[Matcher("__name__", "=", "up")])] == [1]


def test_a_series_ends_with_its_last_sample_even_in_a_store_made_before_that_was_so(open_store: Open) -> None:
    old = open_store()
    old._execute("ALTER TABLE series REMOVE TTL", {})
    old._execute("ALTER TABLE migrations DELETE WHERE version = 3 SETTINGS mutations_sync = 2", {})
    now = time.time_ns() // 1_000_000
    gone, here = known(labels("gone")), known(labels("here"))
    note(old, gone, now - 40 * 86_400_000)
    note(old, here, now - 10 * 86_400_000)
    store = open_store(retention_days=30)
    store._execute("OPTIMIZE TABLE series FINAL", {})
    assert [r.labels for r in store.series()] == [labels("here")]


def test_tenants_do_not_see_each_other(open_store: Open) -> None:
    ours, theirs, catalogue = open_store(), open_store(tenant="other"), known(labels("a"))
    ours.write(catalogue, batch([(0, T, 1.0)]), "t")
    note(ours, catalogue)
    ours.write_anomalies([anomaly(labels("a"))])
    ours.maintain(T + 2 * HOUR)
    assert len(theirs.samples(fps(catalogue), T, T).t) == 0
    assert theirs.series() == theirs.anomalies(None, T, T) == list(theirs.scan(0, 2**60)) == []
    assert len(theirs.rollups(None, T, T, HOUR).t) == 0


def test_opening_again_changes_nothing_and_a_new_retention_is_taken_over(open_store: Open) -> None:
    first, catalogue = open_store(), known(labels("a"))
    first.write(catalogue, batch([(0, T, 1.0)]), "t")
    second = open_store(retention_days=9_000)
    assert len(second.samples(fps(catalogue), T, T).t) == 1
    assert "toIntervalDay(9000)" in shown(second)
    assert "toIntervalDay(10000)" not in shown(second)


def shown(store: ClickHouse) -> str:
    with store._clients.client() as client:
        return str(client.command("SHOW CREATE TABLE samples"))


def test_a_newer_schema_is_refused_in_words(open_store: Open) -> None:
    store = open_store()
    store._execute("INSERT INTO migrations (version, name) SELECT 99, 'of the future'", {})
    with pytest.raises(
        StoreError, match=r"the store has schema 99, this airis-mon knows .*; install a newer airis-mon"
    ):
        open_store()


def test_a_store_that_answers_says_so(open_store: Open) -> None:
    open_store().ping()
