from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airis_mon.errors import ConfigError, InputError
from airis_mon.ingest.targets import Defaults, Discovery, make_target, read_groups

NODE = Defaults("node", labels=(("site", "seoul"),))


def place(path: Path, content: object) -> None:
    """Writes a file and gives it a time of change of its own."""
    before = path.stat().st_mtime_ns if path.exists() else 1_700_000_000_000_000_000
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, ns=(before + 1_000_000_000,) * 2)


def urls(discovery: Discovery) -> list[str]:
    return [t.url for t in discovery.targets()]


def test_an_address_gets_scheme_path_job_and_instance():
    target = make_target("web:9100", {"env": "prod"}, NODE)
    assert target.url == "http://web:9100/metrics"
    assert dict(target.labels) == {"job": "node", "instance": "web:9100", "site": "seoul", "env": "prod"}


def test_a_whole_url_is_an_address_too():
    target = make_target("https://[::1]:9/probe?a=1", {}, NODE)
    assert target.url == "https://[::1]:9/probe?a=1"
    assert dict(target.labels)["instance"] == "[::1]:9"


def test_hidden_labels_steer_the_scrape_and_reach_no_series():
    labels = {
        "__scheme__": "https",
        "__metrics_path__": "/m",
        "__param_module": "http 2xx",
        "__meta_x": "y",
        "job": "j",
    }
    target = make_target("web:1", labels, Defaults("node", params=(("module", "icmp"), ("debug", "1"))))
    assert target.url == "https://web:1/m?module=http+2xx&debug=1"
    assert target.place == "https://web:1/m"
    assert dict(target.labels) == {"job": "j", "instance": "web:1"}


@pytest.mark.parametrize("address", ["", "ftp://web/metrics", "http://", "http://me:secret@web/", "web:port", "a b"])
def test_what_is_no_address_is_refused_without_repeating_a_password(address: str):
    with pytest.raises(InputError) as caught:
        make_target(address, {}, NODE)
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError):
        Discovery(NODE, [address])


def test_json_and_yaml_files_say_the_same():
    as_json = read_groups('[{"targets": ["a:1", "b:1"], "labels": {"tier": "web", "rack": 7}}]', "t.json")
    as_yaml = read_groups("- targets: [a:1, b:1]\n  labels: {tier: web, rack: 7}\n", "t.yml")
    assert as_json == as_yaml
    assert as_json[0].labels == (("tier", "web"), ("rack", "7"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[{"targets": "a:1"}]',
        '[{"targets": [1]}]',
        '[{"targets": [], "labels": []}, 3]',
        '[{"targets": [], "labels": {"a-b": "c"}}]',
        '[{"targets": [], "labels": {"a": null}}]',
        '[{"targets": [], "lables": {}}]',
        '[{"targets": ["a:1"',
    ],
)
def test_a_malformed_file_is_refused_with_its_name(text: str):
    for name in ("t.json", "t.yaml"):
        with pytest.raises(InputError, match=r"t\."):
            read_groups(text, name)


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path):
    file = tmp_path / "web.json"
    place(file, [{"targets": ["a:1"]}])
    discovery = Discovery(NODE, ["fixed:1"], [str(tmp_path / "*.json")])
    first = discovery.targets()
    assert [t.url for t in first] == ["http://fixed:1/metrics", "http://a:1/metrics"]
    assert discovery.targets()[1] is first[1]
    place(file, [{"targets": ["a:1", "b:1", "a:1"]}])
    assert urls(discovery) == ["http://fixed:1/metrics", "http://a:1/metrics", "http://b:1/metrics"]


def test_a_file_that_is_being_written_keeps_its_last_good_targets(tmp_path: Path):
    file = tmp_path / "web.yml"
    place(file, "- targets: [a:1]")
    discovery = Discovery(NODE, (), [str(file)])
    discovery.targets()
    for broken in ("", "- targets: [a:", "- targets: ['http://']"):
        place(file, broken)
        assert urls(discovery) == ["http://a:1/metrics"]
        assert list(discovery.errors) == [str(file)]
    place(file, "[]")
    assert urls(discovery) == []
    assert discovery.errors == {}


def test_a_file_that_is_gone_takes_its_targets_and_its_error_along(tmp_path: Path):
    file = tmp_path / "web.json"
    place(file, [{"targets": ["a:1"]}])
    discovery = Discovery(NODE, (), [str(file)])
    assert len(discovery.targets()) == 1
    place(file, "oops")
    discovery.targets()
    file.unlink()
    assert discovery.targets() == []
    assert discovery.errors == {}


def test_a_file_of_another_kind_is_refused_at_start():
    with pytest.raises(ConfigError, match="json"):
        Discovery(NODE, (), ["/etc/targets.toml"])
