"""An analysis in words, Korean and English: only numbers that stand in it, rounded to four digits.

Korean sentences are formal; where a particle would depend on a number before it, a noun stands between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from airis_mon.analyze.base import Analysis, ChangePoint, Outlier, Season, Statistics, Trend, Verdict

Lang = Literal["en", "ko"]

DIGITS = 4
SHOWN = 3
"""So many points, seasons or changes are told one by one; the answer lists them all."""

ENGLISH = {
    "one": "A single value: {mean}.",
    "equal": "{count} values, all of them {mean}.",
    "values": "{count} values between {min} and {max}: mean {mean}, median {median}, standard deviation {std}.",
    "outlier": "The value at index {index} ({value}) is unlike the others: it lies {score} of their standard "
    "deviations from their mean, and the threshold is {threshold}.",
    "outlier_voted": "The value at index {index} ({value}) is unlike the others, as {methods} find; it lies {score} of "
    "their standard deviations from their mean.",
    "outlier_equal": "The value at index {index} ({value}) is unlike the others, which are all equal.",
    "more_points": "{flagged} values are flagged in all; the others include index {indexes}.",
    "all_points": "{flagged} values are flagged in all; the others are at index {indexes}.",
    "no_outlier": "No value is unlike the others: the furthest, at index {index}, lies {score} of their standard "
    "deviations from their mean, and the threshold is {threshold}.",
    "no_outlier_voted": "No value is unlike the others by the vote of the methods, although the one at index {index} "
    "lies {score} of their standard deviations from their mean.",
    "no_outlier_plain": "No value is unlike the others.",
    "no_verdict": "The methods cannot say of these values whether one is unlike the others.",
    "no_verdict_equal": "All values are equal, so none is unlike the others.",
    "increasing": "They rise: {slope} per point by least squares, {theil_sen} as the median slope (Mann-Kendall's p "
    "is {p}).",
    "decreasing": "They fall: {slope} per point by least squares, {theil_sen} as the median slope (Mann-Kendall's p "
    "is {p}).",
    "stable": "No trend stands out from chance (Mann-Kendall's p is {p}).",
    "season": "They repeat every {period} points (autocorrelation {autocorrelation}, strength {strength}).",
    "change": "Their level changes at index {index}: {before} on average before, {after} after.",
    "more_changes": "There are {changes} changes of level in all.",
    "and": " and ",
    "listing": ", ",
}

KOREAN = {
    "one": "값이 하나뿐입니다: {mean}.",
    "equal": "{count}개의 값이 모두 {mean}입니다.",
    "values": "값 {count}개의 범위는 {min}~{max}이고 평균 {mean}, 중앙값 {median}, 표준편차 {std}입니다.",
    "outlier": "인덱스 {index}의 값({value})은 나머지 값들과 다릅니다. 나머지 값들의 평균에서 그 표준편차의 {score}배 "
    "떨어져 있으며, 기준은 {threshold}배입니다.",
    "outlier_voted": "{methods} 방법에 따르면 인덱스 {index}의 값({value})은 나머지 값들과 다릅니다. 나머지 값들의 "
    "평균에서 그 표준편차의 {score}배 떨어져 있습니다.",
    "outlier_equal": "인덱스 {index}의 값({value})은 나머지 값들과 다릅니다. 나머지 값들은 모두 같습니다.",
    "more_points": "이상값은 모두 {flagged}개이며, 인덱스 {indexes} 등에도 있습니다.",
    "all_points": "이상값은 모두 {flagged}개이며, 나머지는 인덱스 {indexes}에 있습니다.",
    "no_outlier": "나머지와 다른 값은 없습니다. 가장 멀리 있는 인덱스 {index}의 값도 나머지 값들의 평균에서 그 "
    "표준편차의 {score}배 떨어져 있을 뿐이며, 기준은 {threshold}배입니다.",
    "no_outlier_voted": "인덱스 {index}의 값이 나머지 값들의 평균에서 그 표준편차의 {score}배 떨어져 있지만, 여러 "
    "방법의 판정을 모으면 나머지와 다른 값은 없습니다.",
    "no_outlier_plain": "나머지와 다른 값은 없습니다.",
    "no_verdict": "이 값들로는 나머지와 다른 값이 있는지 판단할 수 없습니다.",
    "no_verdict_equal": "값이 모두 같아 나머지와 다른 값이 없습니다.",
    "increasing": "값이 커지고 있습니다. 한 점마다의 변화는 최소제곱 기울기로 {slope}, 기울기의 중앙값으로 "
    "{theil_sen}입니다(Mann-Kendall 검정의 p는 {p}).",
    "decreasing": "값이 작아지고 있습니다. 한 점마다의 변화는 최소제곱 기울기로 {slope}, 기울기의 중앙값으로 "
    "{theil_sen}입니다(Mann-Kendall 검정의 p는 {p}).",
    "stable": "우연과 구별되는 추세는 없습니다(Mann-Kendall 검정의 p는 {p}).",
    "season": "{period}개 점마다 반복됩니다(자기상관 {autocorrelation}, 강도 {strength}).",
    "change": "인덱스 {index}에서 수준이 바뀝니다(이전 평균 {before}, 이후 평균 {after}).",
    "more_changes": "수준 변화는 모두 {changes}번입니다.",
    "and": ", ",
    "listing": ", ",
}
TABLES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "ko": KOREAN}

METHOD_WORDS: dict[Lang, dict[str, str]] = {
    "en": {
        "zscore": "the leave-one-out z-score",
        "iqr": "the interquartile range",
        "mad": "the median absolute deviation",
        "isolation_forest": "the isolation forest",
    },
    "ko": {
        "zscore": "하나씩 뺀 z 점수",
        "iqr": "사분위 범위",
        "mad": "중앙값 절대 편차",
        "isolation_forest": "격리 숲",
    },
}


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of an analysis: of its verdict alone, and as a whole."""

    verdict: str
    whole: str


def told(analysis: Analysis, lang: Lang) -> Told:
    """The analysis in sentences. What could not be computed is left to its `why`."""
    table = TABLES[lang]
    verdict = _verdict(analysis.anomaly, analysis.statistics, lang)
    parts = [_statistics(analysis.statistics, table), verdict]
    if analysis.trend is not None and analysis.trend.p is not None:
        parts.append(_trend(analysis.trend, table))
    parts += [_season(season, table) for season in (analysis.seasons or ())[:SHOWN]]
    parts += _changes(analysis.changes or (), table)
    return Told(verdict, " ".join(parts))


def number(x: float) -> str:
    """A number in four significant digits: 63.46, 1,235, 0.0123; beyond 1e15 and below 1e-4 with an exponent."""
    size = abs(x)
    if 1e-4 <= size < 999:  # most numbers: neither a comma nor an exponent
        return f"{x:.{DIGITS}g}"
    if size == 0:
        return "0"
    if not 1e-4 <= size < 1e15:
        return f"{x:.{DIGITS}g}"
    decimals = DIGITS - 1 - math.floor(math.log10(size))
    if decimals <= 0:
        return f"{x:,.0f}"
    written = f"{x:,.{decimals}f}"
    return written.rstrip("0").rstrip(".")


def _statistics(of: Statistics, table: dict[str, str]) -> str:
    if of.count == 1:
        return table["one"].format(mean=number(of.mean))
    if of.min == of.max:
        return table["equal"].format(count=number(of.count), mean=number(of.min))
    return table["values"].format(
        count=number(of.count),
        min=number(of.min),
        max=number(of.max),
        mean=number(of.mean),
        median=number(of.median),
        std=number(of.std_dev or 0.0),
    )


def _verdict(of: Verdict, statistics: Statistics, lang: Lang) -> str:
    if of.points:
        return _outliers(of, lang)
    table = TABLES[lang]
    if statistics.count > 1 and statistics.min == statistics.max:
        return table["no_verdict_equal"]
    if of.why.keys() >= of.thresholds.keys():
        return table["no_verdict"]
    if of.score is None or of.index is None or not math.isfinite(of.score):
        return table["no_outlier_plain"]
    key = "no_outlier" if of.score < of.threshold else "no_outlier_voted"
    return table[key].format(index=of.index, score=number(of.score), threshold=number(of.threshold))


def _outliers(of: Verdict, lang: Lang) -> str:
    table = TABLES[lang]
    first = max(of.points, key=lambda point: abs(point.score))
    said = _outlier(first, of, lang)
    others = [point for point in of.points if point is not first]
    if not others:
        return said
    indexes = _listed([str(point.index) for point in others[:SHOWN]], table)
    key = "all_points" if len(others) <= SHOWN else "more_points"
    return f"{said} {table[key].format(flagged=len(of.points), indexes=indexes)}"


def _outlier(point: Outlier, of: Verdict, lang: Lang) -> str:
    table = TABLES[lang]
    given = {"index": point.index, "value": number(point.value), "threshold": number(of.threshold)}
    if not math.isfinite(point.score):
        return table["outlier_equal"].format(**given)
    given["score"] = number(abs(point.score))
    if "zscore" in point.methods:
        return table["outlier"].format(**given)
    methods = _listed([METHOD_WORDS[lang].get(method, method) for method in point.methods], table)
    return table["outlier_voted"].format(methods=methods, **given)


def _trend(of: Trend, table: dict[str, str]) -> str:
    return table[of.trend].format(slope=number(of.slope), theil_sen=number(of.theil_sen), p=number(of.p or 0.0))


def _season(of: Season, table: dict[str, str]) -> str:
    autocorrelation, strength = number(of.autocorrelation), number(of.strength)
    return table["season"].format(period=of.period, autocorrelation=autocorrelation, strength=strength)


def _changes(found: Sequence[ChangePoint], table: dict[str, str]) -> list[str]:
    parts = [
        table["change"].format(index=c.index, before=number(c.before), after=number(c.after)) for c in found[:SHOWN]
    ]
    return [*parts, table["more_changes"].format(changes=len(found))] if len(found) > SHOWN else parts


def _listed(words: Sequence[str], table: dict[str, str]) -> str:
    *first, last = words
    return table["and"].join([table["listing"].join(first), last]) if first else last
