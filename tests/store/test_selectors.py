from __future__ import annotations

import numpy as np
import pytest

from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.selectors import EARLIEST, LATEST, MAX_METRICS, one_of, span, within


def catalogue(counts: dict[str, int]) -> tuple[Catalogue, dict[str, list[int]]]:
    """So many series of each metric, and their fingerprints in order."""
    known, fps = Catalogue(), {}
    for metric, count in counts.items():
        sids = [known.intern(canonical([("__name__", metric), ("i", str(i))])) for i in range(count)]
        fps[metric] = sorted(int(known.fp[sid]) for sid in sids)
    return known, fps


def test_series_are_named_by_their_fingerprints_where_no_catalogue_knows_them_all() -> None:
    known, fps = catalogue({"a": 2})
    for found in (within(fps["a"], None), within([*fps["a"], 1], known), within([], known)):
        assert found.is_exact
        assert not found.parameters
    assert within([5, 7], None).sql == one_of([5, 7]) == "fp IN (5,7)"
    assert within([], None).sql == "0"
    assert within(None, known).sql == "1"


def test_the_metrics_of_known_series_are_named_too() -> None:
    known, fps = catalogue({"a": 1, "b": 1, "c": 1})
    found = within([*fps["a"], *fps["c"]], known)
    assert found.parameters == {"metrics": ["a", "c"]}
    assert found.sql.endswith(one_of([*fps["a"], *fps["c"]]))
    many, all_fps = catalogue({f"m{i}": 1 for i in range(MAX_METRICS + 1)})
    assert not within([fp for group in all_fps.values() for fp in group], many).parameters


@pytest.mark.parametrize(
    ("part", "is_exact"),
    [(slice(0, 400), False), (slice(50, 200), False), (slice(0, 400, 3), True), (slice(100), True)],
)
def test_most_series_between_two_of_a_metric_are_named_by_these_two_if_that_may_be(part: slice, is_exact: bool) -> None:
    known, fps = catalogue({"a": 400, "b": 100})
    some = fps["a"][part]
    found = within(some, known, may_widen=True)
    assert found.is_exact == is_exact
    if not is_exact:
        assert f"BETWEEN {some[0]} AND {some[-1]}" in found.sql
    assert within(some, known).is_exact


def test_times_are_kept_within_what_the_store_can_hold() -> None:
    assert span(-(2**62), 2**62) == {"start": EARLIEST, "end": LATEST}
    assert span(np.int64(1), 2) == {"start": 1, "end": 2}
