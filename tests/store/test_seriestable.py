"""Series looked up by matchers, times and labels, on the embedded engine and over HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.errors import InputError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels, canonical
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.store.base import SeriesRow
from tests.store.conftest import Open

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.parametrize("open_store", ["embedded", "http"], indirect=True),
]
T = 1_760_000_400_000  # a whole hour
HOUR = 3_600_000
ODD = "' \\ \" \n \t / 한국 é \x7f"


def labels(metric: str, **rest: str) -> Labels:
    return canonical([("__name__", metric), *rest.items()])


NAMES = [
    labels("up", job="api", instance="a:1"),
    labels("up", job="api", instance="b:1"),
    labels("up", job="db", instance=ODD),
    labels("http_requests_total", job="api", code="200"),
    labels("http_requests_total", job="api", code="500", zone=""),
]


def rows(catalogue: Catalogue, last: int = T) -> list[SeriesRow]:
    return [SeriesRow(int(catalogue.fp[s]), catalogue.labels(s), last, T) for s in catalogue]


def catalogue_of(names: list[Labels]) -> Catalogue:
    catalogue = Catalogue()
    for name in names:
        catalogue.intern(name)
    return catalogue


@pytest.mark.parametrize("is_writer", [False, True], ids=["reader", "writer"])
def test_rows_are_the_same_with_labels_from_the_catalogue_and_from_the_table(open_store: Open, is_writer: bool) -> None:
    store, catalogue = open_store(), catalogue_of(NAMES)
    store.write_series(rows(catalogue))
    if is_writer:  # it knows two of them
        young = catalogue_of(NAMES[:2])
        store.write(young, Batch(np.arange(2, dtype=np.int32), np.full(2, T), np.ones(2)), "t")
    for matchers in ((), (Matcher("job", "=", "api"),), (Matcher("instance", "=~", ".*:1|.*é.*"),)):
        matches = compile_matchers(matchers)
        want = sorted((r for r in rows(catalogue) if matches(r.labels)), key=lambda r: r.fp)
        for _ in range(2):
            assert store.series(matchers) == want
        assert store.series(matchers, limit=2) == want[:2]


def test_a_series_is_found_as_soon_as_it_is_written_and_in_each_hour_it_was_seen(open_store: Open) -> None:
    store, catalogue = open_store(), catalogue_of(NAMES)
    matchers = [Matcher("__name__", "=", "up")]
    one, two, three = (r for r in rows(catalogue) if ("__name__", "up") in r.labels)
    assert store.series(matchers) == []
    store.write_series([one])
    assert store.series(matchers, T, T) == [one]
    store.write_series([two, three])
    assert {r.fp for r in store.series(matchers, T, T)} == {one.fp, two.fp, three.fp}
    assert store.series(matchers, T + HOUR, T + HOUR) == []
    store.write_series([SeriesRow(two.fp, two.labels, T + HOUR)])
    assert store.series(matchers, T + HOUR + 5, T + HOUR + 6) == [SeriesRow(two.fp, two.labels, T + HOUR, T)]
    assert store.series(matchers, None, T - 1) == []


def test_label_names_and_values_are_those_of_the_series_that_match(open_store: Open) -> None:
    store, catalogue = open_store(), catalogue_of(NAMES)
    store.write_series(rows(catalogue))
    up = [Matcher("__name__", "=", "up")]
    assert store.label_names() == ["__name__", "code", "instance", "job"]
    assert store.label_names(up) == ["__name__", "instance", "job"]
    assert store.label_names(up, T + HOUR) == store.label_names(up, None, T - 1) == []
    assert store.label_names([Matcher("job", "=", "nobody")]) == []
    assert store.label_values("__name__") == ["http_requests_total", "up"]
    assert store.label_values("instance", up) == sorted(["a:1", "b:1", ODD])
    assert store.label_values("instance", up, limit=2) == sorted(["a:1", "b:1", ODD])[:2]
    assert store.label_values("job", [Matcher("code", "!=", "")]) == ["api"]
    assert store.label_values("job", up, T, T + HOUR) == ["api", "db"]
    assert store.label_values("job", up, T + HOUR, T + 2 * HOUR) == []
    assert store.label_values("nothing") == store.label_values("zone") == []
    assert store.label_values("'; DROP TABLE series; --") == []


def test_another_tenants_series_and_labels_stay_its_own(open_store: Open) -> None:
    mine, theirs = open_store(), open_store(tenant="b")
    theirs.write_series(rows(catalogue_of(NAMES)))
    assert mine.series([Matcher("job", "=", "api")]) == mine.label_names() == mine.label_values("job") == []
    assert theirs.label_values("job") == ["api", "db"]


def test_a_pattern_that_re2_refuses_is_an_input_error_everywhere(open_store: Open) -> None:
    store = open_store()
    store.write_series(rows(catalogue_of(NAMES)))
    bad = [Matcher("job", "=~", "(")]
    for ask in (lambda: store.series(bad), lambda: store.label_names(bad), lambda: store.label_values("job", bad)):
        with pytest.raises(InputError, match="RE2"):
            ask()
