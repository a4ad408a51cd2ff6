from collections.abc import Callable

import pytest

from airis_mon import plugins
from airis_mon.checks.detector import CHECKS, Make
from airis_mon.detect.base import Scores


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", plugins.kinds("detect.detectors"))
def test_every_detector_passes(kind: str, check: Callable[[Make], None]) -> None:
    check(plugins.find("detect.detectors", kind))


def test_a_detector_that_learns_before_it_scores_is_found_out() -> None:
    record = plugins.find("detect.detectors", "record")

    class Forgetful(record):
        def update(self, slot, t, value):
            super().update(slot, t, value)
            return super().update(slot, t + 1, value)

    failed = [check.__name__ for check in CHECKS if _fails(check, Forgetful)]
    assert "a_planted_spike_ranks_first" in failed


def test_a_detector_whose_slots_touch_is_found_out() -> None:
    record = plugins.find("detect.detectors", "record")

    class Mixed(record):
        def update(self, slot, t, value):
            out = super().update(slot, t, value)
            return Scores(out.score[::-1].copy(), out.onset, out.level, out.feature)

    failed = [check.__name__ for check in CHECKS if _fails(check, Mixed)]
    assert {"a_batch_equals_its_samples", "order_of_slots_does_not_matter", "slots_do_not_touch_each_other"} <= set(
        failed
    )


def _fails(check: Callable[[Make], None], make: Make) -> bool:
    try:
        check(make)
    except AssertionError:
        return True
    return False
