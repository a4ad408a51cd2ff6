import numpy as np

from airis_mon.app.peaks import MINUTE_MS, Peaks

T = 1_800_000_000_000 // MINUTE_MS * MINUTE_MS


def add(peaks: Peaks, *rows: tuple[int, int, float]) -> None:
    slot, t, score = zip(*rows, strict=True)
    peaks.add(np.array(slot, np.int32), np.array(t, np.int64), np.array(score, np.float32), now=max(t))


def test_the_highest_score_of_ten_minutes_stands_per_signal() -> None:
    peaks = Peaks()
    add(peaks, (0, T, 0.9), (1, T, 0.2), (0, T + 1000, 0.5), (0, T + 2 * MINUTE_MS, 0.7))
    np.testing.assert_allclose(peaks.highest(T + 5 * MINUTE_MS, 3), [0.9, 0.2, 0.0])


def test_a_score_is_forgotten_after_ten_to_eleven_minutes() -> None:
    peaks = Peaks()
    add(peaks, (0, T, 0.9))
    assert peaks.highest(T + 10 * MINUTE_MS, 1)[0] == np.float32(0.9)
    assert peaks.highest(T + 11 * MINUTE_MS, 1)[0] == 0


def test_a_minute_that_was_overwritten_takes_no_late_score() -> None:
    peaks = Peaks()
    add(peaks, (0, T + 11 * MINUTE_MS, 0.3))
    add(peaks, (0, T, 0.9))
    assert peaks.highest(T + 11 * MINUTE_MS, 1)[0] == np.float32(0.3)


def test_a_slot_given_to_another_signal_starts_clean() -> None:
    peaks = Peaks()
    add(peaks, (0, T, 0.9), (5, T, 0.8))
    peaks.forget(np.array([0], np.int32))
    np.testing.assert_allclose(peaks.highest(T, 6), [0, 0, 0, 0, 0, 0.8], rtol=1e-6)


def test_a_sender_with_a_fast_clock_clears_nobody_elses_scores() -> None:
    peaks = Peaks()
    add(peaks, (0, T, 0.9))
    ahead = np.array([T + 9 * MINUTE_MS]), np.array([0.5], np.float32)
    peaks.add(np.array([1], np.int32), *ahead, now=T)
    np.testing.assert_allclose(peaks.highest(T + 3 * MINUTE_MS, 2), [0.9, 0.5])
