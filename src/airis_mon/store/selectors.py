"""Which rows are meant, in ClickHouse's SQL; every name and value of a label travels as a bound parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airis_mon.errors import InputError
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC
from airis_mon.store.base import Matcher

EARLIEST, LATEST = -2_208_988_800_000, 10_413_791_999_999
"""What DateTime64(3) can hold, ms."""
MAX_METRICS = 1_000
"""A condition names no more metrics than these."""
FEW = 100
"""So few fingerprints are always named."""
_OPS = {"=": "{0} = {1}", "!=": "{0} != {1}", "=~": "match({0}, {1})", "!~": "NOT match({0}, {1})"}


def condition(matchers: Sequence[Matcher], metric: str = "metric") -> tuple[str, dict[str, Any]]:
    """SQL over the columns `metric` and `labels`, and its parameters; `1` for no matchers.

    metric: SQL of the series' name, where the table has no such column. A missing label is the empty string, as in
    PromQL. Raises InputError for an unknown operator.
    """
    terms: list[str] = []
    parameters: dict[str, Any] = {}
    for i, matcher in enumerate(matchers):
        if matcher.op not in _OPS:
            raise InputError(f"matcher {matcher.name}{matcher.op}{matcher.value!r}: use one of {', '.join(_OPS)}")
        column = metric
        if matcher.name != METRIC:
            parameters[f"n{i}"] = matcher.name
            column = f"labels[{{n{i}:String}}]"
        parameters[f"v{i}"] = matcher.value if matcher.op in {"=", "!="} else anchored(matcher.value)
        terms.append(_OPS[matcher.op].format(column, f"{{v{i}:String}}"))
    return " AND ".join(terms) or "1", parameters


def anchored(regex: str) -> str:
    """The regex over the whole value, a dot matching newlines too, as Prometheus has it."""
    return f"^(?s:{regex})$"


def one_of(fps: Sequence[int] | None) -> str:
    """A condition on fp, None = all; integers cannot carry anything else, so they stand in the text."""
    if fps is None:
        return "1"
    return f"fp IN ({','.join([str(int(fp)) for fp in fps])})" if len(fps) else "0"


@dataclass(frozen=True, slots=True)
class Within:
    """A condition on the columns `metric` and `fp`, and its parameters; not `is_exact`: it lets other series pass."""

    sql: str
    parameters: dict[str, Any]
    is_exact: bool = True

    @property
    def order(self) -> str:
        """Series after series, in the table's own order, so that the engine merges its parts instead of sorting.

        Comparing texts doubles the time of that: they are left out where there is one metric.
        """
        return "samples.fp, ts" if len(self.parameters.get("metrics", ())) == 1 else "tenant, metric, samples.fp, ts"


def within(fps: Sequence[int] | None, known: Catalogue | None, *, may_widen: bool = False) -> Within:
    """The rows of some series, None = all.

    Metrics lead the key: naming them makes reading three times cheaper, where the catalogue knows all the series. A
    condition that `may_widen` names the first and the last fingerprint instead of each, which costs microseconds,
    when there are few others between them.
    """
    found = [] if fps is None or known is None else list(map(known.find, fps))
    sids = [sid for sid in found if sid is not None]
    if fps is None or known is None or not sids or len(sids) < len(found):
        return Within(one_of(fps), {})
    metrics = np.unique(known.metric[sids])
    if len(metrics) > MAX_METRICS:
        return Within(one_of(fps), {})
    names = {"metrics": [known.metrics[m] for m in metrics]}
    low, high = min(fps), max(fps)
    if may_widen and len(fps) > FEW:
        fp = known.fp[: known.size]
        between = np.isin(known.metric[: known.size], metrics) & (fp >= np.uint64(low)) & (fp <= np.uint64(high))
        if between.sum() <= 2 * len(fps):
            sql = f"metric IN {{metrics:Array(String)}} AND fp BETWEEN {int(low)} AND {int(high)}"
            return Within(sql, names, is_exact=False)
    return Within(f"metric IN {{metrics:Array(String)}} AND {one_of(fps)}", names)


def span(start: int, end: int) -> dict[str, int]:
    """The parameters `start` and `end` (ms) of a query, within what the store's times can be."""
    return {"start": min(max(int(start), EARLIEST), LATEST), "end": min(max(int(end), EARLIEST), LATEST)}
