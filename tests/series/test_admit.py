import numpy as np

from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical

NOW = 1_800_000_000_000
LIMITS = Limits(max_future_s=600, max_past_s=86_400)


def up() -> tuple[Catalogue, int]:
    catalogue = Catalogue()
    return catalogue, catalogue.intern(canonical([("__name__", "up"), ("job", "a")]))


def batch(sid: int, *rows: tuple[int, float]) -> Batch:
    return Batch(
        np.full(len(rows), sid, np.int32),
        np.array([t for t, _ in rows], np.int64),
        np.array([v for _, v in rows], np.float64),
    )


def test_ordinary_samples_pass_untouched() -> None:
    catalogue, sid = up()
    sent = batch(sid, (NOW, 1.0), (NOW - 1000, 2.0))
    assert admit(sent, catalogue, NOW, LIMITS) is sent


def test_next_week_and_1970_are_refused_with_limit_and_remedy() -> None:
    catalogue, sid = up()
    out = admit(batch(sid, (NOW + 7 * 86_400_000, 1.0), (0, 2.0), (NOW, 3.0)), catalogue, NOW, LIMITS)
    assert out.value.tolist() == [3.0]
    assert out.refused == 2
    assert "max_future_s = 600" in out.refusals[0].reason
    assert "retention_days" in out.refusals[1].reason
    assert out.refusals[0].path.startswith('up{job="a"} @ ')


def test_a_repeated_sample_is_dropped_as_a_retry_and_another_value_is_refused() -> None:
    catalogue, sid = up()
    catalogue.observe(batch(sid, (NOW, 1.0)))
    out = admit(batch(sid, (NOW, 1.0), (NOW, 2.0)), catalogue, NOW, LIMITS)
    assert (len(out), out.refused) == (0, 1)
    assert "another value (1)" in out.refusals[0].reason


def test_a_repeated_staleness_marker_is_a_retry() -> None:
    catalogue, sid = up()
    catalogue.observe(batch(sid, (NOW, float(STALE))))
    out = admit(batch(sid, (NOW, float(STALE))), catalogue, NOW, LIMITS)
    assert (len(out), out.refused) == (0, 0)


def test_a_late_sample_is_kept() -> None:
    catalogue, sid = up()
    catalogue.observe(batch(sid, (NOW, 1.0)))
    assert len(admit(batch(sid, (NOW - 5000, 7.0)), catalogue, NOW, LIMITS)) == 1


def test_only_the_first_hundred_refusals_are_described() -> None:
    catalogue, sid = up()
    out = admit(batch(sid, *[(i, 0.0) for i in range(150)]), catalogue, NOW, LIMITS)
    assert (out.refused, len(out.refusals)) == (150, 100)
