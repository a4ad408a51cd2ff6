"""The answers of a real Prometheus 2.42 that got the same remote writes, expression by expression.

What differs is in the tables of docs/promql.md, each row with an expression that must go on to differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.query.differential.dataset import START
from tests.query.differential.grammar import expressions
from tests.query.differential.oracle import Answer, Pair, When, differences

pytestmark = [pytest.mark.live, pytest.mark.slow]
PAGES = sorted((Path(__file__).parent / "corpus").glob("*.txt"))
REFUSED = {"malformed": "bad_data", "contradictions": "execution"}
DOCUMENT = Path(__file__).parents[3] / "docs" / "promql.md"

# 7 s after whole 20 s: no step of a subquery, nor a window of one, begins at such a time.
AT = When(START // 1000 + 3667)
OVER = When(START // 1000 - 53, START // 1000 + 7747, 100)
ASKERS = 4
"""As many as our server answers at once."""
LAST_BITS = 1e-12
"""Generated expressions subtract nearly equal numbers; what is left is noise."""
DERANDOMISED = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True, slots=True)
class Line:
    """An expression of the corpus; mark: what it promises, "" for an answer that is not empty."""

    expression: str
    mark: str


def lines(page: Path) -> Iterator[Line]:
    for text in page.read_text().splitlines():
        expression, _, mark = text.partition("  # ")
        if text and not text.startswith("# "):
            yield Line(expression, mark or REFUSED.get(page.stem, ""))


def documented() -> list[str]:
    """The first cell of each row of the document's tables of differences, if it is an expression."""
    text = DOCUMENT.read_text().partition("## Differences")[2]
    return [cell.replace("\\|", "|") for cell in re.findall(r"(?m)^\| ``? ?(.+?) ?``? \|", text)]


def compared(pair: Pair, line: Line) -> Iterator[str]:
    """What differs, and what the corpus itself promises falsely."""
    answers = []
    for when in (AT, OVER):
        ours, theirs = pair.ask(line.expression, when)
        answers.append(theirs)
        is_ordered = when is OVER or line.mark == "ordered"
        yield from (f"{line.expression} {when}: {d}" for d in differences(ours, theirs, is_ordered=is_ordered))
    if (kept := promised(answers)) != line.mark.replace("ordered", ""):
        yield f"{line.expression}: marked {line.mark or 'as answered'}, but Prometheus gives {kept or 'an answer'}"


def promised(answers: list[Answer]) -> str:
    """The mark that these answers deserve."""
    errors = {answer.error for answer in answers}
    if len(errors) == 1 and "" not in errors:
        return errors.pop()
    return "empty" if all(answer.is_empty or answer.error for answer in answers) else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_corpus_is_answered_as_by_prometheus(page: Path, pair: Pair) -> None:
    found = list(lines(page))
    with ThreadPoolExecutor(ASKERS) as pool:
        wrong = [text for texts in pool.map(lambda line: list(compared(pair, line)), found) for text in texts]
    print(f"{page.stem}: {len(found)} expressions, each at one moment and over steps; {len(wrong)} differences")
    assert wrong == []


def test_the_corpus_is_large_and_without_repetition() -> None:
    texts = [line.expression for page in PAGES for line in lines(page)]
    assert len(texts) == len(set(texts)) > 1500


@pytest.mark.parametrize("expression", documented())
def test_a_documented_difference_is_still_one(expression: str, pair: Pair) -> None:
    answers = [pair.ask(expression, when) for when in (AT, OVER)]
    assert any(list(differences(ours, theirs, is_ordered=False)) for ours, theirs in answers)


def is_documented(ours: Answer, theirs: Answer) -> bool:
    """Whether they differ as documented: two series that come to have the same labels, but never at the same moment."""
    return "same labelset" in theirs.message and not ours.error


def test_generated_expressions_are_answered_as_by_prometheus(pair: Pair) -> None:
    counts = {"answered": 0, "empty": 0, "refused": 0}

    @settings(DERANDOMISED)
    @given(expressions)
    def compare(expression: str) -> None:
        for when in (AT, OVER):
            ours, theirs = pair.ask(expression, when)
            counts["refused" if theirs.error else "empty" if theirs.is_empty else "answered"] += 1
            if not is_documented(ours, theirs):
                found = list(differences(ours, theirs, is_ordered=when is OVER, absolute=LAST_BITS))
                assert found == [], f"{expression} {when}"

    compare()
    print(f"generated: {counts}")
    assert counts["answered"] > counts["empty"] + counts["refused"]
