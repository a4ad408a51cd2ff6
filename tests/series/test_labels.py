import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.series.labels import (
    LABEL_NAME,
    canonical,
    fingerprint,
    hex_id,
    metric_of,
    packed,
    series_name,
    without,
)

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(lambda n: n != "__name__")
PAIRS = st.dictionaries(NAMES, st.text(max_size=6), max_size=5).map(lambda d: [("__name__", "m"), *d.items()])


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_does_not_matter(pairs, draw):
    shuffled = list(pairs)
    draw.shuffle(shuffled)
    assert canonical(pairs) == canonical(shuffled)
    assert fingerprint(canonical(pairs)) == fingerprint(canonical(shuffled))


@given(PAIRS)
def test_an_empty_value_is_an_absent_label(pairs):
    assert canonical(pairs) == canonical([(n, v) for n, v in pairs if v])


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4))
def test_packed_bytes_tell_all_labels_apart(pairs):
    raw, at, words = packed(tuple(pairs)), 0, []
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        words.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert words == [w for pair in pairs for w in pair]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("a", "1")], "'__name__' .* is missing"),
        ([("__name__", "")], "'__name__' .* is missing"),
        ([("__name__", "m"), ("", "x")], "empty name"),
        ([("__name__", "m"), ("a", "1"), ("a", "1")], "'a' stands twice"),
    ],
)
def test_labels_that_name_no_series_are_refused(pairs, words):
    with pytest.raises(ValueError, match=words):
        canonical(pairs)


def test_a_fingerprint_is_the_same_in_every_process_and_changes_with_salt():
    labels = canonical([("__name__", "up"), ("job", "node")])
    script = (
        "from airis_mon.series.labels import *; print(fingerprint(canonical([('job', 'node'), ('__name__', 'up')])))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == fingerprint(labels)
    assert fingerprint(labels, 1) != fingerprint(labels)


def test_a_name_is_written_as_promql_has_it():
    assert series_name(canonical([("__name__", "up")])) == "up"
    assert series_name(canonical([("__name__", "up"), ("b", 'x"y\\z\n'), ("a", "1")])) == 'up{a="1",b="x\\"y\\\\z\\n"}'
    assert series_name((("a", "1"),)) == '{a="1"}'
    assert series_name(()) == "{}"


def test_parts_of_a_name():
    labels = canonical([("__name__", "up"), ("a", "1"), ("b", "2")])
    assert metric_of(labels) == "up"
    assert without(labels, "__name__", "b") == (("a", "1"),)
    assert hex_id(255) == "00000000000000ff"
    assert [bool(LABEL_NAME.match(n)) for n in ("a_1", "1a", "a-b", "a\n")] == [True, False, False, False]
