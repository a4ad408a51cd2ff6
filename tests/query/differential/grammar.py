"""Expressions made by hypothesis: well typed, bounded in depth, over the metrics of the dataset.

What is known to differ from Prometheus 2 (docs/promql.md) is not made: windows of subqueries in subqueries, whose steps
would lie on edges; `rate` of what starts near 0; the best of equals; the deviation of what may be infinite. Nor what
depends on the last bit of a computed number: `count_values`, `changes` and `ceil` of it.
"""

from __future__ import annotations

from hypothesis import strategies as st

Text = st.SearchStrategy[str]

_COUNTERS = st.sampled_from([
    "requests_total", 'requests_total{code="200"}', 'requests_total{job="api"}', 'requests_total{instance="b:1"}',
    'requests_total{method=~"G.T", code!="500"}', "cpu_seconds_total", 'cpu_seconds_total{mode="user"}',
    "latency_seconds_count", "latency_seconds_sum", "latency_seconds_bucket", 'latency_seconds_bucket{le!="+Inf"}',
    "rpc_seconds_count", "rpc_seconds_sum",
])  # fmt: skip
_DISTINCT = st.sampled_from([
    "temperature", 'temperature{room!="hall"}', "memory_bytes", 'memory_bytes{job="api"}', "disk_free_bytes",
    "rpc_seconds", 'requests_total{code="200"}', "disk_used", "job:requests:rate5m", "unix_seconds", "angle",
])  # fmt: skip
_OTHERS = st.sampled_from([
    "up", 'up{job="api"}', "load", "queue_length", "build_info", 'build_info{version=~"1.*"}', "rare", "early", "late",
    "flag", "disk_size", "owner", "owner_twice", "limit", "weight", "dented", "mixed", "texts", "many_labels",
    'number{kind=~"one|zero|minus"}', 'number{kind=~"nan|one"}', 'number{kind=~"inf|one"}', "sinking_bucket",
    "open_bucket", "idle_bucket", "nothing_of_that_name", '{__name__=~"disk_(size|used)"}',
])  # fmt: skip
_selectors = st.one_of(_COUNTERS, _DISTINCT, _OTHERS)
_RANGES = st.sampled_from(["1m", "90s", "2m", "5m", "10m", "20m30s", "1h"])
_SUBQUERIES = st.sampled_from(["[5m:30s]", "[10m:1m]", "[20m:2m]", "[30m:]", "[1h:5m]", "[10m:20s] offset 5m"])
_MOMENTS = st.sampled_from(
    [""] * 9 + [" offset 5m", " offset -3m", " offset 1h", " @ 1709250067", " @ end() offset 20m", " @ start()"]
)
_LABELS = st.lists(
    st.sampled_from(["job", "instance", "code", "method", "le", "room", "disk", "unit", "team", "version", "nothing"]),
    max_size=3,
    unique=True,
).map(", ".join)
_NUMBERS = st.sampled_from(["0", "1", "-1", "2", "0.5", "3.25", "1e3", "-0.1", "10", "NaN", "Inf"])
_QUANTILES = st.sampled_from(["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2"])

_OVER_COUNTERS = ["rate", "increase", "irate", "resets"]
_OVER_GAUGES = [
    "delta", "idelta", "deriv", "changes", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time",
    "count_over_time", "last_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time",
    "absent_over_time",
]  # fmt: skip
_OF_VALUES = [
    "abs", "sqrt", "exp", "ln", "log2", "log10", "sin", "cos", "tan", "atan", "tanh",
    "deg", "rad", "hour", "minute", "day_of_month", "day_of_week", "days_in_month", "month", "year", "absent", "sort",
    "sort_desc", "timestamp",
]  # fmt: skip
_ROUNDED = ["ceil", "floor", "round", "sgn"]
_ARITHMETIC = ["+", "-", "*", "/", "^", "%"]
_COMPARISONS = ["==", "!=", ">", "<", ">=", "<="]
_SETS = ["and", "or", "unless"]
_AGGREGATES = ["sum", "avg", "min", "max", "count", "group"]


def _call(functions: list[str], argument: Text) -> Text:
    return st.builds("{}({})".format, st.sampled_from(functions), argument)


def _grouping() -> Text:
    return st.one_of(st.just(""), st.builds(" {} ({})".format, st.sampled_from(["by", "without"]), _LABELS))


def _matching() -> Text:
    named = st.builds("{} ({})".format, st.sampled_from(["on", "ignoring"]), _LABELS)
    many = st.builds("{} {} ({})".format, named, st.sampled_from(["group_left", "group_right"]), _LABELS)
    return st.one_of(st.just(""), named, many)


def _binary(vector: Text, scalar: Text) -> Text:
    operators = st.sampled_from([*_ARITHMETIC, *_COMPARISONS, *(f"{op} bool" for op in _COMPARISONS)])
    sets = st.builds("{} {}".format, st.sampled_from(_SETS), st.one_of(st.just(""), _LABELS.map("on ({})".format)))
    return st.one_of(
        st.builds("({} {} {})".format, vector, operators, scalar),
        st.builds("({} {} {})".format, scalar, operators, vector),
        st.builds("({} {} {} {})".format, vector, operators, _matching(), vector),
        st.builds("({} {} {})".format, vector, sets, vector),
    )


def _aggregate(vector: Text, distinct: Text) -> Text:
    best = st.builds("{}({}, {})".format, st.sampled_from(["topk", "bottomk"]), st.sampled_from("123"), distinct)
    return st.one_of(
        st.builds("{}{} ({})".format, st.sampled_from(_AGGREGATES), _grouping(), vector),
        st.builds("quantile{} ({}, {})".format, _grouping(), _QUANTILES, vector),
        st.builds('count_values{} ("v", {})'.format, _grouping(), _selectors),
        st.builds("{}{} ({})".format, st.sampled_from(["stddev", "stdvar"]), _grouping(), distinct),
        best,
    )


def _relabelled(vector: Text) -> Text:
    replaced = 'label_replace({}, "{}", "$1", "{}", "(.).*")'
    label = st.sampled_from(["job", "instance", "code", "host"])
    return st.one_of(
        st.builds(replaced.format, vector, label, label),
        st.builds('label_join({}, "both", "-", "job", "instance")'.format, vector),
    )


def _ranged(selector: Text, counter: Text) -> Text:
    windows, over = st.builds("{}[{}]{}".format, selector, _RANGES, _MOMENTS), _call
    return st.one_of(
        over(_OVER_COUNTERS, st.builds("{}[{}]{}".format, counter, _RANGES, _MOMENTS)),
        over(_OVER_GAUGES, windows),
        st.builds("quantile_over_time({}, {})".format, _QUANTILES, windows),
        st.builds("predict_linear({}[{}], {})".format, selector, _RANGES, _NUMBERS),
    )


def _resampled(inner: Text) -> Text:
    windows = st.builds("{}{}".format, inner, _SUBQUERIES)
    return st.one_of(
        _call([name for name in _OVER_GAUGES if name != "changes"], windows),
        st.builds("quantile_over_time({}, {})".format, _QUANTILES, windows),
    )


def _scalars(vector: Text) -> Text:
    return st.one_of(_NUMBERS, st.sampled_from(["pi()", "scalar(weight)"]), vector.map("scalar({})".format))


def _larger(vector: Text) -> Text:
    """One operation above vectors."""
    scalar = _scalars(vector)
    return st.one_of(
        _call(_OF_VALUES, vector),
        vector.map("-{}".format),
        st.builds("{}({}, {})".format, st.sampled_from(["clamp_min", "clamp_max"]), vector, scalar),
        st.builds("clamp({}, {}, {})".format, vector, _NUMBERS, _NUMBERS),
        st.builds("histogram_quantile({}, {})".format, _QUANTILES, vector),
        _binary(vector, scalar),
        _binary(vector, scalar),
        _aggregate(vector, _DISTINCT),
        _aggregate(vector, _DISTINCT),
        _relabelled(vector),
    )


_leaves = st.one_of(
    st.builds("{}{}".format, _selectors, _MOMENTS),
    _ranged(st.one_of(_DISTINCT, _OTHERS), _COUNTERS),
    _call(_ROUNDED, _selectors),
    _selectors,
)
_plain = st.recursive(_leaves, _larger, max_leaves=4)
_vectors = st.recursive(st.one_of(_plain, _resampled(_plain.map("({})".format))), _larger, max_leaves=4)
expressions = st.one_of(_vectors, _vectors, _vectors, _scalars(_vectors), st.just("time()"))
"""Text of expressions, most of which have an answer."""
