"""What a source takes, what the settings and options make of it, and what tells two questions apart."""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from airis_mon.cli import replay
from airis_mon.cli.pasts import INSTEAD, SOURCES, TAKEN_BY, asked, followed, source_of
from airis_mon.config.settings import Settings, load
from airis_mon.errors import ConfigError

FOR_ALL = {"start", "end", "rules", "html", "lang", "json", "config"}
URL = "http://prometheus:9090"
KNOWN = {
    "url": f"{URL}/",
    "match": ["up"],
    "labels": {"cluster": "eu"},
    "max_series": 7,
    "headers": {"X-Scope-OrgID": "team", "Authorization": "hidden"},
    "bearer_token": "hidden",
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    replay.add_parser(parser.add_subparsers())
    return parser


def parsed(*words: str) -> argparse.Namespace:
    return parser().parse_args(["replay", *words])


def settings(*sources: dict[str, Any]) -> Settings:
    return load(Path(os.devnull), {}, {"ingest.prometheus": list(sources)} if sources else {}).settings


def test_every_option_is_one_of_a_source_or_of_all() -> None:
    options = set(vars(parsed())) - {"run"}
    assert options == FOR_ALL | set(SOURCES) | set(TAKEN_BY)
    assert set(itertools.chain(*TAKEN_BY.values())) == set(SOURCES)
    assert all(source not in TAKEN_BY[option] for source, option in INSTEAD)


NAMED = {
    "file": ["x.csv"],
    "prometheus": ["--prometheus", URL],
    "clickhouse": ["--clickhouse", "http://h", "--query", "t"],
    "stored": ["--stored"],
}


@pytest.mark.parametrize(("option", "source"), [*itertools.product(TAKEN_BY, SOURCES)])
def test_an_option_is_taken_by_its_sources_and_refused_by_name_for_others(option: str, source: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    args = parsed(*NAMED[source], flag, *([] if option in {"wide", "skip_bad"} else ["1"]))
    if source in TAKEN_BY[option]:
        assert source_of(args) == source
    elif (source, option) != ("prometheus", "query"):
        with pytest.raises(ConfigError, match=f"^{flag} is for .*, not for {SOURCES[source]}"):
            source_of(args)


def test_settings_of_the_same_address_count_and_options_stand_over_them() -> None:
    found = followed(parsed("--prometheus", URL, "--match", "down"), settings({"url": "http://other"}, KNOWN))
    assert (found.match, found.labels, found.max_series) == (["down"], {"cluster": "eu"}, 7)
    assert found.bearer_token == "hidden"
    assert followed(parsed("--prometheus", URL), settings(KNOWN)).match == ["up"]
    assert followed(parsed("--prometheus", "http://new"), settings(KNOWN)).labels == {}


def test_a_user_that_is_named_takes_the_place_of_the_token_in_the_settings() -> None:
    found = followed(parsed("--prometheus", URL, "--username", "me", "--password-file", "pw"), settings(KNOWN))
    assert (found.username, found.password_file, found.bearer_token) == ("me", "pw", "")


PROMETHEUS = ("--prometheus", URL)
TABLE = ("--clickhouse", "http://me:secret@h:8123/shop", "--query", "t")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PROMETHEUS, ("--prometheus", f"{URL}/tenant")),
        (PROMETHEUS, (*PROMETHEUS, "--match", "up")),
        (PROMETHEUS, (*PROMETHEUS, "--step", "60")),
        (PROMETHEUS, (*PROMETHEUS, "--username", "team")),
        (TABLE, (*TABLE, "--metric", "m")),
        (TABLE, (*TABLE, "--time-column", "at")),
        (TABLE, (*TABLE, "--value-column", "v")),
        (TABLE, (*TABLE[:3], "u")),
        (TABLE, ("--clickhouse", "http://me:secret@h:8123/other", *TABLE[2:])),
    ],
)
def test_what_defines_the_samples_is_part_of_the_question(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert asked(parsed(*one), settings()) != asked(parsed(*other), settings())


@pytest.mark.parametrize("changed", [{"labels": {}}, {"max_series": 8}, {"match": []}, {"headers": {"X-Tenant": "b"}}])
def test_so_is_what_the_settings_say_of_them(changed: dict[str, Any]) -> None:
    args = parsed("--prometheus", URL)
    assert asked(args, settings(KNOWN)) != asked(args, settings(KNOWN | changed))


def test_how_fast_and_with_which_password_is_asked_is_not_and_no_secret_is_kept() -> None:
    args, other = parsed(*PROMETHEUS), parsed(*PROMETHEUS, "--concurrency", "4", "--requests-per-s", "9")
    renewed = KNOWN | {"bearer_token": "new", "headers": {"X-Scope-OrgID": "team", "Authorization": "new"}}
    assert asked(args, settings(KNOWN)) == asked(other, settings(renewed))
    assert "hidden" not in str(asked(args, settings(KNOWN)))
    assert "secret" not in str(asked(parsed(*TABLE), settings()))
