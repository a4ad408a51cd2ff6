from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.scoring.forecasts import Set, judge, load, ranks


def test_scores_are_those_of_the_competition() -> None:
    value = np.tile(np.arange(48.0), (1, 2))  # 24 apart after a day, or as much before: the unit is 24
    data = Set(value, np.array([[100.0, 50.0]]))
    found = judge(data, np.array([[50.0, 50.0]]), np.array([[40.0, 40.0]]), np.array([[60.0, 60.0]]))
    assert data.scale.tolist() == [24]
    assert found["smape"] == pytest.approx((200 * 50 / 150 + 0) / 2)
    assert found["mase"] == pytest.approx(25 / 24)
    assert found["coverage"] == 0.5
    assert found["msis"] == pytest.approx((20 + 2 / 0.05 * 40 / 2) / 24)
    assert found["owa"] == pytest.approx((found["smape"] / 18.383 + found["mase"] / 2.395) / 2)


def test_the_held_out_view_shows_nothing_of_the_test_part() -> None:
    data = Set(np.arange(200.0)[None], np.full((1, 48), -1.0))
    view = data.held_out()
    assert view.value[0, -1] == 151
    assert view.actual[0].tolist() == list(range(152, 200))


def test_series_of_unequal_length_end_together(tmp_path) -> None:
    rows = [("H2", "train", 1, 5.0), ("H2", "train", 0, 4.0), ("H2", "test", 2, 6.0)]
    rows += [("H10", "train", 0, 7.0), ("H10", "test", 1, 8.0)]
    columns = dict(zip(("id", "split", "t", "value"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), tmp_path / "series.parquet")
    data = load(tmp_path)
    np.testing.assert_array_equal(data.value, [[4, 5], [np.nan, 7]])
    assert data.actual.tolist() == [[6], [8]]


def test_a_rank_counts_those_that_were_better(tmp_path) -> None:
    with (tmp_path / "published_scores.csv").open("w") as file:
        names = ("sMAPE_Hourly", "MASE_Hourly", "OWA_Hourly", "MSIS_Hourly")
        csv.writer(file).writerows([names, (9, 0.8, 0.4, 6), (10, 0.9, 0.5, ""), (11, 1.0, 0.6, "")])
    found = ranks(tmp_path, {"smape": 10.5, "mase": 0.7, "owa": 0.5, "msis": 7.0})
    assert [found[name]["rank"] for name in ("smape", "mase", "owa", "msis")] == [3, 1, 2, 2]
    assert (found["smape"]["of"], found["msis"]["of"]) == (4, 2)
