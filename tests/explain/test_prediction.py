"""The sentence of a prediction: what, when, how sure; no figure is finer than its interval."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.events.prediction import Prediction, Why
from airis_mon.explain.prediction import ENGLISH, KINDS, KOREAN, grain, name_of, rounded, sentence
from airis_mon.series.labels import Labels

H, T, GIB = 3_600_000, 1_800_000_000_000, 2**30
DAY = 24 * H
VAR: Labels = (("instance", "web-1:9100"), ("mountpoint", "/var"))
DISK = Prediction(
    id="0123456789abcdef",
    kind="disk",
    name="/var on web-1",
    labels=VAR,
    started_ms=T - 5 * H,
    updated_ms=T,
    ended_ms=None,
    used=43.0 * GIB,
    limit=50.0 * GIB,
    eta_ms=T + round(9.33 * H),
    earliest_ms=T + round(7.5 * H),
    latest_ms=T + round(11.3 * H),
    rate_per_h=0.7312 * GIB,
    basis="day",
    is_recurring=False,
    used_query="used",
    limit_query="limit",
    unit="bytes",
)


def both(p: Prediction = DISK, **changed: Any) -> tuple[str, str]:
    p = replace(p, **changed)
    return sentence(p, "en"), sentence(p, "ko")


def test_a_disk_fills_up_in_a_time_give_or_take_another() -> None:
    english, korean = both()
    assert english == (
        "/var on web-1 fills up in 9 h 20 min (± 2 h) at the rate of the last day: "
        "43 GiB of 50 GiB (86 %) used, 750 MiB more each hour."
    )
    assert korean == (
        "web-1 /var: 최근 하루의 증가 속도라면 약 9시간 20분 뒤(±2시간) 가득 찹니다. "
        "현재 50 GiB 중 43 GiB (86 %) 사용, 시간당 750 MiB 증가."
    )


def test_an_interval_with_unlike_sides_is_told_by_its_ends() -> None:
    english, korean = both(latest_ms=T + 20 * H)
    assert "fills up between 7 h and 20 h from now at" in english
    assert "7시간에서 20시간 사이에 가득 찹니다" in korean


def test_an_interval_that_begins_now_is_told_by_its_end() -> None:
    english, korean = both(earliest_ms=T + 60_000, latest_ms=T + 20 * H)
    assert "fills up within 20 h at" in english
    assert "20시간 안에" in korean


def test_without_an_end_the_earliest_is_told_and_without_both_a_rough_time() -> None:
    assert "in 7 h 30 min at the earliest" in both(latest_ms=None)[0]
    assert "in 9 h 30 min at the rate" in both(earliest_ms=None, latest_ms=None)[0]


@pytest.mark.parametrize(
    ("basis", "english", "korean"),
    [
        ("hour", "at the rate of the last hour", "최근 1시간의"),
        ("two_hours", "at the rate of the last two hours", "최근 2시간의"),
        ("six_hours", "at the rate of the last six hours", "최근 6시간의"),
        ("week", "at the rate of the last week", "최근 일주일의"),
        ("none", "at its present rate", "지금의"),
    ],
)
def test_the_rate_says_what_it_was_taken_from(basis: str, english: str, korean: str) -> None:
    found = both(basis=basis)
    assert english in found[0]
    assert korean in found[1]


def test_what_recurs_says_how_often_it_fell_by_itself() -> None:
    english, korean = both(is_recurring=True, falls=3, every_ms=24 * H + 600_000)
    assert english.startswith("/var on web-1 would be at its limit in 9 h 20 min (± 2 h), but rises like this about ")
    assert "about every 24 h and fell by itself the last 3 times: 43 GiB" in english
    assert "약 24시간마다 이렇게 늘었다가 최근 3번 모두 저절로 줄었습니다" in korean
    assert "rises like this and fell by itself each time: " in both(is_recurring=True)[0]


CERTIFICATE = replace(
    DISK, kind="certificate", labels=(("instance", "https://shop.example"),), basis="deadline", unit="seconds"
)


@pytest.mark.parametrize(
    ("left", "english", "korean"),
    [
        (13.4 * DAY, "expires on 2027-01-28 17:36 UTC, in 13 days.", "2027-01-28 17:36 UTC에 만료됩니다(13일 뒤)."),
        (33.6 * H, "expires on 2027-01-16 17:36 UTC, in 1 d 9 h.", "2027-01-16 17:36 UTC에 만료됩니다(1일 9시간 뒤)."),
        (0.0, "has ended on 2027-01-15 08:00 UTC.", "2027-01-15 08:00 UTC에 기한이 지났습니다."),
    ],
)
def test_a_certificate_tells_its_date_and_whole_days(left: float, english: str, korean: str) -> None:
    found = both(CERTIFICATE, eta_ms=T + round(left))
    assert found == (f"Certificate of https://shop.example {english}", f"https://shop.example의 인증서: {korean}")


ENDS: list[tuple[Why, str]] = [
    (
        "crossed",
        "was at its limit at 2027-01-15 08:00 UTC (43 GiB of 50 GiB (86 %) used); this was foreseen 5 h before.",
    ),
    ("fell", "fell by itself or was cleared by 2027-01-15 08:00 UTC: 43 GiB of 50 GiB (86 %) used."),
    ("slowed", "no longer rises toward its limit, as of 2027-01-15 08:00 UTC: 43 GiB of 50 GiB (86 %) used."),
    ("gone", "sends nothing any more, as of 2027-01-15 08:00 UTC: there is nothing left to warn of."),
]


@pytest.mark.parametrize(("why", "expected"), ENDS)
def test_an_ended_one_says_how_it_ended(why: Why, expected: str) -> None:
    english, korean = both(ended_ms=T, why_ended=why)
    assert english == f"/var on web-1 {expected}"
    assert korean.startswith("web-1 /var: 2027-01-15 08:00 UTC")


def test_a_certificate_that_ended_or_was_renewed_says_so() -> None:
    assert "has ended at 2027-01-15 08:00 UTC" in both(CERTIFICATE, ended_ms=T, why_ended="crossed")[0]
    assert "has been renewed" in both(CERTIFICATE, ended_ms=T, why_ended="renewed")[0]


NAMES: list[tuple[str, Labels, str, str]] = [
    ("disk", VAR, "/var on web-1", "web-1 /var"),
    ("disk", (("host", "web-1"),), "disk of web-1", "web-1의 디스크"),
    ("disk", (("instance", "w-1:9182"), ("volume", "C:")), "C: on w-1", "w-1 C:"),
    ("inodes", VAR, "inodes of /var on web-1", "web-1 /var의 inode"),
    ("volume", (("namespace", "db"), ("persistentvolumeclaim", "pg-0")), "volume pg-0 of db", "db의 볼륨 pg-0"),
    ("volume", (("service", "orders"),), "volume of orders", "orders의 볼륨"),
    ("memory", (("container", "app"), ("namespace", "s"), ("pod", "c-1")), "memory of app on c-1", "c-1 app의 메모리"),
    ("memory", (("instance", "web-1:9100"),), "memory of web-1", "web-1의 메모리"),
    ("connections", (("instance", "db:5432"),), "connections of db:5432", "db:5432의 연결 수"),
    ("certificate", (("service", "shop"),), "certificate of shop", "shop의 인증서"),
    ("quota", (("namespace", "s"), ("resource", "pods")), "quota of pods on s", "s pods의 할당량"),
    ("thread pool", (("instance", "a:1"), ("name", "io")), "thread pool of io on a:1", "a:1 io의 thread pool"),
    ("memory", (), "memory", "메모리"),
    ("pool", (), "pool", "pool"),
]


@pytest.mark.parametrize(("kind", "labels", "english", "korean"), NAMES)
def test_a_thing_is_named_by_what_it_is_and_where(kind: str, labels: Labels, english: str, korean: str) -> None:
    assert (name_of(kind, labels), name_of(kind, labels, "ko")) == (english, korean)


@pytest.mark.parametrize(
    ("used", "limit", "unit", "expected"),
    [
        (512.0, 1024.0, "bytes", "512 B of 1 KiB (50 %)"),
        (1.234e12, 2e12, "bytes", "1.12 TiB of 1.82 TiB (62 %)"),
        (1023.6 * GIB, 1e4 * GIB, "bytes", "1,024 GiB of 9.77 TiB (10 %)"),
        (987.0, 1000.0, "count", "987 of 1,000 (99 %)"),
        (999.9, 1000.0, "count", "1 k of 1,000 (99 %)"),
        (52.5e6, 6e7, "count", "52.5 M of 60 M (88 %)"),
        (0.912, 1.0, "ratio", "91.2 % of 100 %"),
    ],
)
def test_amounts_stand_in_their_units_and_what_is_nearly_full_is_not_full(
    used: float, limit: float, unit: str, expected: str
) -> None:
    assert f": {expected} used" in both(used=used, limit=limit, unit=unit)[0]


@given(st.integers(60_000, 40 * DAY), st.integers(0, 10 * DAY))
def test_a_rounded_time_is_off_by_no_more_than_a_fifth_of_what_it_may_be(ms: int, off_by: int) -> None:
    step = grain(off_by, ms)
    assert step <= max(off_by / 5, 60_000 if ms < DAY else H)
    assert abs(rounded(ms, off_by) - ms) <= step / 2
    assert rounded(ms, off_by, "down") <= ms <= rounded(ms, off_by, "up")
    assert rounded(ms, off_by, "up") - rounded(ms, off_by, "down") <= step


@given(st.floats(0.2, 40.0), st.floats(0.05, 0.9))
def test_a_symmetric_interval_holds_the_whole_interval(lead_h: float, part: float) -> None:
    half = lead_h * part
    p = replace(
        DISK,
        eta_ms=T + round(lead_h * H),
        earliest_ms=T + round((lead_h - half) * H),
        latest_ms=T + round((lead_h + half) * H),
    )
    if found := re.search(r" in (.+) \(± (.+)\) at", sentence(p)):
        assert _hours(found[2]) >= half - 1 / 60
        assert _hours(found[1]) == pytest.approx(lead_h, abs=max(half / 10, 1 / 120 if lead_h < 24 else 0.5) + 1e-6)


def _hours(text: str) -> float:
    units = {"d": 24.0, "h": 1.0, "min": 1 / 60}
    return sum(float(n) * units[u] for n, u in re.findall(r"(\d+) (d|h|min)", text))


def test_both_languages_have_the_same_sentences_with_the_same_values() -> None:
    assert ENGLISH.keys() == KOREAN.keys()
    for key, text in ENGLISH.items():
        assert {*re.findall(r"\{(\w+)\}", text)} == {*re.findall(r"\{(\w+)\}", KOREAN[key])}, key


def test_every_kind_speaks_both_languages() -> None:
    assert all(k.word and k.does and k.word_ko and k.does_ko for k in KINDS.values())
