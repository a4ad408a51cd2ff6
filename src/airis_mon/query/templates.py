"""The texts of alerts: Go templates as Prometheus' rule files have them, checked and expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from airis_mon.errors import TemplateError
from airis_mon.query.template_functions import QueryFunction, Surroundings
from airis_mon.query.template_nodes import Body, Branch, Call, Dot, Name, Path, Pipe, Term, Tree, Variable
from airis_mon.query.template_run import NAMES, run_template
from airis_mon.query.template_tree import parse_template
from airis_mon.query.template_values import DATA, LONGEST, Struct
from airis_mon.series.labels import Labels

PRELUDE = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
"""What Prometheus puts before every template; positions in its messages count it."""
_PRELUDE_NODES = 4


def check(template: str, alert: str = "") -> None:
    """Raises TemplateError, in Go's words, when the text of an alert's label or annotation is no template."""
    if "{{" in template:
        _parsed(template, f"__alert_{alert}")


class Dependence(IntEnum):
    """What the text of a template may change with; each includes those before it."""

    LABELS = 0
    VALUE = 1
    MOMENT = 2


def dependence(template: str) -> Dependence:
    """What expansions may differ by; those of a malformed text are all the same."""
    try:
        tree = _parsed(template, "__alert_")
    except TemplateError:
        return Dependence.LABELS
    bodies = [tree.body[_PRELUDE_NODES:], *tree.defined.values()]
    return max((_needs(term) for body in bodies for term in _terms(body)), default=Dependence.LABELS)


def expand(
    template: str,
    labels: Labels,
    external_labels: Mapping[str, str],
    value: float,
    query: QueryFunction,
    now_ms: int,
    external_url: str,
    alert: str = "",
) -> str:
    """The text of an alert's label or annotation.

    labels and value are those of the expression's result, `__name__` included if it has one. Raises TemplateError whose
    text Prometheus puts into `<error expanding template: ...>`; what `query` raises beyond InputError and QueryError
    passes, and so does QueryCancelled.
    """
    if "{{" not in template:
        return template
    name = f"__alert_{alert}"
    try:
        tree = _parsed(template, name)
    except TemplateError as error:
        raise TemplateError(f"error parsing template {name}: {error}") from None
    fields: dict[str, object] = {
        "Labels": dict(labels),
        "ExternalLabels": dict(external_labels),
        "ExternalURL": external_url,
        "Value": value,
    }
    data = Struct(DATA, fields)
    try:
        return run_template(tree, data, Surroundings(query, now_ms, external_url))
    except TemplateError as error:
        raise TemplateError(f"error executing template {name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Expander:
    """Makes the texts of alerts, with what all of them share. check: raises when there is no time for another one."""

    query: QueryFunction
    external_labels: Mapping[str, str]
    external_url: str
    check: Callable[[], None] = lambda: None

    def text(self, template: str, alert: str, labels: Labels, value: float, now_ms: int) -> str:
        """The text; as in Prometheus, one that cannot be made says why. Raises what `expand` lets pass, and `check`."""
        if "{{" not in template:
            return template
        self.check()
        shared = (self.external_labels, value, self.query, now_ms, self.external_url)
        try:
            return expand(template, labels, *shared, alert=alert)
        except TemplateError as error:
            return f"<error expanding template: {error}>"


@lru_cache(maxsize=2000)
def _parsed(template: str, name: str) -> Tree:
    if len(template) > LONGEST:
        raise TemplateError(f"template: {name}:1: the template has {len(template)} characters, at most {LONGEST}")
    return parse_template(name, PRELUDE + template, NAMES)


# What a template depends on


def _terms(body: Body) -> Iterator[Term]:
    for node in body:
        match node:
            case Pipe():
                yield from _pipe_terms(node)
            case Branch():
                yield from _pipe_terms(node.pipe)
                yield from _terms(node.then)
                yield from _terms(node.orelse)
            case Call(pipe=Pipe() as pipe):
                yield from _pipe_terms(pipe)


def _pipe_terms(pipe: Pipe) -> Iterator[Term]:
    for command in pipe.commands:
        for term in command.terms:
            yield term
            inner = term.root if isinstance(term, Path) else term
            if isinstance(inner, Pipe):
                yield from _pipe_terms(inner)


def _needs(term: Term) -> Dependence:
    match term:
        case Name():
            return Dependence.MOMENT if term.name in {"query", "now"} else Dependence.LABELS
        case Dot() | Variable(name="$" | "$value") | Path(root=Variable(name="$value")):
            return Dependence.VALUE
        case Path(root=Dot() | Variable(name="$"), fields=("Value", *_)):
            return Dependence.VALUE
    return Dependence.LABELS
