"""A forecast and how good forecasts were, in a sentence or two of Korean or English."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airis_mon.explain.speak import Lang, Speaker, at, clock
from airis_mon.forecast.base import BASELINE
from airis_mon.series.batch import Times, Values

_WORDS: dict[Lang, dict[str, str]] = {
    "en": {
        "nothing": "Nothing can be said about {name}: there is too little to go by.",
        "ahead": "{name} is expected to lie between {low} and {high} until {until}{peak}.",
        "still": "{name} is expected to stay at {low} until {until}.",
        "season": "repeating the last season",
        "value": "repeating the last value",
        "peak": ", highest at {when} with {value}",
        "band": " {level} of what happens should lie within {lower} and {upper}.",
        "model": " Forecast by {model}.",
        "better": " In the past its mean error was {error}, {percent} below {plain} ({naive}).",
        "worse": " In the past its mean error was {error}, no better than {plain} ({naive}).",
        "itself": " In the past no other model did better than {plain}, which it does; its mean error was {error}.",
        "covered": " Of what happened, {share} lay within the interval, which is to hold {level}.",
        "unknown": " How good that is has not been seen yet.",
    },
    "ko": {
        "nothing": "{name}에 대해서는 아직 말할 수 있는 것이 없습니다. 자료가 너무 적습니다.",
        "ahead": "{until}까지 {name}의 예상 범위: {low} ~ {high}{peak}.",
        "still": "{until}까지 {name}의 예상 값: {low}.",
        "season": "지난 주기를 반복하는 예측",
        "value": "마지막 값을 반복하는 예측",
        "peak": ", 최고 예상 시각 {when} (값 {value})",
        "band": " 실제 값의 {level}가 {lower} ~ {upper} 안에 있을 것으로 예상됩니다.",
        "model": " 사용한 예측 모델: {model}.",
        "better": " 지금까지의 평균 오차는 {error}이며, {plain}({naive})보다 {percent} 작습니다.",
        "worse": " 지금까지의 평균 오차는 {error}이며, {plain}({naive})보다 낫지 않습니다.",
        "itself": " {plain}보다 나은 모델이 없어 이것을 사용했으며, 지금까지의 평균 오차는 {error}입니다.",
        "covered": " 실제 값 중 {share}가 구간 안에 있었습니다. 목표는 {level}입니다.",
        "unknown": " 얼마나 정확한지는 아직 확인되지 않았습니다.",
    },
}


@dataclass(frozen=True, slots=True)
class Held:
    """How good forecasts were: mean absolute error, that of the baseline, share within the interval; None = unknown."""

    error: float | None = None
    naive: float | None = None
    covered: float | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A forecast to be told: t (n,) ms or None, mean, lower, upper (n,), the share they are to hold, who made it.

    has_season: whether there is one to repeat; the baseline repeats the last value without.
    """

    name: str
    t: Times | None
    mean: Values
    lower: Values
    upper: Values
    level: float
    model: str
    has_season: bool = True


def told(ahead: Ahead, held: Held, lang: Lang) -> str:
    """What is expected, by whom, and how far that may be believed."""
    words, speak = _WORDS[lang], Speaker(lang)
    finite = [i for i, x in enumerate(ahead.mean.tolist()) if math.isfinite(x)]
    if not finite:
        return words["nothing"].format(name=ahead.name)
    mean = ahead.mean[finite]
    top = finite[int(mean.argmax())]
    peak = words["peak"].format(when=_when(ahead, top), value=speak.value(float(ahead.mean[top])))
    low, high = speak.value(float(mean.min())), speak.value(float(mean.max()))
    said = words["ahead" if low != high else "still"].format(
        name=ahead.name,
        low=low,
        high=high,
        until=_when(ahead, finite[-1]),
        peak=peak if mean.max() > mean.min() else "",
    )
    lower, upper = ahead.lower[finite], ahead.upper[finite]
    if all(map(math.isfinite, [*lower, *upper])):
        low, high = speak.value(float(lower.min())), speak.value(float(upper.max()))
        said += words["band"].format(level=_percent(ahead.level), lower=low, upper=high)
    return said + words["model"].format(model=ahead.model) + _held(words, speak, ahead, held)


def _held(words: dict[str, str], speak: Speaker, ahead: Ahead, held: Held) -> str:
    if held.error is None or held.naive is None:
        return words["unknown"]
    error, naive = speak.value(held.error), speak.value(held.naive)
    better = 1 - held.error / held.naive if held.naive > 0 else 0.0
    key = "better" if better >= 0.005 else "itself" if ahead.model == BASELINE else "worse"
    plain = words["season" if ahead.has_season else "value"]
    said = words[key].format(error=error, naive=naive, plain=plain, percent=f"{100 * better:.0f} %")
    if held.covered is not None:
        said += words["covered"].format(share=_percent(held.covered), level=_percent(ahead.level))
    return said


def _when(ahead: Ahead, point: int) -> str:
    return f"+{point + 1}" if ahead.t is None else clock(at(float(ahead.t[point])))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
