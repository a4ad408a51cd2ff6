"""`airis-mon bench`: what was found, where, by which arm; and what nobody can say yet."""

import argparse
import importlib
import json
import math

import pytest

from airis_mon.cli import bench
from airis_mon.cli.main import main
from airis_mon.yardstick.base import Answer, Claim, Estimate, Row

NAN = math.nan
ANSWER = Answer(
    "quality",
    {"world": "1", "worlds": {"test": ["social seed 301"]}},
    {"on train": {"line": 0.5}},
    (
        Row("record", "test", {"recall": Estimate(0.94, 0.9, 0.97, 120)}, "our score"),
        Row("zscore", "test", {"recall": Estimate(1, 1, 1, 120), "ratio": Estimate(NAN, NAN, NAN, 0)}),
    ),
    (
        Claim("fewer", "one for the other", Estimate(0.2, 0.1, 0.3, 9), 0.4, "HOLDS", "all below"),
        Claim("prevention", "ahead", None, 1.7, "not built", "no engine"),
    ),
    ("the forecast",),
    12.3,
    ("a remark",),
)
ABOUT = {"version": "0", "world": "1", "machine": "a machine", "command": "airis-mon bench quality", "quick": False}


def printed(capsys, names=("quality",), asking=lambda name, known: ANSWER, *, as_lines=True):
    bench.bench(names, asking, ABOUT, as_lines=as_lines)
    return capsys.readouterr().out


def test_the_table_has_a_line_per_arm_with_figures_and_intervals(capsys):
    lines = printed(capsys).splitlines()
    head = next(line for line in lines if line.startswith("arm"))
    assert head.split()[:4] == ["arm", "part", "recall", "ratio"]
    assert any(line.split() == ["record", "test", "0.940", "(0.900", "..", "0.970)", "-"] for line in lines)
    assert any(line.startswith("zscore") and line.endswith("-") for line in lines)


def test_it_says_where_what_was_chosen_and_what_is_not_built(capsys):
    text = printed(capsys)
    for told in (
        "on world: 1",
        'chosen on train: {"line": 0.5}',
        "record: our score",
        "not built: the forecast",
        "a remark",
        "12 s",
        "machine: a machine",
        "command: airis-mon bench quality",
    ):
        assert told in text


def test_claims_stand_with_verdict_figure_and_bound_or_without_a_figure(capsys):
    lines = printed(capsys).splitlines()
    assert any(line.split() == ["fewer", "HOLDS", "0.200", "(0.100", "..", "0.300)", "0.4"] for line in lines)
    assert any(line.split() == ["prevention", "not", "built", "-", "1.7"] for line in lines)
    assert "  prevention: ahead. no engine" in lines


def test_json_holds_all_of_it_and_null_for_what_is_no_number(capsys):
    told = json.loads(printed(capsys, as_lines=False))
    assert {k: told[k] for k in ABOUT} == ABOUT
    (question,) = told["questions"]
    assert question["on"] == ANSWER.on
    assert question["rows"][0]["estimates"]["recall"] == {"value": 0.94, "low": 0.9, "high": 0.97, "n": 120}
    assert question["rows"][1]["estimates"]["ratio"]["value"] is None
    assert [c["verdict"] for c in question["claims"]] == ["HOLDS", "not built"]
    assert question["claims"][1]["estimate"] is None
    assert question["notBuilt"] == ["the forecast"]


def test_every_question_is_a_module_that_can_be_asked():
    for name in bench.QUESTIONS:
        assert callable(importlib.import_module(f"airis_mon.yardstick.{name}").answer)


def test_each_question_hears_what_was_found_before_it(capsys):
    heard = {}

    def asking(name, known):
        heard[name] = sorted(known)
        return ANSWER

    printed(capsys, ("quality", "noise", "claims"), asking)
    assert heard == {"quality": [], "noise": ["quality"], "claims": ["noise", "quality"]}


def test_claims_are_not_measured_again(capsys):
    found = bench.ask("claims", {"quality": ANSWER, "rca": ANSWER, "prediction": ANSWER}, quick=False)
    assert found.question == "claims"
    assert found.claims[0].verdict == "INCONCLUSIVE"
    assert "fairness unknown" in found.claims[0].why


class Heard:
    """A question that notes where it was told to look."""

    def __init__(self):
        self.folders = []

    def answer(self, *, quick, tell, data):
        self.folders.append(data)
        return ANSWER


def looked_in(*more):
    """What a question about public data hears of them."""
    parser, heard = argparse.ArgumentParser(), Heard()
    bench.add_parser(parser.add_subparsers())
    assert bench.run(parser.parse_args(["bench", "rca", *more]), load=lambda name: heard) == 0
    return heard.folders


def test_without_a_name_no_public_data_is_looked_for(monkeypatch):
    monkeypatch.delenv(bench.DATA, raising=False)
    assert looked_in() == [None]
    monkeypatch.setenv(bench.DATA, "")
    assert looked_in() == [None]


def test_public_data_lie_where_the_option_says_or_else_the_environment(monkeypatch, tmp_path, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.setenv(bench.DATA, str(tmp_path))
    assert looked_in() == [tmp_path]
    assert looked_in("--data", str(tmp_path / "here")) == [tmp_path / "here"]
    assert f"airis-mon bench rca --data {tmp_path / 'here'}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_folder_that_is_not_there_is_a_misuse(capsys, name):
    assert main(["bench", "rca", "--data", name]) == 2
    assert f"--data '{name}' is no folder" in capsys.readouterr().err


def test_names_cannot_steer_the_terminal(capsys):
    evil = Answer("quality", {}, {}, (Row("\x1b[2J", "test", {}, "\x1b[1A"),), remarks=("\x07",))
    assert not set(printed(capsys, asking=lambda name, known: evil)) & {"\x1b", "\x07"}


def test_an_unknown_question_is_a_misuse(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "everything"])
    assert ended.value.code == 2
    assert "quality" in capsys.readouterr().err


def test_every_question_is_told_by_the_help(capsys):
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["bench", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{name}: {words}" in text for name, words in bench.QUESTIONS.items())
