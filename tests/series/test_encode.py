import cramjam
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.ingest.write_request import parse1
from airis_mon.series.encode import label_block, varint, write_request
from airis_mon.series.labels import canonical

LABELS = [canonical([("__name__", "cpu"), ("host", "ä" * 80)]), canonical([("__name__", "mem")])]
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-(2**63), 2**63 - 1), st.floats(width=64)), max_size=5)


@given(ROWS)
def test_protobuf_reads_what_is_encoded(rows):
    sid, t, value = (np.array([r[i] for r in rows], d) for i, d in ((0, np.int32), (1, np.int64), (2, np.float64)))
    body = write_request([label_block(labels) for labels in LABELS], sid, t, value)
    items, families = parse1(bytes(cramjam.snappy.decompress_raw(body)))
    found = [(i.pairs, i.samples) for i in items]
    assert [tuple((n.decode(), v.decode()) for n, v in pairs) for pairs, _ in found] == [LABELS[r[0]] for r in rows]
    assert [s[0][0] for _, s in found] == [r[1] for r in rows]
    assert np.array_equal(np.array([s[0][1] for _, s in found], np.float64).view(np.uint64), value.view(np.uint64))
    assert families == []


def test_varints_are_protobufs():
    assert [varint(n) for n in (0, 127, 128, 300, -1)] == [b"\0", b"\x7f", b"\x80\1", b"\xac\2", b"\xff" * 9 + b"\1"]
