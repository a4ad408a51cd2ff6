"""Templates of rule files. Expected texts were worked out by hand; the live test holds them to promtool's own Go."""

import json
import math
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import InputError, QueryCancelled, QueryError, StoreError, TemplateError
from airis_mon.query.templates import Dependence, check, dependence, expand
from airis_mon.query.values import Runs, Scalar, Vector
from tools.servers import program

LABELS = (("__name__", "m"), ("instance", "web-1.example.org:9100"), ("job", "node"), ("zone", "a b"))
NOW = 60_000


def series(*rows):
    value = np.array([[v] for _, v in rows], float).reshape(-1, 1)
    return Vector([tuple(sorted(labels.items())) for labels, _ in rows], value, np.ones(value.shape, bool))


def ask(text, at):
    assert at == NOW
    answers = {
        "m": series((dict(LABELS), 42.5)),
        "n": series(({"__name__": "n", "i": "b"}, 1), ({"__name__": "n", "i": "a"}, 2)),
        "nope": series(),
        "vector(3)": series(({}, 3)),
        "1+1": Scalar(np.array([2.0])),
        "m[5m]": Runs([], np.zeros(1, np.intp), np.zeros(0, np.int64), np.zeros(0)),
    }
    if text not in answers:
        raise InputError("1:5: parse error: unclosed left parenthesis")
    return answers[text]


def text_of(template, value=42.5, query=ask, **kinds):
    kinds = {"external_labels": {}, "external_url": "", "alert": "A"} | kinds
    try:
        return expand(template, LABELS, value=value, query=query, now_ms=NOW, **kinds)
    except TemplateError as error:
        return f"<error expanding template: {error}>"


def failure(template, **kinds):
    """What is wrong, without where."""
    found = re.fullmatch(r"<error expanding template: .* at <.*?>: (.*)>", text_of(template, **kinds), re.DOTALL)
    assert found, text_of(template, **kinds)
    return found[1]


EXAMPLES = [
    # What annotations of mixins and of the documentation look like
    ("Instance {{ $labels.instance }} down", "Instance web-1.example.org:9100 down"),
    ("{{ $labels.instance }} of {{$labels.job}}: {{ $value }}", "web-1.example.org:9100 of node: 42.5"),
    (
        '{{ $labels.instance }} has only {{ printf "%.2f" $value }}% left.',
        "web-1.example.org:9100 has only 42.50% left.",
    ),
    ("{{ $value | humanize }} / {{ $value | humanizePercentage }}", "42.5 / 4250%"),
    ('{{ with query "m" }}{{ . | first | value | humanize }}{{ end }}', "42.5"),
    ('{{ range query "n" }}{{ .Labels.i }}={{ .Value }} {{ end }}', "b=1 a=2 "),
    ('{{ range sortByLabel "i" (query "n") }}{{ .Labels.i }}{{ end }}', "ab"),
    ('{{ query "n" | first | label "i" }} {{ query "n" | first | value }}', "b 1"),
    ('{{ range $i, $e := query "n" }}{{ if $i }}, {{ end }}{{ $e.Labels.i }}{{ end }}', "b, a"),
    ('{{ if eq $labels.job "x" }}a{{ else if eq $labels.job "node" }}b{{ else }}c{{ end }}', "b"),
    ("{{ if gt $value 42.0 }}high{{ else }}low{{ end }}", "high"),
    ('{{ define "who" }}<{{ . }}>{{ end }}{{ template "who" $labels.job }}', "<node>"),
    ('{{ define "pair" }}{{ .arg0 }}/{{ .arg1 }}{{ end }}{{ template "pair" (args $labels.job 3) }}', "node/3"),
    ('{{ block "b" $labels.job }}[{{ . }}]{{ end }}', "[node]"),
    # Data, variables, fields
    ("{{ $labels }}", "map[__name__:m instance:web-1.example.org:9100 job:node zone:a b]"),
    ("{{ . }}", "{map[__name__:m instance:web-1.example.org:9100 job:node zone:a b] map[]  42.5}"),
    (
        "{{ .Labels.job }} {{ $.Labels.job }} {{ .Value }} {{ $labels.nope }}|{{ $externalLabels.x }}|",
        "node node 42.5 ||",
    ),
    ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}", "32"),
    ('{{ $x := "a" }}{{ range query "n" }}{{ $x = .Labels.i }}{{ end }}{{ $x }}', "a"),
    ('{{ query "m" | first }}', "{map[__name__:m instance:web-1.example.org:9100 job:node zone:a b] 42.5}"),
    ('{{ (query "m" | first).Labels.job }} {{ (index (query "n") 1).Value }}', "node 2"),
    ('{{ args 1 "x" }} {{ (args 1 2).arg1 }} {{ (args 1).arg9 }}', "map[arg0:1 arg1:x] 2 <no value>"),
    ('{{ query "1+1" | first | value }} {{ range query "vector(3)" }}{{ . }}{{ end }}', "2 {map[] 3}"),
    # Flow and blanks
    ('{{ range query "nope" }}x{{ else }}none{{ end }}', "none"),
    (
        "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "__name__=m;instance=web-1.example.org:9100;job=node;zone=a b;",
    ),
    ('{{ with $x := $labels.job }}{{ $x }}{{ . }}{{ end }}{{ with "" }}a{{ else }}b{{ end }}', "nodenodeb"),
    (
        '{{ range $k, $v := $labels }}{{ if eq $k "job" }}{{ break }}{{ end }}{{ $k }} {{ continue }}x{{ end }}',
        "__name__ instance ",
    ),
    ('a  {{- " b " -}}  c', "a b c"),
    ("{{/* comment */}}x{{- /* c2 */ -}} y", "xy"),
    ('{{ not 0 }} {{ and 1 0 2 }} {{ or 0 "" "x" }} {{ and 1 2 }} {{ or false (humanize 3) }}', "true 0 x 2 3"),
    ('{{ eq 1 2 3 1 }} {{ ne "a" "b" }} {{ lt 1 2 }} {{ le "a" "b" }} {{ ge 2.5 2.5 }}', "true true true true true"),
    # Constants
    (
        "{{ 'a' }} {{ 0x10 }} {{ 0b11 }} {{ 1_000 }} {{ 017 }} {{ 0o17 }} {{ -3 }} {{ 0x1p-2 }}",
        "97 16 3 1000 15 15 -3 0.25",
    ),
    (
        "{{ 1e6 }} {{ 1000000 }} {{ 1e5 }} {{ 123456789.0 }} {{ 1.0 }} {{ 0.00001 }} {{ .5 }}",
        "1e+06 1000000 100000 1.23456789e+08 1 1e-05 0.5",
    ),
    (r'{{ "a\x41é\101\t|" }}{{ `raw\n` }}', "aAéA\t|raw\\n"),
    # printf and its like
    (
        '{{ printf "%6.2f|%-10.3e|%+d|%x|%#x|%08b|%c|%q|%U" 3.14159 1234.5 5 255 255 5 65 65 0x1F600 }}',
        "  3.14|1.234e+03 |+5|ff|0xff|00000101|A|'A'|U+1F600",
    ),
    (
        '{{ printf "%d" $value }} {{ printf "%s" $value }} {{ printf "%s" nil }} {{ printf "%t" "x" }}',
        "%!d(float64=42.5) %!s(float64=42.5) %!s(<nil>) %!t(string=x)",
    ),
    (
        '{{ printf "%d" }} {{ printf "%d" 1 2 }} {{ printf "100%" }} {{ printf "%z" 3 }}',
        "%!d(MISSING) 1%!(EXTRA int=2) 100%!(NOVERB) %!z(int=3)",
    ),
    (
        '{{ printf "%[2]d %[1]d" 1 2 }} {{ printf "%*d|%-*d|" 5 6 7 8 }} {{ printf "%[5]d" 1 }}',
        "2 1     6|8      | %!d(BADINDEX)",
    ),
    ('{{ printf "%10s|%-10s|%.2s|%10.2s" "héllo" "héllo" "héllo" "héllo" }}', "     héllo|héllo     |hé|        hé"),
    ('{{ printf "%q %+q %x % x %X" "a\\"é\\n" "é" "hé" "hé" "hé" }}', r'"a\"é\n" "\u00e9" 68c3a9 68 c3 a9 68C3A9'),
    ('{{ printf "%g %e %G %v %.3g" 1e21 $value 1e-7 0.1 1234.5 }}', "1e+21 4.250000e+01 1E-07 0.1 1.23e+03"),
    ('{{ printf "%06d|%+06d|%.5d|%8.5d|% d|%o|%x" 42 42 42 42 7 8 -42 }}', "000042|+00042|00042|   00042| 7|10|-2a"),
    (
        '{{ printf "%v %t %5t|%T %T %T" true false true 1 1.5 $labels }}',
        "true false  true|int float64 map[string]string",
    ),
    ('{{ print 1 2 "x" 3 "y" "z" 4.5 }} {{ println "a" 1 }}|', "1 2x3yz4.5 a 1\n|"),
    ('{{ "a" | printf "%s-%s" "b" }} {{ (printf "%d" 5) | len }} {{ len "é" }}', "b-a 1 2"),
    ('{{ index $labels "job" }} {{ index "abc" 1 }} {{ slice "hello" 1 3 }}', "node 98 el"),
    (
        '{{ html "<a href=\'x\'>&" }} {{ urlquery "a b&c/d" }} {{ js "it\'s <x>" }}',
        r"&lt;a href=&#39;x&#39;&gt;&amp; a+b%26c%2Fd it\'s \u003Cx\u003E",
    ),
    # Numbers for people
    (
        '{{ humanize 1234567.0 }} {{ humanize 0.00012 }} {{ humanize 0 }} {{ humanize "1e30" }} {{ humanize -1500.0 }}',
        "1.235M 120u 0 1e+06Y -1.5k",
    ),
    ("{{ humanize1024 1048576.0 }} {{ humanize1024 1.0 }} {{ humanize1024 1536 }}", "1Mi 1 1.5ki"),
    (
        "{{ humanizeDuration 0 }} {{ humanizeDuration 59.9 }} {{ humanizeDuration 60 }} {{ humanizeDuration 90061.5 }}",
        "0s 59.9s 1m 0s 1d 1h 1m 1s",
    ),
    (
        "{{ humanizeDuration -61 }} {{ humanizeDuration 0.0123456 }} {{ humanizeDuration 3600 }}",
        "-1m 1s 12.35ms 1h 0m 0s",
    ),
    ('{{ humanizePercentage 0.1234567 }} {{ humanizePercentage "0.5" }}', "12.35% 50%"),
    (
        "{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp -1.5 }}",
        "2015-06-23 13:19:44.128 +0000 UTC 1969-12-31 23:59:58.5 +0000 UTC",
    ),
    (
        '{{ toTime 1435065584.128 }} {{ (toTime 1435065584).Format "Mon, 02 Jan 2006 15:04" }} {{ (toTime 9).Unix }}',
        "2015-06-23 13:19:44.128 +0000 UTC Tue, 23 Jun 2015 13:19 9",
    ),
    ('{{ parseDuration "1h30m" }} {{ parseDuration "1d2h3m4s5ms" }} {{ parseDuration "0" }}', "5400 93784.005 0"),
    # Texts
    (
        '{{ $labels.instance | stripPort }} {{ .Labels.instance | stripDomain }} {{ stripPort "[::1]:80" }}',
        "web-1.example.org web-1:9100 ::1",
    ),
    (
        '{{ reReplaceAll "(.*):(.*)" "$2-${1}x-$1x" $labels.instance }} {{ reReplaceAll "a*" "x$$" "baaac" }}',
        "9100-web-1.example.orgx- x$bx$cx$",
    ),
    (
        '{{ match "a+" "baab" }} {{ toUpper "aßé" }} {{ toLower "AÉ" }} {{ title "hello wORLD foo-bar" }}',
        "true AßÉ aé Hello WORLD Foo-Bar",
    ),
    (
        r'{{ graphLink "up{a=\"b c\"}" }} {{ tableLink "up" }} {{ safeHtml "<b>" }}',
        "/graph?g0.expr=up%7Ba%3D%22b+c%22%7D&g0.tab=0 /graph?g0.expr=up&g0.tab=1 <b>",
    ),
]
NEWER = [
    # What Prometheus 3 has beyond the version that promtool is of
    ("{{ now }} {{ toDuration 5400 }} {{ toDuration 0.0015 }} {{ (toDuration 90).Minutes }}", "60 1h30m0s 1.5ms 1.5"),
    ("{{ ((toTime 60).Add (toDuration 60)).Unix }} {{ (toTime 60).Sub (toTime 0) }}", "120 1m0s"),
    ('{{ urlQueryEscape "a b&c" }}', "a+b%26c"),
    ("{{ range 3 }}{{ . }}{{ end }}", "012"),
    ('{{ with "" }}a{{ else with "b" }}{{ . }}{{ end }}', "b"),
    ('{{ title "don\'t x_y 3com" }}', "Don't X_y 3Com"),
]
FAULTS = [
    (
        "{{ gt $value 1 }}",
        'A:1:115: executing "__alert_A" at <gt $value 1>: error calling gt: incompatible types for comparison',
    ),
    (
        '{{ humanize "foo" }}',
        'at <humanize "foo">: error calling humanize: strconv.ParseFloat: parsing "foo": invalid syntax',
    ),
    (
        '{{ query "nope" | first | value }}',
        'A:1:130: executing "__alert_A" at <first>: error calling first: first() called on vector with no elements',
    ),
    ('{{ template "nope" }}', 'A:1:124: executing "__alert_A" at <{{template "nope"}}>: template "nope" not defined'),
    (
        "{{ $labels.job.foo }}",
        'A:1:122: executing "__alert_A" at <$labels.job.foo>: can\'t evaluate field foo in type string',
    ),
    ("{{ humanize 1 2 }}", "at <humanize>: wrong number of args for humanize: want 1 got 2"),
    ('{{ label 3 (query "m" | first) }}', "at <3>: expected string; found 3"),
    ('{{ stripDomain "10.0.0.1:80" | humanize }}', 'parsing "10.0.0.1:80": invalid syntax'),
    ("{{ toUpper $value }}", "at <$value>: wrong type for value; expected string; got float64"),
    ("{{ first $labels }}", "at <$labels>: wrong type for value; expected template.queryResult; got map[string]string"),
    ('{{ query "m[5m]" }}', 'at <query "m[5m]">: error calling query: rule result is not a vector or scalar'),
    ('{{ index (query "m") 5 }}', "error calling index: index out of range: 5"),
    ("{{ index $labels 1 }}", "error calling index: value has type int; should be string"),
    ("{{ len 3 }}", "error calling len: len of type int"),
    ('{{ range "abc" }}x{{ end }}', 'at <"abc">: range can\'t iterate over abc'),
    ('{{ "abc" "def" }}', 'at <"abc">: can\'t give argument to non-function "abc"'),
    ('{{ $labels.job "x" }}', "job is not a method but has arguments"),
    ("{{ nil }}", "at <nil>: nil is not a command"),
    ('{{ parseDuration "zz" }}', 'error calling parseDuration: not a valid duration string: "zz"'),
    ("{{ humanizeTimestamp 1e30 }}", "1e+30 cannot be represented as a nanoseconds timestamp since it overflows int64"),
    (
        "\n{{ humanize true }}",
        'A:2:3: executing "__alert_A" at <humanize true>: error calling humanize: can\'t convert bool to float',
    ),
]
MALFORMED = [
    ("{{ foo }}", 'template: __alert_A:1: function "foo" not defined'),
    ("\n{{ $x }}", 'template: __alert_A:2: undefined variable "$x"'),
    ("{{ $labels.instance", "template: __alert_A:1: unclosed action"),
    ("{{ if }}x{{ end }}", "missing value for if"),
    ("{{ if true }}x", "unexpected EOF"),
    ("x{{ end }}", "unexpected {{end}}"),
    ("{{ }}", "missing value for command"),
    ('{{ "abc }}', "unterminated quoted string"),
    ('{{ "a" | "b" }}', "non executable command in pipeline stage 2"),
    ("{{ break }}", "{{break}} outside {{range}}"),
    ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
    ("{{ template foo }}", 'unexpected "foo" in template clause'),
    ('{{ define "a" }}{{ $labels.job }}{{ end }}', 'undefined variable "$labels"'),
    ("{{ 1a }}", 'bad number syntax: "1a"'),
    ("{{/* x */ }}", "comment ends before closing delimiter"),
    ("{{ ( 1 }}", "unclosed left paren"),
]


@pytest.mark.parametrize(("template", "text"), EXAMPLES + NEWER)
def test_a_template_becomes_the_text_that_go_makes_of_it(template, text):
    check(template)
    assert text_of(template) == text


@pytest.mark.parametrize(("template", "words"), FAULTS)
def test_what_cannot_be_expanded_is_said_in_prometheus_words(template, words):
    check(template)
    text = text_of(template)
    assert text.startswith("<error expanding template: error executing template __alert_A: template: __alert_A:")
    assert words in text


@pytest.mark.parametrize(("template", "words"), MALFORMED)
def test_what_is_no_template_is_refused_when_it_is_read(template, words):
    with pytest.raises(TemplateError) as error:
        check(template, "A")
    assert words in str(error.value)
    assert text_of(template).startswith("<error expanding template: error parsing template __alert_A: template: ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "NaN NaN NaN"),
        (math.inf, "+Inf +Inf +Inf"),
        (-math.inf, "-Inf -Inf -Inf"),
        (-0.0, "-0 -0.0 -0"),
        (1234567.0, "1.234567e+06 1234567.0 1.235M"),
        (0.1 + 0.2, "0.30000000000000004 0.3 300m"),
        (5e-324, "5e-324 0.0 4.941e-300y"),
    ],
)
def test_the_value_is_written_as_go_writes_a_float(value, text):
    assert text_of('{{ $value }} {{ printf "%.1f" $value }} {{ humanize $value }}', value=value) == text


def test_links_and_external_labels_are_those_given():
    template = (
        "{{ externalURL }} {{ $externalURL }} {{ pathPrefix }} {{ $externalLabels.region }} {{ .ExternalLabels.x }}|"
    )
    url = "https://mon.example.org/prom%20x"
    text = text_of(template, external_url=url, external_labels={"region": "eu"})
    assert text == f"{url} {url} /prom x eu |"


def test_what_a_query_fails_with_is_part_of_the_text_but_a_cancelled_query_ends_the_expansion():
    def fails(error):
        def query(text, at):
            raise error

        return query

    assert failure('{{ query "x" }}', query=fails(QueryError("too many"))) == "error calling query: too many"
    for error in (QueryCancelled("gone"), StoreError("broken")):
        with pytest.raises(type(error)):
            text_of('{{ query "x" }}', query=fails(error))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}', "run inside one another"),
        ('{{ printf "%70000d" 1 }}', "longer than 65536"),
        ('{{ printf "%.70000f" 1.0 }}', "longer than 65536"),
        ('{{ $a := printf "%60000d" 1 }}{{ reReplaceAll " " $a $a }}', "longer than 65536"),
        ("{{ range 99999999999 }}{{ end }}", "more than 100000 steps"),
        ("{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}", "more than 100000 steps"),
        ("{{ range 90000 }}abcdefgh{{ end }}", "longer than 65536"),
        ("{{ $x := args }}" + "{{ $x = args $x $x }}" * 100 + "{{ $x }}", "args stand inside one another"),
        (
            "{{ $x := args 1 }}{{ $y := args " + "$x " * 1000 + "}}" + "{{ $z := args " + "$y " * 1000 + "}}{{ $z }}",
            "longer than 65536",
        ),
        ('{{ range 60 }}{{ $x := query "m" }}{{ end }}', "more than 50 queries"),
        ('{{ match "(a{1000}){1000}" "x" }}', "error parsing regexp"),
    ],
)
def test_what_a_template_may_take_is_bounded(template, words):
    check(template)
    began = time.process_time()
    assert words in text_of(template)
    assert time.process_time() - began < 2


def test_a_query_that_gives_very_many_series_is_refused():
    many = series(*[({"i": str(i)}, i) for i in range(10_001)])
    assert "10001 series, at most 10000" in text_of('{{ query "x" }}', query=lambda text, at: many)


@pytest.mark.parametrize(
    "template",
    ["{{ " + "(" * 60 + "1" + ")" * 60 + " }}", "{{ if 1 }}" * 60 + "{{ end }}" * 60, "{{ if 1 }}{{ else " * 60],
)
def test_nesting_without_end_is_refused_when_it_is_read(template):
    with pytest.raises(TemplateError):
        check(template)


@pytest.mark.parametrize(
    "template", ["{{ $labels.__class__ }}", "{{ $value.__class__ }}", "{{ .__init__ }}", "{{ (toTime 0).date }}"]
)
def test_a_name_never_reaches_an_attribute_of_python(template):
    assert text_of(template) == "" or "can't evaluate field" in text_of(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("page", "LABELS"),
        ("{{ $labels.job }}-{{ .Labels.zone | toUpper }}", "LABELS"),
        ('{{ if match "a" $labels.job }}x{{ else }}y{{ end }}{{ $externalLabels.x }}', "LABELS"),
        ("{{ $value }}", "VALUE"),
        ("{{ if gt .Value 3.0 }}critical{{ end }}", "VALUE"),
        ('{{ (printf "%v" $.Value) | len }}', "VALUE"),
        ('{{ template "x" . }}{{ define "x" }}{{ .Labels.a }}{{ end }}', "VALUE"),
        ('{{ with query "up" }}{{ . | first | value }}{{ end }}', "MOMENT"),
        ("{{ if true }}{{ else }}{{ (now) }}{{ end }}", "MOMENT"),
        ("{{ broken", "LABELS"),
    ],
)
def test_what_a_template_changes_with_is_known_from_its_text(template, expected):
    assert dependence(template) is Dependence[expected]


PIECES = [
    "{{",
    "}}",
    "{{-",
    " -}}",
    "$labels",
    ".job",
    "$x",
    " := ",
    " = ",
    "|",
    "(",
    ")",
    '"a"',
    "`",
    "'",
    "1",
    "1.5",
    "%d",
    " if ",
    " else ",
    " end ",
    " range ",
    " with ",
    " define ",
    " template ",
    " printf ",
    " query ",
    " args ",
    ",",
    ".",
    "/*",
    "*/",
    " nil ",
    " ",
    "\n",
    "é",
    "\\",
    "$",
    "-",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_stands_in_a_template_either_expands_or_is_a_template_error(template):
    assert isinstance(text_of(template), str)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8), st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1)))
def test_untrusted_labels_and_values_never_break_a_text(label, value):
    labels = (("a", label),)
    template = (
        '{{ $labels.a | printf "%q %x %5.2s" $value $value }}{{ $labels.a | title | stripDomain | urlQueryEscape }}'
    )
    try:
        assert isinstance(expand(template, labels, {}, value, ask, NOW, ""), str)
    except TemplateError as error:
        assert "not supported" in str(error)


# Held to Go itself


def with_promtool(folder, templates):
    """What promtool makes of annotations, for the labels and the value of these tests."""
    rules = [{"alert": f"A{i}", "expr": "m", "annotations": {"a": text}} for i, text in enumerate(templates)]
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    labels = ",".join(f'{n}="{v}"' for n, v in LABELS if n != "__name__")
    inputs = [(f"m{{{labels}}}", "42.5 42.5"), ('n{i="b"}', "1 1"), ('n{i="a"}', "2 2")]
    test = {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in inputs],
        "alert_rule_test": [{"eval_time": "1m", "alertname": f"A{i}", "exp_alerts": []} for i in range(len(templates))],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    promtool = Path(program("prometheus")).with_name("promtool")
    run = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"], check=False, capture_output=True, text=True, timeout=60
    )
    form = r'alertname: A(\d+), time: 1m.*?Annotations:\{a="((?:[^"\\]|\\.)*)"\}'
    found = {int(m[1]): json.loads(f'"{m[2]}"') for m in re.finditer(form, run.stdout + run.stderr, re.DOTALL)}
    return [found.get(i) for i in range(len(templates))]


@pytest.mark.live
def test_go_itself_makes_the_same_texts(tmp_path):
    # Prometheus promises no order of what a query gives, and at times gives another one.
    templates = [t for t, _ in EXAMPLES + FAULTS if 'query "n"' not in t or "sortByLabel" in t]
    theirs = with_promtool(tmp_path, templates)
    ours = [text_of(template, alert=f"A{i}") for i, template in enumerate(templates)]
    assert [t for t, a, b in zip(templates, ours, theirs, strict=True) if a != b] == []
