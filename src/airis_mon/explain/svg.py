"""Marks, lines and axes as inline SVG.

Places along the time are shares of the width, written in percent, and heights are pixels: a picture fills whatever
screen it is on and its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise

from airis_mon.explain.html import Html, tag, text
from airis_mon.explain.replayed import ms
from airis_mon.explain.speak import at

STEPS_MS = tuple(
    n * unit
    for unit, numbers in (
        (1000, (1, 5, 15, 30)),
        (60_000, (1, 5, 15, 30)),
        (3_600_000, (1, 2, 3, 6, 12)),
        (86_400_000, (1, 2, 7, 14)),
    )
    for n in numbers
)
DAY_MS = 86_400_000
MONDAY_MS = 4 * DAY_MS
"""1970 began on a Thursday; weeks are counted from a Monday."""
PHONE_LABELS = 4
"""So many labels of an axis find room on a phone; the others carry a class that is hidden there."""
PLACES = 400
"""A line is drawn from the lowest and the highest value of each of so many places."""
INSIDE, ROOM = 0.98, 0.12
"""A label beyond the first is written inwards, which takes so much of the width."""
LEAST_WIDTH = 0.0005
FAR = 5
"""Values farther apart than so many usual steps are not joined; of a thinned curve steps differ by two."""
WIDE, HIGH = 1000, 100
"""The box of a line, stretched to its place."""
LABEL_PX = 3


def percent(share: float) -> str:
    """A share of the width, 0..1, as SVG takes it."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def stretch(begin: float, until: float) -> dict[str, str]:
    """Where something lies from one share of the width to another: no width at all would not be drawn."""
    return {"x": percent(begin), "width": percent(max(until - begin, LEAST_WIDTH))}


def share_of(t: float, span: tuple[int, int]) -> float:
    """Where a time lies in a span, 0..1; what lies outside is put at its end."""
    start, end = span
    return min(max((t - start) / max(end - start, 1), 0.0), 1.0)


def picture(height: int, *content: Html, label: str = "", role: str = "img", class_: str = "plot") -> Html:
    """A picture as wide as its place; a label tells it to those who do not see it, a group lets them into its links."""
    named = {"role": role, "aria_label": label} if label else {"aria_hidden": "true"}
    return tag("svg", *content, class_=class_, width="100%", height=height, **named)


def bar(share: float, class_: str, label: str = "") -> Html:
    """A bar across its place, 0..1 of it."""
    return picture(10, tag("rect", width=percent(share), height=10, class_=class_), label=label, class_="bar")


def line(t: Sequence[int], value: Sequence[float | None], span: tuple[int, int], low: float, high: float) -> Html:
    """A line in a stretched box, broken at gaps; the lowest and highest value of each place are kept."""
    parts: list[str] = []
    for is_there, points in groupby(_thinned(t, value, span), key=lambda p: p[1] is not None):
        if is_there:
            drawn = [f"{x} {_y(v, low, high)}" for x, v in points if v is not None]
            # A lone point is a line of no length: its round ends are seen.
            parts.append("M" + "L".join(drawn if len(drawn) > 1 else drawn * 2))
    path = tag("path", d="".join(parts), vector_effect="non-scaling-stroke")
    return tag("svg", path, viewBox=f"0 0 {WIDE} {HIGH}", preserveAspectRatio="none", width="100%", height="100%")


def time_ticks(span: tuple[int, int], most: int) -> list[tuple[float, str]]:
    """(place, label) of round times, UTC, at most about so many."""
    start, end = span
    step = next((s for s in STEPS_MS if (end - start) / s <= most), None)
    if step is None:
        return [(share_of(ms(m), span), f"{m:%Y-%m}") for m in _months(at(start), at(end), most)]
    origin = MONDAY_MS % step
    first = origin - (origin - start) // step * step
    return [(share_of(t, span), _label(t, step)) for t in range(first, end + 1, step)]


def time_axis(span: tuple[int, int], most: int = 12) -> Html:
    """The labels of a time axis."""
    return labels_below(time_ticks(span, most))


def time_grid(span: tuple[int, int], most: int = 12) -> Html:
    """Upright lines at the labels of a time axis."""
    lines = (_upright(place) for place, _ in time_ticks(span, most))
    return tag("g", *lines, class_="grid")


def labels_below(ticks: Sequence[tuple[float, str]]) -> Html:
    """Labels under a picture at their places; those at the ends stay inside."""
    if len(ticks) > 1 and ticks[-1][0] > INSIDE and ticks[-1][0] - ticks[-2][0] < ROOM:
        ticks = ticks[:-1]
    every = max(1, math.ceil(len(ticks) / PHONE_LABELS))
    return picture(16, *(_tick_label(place, label, at % every == 0) for at, (place, label) in enumerate(ticks)))


def count_ticks(most: int) -> list[int]:
    """Round counts from 0 to at least `most`, at most five."""
    power = 10 ** max(0, math.floor(math.log10(max(most, 1))) - 1)
    step = next(n * power for n in (1, 2, 5, 10, 20, 50) if 4 * n * power >= most)
    return list(range(0, step * max(1, math.ceil(most / step)) + 1, step))


def side_labels(labels: Sequence[tuple[float, str]], height: int, class_: str = "side") -> Html:
    """Labels beside a picture; places count from its bottom, 0..1."""
    anchor, x = ("start", "0") if class_ == "side right" else ("end", "100%")
    drawn = (tag("text", text(s), x=x, y=_label_y(place, height), text_anchor=anchor) for place, s in labels)
    return picture(height, *drawn, class_=class_)


def level_grid(places: Sequence[float], height: int) -> Html:
    """Level lines; places count from the bottom, 0..1."""
    ys = (height * (1 - place) for place in places)
    return tag("g", *(tag("line", x1="0", x2="100%", y1=y, y2=y) for y in ys), class_="grid")


def stamp(words: str | None) -> Html:
    """A faint mark across a picture, or nothing."""
    if not words:
        return Html("")
    return tag("text", text(words), x="50%", y="50%", text_anchor="middle", dominant_baseline="middle", class_="stamp")


def _upright(place: float) -> Html:
    x = percent(place)
    return tag("line", x1=x, x2=x, y1=0, y2="100%")


def _tick_label(place: float, label: str, is_on_phones: bool) -> Html:
    anchor = "start" if place < 1 - INSIDE else "end" if place > INSIDE else "middle"
    return tag("text", text(label), x=percent(place), y=12, text_anchor=anchor, class_=None if is_on_phones else "w")


def _label_y(place: float, height: int) -> float:
    return min(max(height * (1 - place) + LABEL_PX + 1, 10), height - LABEL_PX)


def _label(t: int, step: int) -> str:
    moment = at(t)
    if step >= DAY_MS or t % DAY_MS == 0:
        return f"{moment:%m-%d}"
    return f"{moment:%H:%M:%S}" if step < 60_000 else f"{moment:%H:%M}"


def _months(start: datetime, end: datetime, most: int) -> list[datetime]:
    first = start.year * 12 + start.month
    last = end.year * 12 + end.month - 1
    step = next((n for n in (1, 2, 3, 6) if (last - first) / n <= most), 0) or 12 * math.ceil(
        (last - first) / 12 / most
    )
    begin = -(-first // step) * step
    return [datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(begin, last + 1, step)]


def _y(value: float, low: float, high: float) -> str:
    # In halves: the distance of the two largest numbers there are is no number.
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
    return f"{HIGH * (1 - share):.1f}"


def _thinned(
    t: Sequence[int], value: Sequence[float | None], span: tuple[int, int]
) -> Iterator[tuple[int, float | None]]:
    """(x, value) in order; of each place the lowest and the highest, a gap where it begins with one."""
    points = list(_with_gaps(t, value, span))
    if len(points) <= 2 * PLACES:
        yield from ((round(WIDE * share), x) for share, x in points)
        return
    for _, group in groupby(points, key=lambda p: int(p[0] * PLACES)):
        yield from _ends(list(group))


def _with_gaps(
    t: Sequence[int], value: Sequence[float | None], span: tuple[int, int]
) -> Iterator[tuple[float, float | None]]:
    """(place, value), None where a value is no number, and between two that lie far apart."""
    steps = sorted(b - a for a, b in pairwise(t))
    far = FAR * steps[len(steps) // 2] if steps else 0
    before = None
    for when, x in zip(t, value, strict=False):
        if before is not None and when - before > far:
            yield share_of(before, span), None
        yield share_of(when, span), None if x is None or not math.isfinite(x) else x
        before = when


def _ends(points: Sequence[tuple[float, float | None]]) -> Iterator[tuple[int, float | None]]:
    real = [(x, share) for share, x in points if x is not None]
    if len(real) < len(points):
        yield round(WIDE * points[0][0]), None
    ends = {min(real), max(real)} if real else set()
    for x, share in sorted(ends, key=lambda e: e[1]):
        yield round(WIDE * share), x
