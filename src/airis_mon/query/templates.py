"""The texts of alerts: Go templates as Prometheus' rule files have them, checked and expanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    _parsed(template, f"__alert_{alert}")


def varies(template: str) -> bool:
    """Whether expansions may differ while the labels are the same; of malformed texts too, as they never expand."""
    try:
        tree = _parsed(template, "__alert_")
    except TemplateError:
        return False
    bodies = [tree.body[_PRELUDE_NODES:], *tree.defined.values()]
    return any(_is_variable(term) for body in bodies for term in _terms(body))


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


def _is_variable(term: Term) -> bool:
    """Whether it is more than the labels: the value, a query, the time, or all that a template begins with."""
    match term:
        case Name():
            return term.name in {"query", "now"}
        case Dot():
            return True
        case Variable():
            return term.name in {"$", "$value"}
        case Path(root=Variable(name="$value")):
            return True
        case Path(root=Dot() | Variable(name="$")):
            return term.fields[0] == "Value"
    return False
