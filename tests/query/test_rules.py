"""Rule files: what they mean, and everything that is wrong with them at once."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import BadRules, ConfigError
from airis_mon.query.durations import parse_duration
from airis_mon.query.rulefile import LARGEST_BYTES, load_rules, parse_rules
from airis_mon.query.rules import AlertingRule, RecordingRule

FULL = """\
# rules of an example
groups:
  - name: node
    interval: 1m30s
    limit: 10
    query_offset: 30s
    labels:
      team: infra
    rules:
      - record: instance:up:sum
        expr: sum by (instance) (up)
        labels: {kind: "a", team: db}
      - alert: Down
        expr: |
          up == 0
        for: 5m
        keep_firing_for: 1h
        labels:
          severity: page
          level: 3
        annotations:
          summary: "{{ $labels.instance }} is down"
  - name: empty
    rules:
"""


def faults(text):
    """`line:column group/rule/name reason` of each."""
    with pytest.raises(BadRules) as error:
        parse_rules("r.yml", text)
    return [str(fault) for fault in error.value.faults]


def in_group(rules):
    """A file with one group that has these lines as its rules."""
    lines = "\n".join(f"  {line}" for line in rules.splitlines())
    return f"groups:\n- name: g\n  rules:\n{lines}\n"


def test_a_file_becomes_groups_of_rules():
    node, empty = parse_rules("r.yml", FULL)
    assert (node.name, node.file, node.interval_ms, node.limit, node.query_offset_ms) == (
        "node",
        "r.yml",
        90_000,
        10,
        30_000,
    )
    assert node.labels == (("team", "infra"),)
    assert node.key == "r.yml;node"
    assert node.rules == (
        RecordingRule("instance:up:sum", "sum by (instance) (up)", (("kind", "a"), ("team", "db"))),
        AlertingRule(
            alert="Down",
            expr="up == 0\n",
            for_ms=300_000,
            keep_firing_for_ms=3_600_000,
            labels=(("level", "3"), ("severity", "page"), ("team", "infra")),
            annotations=(("summary", "{{ $labels.instance }} is down"),),
        ),
    )
    assert (empty.interval_ms, empty.limit, empty.query_offset_ms, empty.rules) == (None, 0, None, ())


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "groups:\n", "groups: []\n", "{}"])
def test_a_file_without_groups_is_no_fault(text):
    assert parse_rules("r.yml", text) == ()


def test_yaml_as_people_write_it_is_read_as_prometheus_reads_it():
    text = """\
groups:
- name: g
  rules:
  - &first
    alert: A
    expr: up
    for: 0
    labels: &both {severity: page, on: yes, ratio: 1.50, none: ~}
  - <<: *first
    alert: B
    for: 0s
  - alert: C
    expr: up
    labels:
      <<: *both
      severity: ticket
"""
    [group] = parse_rules("r.yml", text)
    same = (("none", ""), ("on", "yes"), ("ratio", "1.50"))
    assert [(r.name, r.expr, r.for_ms, r.labels) for r in group.rules] == [
        ("A", "up", 0, (*same, ("severity", "page"))),
        ("B", "up", 0, (*same, ("severity", "page"))),
        ("C", "up", 0, (*same, ("severity", "ticket"))),
    ]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("- expr: up", "r.yml:4:5: group \"g\", rule 1: one of 'record' or 'alert' must be set"),
        (
            "- record: r\n  alert: A\n  expr: up",
            "r.yml:4:13: group \"g\", rule 1, \"A\": only one of 'record' and 'alert' must be set",
        ),
        ("- alert: A", 'r.yml:4:5: group "g", rule 1, "A": field \'expr\' must be set in rule'),
        ("- alert: A\n  expr: ''", 'r.yml:5:11: group "g", rule 1, "A": field \'expr\' must be set in rule'),
        (
            "- alert: A\n  expr: sum(",
            'r.yml:5:11: group "g", rule 1, "A": could not parse expression: parse error: unclosed left parenthesis',
        ),
        (
            "- record: r\n  expr: up\n  for: 5m",
            'r.yml:6:5: group "g", rule 1, "r": invalid field \'for\' in recording rule',
        ),
        ("- record: r\n  expr: up\n  keep_firing_for: 5m", "invalid field 'keep_firing_for' in recording rule"),
        ("- record: r\n  expr: up\n  annotations: {a: b}", "invalid field 'annotations' in recording rule"),
        (
            '- record: up{a="b"}\n  expr: up',
            'braces present in the recording rule name; should it be in expr?: up{a="b"}',
        ),
        (
            "- alert: A\n  expr: up\n  fro: 5m",
            'r.yml:6:5: group "g", rule 1, "A": field fro not found in a rule; did you mean for?',
        ),
        (
            "- alert: A\n  expr: up\n  for: 5",
            'r.yml:6:10: group "g", rule 1, "A": for: not a valid duration string: "5"',
        ),
        ("- alert: A\n  expr: up\n  for: ''", "for: empty duration string"),
        ("- alert: A\n  expr: up\n  for: 1m1h", 'for: not a valid duration string: "1m1h"'),
        ("- alert: A\n  expr: up\n  for: 300y", "for: duration out of range"),
        (
            "- alert: A\n  expr: up\n  expr: down",
            'r.yml:6:5: group "g", rule 1, "A": mapping key "expr" already defined at line 5',
        ),
        (
            "- alert: A\n  expr: up\n  labels: {__name__: x}",
            'r.yml:6:14: group "g", rule 1, "A": invalid label name: __name__',
        ),
        ("- alert: A\n  expr: up\n  labels: {'': x}", "invalid label name: "),
        ("- alert: A\n  expr: up\n  annotations: {'': x}", "invalid annotation name: "),
        ("- alert: A\n  expr: up\n  labels: [a]", "labels must be a mapping, not a list"),
        ("- alert: A\n  expr: up\n  labels: {a: {b: c}}", "a must be text, not a mapping"),
        ("- alert: A\n  expr: [up]", 'r.yml:5:11: group "g", rule 1, "A": expr must be text, not a list'),
        ('- alert: A\n  expr: up\n  labels: {a: "\\ud800"}', "found invalid Unicode character escape code"),
        (
            "- alert: A\n  expr: up\n  annotations:\n    x: '{{ $lables.a }}'",
            'r.yml:7:10: group "g", rule 1, "A": annotation "x": template: __alert_A:1: undefined variable "$lables"',
        ),
        (
            "- alert: A\n  expr: up\n  labels:\n    x: '{{ foo }}'",
            'label "x": template: __alert_A:1: function "foo" not defined',
        ),
        (
            "- alert: A\n  expr: up\n- expr: up\n  alert: A",
            'r.yml:6:5: group "g", rule 2, "A": the rule says the same as rule 1',
        ),
        ("- up", 'r.yml:4:5: group "g", rule 1: a rule must be a mapping, not text'),
        ("- ? [a]\n  : b", "a key of a rule must be text, not a list"),
        ("- <<: 3", "<< needs a mapping"),
    ],
)
def test_a_fault_of_a_rule_says_where_and_why(rule, fault):
    found = faults(in_group(rule))
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("groups:\n- rules: []\n", "r.yml:2:3: Groupname must not be empty"),
        (
            "groups:\n- name: a\n- name: a\n",
            'r.yml:3:3: group "a": groupname: "a" is repeated in the same file, first in line 2',
        ),
        ("groups:\n- name: a\n  interval: x\n", 'r.yml:3:13: group "a": interval: not a valid duration string: "x"'),
        ("groups:\n- name: a\n  limit: 1.5\n", 'r.yml:3:10: group "a": limit: not an integer: "1.5"'),
        ("groups:\n- name: a\n  query_offset: -1m\n", 'query_offset: not a valid duration string: "-1m"'),
        (
            "groups:\n- name: a\n  partial_response_strategy: warn\n",
            "field partial_response_strategy not found in a group",
        ),
        ("groups:\n- name: a\n  labels: {__name__: b}\n", 'r.yml:3:12: group "a": invalid label name: __name__'),
        (
            "groups:\n- name: a\n  labels: {b: '{{ x }}'}\n  rules: [{alert: A, expr: up}]\n",
            'r.yml:3:15: group "a": label "b": template: __alert_:1: function "x" not defined',
        ),
        ("groups: {}\n", "r.yml:1:9: groups must be a list, not a mapping"),
        ("- a\n", "r.yml:1:1: a rule file must be a mapping, not a list"),
        ("group: []\n", "r.yml:1:1: field group not found in a rule file; did you mean groups?"),
        ("groups: [\n", "r.yml:2:1: while parsing a flow node did not find expected node content"),
        ("a: b: c\n", "r.yml:1:5: mapping values are not allowed in this context"),
        ("groups: []\n---\ngroups: []\n", "r.yml:2:1: only one document is read of a file"),
        ("groups: *x\n", "r.yml:1:9: found undefined alias"),
        ("groups: &x [*x]\n", "anchor 'x' value contains itself"),
        ("groups: " + "[" * 30, "more than 20 lists or mappings stand inside one another"),
        ("groups: \x07\n", "r.yml:1:"),
        ("groups:\n\t- name: a\n", "r.yml:2:1: "),
    ],
)
def test_a_fault_of_a_group_or_a_file_says_where_and_why(text, fault):
    found = faults(text)
    assert any(fault in line for line in found), found


def test_all_faults_of_all_files_come_at_once_by_file_and_line(tmp_path):
    (tmp_path / "b.yml").write_text(in_group("- alert: A\n  expr: (\n  for: x\n- record: r\n  foo: 1"))
    (tmp_path / "a.yml").write_text("groups: 3\n")
    (tmp_path / "good.yml").write_text(FULL)
    with pytest.raises(BadRules) as error:
        load_rules([str(tmp_path / "*.yml")])
    assert isinstance(error.value, ConfigError)
    places = [(f.file.removeprefix(str(tmp_path)), f.line, f.group, f.rule, f.name) for f in error.value.faults]
    assert places == [
        ("/a.yml", 1, "", 0, ""),
        ("/b.yml", 5, "g", 1, "A"),
        ("/b.yml", 6, "g", 1, "A"),
        ("/b.yml", 7, "g", 2, "r"),
        ("/b.yml", 8, "g", 2, "r"),
    ]
    assert str(error.value).splitlines()[0].endswith("a.yml:1:9: groups must be a list, not text")


def test_very_many_faults_are_counted():
    found = faults(in_group("\n".join("- alert: A" for _ in range(1200))))
    assert len(found) == 1001
    assert found[-1] == "r.yml: 200 more faults are not listed"


def test_files_are_read_by_path_each_once_and_the_same_every_time(tmp_path):
    for name in ("b.yml", "a.yml", ".hidden.yml", "c.yaml"):
        (tmp_path / name).write_text(FULL.replace("node", name))
    patterns = [str(tmp_path / "*.yml"), str(tmp_path / "b.yml"), str(tmp_path / "nothing*.yml")]
    groups = load_rules(patterns)
    assert [g.file.removeprefix(f"{tmp_path}/") for g in groups[::2]] == [".hidden.yml", "a.yml", "b.yml"]
    assert load_rules(reversed(patterns)) == groups


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    (tmp_path / "latin.yml").write_bytes(b"groups:\n  # caf\xe9\n")
    (tmp_path / "folder.yml").mkdir()
    with (tmp_path / "big.yml").open("wb") as big:
        big.truncate(LARGEST_BYTES + 1)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yml")
    with pytest.raises(BadRules) as error:
        load_rules([str(tmp_path / "*.yml"), str(tmp_path / "missing.yml"), odd])
    reasons = {f.file.rpartition("/")[2]: (f.line, f.column, f.reason) for f in error.value.faults}
    assert reasons["latin.yml"] == (2, 8, "the file is not UTF-8")
    assert reasons["folder.yml"][2] == "it is no regular file; name files alone"
    assert reasons["missing.yml"][2] == "the file cannot be read: No such file or directory"
    assert reasons["big.yml"][2].startswith(f"the file has more than {LARGEST_BYTES} bytes")
    assert any("not UTF-8; rename" in reason for _, _, reason in reasons.values())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_or_a_device_is_a_fault_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "zero.yml").symlink_to("/dev/zero")
    with pytest.raises(BadRules) as error:
        load_rules([str(tmp_path / "*.yml")])
    why = "it is no regular file; name files alone"
    assert [str(fault) for fault in error.value.faults] == [
        f"{tmp_path}/{name}.yml: {why}" for name in ("pipe", "zero")
    ]


def test_each_expression_that_cannot_be_parsed_is_a_fault_of_its_own_rule():
    texts = ["x offset 5m @ -1e300", "(" * 5000, "x[5m:1m] @ 1e19", "sum(", 'x{a=~"("}', "label_replace(x)", "\x00"]
    rules = "".join(f"- {{record: r{i}, expr: {json.dumps(text)}}}\n" for i, text in enumerate(texts))
    found = faults(in_group(rules))
    assert [f'"r{i}": ' in fault for i, fault in enumerate(found)] == [True] * len(texts)


def test_aliases_cannot_unfold_to_more_than_a_file_may_hold():
    many = "\n".join(f"  - {{record: 'r{i}', expr: up}}" for i in range(1000))
    text = f"groups:\n- &g\n  name: g\n  rules:\n{many}\n" + "- *g\n" * 1000
    assert "the file has more than 1000000 values, aliases followed" in faults(text)[0]


def test_labels_of_a_rule_win_over_those_of_a_series_and_an_empty_one_takes_it_away():
    series = (("__name__", "up"), ("a", "1"), ("b", "2"))
    record = RecordingRule("r", "up", (("a", ""), ("c", "3")))
    assert record.labels_of(series) == (("__name__", "r"), ("b", "2"), ("c", "3"))
    alert = AlertingRule("Down", "up", labels=(("a", "{{ $value }}"),))
    assert alert.labels_of(series, (("a", "7"), ("alertname", "x"))) == (("a", "7"), ("alertname", "Down"), ("b", "2"))


@pytest.mark.parametrize(
    ("text", "ms"),
    [("0", 0), ("0s", 0), ("5m", 300_000), ("1y2w3d4h5m6s7ms", 33_019_506_007), ("90s", 90_000), ("1h30m", 5_400_000)],
)
def test_a_duration_is_read_as_prometheus_reads_it(text, ms):
    assert parse_duration(text) == ms


TEXT = st.text(st.sampled_from("abz{}[]:,-&*!|>'\"%@`# \n\t~?<0é"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_whatever_a_file_holds_it_is_rules_or_faults(text):
    for content in (text, in_group(text), FULL[:120] + text):
        try:
            assert isinstance(parse_rules("r.yml", content), tuple)
        except BadRules as error:
            assert error.faults
            str(error).encode()
