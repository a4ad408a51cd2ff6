import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.query.grouping import Groups, parts

LABELS = (("__name__", "a"), ("x", "1"), ("y", "2"))


def test_by_keeps_and_without_drops() -> None:
    assert list(parts([LABELS], ("y", "z"), is_without=False)) == [(("y", "2"),)]
    assert list(parts([LABELS], ("__name__",), is_without=False)) == [(("__name__", "a"),)]
    assert list(parts([LABELS], ("y", "z"), is_without=True)) == [(("x", "1"),)]
    assert list(parts([LABELS], (), is_without=False)) == [()]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20))
def test_rows_are_reduced_group_by_group(rows: list[tuple[int, bool]]) -> None:
    groups = Groups.of(key for key, _ in rows)
    assert groups.keys == list(dict.fromkeys(key for key, _ in rows))
    assert groups.sizes.tolist() == [sum(key == k for k, _ in rows) for key in groups.keys]
    assert groups.has_pairs == (len(groups) < len(rows))
    if not rows:
        return
    has = np.array([[flag] for _, flag in rows])
    assert groups.count(has)[:, 0].tolist() == [sum(f for k, f in rows if k == key) for key in groups.keys]
    assert groups.any(has)[:, 0].tolist() == [any(f for k, f in rows if k == key) for key in groups.keys]
    largest = groups.reduce(np.maximum, np.arange(float(len(rows)))[:, np.newaxis])
    assert largest[:, 0].tolist() == [max(i for i, (k, _) in enumerate(rows) if k == key) for key in groups.keys]
