"""What a forecast says of itself, in both languages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airis_mon.explain.foretold import Ahead, Held, told
from airis_mon.explain.speak import Lang
from airis_mon.forecast.base import BASELINE

FLAT = np.full(3, 4.54)
AHEAD = Ahead("load", None, FLAT, FLAT - 1, FLAT + 1, 0.95, "ridge")


@pytest.mark.parametrize(
    ("has_season", "lang", "plain"),
    [
        (True, "en", "no better than repeating the last season (0.222)"),
        (False, "en", "no better than repeating the last value (0.222)"),
        (True, "ko", "지난 주기를 반복하는 예측(0.222)보다 낫지 않습니다"),
        (False, "ko", "마지막 값을 반복하는 예측(0.222)보다 낫지 않습니다"),
    ],
)
def test_a_season_is_spoken_of_only_where_there_is_one(*, has_season: bool, lang: Lang, plain: str) -> None:
    assert plain in told(replace(AHEAD, has_season=has_season), Held(0.222, 0.222), lang)


@pytest.mark.parametrize(("lang", "said"), [("en", "no other model did better than"), ("ko", "나은 모델이 없어")])
def test_the_baseline_is_not_held_against_itself(lang: Lang, said: str) -> None:
    text = told(replace(AHEAD, model=BASELINE, has_season=False), Held(0.222, 0.222), lang)
    assert said in text
    assert text.count("0.222") == 1


def test_what_stays_the_same_does_not_lie_between_it_and_itself() -> None:
    assert "load is expected to stay at 4.54 until +3." in told(AHEAD, Held(), "en")
    assert "+3까지 load의 예상 값: 4.54." in told(AHEAD, Held(), "ko")
    wave = replace(AHEAD, mean=np.array([4.0, 5.0, 4.5]))
    assert "to lie between 4 and 5 until +3, highest at +2 with 5" in told(wave, Held(), "en")
