"""The arm of today: Prometheus rules with `for` over a world, evaluated by our own rule engine as a server would."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from airis_mon.app.evaluate import GroupRun
from airis_mon.app.firings import Firings
from airis_mon.app.rulerun import Made
from airis_mon.correlate.group import Firing
from airis_mon.errors import QueryError
from airis_mon.query.parse import parse
from airis_mon.query.plan import Planner, leaves
from airis_mon.query.rulefile import parse_rules
from airis_mon.query.rules import RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.series.batch import Batch, empty_batch
from airis_mon.series.labels import METRIC
from airis_mon.series.steps import Steps
from airis_mon.yardstick.scraped import UP, Scraped

FILE = "rules.yml"
INTERVAL_MS = 60_000


@lru_cache(maxsize=1)
def rule_groups() -> tuple[RuleGroup, ...]:
    """The rules that ship with the yardstick."""
    return parse_rules(FILE, resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))


def metrics_read(expressions: Sequence[str]) -> frozenset[str]:
    """The metrics that expressions name, `up` left out: it is not scraped, but made."""
    planner = Planner(Steps.at(0), 0, INTERVAL_MS, INTERVAL_MS, frozenset())
    found = [leaf for text in expressions for leaf in leaves(planner.plan(parse(text)))]
    return frozenset(m.value for leaf in found for m in leaf.matchers if m.name == METRIC and m.op == "=") - {UP}


def rule_metrics() -> frozenset[str]:
    """The metrics that the rules read."""
    return metrics_read([rule.expr for group in rule_groups() for rule in group.rules])


def fired(source: Scraped, steps: Steps) -> list[Firing]:
    """The alerts of the rules, evaluated at every step. Raises QueryError when a rule cannot be evaluated."""
    firings = Firings()
    expander = Expander(lambda text, t: source.ask(text, Steps.at(t)).value, {}, "")
    for group in rule_groups():
        run = GroupRun(group, expander, interval_ms=INTERVAL_MS)
        run.evaluate(steps, source.ask, _forget, firings.tell)
        for rule in run.rules:
            if rule.health == "err":
                raise QueryError(f"rule {rule.name} of {FILE} failed: {rule.last_error}")
    return firings.all()


def _forget(made: Sequence[Made]) -> Sequence[Batch]:
    """No rule of the file reads what another one writes."""
    return [empty_batch() for _ in made]
