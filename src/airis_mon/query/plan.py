"""Expression -> a tree of nodes: what the store must fetch at the leaves, what is left to do above them.

Everything that depends on time alone (offset, @, the steps of subqueries) is settled here, so that all leaves are
known, and can be fetched, before anything is computed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import promql_parser as pp

from airis_mon.errors import InputError, QueryError
from airis_mon.query.dialect import matcher_of, time_of
from airis_mon.series.labels import METRIC, Labels
from airis_mon.series.matchers import Matcher
from airis_mon.series.steps import Steps

MOST_MATCHERS = 200
"""Of one selector: the store's memory for a condition grows with each."""
KEEPS_NAME = frozenset({"last_over_time", "first_over_time"})
"""Range functions whose result is one of the samples and keeps its name."""
_HISTOGRAMS = re.compile(r"histogram_(?!quantile$)")
_EXPERIMENTAL_AGGREGATES = frozenset({"limitk", "limit_ratio"})
_MS = timedelta(milliseconds=1)
_LONGEST = timedelta(microseconds=2**63 // 1000)
"""Prometheus counts durations in 64 bits of nanoseconds."""
_CARDS = {  # by their text: the parser's own members cannot be keys
    "VectorMatchCardinality.OneToOne": "one-to-one",
    "VectorMatchCardinality.ManyToOne": "many-to-one",
    "VectorMatchCardinality.OneToMany": "one-to-many",
    "VectorMatchCardinality.ManyToMany": "many-to-many",
}


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number: a scalar."""

    value: float


@dataclass(frozen=True, slots=True)
class String:
    """A literal string."""

    value: str


@dataclass(frozen=True, slots=True)
class Select:
    """A leaf: a function of the store (`SeriesStore.grid`) over all series that match. It gives a vector.

    steps: the moments at whose windows the store looks, moved by offset already.
    """

    matchers: tuple[Matcher, ...]
    function: str
    steps: Steps
    window: int
    args: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """A leaf: the samples of all series that match in the windows of some steps, without staleness markers."""

    matchers: tuple[Matcher, ...]
    steps: Steps
    window: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated on steps of its own, taken as samples for the windows of `at`."""

    inner: Node
    inner_steps: Steps
    at: Steps
    window: int


@dataclass(frozen=True, slots=True)
class Over:
    """A range function computed here, because the store cannot: of samples, or of a subquery.

    at: the ends of the windows, as many as there are steps, or one for all of them; args: scalars or text.
    """

    function: str
    source: Samples | Subquery
    at: Steps
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """An expression that is the same at every step, evaluated once."""

    inner: Node
    steps: Steps


@dataclass(frozen=True, slots=True)
class Absent:
    """`absent` or `absent_over_time`: 1 with these labels where the inner vector has nothing."""

    inner: Node
    labels: Labels


@dataclass(frozen=True, slots=True)
class Call:
    """A function of values at the same step."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negate:
    """Minus."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors find each other.

    card: "one-to-one", "many-to-one" (group_left), "one-to-many" (group_right) or "many-to-many" (set operators).
    labels: those compared (`is_on`) or those ignored; include: what the many side takes from the one side.
    """

    card: str = "one-to-one"
    is_on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """Two values and an operator; is_bool: a comparison answers 0 or 1 instead of filtering."""

    op: str
    lhs: Node
    rhs: Node
    matching: Matching
    is_bool: bool


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A vector's series in groups: by these labels, or without them."""

    op: str
    inner: Node
    param: Node | None
    labels: tuple[str, ...]
    is_without: bool


Leaf = Select | Samples
Node = Number | String | Leaf | Subquery | Over | Held | Absent | Call | Negate | Binary | Aggregate


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans one expression.

    steps: the whole query's; end: what `end()` means, the moment asked for, which may lie after the last step, ms;
    lookback: how old an instant selector's sample may be, ms;
    interval: of subqueries that name none, ms; pushed: the range functions that the store computes.
    """

    steps: Steps
    end: int
    lookback: int
    interval: int
    pushed: frozenset[str]

    def plan(self, expr: pp.Expr, steps: Steps | None = None) -> Node:
        """The nodes of an expression. Raises InputError or QueryError for what is not supported."""
        steps = steps or self.steps
        match expr:
            case pp.NumberLiteral():
                return Number(expr.val)
            case pp.StringLiteral():
                return String(expr.val)
            case pp.ParenExpr():
                return self.plan(expr.expr, steps)
            case pp.UnaryExpr():
                return Negate(self.plan(expr.expr, steps))
            case pp.VectorSelector():
                return self._instant(expr, steps, "last")
            case pp.MatrixSelector():
                at, _ = self._moments(expr.vector_selector, steps)
                return Samples(_matchers(expr.vector_selector), at, _length(expr, "range"))
            case pp.SubqueryExpr():
                return self._subquery(expr, steps)
            case pp.Call():
                return self._call(expr, steps)
            case pp.BinaryExpr():
                return self._binary(expr, steps)
            case pp.AggregateExpr():
                return self._aggregate(expr, steps)
        raise QueryError(f"unsupported expression: {type(expr).__name__}")

    def _instant(self, selector: pp.VectorSelector, steps: Steps, function: str) -> Node:
        at, is_held = self._moments(selector, steps)
        node = Select(_matchers(selector), function, at, self.lookback)
        return Held(node, at) if is_held else node

    def _moments(self, timed: pp.VectorSelector | pp.SubqueryExpr, steps: Steps) -> tuple[Steps, bool]:
        """The moments meant by offset and @, and whether it is one for all steps."""
        moved = -_length(timed, "offset")
        if timed.at is None:
            return steps.moved(moved), False
        return Steps.at(self._fixed(timed.at)).moved(moved), True

    def _fixed(self, at: pp.AtModifier) -> int:
        if at.type == pp.AtModifierType.Start:
            return self.steps.start
        if at.type == pp.AtModifierType.End:
            return self.end
        return time_of(at)

    def _subquery(self, expr: pp.SubqueryExpr, steps: Steps) -> Subquery:
        at, _ = self._moments(expr, steps)
        window = _length(expr, "range")
        step = _length(expr, "step") or self.interval
        # Steps of a subquery lie on multiples of its step; windows are open on the left.
        first = ((at.start - window) // step + 1) * step
        inner_steps = Steps.between(first, max(at.end, first), step)
        return Subquery(self.plan(expr.expr, inner_steps), inner_steps, at, window)

    def _call(self, expr: pp.Call, steps: Steps) -> Node:
        name = expr.func.name
        if expr.func.experimental:
            raise InputError(f'parse error: function "{name}" is experimental in Prometheus and not supported')
        if _HISTOGRAMS.match(name):
            raise QueryError(f"unsupported function {name}: native histograms are not stored")
        args = [_unwrapped(arg) for arg in expr.args]
        ranges = [arg for arg in args if isinstance(arg, pp.MatrixSelector | pp.SubqueryExpr)]
        if ranges:
            others = tuple([self.plan(arg, steps) for arg in args if arg is not ranges[0]])
            node = self._range(name, ranges[0], others, steps)
            return Absent(node, _implied(args[0])) if name == "absent_over_time" else node
        if name == "absent":
            return Absent(self.plan(args[0], steps), _implied(args[0]))
        if name == "timestamp" and isinstance(args[0], pp.VectorSelector):
            return self._instant(args[0], steps, "timestamp")
        return Call(name, tuple([self.plan(arg, steps) for arg in args]))

    def _range(
        self, name: str, source: pp.MatrixSelector | pp.SubqueryExpr, args: tuple[Node, ...], steps: Steps
    ) -> Node:
        function = "present_over_time" if name == "absent_over_time" else name
        if isinstance(source, pp.SubqueryExpr):
            at, is_held = self._moments(source, steps)
            node = Over(function, self._subquery(source, steps), at, args)
            return self._held(node, is_held)
        at, is_held = self._moments(source.vector_selector, steps)
        matchers, window = _matchers(source.vector_selector), _length(source, "range")
        # A prediction is made from the moment of evaluation on, whatever moment the window was moved to.
        numbers = tuple(arg.value for arg in args if isinstance(arg, Number))
        if function == "predict_linear" and numbers:
            numbers = (numbers[0] + (steps.start - at.start) / 1000,)
        is_constant = len(numbers) == len(args) and not any(map(math.isnan, numbers))  # NaN is no argument in SQL
        if function in self.pushed and is_constant and not (is_held and args):
            select = Select(matchers, function, at, window, numbers)
            return Held(select, at) if is_held else select
        return self._held(Over(function, Samples(matchers, at, window), at, args), is_held)

    def _held(self, node: Over, is_held: bool) -> Node:
        """Held, if neither the window nor an argument changes from step to step."""
        return Held(node, node.at) if is_held and not node.args else node

    def _binary(self, expr: pp.BinaryExpr, steps: Steps) -> Binary:
        modifier = expr.modifier
        if modifier and (modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None):
            raise InputError("parse error: fill modifiers are experimental in Prometheus and not supported")
        lhs, rhs = self.plan(expr.lhs, steps), self.plan(expr.rhs, steps)
        return Binary(str(expr.op), lhs, rhs, _matching(modifier), bool(modifier and modifier.return_bool))

    def _aggregate(self, expr: pp.AggregateExpr, steps: Steps) -> Aggregate:
        op, modifier = str(expr.op), expr.modifier
        if op in _EXPERIMENTAL_AGGREGATES:
            raise InputError(f'parse error: aggregation "{op}" is experimental in Prometheus and not supported')
        return Aggregate(
            op,
            self.plan(expr.expr, steps),
            None if expr.param is None else self.plan(expr.param, steps),
            tuple(modifier.labels) if modifier else (),
            modifier is not None and modifier.type == pp.AggModifierType.Without,
        )


def leaves(node: Node) -> Iterator[Leaf]:
    """What must be fetched for a node."""
    match node:
        case Select() | Samples():
            yield node
        case Subquery() | Held() | Absent() | Negate():
            yield from leaves(node.inner)
        case Over():
            yield from leaves(node.source)
            for arg in node.args:
                yield from leaves(arg)
        case Call():
            for arg in node.args:
                yield from leaves(arg)
        case Binary():
            yield from leaves(node.lhs)
            yield from leaves(node.rhs)
        case Aggregate():
            yield from leaves(node.inner)
            if node.param is not None:
                yield from leaves(node.param)


def _matchers(selector: pp.VectorSelector) -> tuple[Matcher, ...]:
    if selector.matchers.or_matchers:
        raise InputError('parse error: "or" between matchers is not PromQL; use {name=~"a|b"}')
    if (count := len(selector.matchers.matchers)) > MOST_MATCHERS:
        raise InputError(
            f"parse error: a selector has {count} matchers, at most {MOST_MATCHERS} are taken; use patterns"
        )
    named = [Matcher(METRIC, "=", selector.name)] if selector.name else []
    return (*named, *map(matcher_of, selector.matchers.matchers))


def _matching(modifier: pp.BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    matching = Matching(card=_CARDS[str(modifier.card)], include=tuple(modifier.group_labels or ()))
    if modifier.matching is None:
        return matching
    is_on = modifier.matching.type == pp.LabelModifierType.Include
    return replace(matching, is_on=is_on, labels=tuple(modifier.matching.labels))


def _length(timed: pp.Expr, name: str) -> int:
    """A duration of a node: its range, step or offset, in ms towards 0; 0 when there is none.

    Raises InputError for a range or step of 0 and for what Prometheus finds out of range.
    """
    try:
        found: timedelta | None = getattr(timed, name)
    except (OverflowError, ValueError):  # longer than Python's durations, or the parser's
        found = timedelta.max
    if found is None:
        return 0
    if not found and name != "offset":
        raise InputError("parse error: duration must be greater than 0")
    if abs(found) > _LONGEST:
        raise InputError("parse error: duration out of range")
    return int(found / _MS)


def _unwrapped(expr: pp.Expr) -> pp.Expr:
    while isinstance(expr, pp.ParenExpr):
        expr = expr.expr
    return expr


def _implied(expr: pp.Expr) -> Labels:
    """The labels that a selector's equality matchers imply, for the answer of `absent`."""
    selector = expr.vector_selector if isinstance(expr, pp.MatrixSelector) else expr
    if not isinstance(selector, pp.VectorSelector):
        return ()
    found: dict[str, str] = {}
    seen = set()
    for matcher in _matchers(selector):
        if matcher.name == METRIC:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return tuple(sorted((n, v) for n, v in found.items() if v))
