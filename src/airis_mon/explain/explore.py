"""Decompositions, changes, correlations, similar shapes and comparisons in words, English and Korean.

Every number told stands in the answer. Korean sentences are formal and avoid particles that depend on the word before
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airis_mon.explain.speak import Lang, Speaker, at, clock

ENGLISH = {
    "apart": "{name} over {points} points: the trend accounts for {trend} of what varies beside the seasons.",
    "apart_still": "{name} over {points} points: beside its seasons nothing varies.",
    "apart_flat": "{name} does not vary over its {points} points.",
    "season": " A season of {period} accounts for {strength} of what varies beside the trend.",
    "no_season": " No season was taken out.",
    "gaps": " {n} gap was drawn through.| {n} gaps were drawn through.",
    "changes": "The level of {name} changed {n} time: {places}.|The level of {name} changed {n} times: {places}.",
    "many_changes": "The level of {name} changed {n} times, the largest first: {places}.",
    "stairs": " No season of it is known. If it has one, such as a day, ask over two of them or name it: else its "
    "slopes are cut into stairs.",
    "no_changes": "The level of {name} did not change by more than its noise.",
    "wanders": "{name} wanders like a random walk: it has no levels that could be told apart.",
    "change": "at {when} from {before} to {after}",
    "index": "point {n}",
    "unnamed": "the series",
    "points": "{n} point|{n} points",
    "more": "and {n} more",
    "move": "{n} of {tested} series moves with {name}: {list}.|{n} of {tested} series move with {name}: {list}.",
    "nothing_moves": "None of {tested} series moves with {name} by more than chance.",
    "none_tested": "No series could be held against {name}.",
    "basis_changes": " Compared were changes from point to point less the season, so a common trend or day counts for "
    "nothing.",
    "basis_deseasoned": " Compared were values less the season; a common trend still counts.",
    "basis_values": " Compared were the values as they are; a common trend or day counts too.",
    "with": "{name} (correlation {r}, at the same time)",
    "before": "{name} (correlation {r}, {lag} earlier)",
    "after": "{name} (correlation {r}, {lag} later)",
    "similar": "The shape is found again, most alike at {list}.",
    "no_similar": "The shape is not found again: no other window correlates with it by {least} or more.",
    "occurrence": "{when} in {name} (correlation {r})",
    "motif": " The shape that comes again most exactly begins at {first} and {second} (correlation {r}).",
    "discord": " The shape least like any other begins at {first}.",
    "rise": "The {aggregate} over {n} series rose by {ratio}, from {before} to {after}.",
    "fall": "The {aggregate} over {n} series fell by {ratio}, from {before} to {after}.",
    "from_zero": "The {aggregate} over {n} series went from {before} to {after}.",
    "no_difference": "The {aggregate} over {n} series did not change: {before}.",
    "explained": " {share} of the change comes from {values}.",
    "unexplained": " No single label explains it: the change is spread.",
    "offset": " {values} moved the total by more than that: others moved it back.",
    "one_series": "{name} went from {before} to {after} ({ratio}).",
    "one_series_plain": "{name} went from {before} to {after}.",
    "one_missing": "{name} cannot be compared: it has no value {side}.",
    "before_window": "before",
    "after_window": "after",
    "either_window": "in either window",
    "certain": " This is more than chance (effect {effect}, q {q}).",
    "uncertain": " This may be chance (effect {effect}, q {q}).",
    "tested": " {n} of {tested} series changed by more than chance.",
    "tested_none": " No single series changed by more than chance ({tested} tested).",
    "none_compared": "There is nothing to compare: no series has a value in these windows.",
    "percent": " %",
    "sum": "sum",
    "mean": "mean",
}
KOREAN = {
    "apart": "{name}({points}개 점): 계절 성분을 뺀 변동의 {trend}가 추세입니다.",
    "apart_still": "{name}({points}개 점): 계절 성분 말고는 변하는 것이 없습니다.",
    "apart_flat": "{name}({points}개 점): 값이 변하지 않습니다.",
    "season": " 주기 {period}의 계절 성분이 추세를 뺀 변동의 {strength}를 설명합니다.",
    "no_season": " 분리한 계절 성분은 없습니다.",
    "gaps": " 빠진 점 {n}개는 이어서 채웠습니다.",
    "changes": "{name}: 수준이 {n}번 바뀌었습니다. {places}.",
    "many_changes": "{name}: 수준이 {n}번 바뀌었습니다. 큰 변화부터: {places}.",
    "stairs": " 알려진 계절 성분이 없습니다. 하루 주기 같은 것이 있다면 두 주기 이상을 조회하거나 주기를 지정하십시오. "
    "그렇지 않으면 완만한 변화가 계단처럼 나뉩니다.",
    "no_changes": "{name}: 잡음을 넘는 수준 변화가 없습니다.",
    "wanders": "{name}: 값이 무작위로 떠돌아 구분할 수 있는 수준이 없습니다.",
    "change": "{when}에 {before}에서 {after}",
    "index": "{n}번째 점",
    "unnamed": "이 시계열",
    "points": "{n}개 점",
    "more": "그 밖에 {n}개",
    "move": "{name}: 시계열 {tested}개 가운데 {n}개가 함께 움직입니다. {list}.",
    "nothing_moves": "{name}: 시계열 {tested}개 가운데 우연 이상으로 함께 움직이는 것이 없습니다.",
    "none_tested": "{name}: 견줄 수 있는 시계열이 없습니다.",
    "basis_changes": " 계절 성분을 뺀 점 사이의 변화량을 견주었으므로 공통된 추세나 하루 주기는 세지 않았습니다.",
    "basis_deseasoned": " 계절 성분을 뺀 값을 견주었습니다. 공통된 추세는 남아 있습니다.",
    "basis_values": " 값을 그대로 견주었습니다. 공통된 추세나 하루 주기도 상관으로 나타납니다.",
    "with": "{name}(상관 {r}, 동시에)",
    "before": "{name}(상관 {r}, {lag} 먼저)",
    "after": "{name}(상관 {r}, {lag} 나중)",
    "similar": "같은 모양이 다른 때에도 있습니다. 가장 비슷한 곳: {list}.",
    "no_similar": "이 모양과 비슷한 다른 구간이 없습니다(상관 {least} 이상이 없음).",
    "occurrence": "{name}, {when}(상관 {r})",
    "motif": " 가장 정확히 되풀이되는 모양은 {first}, {second}에 시작합니다(상관 {r}).",
    "discord": " 다른 어느 곳과도 닮지 않은 모양은 {first}에 시작합니다.",
    "rise": "시계열 {n}개의 {aggregate}: {ratio} 증가({before}에서 {after}).",
    "fall": "시계열 {n}개의 {aggregate}: {ratio} 감소({before}에서 {after}).",
    "from_zero": "시계열 {n}개의 {aggregate}: {before}에서 {after}로 변화.",
    "no_difference": "시계열 {n}개의 {aggregate}: 변화 없음({before}).",
    "explained": " 변화의 {share}는 {values}에서 왔습니다.",
    "unexplained": " 어느 한 레이블로 설명되지 않으며, 변화가 고르게 퍼져 있습니다.",
    "offset": " {values}에서 그보다 크게 바뀌었고, 나머지가 그 일부를 되돌렸습니다.",
    "one_series": "{name}: {before}에서 {after}({ratio}).",
    "one_series_plain": "{name}: {before}에서 {after}.",
    "one_missing": "{name}: {side} 값이 없어 견줄 수 없습니다.",
    "before_window": "이전 구간에",
    "after_window": "이후 구간에",
    "either_window": "두 구간 모두",
    "certain": " 우연으로 보기 어려운 변화입니다(효과 크기 {effect}, q {q}).",
    "uncertain": " 우연일 수 있습니다(효과 크기 {effect}, q {q}).",
    "tested": " 검정한 시계열 {tested}개 가운데 {n}개가 우연 이상으로 바뀌었습니다.",
    "tested_none": " 우연 이상으로 바뀐 시계열은 없습니다(검정한 시계열 {tested}개).",
    "none_compared": "견줄 것이 없습니다. 이 구간에 값이 있는 시계열이 없습니다.",
    "percent": "%",
    "sum": "합",
    "mean": "평균",
}
TABLES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "ko": KOREAN}
SHOWN = 3
"""So many changes, series or places are told one by one; the answer lists them all."""
STAIRS = 5
"""From so many changes on a series of which no season is known may be a slope cut into stairs."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point: its time in ms, or its index where values have no times."""

    index: int
    t: int | None


@dataclass(frozen=True, slots=True)
class Related:
    """A series that moves along: its correlation, and by how much it moves first, in points and ms."""

    name: str
    r: float
    lag: int
    lag_ms: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a shape occurred."""

    name: str
    place: Place
    r: float


class Teller:
    """Says what was found, in one language."""

    def __init__(self, lang: Lang) -> None:
        self._lang = lang
        self._words = TABLES[lang]
        self._speak = Speaker(lang)

    def apart(
        self,
        name: str,
        points: int,
        trend: float | None,
        seasons: Sequence[tuple[int, int | None, float | None]],
        gaps: int,
    ) -> str:
        """A decomposition. trend: its strength; seasons: (period in points, in ms, strength)."""
        n = self._speak.number(points)
        known = [(p, ms, s) for p, ms, s in seasons if s is not None]
        if trend is None and not known:
            said = self._say("apart_flat", name=name, points=n)
        else:
            key = "apart_still" if trend is None else "apart"
            said = self._say(key, name=name, points=n, trend=self._percent(trend or 0.0))
            for period, ms, strength in known:
                said += self._say("season", period=self._span(period, ms), strength=self._percent(strength))
            said += "" if known else self._say("no_season")
        return said + (self._count("gaps", gaps) if gaps else "")

    def changes(
        self, name: str, found: Sequence[tuple[Place, float, float]], *, wanders: bool, has_season: bool
    ) -> str:
        """Changes of level: (place, before, after); wanders: there are no levels; has_season: it is known or none."""
        if wanders:
            return self._say("wanders", name=name)
        if not found:
            return self._say("no_changes", name=name)
        is_few = len(found) <= SHOWN
        places = [
            self._say("change", when=self._when(place), before=self._value(before), after=self._value(after))
            for place, before, after in (found if is_few else _largest(found))
        ]
        listed = self._list(places, len(found))
        said = self._count("changes" if is_few else "many_changes", len(found), name=name, places=listed)
        return said + ("" if has_season or len(found) < STAIRS else self._words["stairs"])

    def correlations(self, name: str, found: Sequence[Related], tested: int, basis: str) -> str:
        """Series that move along, surest first."""
        if not tested:
            return self._say("none_tested", name=name)
        told = [self._related(one) for one in found[:SHOWN]]
        number = self._speak.number(tested)
        if found:
            said = self._count("move", len(found), name=name, tested=number, list=self._list(told, len(found)))
        else:
            said = self._say("nothing_moves", name=name, tested=number)
        return said + self._words[f"basis_{basis}"]

    def similar(self, found: Sequence[Seen], least: float) -> str:
        """Where a shape occurred, most alike first."""
        if not found:
            return self._say("no_similar", least=f"{least:g}")
        told = [
            self._say("occurrence", name=one.name, when=self._when(one.place), r=_two(one.r)) for one in found[:SHOWN]
        ]
        return self._say("similar", list=self._list(told, len(found)))

    def profile(self, motif: tuple[Place, Place, float] | None, discord: Place | None) -> str:
        """The best motif and discord of a matrix profile."""
        said = ""
        if motif is not None:
            first, second, r = motif
            said += self._say("motif", first=self._when(first), second=self._when(second), r=_two(r))
        if discord is not None:
            said += self._say("discord", first=self._when(discord))
        return said

    def total(self, aggregate: str, series: int, before: float, after: float, ratio: float | None) -> str:
        """How a sum or mean over series moved."""
        told = {
            "aggregate": self._words[aggregate],
            "n": self._speak.number(series),
            "before": self._value(before),
            "after": self._value(after),
        }
        if before == after:
            return self._say("no_difference", **told)
        if ratio is None:
            return self._say("from_zero", **told)
        return self._say("rise" if ratio > 0 else "fall", **told, ratio=self._percent(abs(ratio)))

    def explained(self, labels: Sequence[str], values: Sequence[str], share: float | None) -> str:
        """Which values of which labels the change of a total comes from; no values: none of them."""
        if not values or share is None:
            return self._words["unexplained"]
        label = "=".join(labels)
        named = self._list([f"{label}={value}" for value in values[:SHOWN]], len(values))
        if share > 1.005:
            return self._say("offset", values=named)
        return self._say("explained", share=self._percent(share), values=named)

    def series(self, name: str, before: float | None, after: float | None, ratio: float | None) -> str:
        """How one series moved; None: it has no value there."""
        if before is None or after is None:
            side = "either" if before is after else "before" if before is None else "after"
            return self._say("one_missing", name=name, side=self._words[f"{side}_window"])
        told = {"name": name, "before": self._value(before), "after": self._value(after)}
        if ratio is None:
            return self._say("one_series_plain", **told)
        return self._say("one_series", **told, ratio=f"{'+' if ratio > 0 else ''}{self._percent(ratio)}")

    def certainty(self, effect: float, q: float, *, is_found: bool) -> str:
        """How sure the change of one series is."""
        return self._say("certain" if is_found else "uncertain", effect=_two(effect), q=f"{q:.2g}")

    def tested(self, found: int, tested: int) -> str:
        """How many series changed of those tested."""
        number = self._speak.number(tested)
        return self._count("tested", found, tested=number) if found else self._say("tested_none", tested=number)

    def nothing(self) -> str:
        """No series had a value."""
        return self._words["none_compared"]

    def _related(self, one: Related) -> str:
        key = "before" if one.lag > 0 else "after" if one.lag < 0 else "with"
        lag = self._span(abs(one.lag), None if one.lag_ms is None else abs(one.lag_ms))
        return self._say(key, name=one.name, r=_two(one.r), lag=lag)

    def _span(self, points: int, ms: int | None) -> str:
        return self._count("points", points) if ms is None else self._speak.duration(ms)

    def _when(self, place: Place) -> str:
        if place.t is None:
            return self._say("index", n=self._speak.number(place.index))
        return f"{clock(at(place.t))} UTC"

    def _percent(self, share: float) -> str:
        """A share in per cent, with the digits that it carries: 0.3 %, 42 %, 1,250 %."""
        percent = 100 * share
        told = f"{percent:,.0f}" if abs(percent) >= 10 or percent == 0 else f"{percent:.2g}"
        return told + self._words["percent"]

    def _value(self, x: float) -> str:
        return self._speak.value(x)

    def _list(self, told: Sequence[str], of: int) -> str:
        more = [self._say("more", n=self._speak.number(of - len(told)))] if of > len(told) else []
        return (", " if more or self._lang == "ko" else "; ").join([*told, *more])

    def _say(self, key: str, **values: str) -> str:
        return self._filled(self._words[key], values)

    def _count(self, key: str, n: int, **values: str) -> str:
        one, _, many = self._words[key].partition("|")
        return self._filled(one if n == 1 or not many else many, {"n": self._speak.number(n), **values})

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        """A sentence with its values; a series without a name has a word of its own, with a capital at the begin."""
        if values.get("name") != "":
            return text.format(**values)
        said = text.format(**{**values, "name": self._words["unnamed"]})
        return said[0].upper() + said[1:] if text.startswith("{name}") else said


def _largest(found: Sequence[tuple[Place, float, float]]) -> list[tuple[Place, float, float]]:
    return sorted(found, key=lambda one: -abs(one[2] - one[1]))[:SHOWN]


def _two(x: float) -> str:
    return f"{x:.2f}"
