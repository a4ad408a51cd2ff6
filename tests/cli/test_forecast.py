"""`airis-mon forecast`: a file in, what comes next out, with intervals and a picture."""

import argparse
import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from airis_mon.cli import forecast, main
from airis_mon.errors import ConfigError, InputError

START = 1_767_571_200  # Monday, 5 January 2026
HOURS = 24 * 21
QUICK = ("--models", "last_season")


def run(*words):
    parser = argparse.ArgumentParser()
    forecast.add_parser(parser.add_subparsers())
    args = parser.parse_args(["forecast", *map(str, words)])
    return args.run(args)


def day(n=HOURS, seed=0, step=3600):
    t = np.arange(n) * step
    return 50 + 10 * np.sin(t / 86_400 * 2 * np.pi) + np.random.default_rng(seed).normal(size=n)


def write(path, series, step=3600, start=START, metric="cpu"):
    """A long file of series by host; NaN rows are left empty."""
    rows = [
        f"{start + step * i},{metric},{host},{'' if np.isnan(v) else round(float(v), 4)}"
        for host, value in series.items()
        for i, v in enumerate(value)
    ]
    path.write_text("timestamp,metric,host,value\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def long_file(tmp_path):
    return write(tmp_path / "in.csv", {"x": day(), "y": 3 * day(seed=1)})


def told(capsys, *words):
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_each_series_has_one_row_a_step_with_the_columns_agreed(long_file, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    told(capsys, long_file, "--horizon", 24, "--out", out, *QUICK)
    table = pq.read_table(out)
    assert table.column_names == ["timestamp", "series", "mean", "lower", "upper", "model"]
    assert table["series"].to_pylist() == ['cpu{host="x"}'] * 24 + ['cpu{host="y"}'] * 24
    times = [int(t.timestamp()) for t in table["timestamp"].to_pylist()]
    assert times == 2 * [START + 3600 * (HOURS + i) for i in range(24)]
    lower, mean, upper = (np.array(table[c].to_pylist()) for c in ("lower", "mean", "upper"))
    assert (lower < mean).all()
    assert (mean < upper).all()
    expected = 50 + 10 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    np.testing.assert_allclose(mean[:24], expected, atol=4)
    np.testing.assert_allclose(mean[24:], 3 * expected, atol=12)


def test_csv_has_the_same_rows_with_times_as_rfc_3339(long_file, tmp_path, capsys):
    told(capsys, long_file, "--horizon", 5, "--out", tmp_path / "out.csv", *QUICK)
    table = pyarrow.csv.read_csv(tmp_path / "out.csv")
    assert table.num_rows == 10
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith('"2026-01-26T00:00:00')


def test_the_summary_says_who_forecast_how_well_and_what_was_covered(long_file, tmp_path, capsys):
    said = told(capsys, long_file, "--horizon", 24, "--out", tmp_path / "out.csv", *QUICK)
    assert (said["series"], said["points"], said["stepS"], said["horizon"]) == (2, HOURS, 3600, 24)
    assert said["seasons"] == [24, 168]
    assert said["windows"] == 3
    assert 0.8 <= said["coverage"] <= 1
    assert said["coverageWhy"] is None
    for one in said["forecasts"]:
        assert 0 < one["error"] <= one["baselineError"]
        assert 0.7 <= one["coverage"] <= 1
        assert one["why"] is None


def test_the_table_is_for_people(long_file, tmp_path, capsys):
    run(long_file, "--horizon", 24, "--out", tmp_path / "out.csv", *QUICK)
    shown = capsys.readouterr().out
    assert "2 series of 504 points, 3600 s apart, 24 steps ahead" in shown
    assert "intervals of 95% held" in shown
    assert 'cpu{host="x"}' in shown


def test_the_check_uses_nothing_of_what_it_is_held_against(tmp_path, capsys):
    value = day()
    value[-24:] += 1000
    path = write(tmp_path / "in.csv", {"x": value})
    said = told(capsys, path, "--horizon", 24, "--out", tmp_path / "out.csv", *QUICK)
    assert said["coverage"] == 0


def test_the_check_can_be_left_out(long_file, tmp_path, capsys):
    said = told(capsys, long_file, "--horizon", 24, "--out", tmp_path / "out.csv", "--no-check", *QUICK)
    assert said["coverage"] is None
    assert "--no-check" in said["coverageWhy"]


def test_a_wider_level_gives_wider_intervals(long_file, tmp_path, capsys):
    width = []
    for level in (0.5, 0.9, 0.99):
        told(capsys, long_file, "--horizon", 12, "--level", level, "--out", tmp_path / "o.parquet", *QUICK)
        table = pq.read_table(tmp_path / "o.parquet")
        width.append(np.mean(np.array(table["upper"]) - np.array(table["lower"])))
    assert width == sorted(width)


def test_a_wide_file_and_a_compressed_one_are_read(tmp_path, capsys):
    a, b = day(), day(seed=1)
    rows = "\n".join(f"{START + 3600 * i},h1,{a[i]},{b[i]}" for i in range(HOURS))
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(f"timestamp,host,cpu,mem\n{rows}\n".encode()))
    said = told(capsys, path, "--wide", "--horizon", 12, "--out", tmp_path / "o.csv", *QUICK)
    assert [f["series"] for f in said["forecasts"]] == ['cpu{host="h1"}', 'mem{host="h1"}']


def test_irregular_samples_become_means_of_steps_and_gaps_stay_gaps(tmp_path, capsys):
    rng = np.random.default_rng(0)
    t = np.sort(rng.choice(86_400 * 7, 6000, replace=False)) + START
    t = t[(t < START + 200_000) | (t > START + 220_000)]
    path = tmp_path / "in.csv"
    path.write_text("timestamp,value\n" + "\n".join(f"{k},{50 + 10 * np.sin(k / 13_750.99)}" for k in t) + "\n")
    said = told(capsys, path, "--step", 900, "--horizon", 96, "--out", tmp_path / "o.parquet", *QUICK)
    assert said["points"] == 7 * 96
    assert 18 <= said["gaps"] <= 30
    first = pq.read_table(tmp_path / "o.parquet")["timestamp"][0].as_py()
    assert int(first.timestamp()) == START + 7 * 86_400


def test_a_step_is_found_beside_a_usual_one(tmp_path, capsys):
    rng = np.random.default_rng(0)
    t = START * 1000 + np.arange(500) * 60_000 + rng.integers(-900, 900, 500)
    path = tmp_path / "in.csv"
    path.write_text("timestamp,value\n" + "\n".join(f"{k},{v}" for k, v in zip(t, day(500), strict=True)) + "\n")
    said = told(capsys, path, "--horizon", 5, "--out", tmp_path / "o.csv", *QUICK)
    assert said["stepS"] == 60


def test_a_series_that_begins_off_the_whole_hour_goes_on_there(tmp_path, capsys):
    path = write(tmp_path / "in.csv", {"x": day()}, start=START + 420)
    told(capsys, path, "--horizon", 2, "--out", tmp_path / "o.parquet", *QUICK)
    times = pq.read_table(tmp_path / "o.parquet")["timestamp"].to_pylist()
    assert [int(t.timestamp()) - START for t in times] == [420 + 3600 * HOURS, 420 + 3600 * (HOURS + 1)]


def test_a_repeated_row_counts_once(tmp_path, capsys):
    path = write(tmp_path / "in.csv", {"x": day()})
    again = path.read_text().splitlines()[-1].rsplit(",", 1)[0] + ",9999"
    path.write_text(path.read_text() + again + "\n")
    said = told(capsys, path, "--horizon", 2, "--out", tmp_path / "o.parquet", *QUICK)
    assert said["repeatedRows"] == 1
    assert max(pq.read_table(tmp_path / "o.parquet")["mean"].to_pylist()) < 100


def test_counters_are_forecast_by_their_rate(tmp_path, capsys):
    total = np.cumsum(3600 * day())
    total[300:] -= total[300]  # a restart
    path = write(tmp_path / "in.csv", {"x": total}, metric="requests_total", step=600)
    told(capsys, path, "--rates", "--horizon", 3, "--out", tmp_path / "o.parquet", *QUICK)
    assert all(200 < v < 500 for v in pq.read_table(tmp_path / "o.parquet")["mean"].to_pylist())


def test_a_series_that_ended_long_ago_is_not_forecast_and_says_so(tmp_path, capsys):
    gone = day(seed=1)
    gone[-100:] = np.nan
    path = write(tmp_path / "in.csv", {"x": day(), "gone": gone})
    said = told(capsys, path, "--horizon", 24, "--out", tmp_path / "o.parquet", *QUICK)
    assert said["forecasts"][1]["model"] == "ended"
    assert "is not forecast" in said["forecasts"][1]["why"]
    rows = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert all(r["mean"] is None for r in rows if "gone" in r["series"])
    assert all(r["mean"] is not None for r in rows if "gone" not in r["series"])


def test_without_enough_past_there_is_a_forecast_and_the_reason_why_no_interval(tmp_path, capsys):
    path = write(tmp_path / "in.csv", {"x": day(30)})
    said = told(capsys, path, "--horizon", 20, "--out", tmp_path / "o.parquet", *QUICK)
    assert "twice the horizon" in said["forecasts"][0]["why"]
    assert "needs 60 points" in said["coverageWhy"]
    rows = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert all(r["mean"] is not None and r["lower"] is None and r["upper"] is None for r in rows)
    run(path, "--horizon", 20, "--out", tmp_path / "o.parquet", *QUICK)
    assert "No check: it needs 60 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--horizon", 0], "--horizon 0 .* give 1 or more"),
        (["--horizon", 505], "--horizon 505 is .* than the file: 504 points, 3600 s apart; give 504 at most, 252 .*s$"),
        (["--horizon", 300, "--step", 7200], "252 points, 7200 s apart; .* for intervals, or a shorter --step"),
        (["--horizon", 5, "--level", 95], r"--level 95 .* such as 0\.95"),
        (["--horizon", 5, "--level", "nan"], "--level nan"),
        (["--horizon", 5, "--step", -1], "--step -1 is no length"),
        (["--horizon", 5, "--models", "oracle"], "no forecaster 'oracle'"),
        (["--horizon", 5, "--holidays", "KR"], "--holidays needs --zone, such as --zone Asia/Seoul"),
        (["--horizon", 5, "--holidays", "Nowhere", "--zone", "Asia/Seoul"], "^--holidays: .* the country 'NOWHERE'"),
        (["--horizon", 5, "--holidays", "--zone", "UTC"], "the country of UTC is not known"),
        (["--horizon", 5, "--zone", "Mars/Base"], "^--zone: 'Mars/Base' is not a known time zone"),
        (["--horizon", 5, "--series", "x"], "--series .* needs --png"),
        (["--horizon", 5, "--png", "p.jpg"], "must end in .png"),
        (["--horizon", 5, "--step", 0.01], r"more than 100,000,000 points; take a longer step"),
    ],
)
def test_a_wrong_option_is_refused_with_its_value_and_the_remedy(long_file, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        run(long_file, "--out", tmp_path / "o.csv", *words)
    assert not (tmp_path / "o.csv").exists()


def test_a_series_that_is_not_there_is_refused_with_the_nearest(long_file, tmp_path):
    with pytest.raises(ConfigError, match=r'did you mean cpu\{host="x"\}'):
        run(long_file, "--horizon", 5, "--out", tmp_path / "o.csv", "--png", tmp_path / "p.png", "--series", "cpu.x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamp,value\n1700000000,\n1700000060,\n", "holds no values"),
        ("timestamp,value\n1700000000,1\n", "no series has two values"),
        ("timestamp,value\n1700000000,one\n", "'one' is no number"),
        ("timestamp,value\n", "holds no values"),
    ],
)
def test_a_file_with_nothing_to_go_by_is_refused(tmp_path, text, message):
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        run(path, "--horizon", 5, "--out", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_outputs_may_not_be_the_file_itself(long_file):
    with pytest.raises(ConfigError, match="must be different files"):
        run(long_file, "--horizon", 5, "--out", long_file)


@pytest.mark.parametrize("option", ["--out", "--png"])
def test_a_folder_that_is_not_there_is_told_before_the_work(long_file, tmp_path, option):
    places = {"--out": tmp_path / "o.csv", "--png": tmp_path / "p.png"}
    places[option] = tmp_path / "none" / places[option].name
    words = [w for pair in places.items() for w in pair]
    with pytest.raises(ConfigError, match="none does not exist; make it"):
        run(long_file, "--horizon", 5, *words)


def test_a_holiday_is_forecast_as_one(tmp_path, capsys):
    hours = 24 * 7 * 6
    start = START - 9 * 3600 + 4 * 7 * 86_400  # midnight in Seoul
    t = np.arange(hours)
    value = np.where(t // 24 % 7 < 5, 100.0, 20.0) + np.random.default_rng(0).normal(size=hours)
    value[24 * 14 : 24 * 17] = 20.0  # Seollal, 16-18 February 2026, Monday to Wednesday
    before = write(tmp_path / "in.csv", {"x": value[: 24 * 14]}, start=start)
    words = (before, "--horizon", 72, "--out", tmp_path / "o.parquet", *QUICK)
    means = []
    for more in ((), ("--holidays", "--zone", "Asia/Seoul")):
        told(capsys, *words, *more)
        means.append(np.mean(pq.read_table(tmp_path / "o.parquet")["mean"].to_pylist()))
    assert means[0] > 60
    assert means[1] < means[0] - 20


@pytest.mark.slow
def test_the_picture_is_a_png_with_the_series_named(long_file, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    png = tmp_path / "p.png"
    told(
        capsys,
        *(long_file, "--horizon", 24, "--out", tmp_path / "o.csv", "--png", png),
        *("--series", 'cpu{host="y"}', "--zone", "Asia/Seoul"),
        *QUICK,
    )
    assert png.read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*"))


def test_the_same_file_gives_the_same_rows(long_file, tmp_path, capsys):
    for name in ("a.parquet", "b.parquet"):
        told(capsys, long_file, "--horizon", 12, "--out", tmp_path / name, *QUICK)
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_wrong_use_ends_with_2_and_a_bad_file_with_1(long_file, tmp_path, capsys):
    out = str(tmp_path / "o.csv")
    assert main.main(["forecast", str(long_file), "--horizon", "9999", "--out", out]) == 2
    assert main.main(["forecast", str(tmp_path / "none.csv"), "--horizon", "5", "--out", out]) == 1
    assert "airis-mon: " in capsys.readouterr().err


def test_help_loads_no_forecaster():
    code = "import sys; from airis_mon.cli.main import _parser; _parser(); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "matplotlib", "airis_mon.forecast"} & set(said.stdout.split())
