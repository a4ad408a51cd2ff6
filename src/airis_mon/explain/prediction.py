"""A prediction in one sentence, in English and Korean: what, when, how sure, and at which rate.

Figures are rounded to what their interval carries: a forecast of two days give or take half a day has no minutes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from airis_mon.events.prediction import DEADLINE, Prediction
from airis_mon.explain.speak import Lang, Speaker, at, clock
from airis_mon.series.labels import Labels, first_of

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
GRAINS_MIN = (1, 5, 10, 20, 30, 60, 120, 180, 360, 720, 1440)
PARTS = 5
"""A figure is rounded to no less than a fifth of what it may be off by."""
NEARLY_EVEN = 1.5
"""An interval whose sides differ by no more than this is told as one figure give or take another."""

PLACES = ("pod", "host", "hostname", "nodename", "node", "instance", "server", "service", "namespace", "job")
ITEMS = ("mountpoint", "persistentvolumeclaim", "volume", "device", "container", "topic", "queue", "resource", "name")
_PORT = re.compile(r"(?<=[^:]):\d{1,5}\Z")


@dataclass(frozen=True, slots=True)
class _Kind:
    """How people speak of a kind: its word and what it does, in both languages, and which labels name it."""

    word: str
    does: str
    word_ko: str
    does_ko: str
    items: tuple[str, ...] = ()
    places: tuple[str, ...] = PLACES
    is_item: bool = False  # the item is what fills up, not something that has it
    is_host: bool = False  # it belongs to a machine, whatever port its exporter has


_FILLS, _FILLS_KO = "fills up", "가득 찹니다"
_OUT, _OUT_KO = "run out", "바닥납니다"
_BY_NAMESPACE = ("namespace", *PLACES)
_OTHER = _Kind("", "reaches its limit", "", "한도에 이릅니다", ITEMS)
KINDS = {
    "disk": _Kind("disk", _FILLS, "디스크", _FILLS_KO, ("mountpoint", "volume", "device"), PLACES, True, True),
    "volume": _Kind(
        "volume", _FILLS, "볼륨", _FILLS_KO, ("persistentvolumeclaim", "volume", "mountpoint"), _BY_NAMESPACE, True
    ),
    "inodes": _Kind("inodes", _OUT, "inode", _OUT_KO, ("mountpoint", "persistentvolumeclaim"), PLACES, is_host=True),
    "memory": _Kind("memory", "runs out", "메모리", _OUT_KO, ("container",), PLACES, is_host=True),
    "heap": _Kind("Java heap", "runs out", "Java 힙", _OUT_KO),
    "descriptors": _Kind("file descriptors", _OUT, "파일 디스크립터", _OUT_KO, ("container",)),
    "connections": _Kind("connections", _OUT, "연결 수", "한도에 이릅니다", ("proxy",)),
    "processes": _Kind("processes", "reach their limit", "프로세스 수", "한도에 이릅니다", (), PLACES, is_host=True),
    "quota": _Kind("quota", "is used up", "할당량", "모두 소진됩니다", ("resource",), _BY_NAMESPACE),
    "certificate": _Kind(
        "certificate",
        "expires",
        "인증서",
        "만료됩니다",
        ("subject_CN", "cn", "common_name", "secret_name", "name", "host", "filepath"),
        ("instance", "target", "service", "exported_namespace", "namespace", "node", "job"),
    ),
}

ENGLISH = {
    "alone": "{name} {does} {when} {rate}: {amount}.",
    "recurring": "{name} would be at its limit {when}, but rises like this{every} and fell by itself {falls}: "
    "{amount}.",
    "deadline": "{name} {does} on {date} UTC, {when}.",
    "overdue": "{name} has ended on {date} UTC.",
    "in": "in {time}",
    "plus_minus": "in {time} (± {half})",
    "between": "between {low} and {high} from now",
    "within": "within {high}",
    "at_least": "in {low} at the earliest",
    "every": " about every {time}",
    "falls": "the last time|the last {n} times",
    "falls_unknown": "each time",
    "amount": "{used} of {limit}{share} used, {rate} more each hour",
    "rate hour": "at the rate of the last hour",
    "rate two_hours": "at the rate of the last two hours",
    "rate six_hours": "at the rate of the last six hours",
    "rate day": "at the rate of the last day",
    "rate week": "at the rate of the last week",
    "rate": "at its present rate",
    "crossed": "{name} was at its limit at {time} UTC ({amount_now}); this was foreseen {lead} before.",
    "crossed_late": "{name} was at its limit at {time} UTC ({amount_now}).",
    "expired": "{name} has ended at {time} UTC; this was foreseen {lead} before.",
    "fell": "{name} fell by itself or was cleared by {time} UTC: {amount_now}.",
    "slowed": "{name} no longer rises toward its limit, as of {time} UTC: {amount_now}.",
    "renewed": "{name} has been renewed, as of {time} UTC.",
    "gone": "{name} sends nothing any more, as of {time} UTC: there is nothing left to warn of.",
    "amount_now": "{used} of {limit}{share} used",
    "days": "in {n} day|in {n} days",
    "no_days": "in {time}",
}
KOREAN = {
    "alone": "{name}: {rate} {when} {does}. 현재 {amount}.",
    "recurring": "{name}: {when} 한도에 이를 수 있지만,{every} 이렇게 늘었다가 {falls} 저절로 줄었습니다. "
    "현재 {amount}.",
    "deadline": "{name}: {date} UTC에 {does}({when}).",
    "overdue": "{name}: {date} UTC에 기한이 지났습니다.",
    "in": "약 {time} 뒤",
    "plus_minus": "약 {time} 뒤(±{half})",
    "between": "{low}에서 {high} 사이에",
    "within": "{high} 안에",
    "at_least": "빠르면 {low} 뒤",
    "every": " 약 {time}마다",
    "falls": "최근 {n}번 모두",
    "falls_unknown": "매번",
    "amount": "{limit} 중 {used}{share} 사용, 시간당 {rate} 증가",
    "rate hour": "최근 1시간의 증가 속도라면",
    "rate two_hours": "최근 2시간의 증가 속도라면",
    "rate six_hours": "최근 6시간의 증가 속도라면",
    "rate day": "최근 하루의 증가 속도라면",
    "rate week": "최근 일주일의 증가 속도라면",
    "rate": "지금의 증가 속도라면",
    "crossed": "{name}: {time} UTC에 한도에 이르렀습니다({amount_now}). {lead} 전에 예측했습니다.",
    "crossed_late": "{name}: {time} UTC에 한도에 이르렀습니다({amount_now}).",
    "expired": "{name}: {time} UTC에 기한이 지났습니다. {lead} 전에 예측했습니다.",
    "fell": "{name}: {time} UTC까지 저절로 줄었거나 정리되었습니다. 현재 {amount_now}.",
    "slowed": "{name}: {time} UTC 기준으로 더 이상 한도를 향해 늘지 않습니다. 현재 {amount_now}.",
    "renewed": "{name}: {time} UTC 기준으로 갱신되었습니다.",
    "gone": "{name}: {time} UTC 기준으로 더 이상 값이 오지 않아 경고를 마칩니다.",
    "amount_now": "{limit} 중 {used}{share} 사용",
    "days": "{n}일 뒤",
    "no_days": "{time} 뒤",
}
_TABLES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "ko": KOREAN}


def name_of(kind: str, labels: Labels, lang: Lang = "en") -> str:
    """What runs out, as people call it: "/var on web-1", "memory of cart-1", or the kind alone without labels."""
    of = KINDS.get(kind, _OTHER)
    item = first_of(labels, of.items)
    place = first_of(labels, [name for name in of.places if name not in of.items or not item])
    place = _PORT.sub("", place) if of.is_host else place
    place = "" if place == item else place
    word = (of.word if lang == "en" else of.word_ko) or kind
    if of.is_item:
        item = item if item.startswith("/") or item[1:2] == ":" else f"{word} {item}".strip()
        return _joined(item, place, " of " if item.startswith(word) else " on ", lang)
    return _joined(word, _joined(item, place, " on ", lang), " of ", lang)


def sentence(p: Prediction, lang: Lang = "en") -> str:
    """The prediction in words, as of `updated_ms`; an ended one says how it ended."""
    return _Words(p, lang).sentence()


def rounded(ms: float, off_by: float, way: Literal["near", "down", "up"] = "near") -> int:
    """Milliseconds in steps of a fifth of what they may be off by, of a minute at least, of an hour from a day on."""
    step = grain(off_by, ms)
    if way == "near":
        return round(ms / step) * step
    return (math.floor if way == "down" else math.ceil)(ms / step) * step


def grain(off_by: float, ms: float = 0) -> int:
    """The step that a time is rounded to, ms: two units of it are told, so that days leave no minutes."""
    wanted = off_by / PARTS / MINUTE_MS
    return max([60 if ms >= DAY_MS else GRAINS_MIN[0], *(g for g in GRAINS_MIN if g <= wanted)]) * MINUTE_MS


class _Words:
    """One prediction in one language."""

    def __init__(self, p: Prediction, lang: Lang) -> None:
        self._p, self._lang = p, lang
        self._kind = KINDS.get(p.kind, _OTHER)
        self._say = Speaker(lang)
        self._table = _TABLES[lang]
        name = name_of(p.kind, p.labels, lang)
        self._name = name.removesuffix(":") if lang == "ko" else name  # of a drive: a colon follows

    def sentence(self) -> str:
        if self._p.ended_ms is not None and self._p.why_ended:
            return self._capital(self._ended())
        if self._p.basis == DEADLINE:
            return self._capital(self._deadline())
        return self._capital(self._rising())

    def _rising(self) -> str:
        p, does = self._p, self._kind.does if self._lang == "en" else self._kind.does_ko
        if not p.is_recurring:
            rate = self._table.get(f"rate {p.basis}", self._table["rate"])
            return self._fill("alone", does=does, when=self._when(), rate=rate, amount=self._amount("amount"))
        every = "" if p.every_ms is None else self._fill("every", time=self._period(p.every_ms))
        falls = self._counted("falls", p.falls) if p.falls else self._table["falls_unknown"]
        return self._fill("recurring", when=self._when(), every=every, falls=falls, amount=self._amount("amount"))

    def _when(self) -> str:
        p = self._p
        if p.earliest_ms is None and p.latest_ms is None:
            return self._fill("in", time=self._time(p.lead_ms, p.lead_ms / 2))
        low = max(0, (p.updated_ms if p.earliest_ms is None else p.earliest_ms) - p.updated_ms)
        if p.latest_ms is None:
            return self._fill("at_least", low=self._time(low, low / 2, "down"))
        high = max(low, p.latest_ms - p.updated_ms)
        before, after = max(0, p.lead_ms - low), max(0, high - p.lead_ms)
        half = max(before, after)
        if half < p.lead_ms and half <= NEARLY_EVEN * min(before, after) + MINUTE_MS:
            return self._fill("plus_minus", time=self._time(p.lead_ms, half), half=self._time(half, half, "up"))
        off = (high - low) / 2
        if rounded(low, off, "down") <= 0:
            return self._fill("within", high=self._time(high, off, "up"))
        return self._fill("between", low=self._time(low, off, "down"), high=self._time(high, off, "up"))

    def _deadline(self) -> str:
        p, does = self._p, self._kind.does if self._lang == "en" else self._kind.does_ko
        does = does if p.kind in KINDS else {"en": "ends", "ko": "끝납니다"}[self._lang]
        date = clock(at(p.eta_ms))
        if not p.lead_ms:
            return self._fill("overdue", date=date)
        days = p.lead_ms // DAY_MS
        when = self._counted("days", days)
        if days < 2:
            when = self._fill("no_days", time=self._say.duration(rounded(p.lead_ms, 0, "down")))
        return self._fill("deadline", does=does, date=date, when=when)

    def _ended(self) -> str:
        p, why = self._p, str(self._p.why_ended)
        time = clock(at(p.ended_ms or p.updated_ms))
        if why == "crossed":
            why = "expired" if p.basis == DEADLINE else "crossed"
        lead = (p.ended_ms or 0) - p.started_ms
        if why == "crossed" and lead < MINUTE_MS:
            why = "crossed_late"
        amount = "" if p.basis == DEADLINE else self._amount("amount_now")
        return self._fill(why, time=time, lead=self._say.duration(lead), amount_now=amount)

    def _amount(self, key: str) -> str:
        p = self._p
        if p.unit == "ratio":
            used, limit, rate = (f"{x * 100:.3g} %" for x in (p.used, p.limit, _two(p.rate_per_h)))
            return self._fill(key, used=used, limit=limit, rate=rate, share="")
        share = "" if p.share is None else f" ({_per_cent(p.share)} %)"
        used, limit, rate = self._quantity(p.used), self._quantity(p.limit), self._quantity(p.rate_per_h, 2)
        return self._fill(key, used=used, limit=limit, rate=rate, share=share)

    def _quantity(self, x: float, digits: int = 3) -> str:
        if self._p.unit == "bytes":
            return _bytes(x, digits)
        if x == round(x) and abs(x) < 1e6 and digits > 2:
            return f"{x:,.0f}"
        return self._say.value(float(f"{x:.{digits}g}"))

    def _time(self, ms: float, off_by: float, way: Literal["near", "down", "up"] = "near") -> str:
        return self._say.duration(max(rounded(ms, off_by, way), grain(off_by, ms) if way != "down" else 0))

    def _period(self, ms: int) -> str:
        """Of hours up to two days: a habit of a day is better known as one of 24 h."""
        if HOUR_MS <= ms < 2 * DAY_MS:
            return self._say("unit", number=f"{ms / HOUR_MS:.2g}", unit=self._say("h"))
        return self._say.duration(rounded(ms, ms / 4))

    def _counted(self, key: str, n: int) -> str:
        one, _, many = self._table[key].partition("|")
        return (one if n == 1 or not many else many).format(n=n)

    def _fill(self, key: str, **values: str) -> str:
        return self._table[key].format(**{"name": self._name, **values})

    def _capital(self, text: str) -> str:
        """Begins with a capital, unless it begins with a name, which must stay as it is."""
        is_word = self._kind.word != "" and text.startswith(self._kind.word)
        return text[:1].upper() + text[1:] if is_word and self._lang == "en" else text


def _joined(first: str, second: str, english: str, lang: Lang) -> str:
    """Both in the order of the language; one of them alone when the other is empty."""
    if not first or not second:
        return first or second
    if lang == "en":
        return f"{first}{english}{second}"
    return f"{second} {first}" if english == " on " else f"{second}의 {first}"


def _two(x: float) -> float:
    return float(f"{x:.2g}")


def _per_cent(share: float) -> str:
    """A share in whole per cent; what is nearly full is not said to be full."""
    return f"{min(math.floor(share * 100 + 0.5), 99 if share < 1 else 1_000_000)}"


def _bytes(x: float, digits: int = 3) -> str:
    k = next((k for k in (5, 4, 3, 2, 1) if abs(x) >= 1024.0**k), 0)
    scaled = float(f"{x / 1024.0**k:.{digits}g}") if abs(x) < 1000 * 1024.0**k else x / 1024.0**k
    unit = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")[k]
    return f"{scaled:,.0f} {unit}" if abs(scaled) >= 100 else f"{scaled:g} {unit}"
