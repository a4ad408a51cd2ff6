"""An entity judged as a whole, in a sentence or two, English and Korean."""

from __future__ import annotations

from collections.abc import Sequence

from airis_mon.events.anomaly import ALARM
from airis_mon.explain.speak import Lang, at, clock

NAMED = 3
TABLES: dict[Lang, dict[str, str]] = {
    "en": {
        "unusual": "{name} was unusual as a whole: its score reached {score} at {when} UTC, above the line of {line}.",
        "usual": "{name} was not unusual as a whole: its highest score was {score} at {when} UTC, below the line of "
        "{line}.",
        "blame": " Most of it came from {metrics}.",
        "how": " Judged by {method} after learning from {trained} times.",
        "bank": "the live detector",
        "pca": "principal components",
        "isolation_forest": "an isolation forest",
    },
    "ko": {
        "unusual": "{name}: 전체적으로 평소와 달랐습니다. 점수가 {when} UTC에 {score}까지 올랐습니다(기준 {line}).",
        "usual": "{name}: 전체적으로 평소와 다르지 않았습니다. 가장 높은 점수는 {when} UTC의 {score}입니다"
        "(기준 {line}).",
        "blame": " 주된 지표: {metrics}.",
        "how": " 판정 방법: {method}, 학습한 시점 수: {trained}.",
        "bank": "실시간 탐지기",
        "pca": "주성분 분석",
        "isolation_forest": "아이솔레이션 포레스트",
    },
}


def told_of(
    name: str, method: str, score: float, t: int, blamed: Sequence[tuple[str, float]], trained: int, lang: Lang
) -> str:
    """What was found, with the numbers it stands on.

    blamed: (metric, share), most first; t: ms of the highest score.
    """
    words, is_unusual = TABLES[lang], score >= ALARM
    shown = score if is_unusual else min(score, ALARM - 0.01)  # no 0.80 is below a line of 0.8
    told = words["unusual" if is_unusual else "usual"].format(
        name=name, score=f"{shown:.2f}", when=clock(at(t)), line=f"{ALARM:g}"
    )
    if is_unusual and blamed:
        told += words["blame"].format(metrics=", ".join(f"{metric} ({share:.0%})" for metric, share in blamed[:NAMED]))
    return told + words["how"].format(method=words[method], trained=f"{trained:,}")
