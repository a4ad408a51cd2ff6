"""`airis-mon simulate`: a folder that the other commands read, its truth apart."""

import argparse
import csv
import hashlib
import json

import pyarrow.parquet as pq
import pytest

from airis_mon.cli import simulate
from airis_mon.errors import InputError
from airis_mon.ingest.files import FileReader
from airis_mon.series.catalogue import Catalogue
from airis_mon.simulate.world import VERSION

SMALL = ["--topology", "random", "--services", "8", "--days", "0.5", "--step", "60", "--faults-per-day", "24"]


def run(*words):
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["simulate", *map(str, words)])
    return args.run(args)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "out"
    assert run("--seed", 3, "--out", out, *SMALL) == 0
    return out


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_metrics_are_a_long_file_that_detect_reads(folder):
    table = pq.read_table(folder / "metrics.parquet")
    assert table.column_names[:2] == ["timestamp", "metric"]
    assert table.column_names[-1] == "value"
    catalogue = Catalogue(max_series=100_000)
    samples = sum(len(b) for b in FileReader(folder / "metrics.parquet", catalogue))
    assert samples == table.num_rows
    assert catalogue.size > 100


def test_edges_changes_and_maintenance_have_the_columns_agreed(folder):
    assert list(rows(folder / "edges.csv")[0]) == ["caller", "callee"]
    assert list(rows(folder / "changes.csv")[0]) == ["timestamp", "entity", "kind", "title"]
    assert list(rows(folder / "maintenance.csv")[0]) == ["start", "end", "entity", "title"]


def test_the_truth_lies_apart_and_says_whose_it_is(folder):
    told = json.loads((folder / "truth" / "truth.json").read_text())
    assert (told["world"], told["seed"], told["note"]) == (VERSION, 3, "simulated data")
    assert {"kind", "entity", "onset", "end", "rampSeconds", "amplitude", "isValid", "path"} <= set(told["faults"][0])
    assert told["controls"]
    readme = (folder / "README.txt").read_text()
    assert "Simulated data" in readme
    assert f"world version {VERSION}, seed 3" in readme


def test_the_inputs_do_not_say_which_change_is_guilty(folder):
    titles = {r["title"].split()[0] for r in rows(folder / "changes.csv")}
    assert titles <= {"Roll", "Change", "Turn", "Autoscaler:"}


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path, capsys):
    assert run("--seed", 3, "--out", tmp_path / "b", *SMALL, "--json") == 0
    assert json.loads(capsys.readouterr().out)["world"] == VERSION
    for path in (p for p in folder.rglob("*") if p.is_file()):
        other = tmp_path / "b" / path.relative_to(folder)
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest(), path


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        run("--seed", 1, "--out", tmp_path, *SMALL)


def test_an_impossible_world_makes_no_folder(tmp_path):
    with pytest.raises(InputError, match="services = 3"):
        run("--seed", 1, "--out", tmp_path / "x", "--topology", "random", "--services", 3)
    assert not (tmp_path / "x").exists()
    with pytest.raises(InputError, match="seed"):
        run("--seed", -1, "--out", tmp_path / "x")
