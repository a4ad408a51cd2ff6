"""`airis-mon detect`: a file in, one judged row per value out."""

import argparse
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from airis_mon.cli import detect
from airis_mon.cli.progress import Progress
from airis_mon.cli.sketch import WIDTH, Summary
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.entity import Entities
from airis_mon.errors import ConfigError, InputError
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical

COLUMNS = ["timestamp", "metric", "host", "value", "score", "onset", "level", "expected", "lower", "upper"]
COLUMNS += ["is_anomaly", "feature"]


def run(*words):
    parser = argparse.ArgumentParser()
    detect.add_parser(parser.add_subparsers())
    args = parser.parse_args(["detect", *map(str, words)])
    return args.run(args)


def noisy(n, seed=0):
    return np.round(50 + np.random.default_rng(seed).normal(0, 1, n), 3)


@pytest.fixture
def long_file(tmp_path):
    """Two series with a spike of one of them, every 5 minutes."""
    a, b = noisy(600), noisy(600, 1)
    a[550] = 90
    rows = [f"{1_700_000_100 + 300 * i},cpu,{h},{v[i]}" for i in range(600) for h, v in (("x", a), ("y", b))]
    path = tmp_path / "in.csv"
    path.write_text("timestamp,metric,host,value\n" + "\n".join(rows) + "\n")
    return path


def test_each_value_has_one_row_in_file_order_with_the_columns_agreed(long_file, tmp_path):
    out = tmp_path / "out.parquet"
    assert run(long_file, "--out", out) == 0
    table = pq.read_table(out)
    assert table.column_names == COLUMNS
    given = pyarrow.csv.read_csv(long_file)
    assert table["value"].to_pylist() == given["value"].to_pylist()
    assert table["host"].to_pylist() == given["host"].to_pylist()
    assert [int(t.timestamp()) for t in table["timestamp"].to_pylist()] == given["timestamp"].to_pylist()


def test_a_planted_spike_is_found_and_explained(long_file, tmp_path, capsys):
    run(long_file, "--out", tmp_path / "out.parquet", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["series"], told["values"]) == (2, 1200)
    worst = told["top"][0]
    assert worst["series"] == 'cpu{host="x"}'
    assert worst["value"] == 90
    assert worst["timestamp"] == "2023-11-16T20:05:00Z"
    assert worst["feature"] in Record.FEATURES
    row = pq.read_table(tmp_path / "out.parquet").slice(1100, 1).to_pylist()[0]
    assert row["is_anomaly"]
    assert row["score"] >= 0.8
    assert row["lower"] < row["expected"] < row["upper"] < 90


def test_the_table_shows_counts_the_worst_values_and_a_picture(long_file, tmp_path, capsys):
    run(long_file, "--out", tmp_path / "out.parquet")
    shown = capsys.readouterr()
    assert "1,200 values of 2 series" in shown.out
    assert 'cpu{host="x"}' in shown.out
    assert "^" in shown.out
    assert shown.err == ""


def test_csv_out_holds_the_same_rows(long_file, tmp_path):
    run(long_file, "--out", tmp_path / "out.parquet")
    run(long_file, "--out", tmp_path / "out.csv")
    table, text = pq.read_table(tmp_path / "out.parquet"), pyarrow.csv.read_csv(tmp_path / "out.csv")
    assert text.column_names == table.column_names
    np.testing.assert_allclose(text["score"].to_numpy(), table["score"].to_numpy(), rtol=1e-5)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith('"2023-11-14T22:15:00.000Z","cpu","x",')


def test_the_end_of_a_file_changes_nothing_before_it(long_file, tmp_path):
    run(long_file, "--out", tmp_path / "whole.parquet")
    half = tmp_path / "half.csv"
    half.write_text("\n".join(long_file.read_text().splitlines()[:901]) + "\n")
    run(half, "--out", tmp_path / "half.parquet")
    assert pq.read_table(tmp_path / "half.parquet").equals(pq.read_table(tmp_path / "whole.parquet").slice(0, 900))


def test_a_wide_file_has_a_row_per_metric_and_gaps_keep_theirs(tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    path.write_text("timestamp,host,cpu,mem\n0,a,1,\n60,a,2,3\n")
    run(path, "--wide", "--out", out)
    rows = pq.read_table(out).to_pylist()
    assert [(r["metric"], r["value"]) for r in rows] == [("cpu", 1.0), ("mem", None), ("cpu", 2.0), ("mem", 3.0)]
    assert rows[1]["score"] == 0.0


def test_a_repeated_sample_keeps_its_row_and_is_not_learned(long_file, tmp_path):
    lines = long_file.read_text().splitlines()
    twice = tmp_path / "twice.csv"
    twice.write_text("\n".join([*lines[:1000], lines[999].rsplit(",", 1)[0] + ",5000", *lines[1000:]]) + "\n")
    run(long_file, "--out", tmp_path / "once.parquet")
    run(twice, "--out", tmp_path / "twice.parquet")
    once, more = pq.read_table(tmp_path / "once.parquet"), pq.read_table(tmp_path / "twice.parquet")
    assert more.slice(999, 1)["score"].to_pylist() == [0.0]
    assert more.slice(1000).equals(once.slice(999))


def test_counters_are_judged_as_they_stand_unless_rates_are_asked_for(tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    path.write_text(
        "timestamp,metric,value\n0,hits_total,0\n0,load,7\n60,hits_total,120\n60,load,8\n120,hits_total,60\n"
    )
    run(path, "--out", out)
    assert pq.read_table(out)["value"].to_pylist() == [0, 7, 120, 8, 60]
    run(path, "--out", out, "--rates")
    assert pq.read_table(out)["value"].to_pylist() == [None, 7, 2, 8, 1]


def test_a_label_with_a_name_of_ours_is_renamed(tmp_path):
    path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    path.write_text("timestamp,value,score\n0,1,a\n60,1,\n")
    run(path, "--out", out)
    assert pq.read_table(out)["label_score"].to_pylist() == ["a", None]


def test_a_bad_row_leaves_no_output_and_skipping_it_is_told(tmp_path, capsys):
    path, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    path.write_text("timestamp,value\n0,1\n60,x\n120,3\n")
    with pytest.raises(InputError, match="data row 2"):
        run(path, "--out", out)
    assert list(tmp_path.iterdir()) == [path]
    run(path, "--out", out, "--skip-bad", "--json")
    assert json.loads(capsys.readouterr().out)["skippedRows"] == 1
    assert pq.read_table(out).num_rows == 2


@pytest.mark.parametrize("name", ["out.txt", "in.csv"])
def test_an_output_that_cannot_be_meant_is_wrong_use(tmp_path, name):
    path = tmp_path / "in.csv"
    path.write_text("timestamp,value\n0,1\n")
    with pytest.raises(ConfigError):
        run(path, "--out", tmp_path / name)
    assert path.read_text() == "timestamp,value\n0,1\n"


def test_an_empty_file_is_an_empty_table(tmp_path, capsys):
    path = tmp_path / "in.csv"
    path.write_text("timestamp,value\n")
    assert run(path, "--out", tmp_path / "out.parquet") == 0
    assert "0 values of 0 series" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize("is_by_series", [False, True])
def test_entities_are_judged_as_a_whole_whatever_the_order_of_rows(tmp_path, is_by_series, capsys):
    series = [(h, m, noisy(400, i)) for i, (h, m) in enumerate((h, m) for h in "ab" for m in ("cpu", "mem", "disk"))]
    for host, _, values in series:
        values[350:] += 60 * (host == "a")
    rows = [(i, h, m, v[i]) for i in range(400) for h, m, v in series]
    rows.sort(key=lambda r: r[1:3] if is_by_series else r[0])
    path, out = tmp_path / "in.csv", tmp_path / "hosts.parquet"
    path.write_text("timestamp,host,metric,value\n" + "\n".join(f"{300 * i},{h},{m},{v}" for i, h, m, v in rows) + "\n")
    run(path, "--out", tmp_path / "out.parquet", "--entity", "host", "--entities-out", out, "--json")
    table = pq.read_table(out)
    assert table.column_names == ["timestamp", "entity", "score", "is_anomaly", "metrics"]
    assert table.num_rows == 800
    found = {r["entity"] for r in table.to_pylist()[-2:] if r["is_anomaly"]}
    assert found == {"a"}
    last = next(r for r in table.to_pylist()[-2:] if r["entity"] == "a")
    assert set(last["metrics"]) <= {"cpu", "mem", "disk"}
    assert json.loads(capsys.readouterr().out)["entities"]["rows"] == 800
    run(path, "--out", tmp_path / "out.parquet", "--entity", "host", "--entities-out", tmp_path / "hosts.csv")
    text = pyarrow.csv.read_csv(tmp_path / "hosts.csv")
    assert text["metrics"].to_pylist()[-1] == ";".join(table["metrics"].to_pylist()[-1])


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_wide_file_of_a_machine_scores_as_the_detector_and_the_entity_score_do(tmp_path, is_repeated):
    value = np.random.default_rng(3).normal(5, 1, (600, 11)).round(3)
    value[400:460, 2:8] += 30
    value[5::97, 3] = np.nan
    lines = [f"{60 * i},h,{','.join('' if np.isnan(x) else str(x) for x in row)}" for i, row in enumerate(value)]
    if is_repeated:
        lines.insert(430, lines[429])
    path, out = tmp_path / "in.csv", tmp_path / "hosts.parquet"
    path.write_text("timestamp,host," + ",".join(f"m{k}" for k in range(11)) + "\n" + "\n".join(lines) + "\n")
    run(path, "--wide", "--out", tmp_path / "out.parquet", "--entity", "host", "--entities-out", out)
    slot, t = np.tile(np.arange(11, dtype=np.int32), 600), np.repeat(np.arange(600) * 60_000, 11)
    known = np.isfinite(value.ravel())
    slot, t = slot[known], t[known]
    bank, hosts = Record(), Entities()
    bank.reserve(11)
    hosts.assign(np.arange(11, dtype=np.int32), np.zeros(11, np.int32))
    scores = bank.update(slot, t, value.ravel()[known])
    wanted = hosts.update(slot, t, scores.onset, scores.level).score
    assert (wanted >= 0.8).any()
    np.testing.assert_allclose(pq.read_table(out)["score"].to_numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("options", [["--entities-out", "x.csv"], ["--entity", "pod", "--entities-out", "x.csv"]])
def test_half_a_wish_for_entities_is_wrong_use(long_file, tmp_path, options):
    with pytest.raises(ConfigError, match="entit"):
        run(long_file, "--out", tmp_path / "out.parquet", *options)


def test_shared_work_gives_what_one_thread_gives():
    catalogue = Catalogue()
    sids = np.array([catalogue.intern(canonical([("__name__", f"m{i}")])) for i in range(7)], np.int32)
    sid = np.tile(sids, 200)
    batch = Batch(sid, np.repeat(np.arange(200) * 300_000, 7), np.random.default_rng(0).normal(size=1400))
    alone = Record()
    alone.reserve(7)
    scores, bands = alone.update_with_bands(batch.sid, batch.t, batch.value)
    with ThreadPoolExecutor(3) as pool:
        judged = detect.Judge([Record() for _ in range(3)], catalogue, pool)(batch)
    np.testing.assert_array_equal(judged.scores.score, scores.score)
    np.testing.assert_array_equal(judged.scores.feature, scores.feature)
    np.testing.assert_array_equal(judged.bands.upper, bands.upper)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_after_two_seconds_on_a_terminal_and_is_gone_at_the_end():
    now, screen = [0.0], Terminal()
    with Progress("detect", screen, lambda: now[0]) as bar:
        bar.update(0.1)
        assert screen.getvalue() == ""
        now[0] = 10.0
        bar.update(0.25, "5 values")
        assert "25% 0:30 left 5 values" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_progress_is_off_when_it_is_no_terminal():
    now, screen = [0.0], io.StringIO()
    with Progress("detect", screen, lambda: now[0]) as bar:
        now[0] = 10.0
        bar.update(0.5)
    assert screen.getvalue() == ""


@pytest.mark.parametrize("n", [1, WIDTH, WIDTH + 1, 7 * WIDTH + 3])
def test_a_picture_keeps_every_extreme_and_every_mark(n):
    catalogue = Catalogue()
    sid = catalogue.intern(canonical([("__name__", "m")]))
    values = np.zeros(n)
    values[n // 2] = 9
    batch = Batch(np.full(n, sid, np.int32), np.arange(n), values)
    with ThreadPoolExecutor(1) as pool:
        judged = detect.Judge([Record()], catalogue, pool)(batch)
    judged.scores.score[:] = 0
    judged.scores.score[n // 2] = 1
    summary = Summary()
    summary.add(judged, 1)
    line, marks = summary.picture(sid)
    assert len(line) <= WIDTH
    assert marks.count("^") == 1
    assert n == 1 or line[marks.index("^")] == "█"
    assert line.count("█") == (n > 1)
