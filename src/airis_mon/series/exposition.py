"""Pages in Prometheus' text format or OpenMetrics text -> batches.

A line's series text leads to its sid by one dictionary look-up; labels are parsed at first sight only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from airis_mon.errors import InputError, Refusal
from airis_mon.series.batch import MAX_REFUSALS, Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import METRIC, Labels, canonical

Namer = Callable[[Iterable[tuple[str, str]]], Labels]
"""Makes the series' labels of those that stand in the page. Raises ValueError when they cannot be used."""

TYPES = {
    b"counter": MetricType.COUNTER,
    b"gauge": MetricType.GAUGE,
    b"histogram": MetricType.HISTOGRAM,
    b"summary": MetricType.SUMMARY,
    b"info": MetricType.INFO,
    b"stateset": MetricType.STATESET,
    b"gaugehistogram": MetricType.GAUGE_HISTOGRAM,
}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PAIR = re.compile(r'\s*(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|"((?:[^"\\]|\\.)*)")\s*(?:=\s*"((?:[^"\\]|\\.)*)")?\s*(,|\})')
_ESCAPE = re.compile(r"\\(.)")
_SHOWN = 80  # so much of a refused line is repeated in the answer


class Exposition:
    """Reads the pages of one target, one after another; not for two threads at once.

    name: how labels of the page become labels of the series, see `attach`. honor_timestamps: take the time that
    stands in a line instead of the time of the scrape.
    """

    def __init__(self, catalogue: Catalogue, name: Namer = canonical, *, honor_timestamps: bool = True) -> None:
        self.catalogue = catalogue
        self.name = name
        self.honor_timestamps = honor_timestamps
        self._sids: dict[bytes, int] = {}  # by series text
        self._comments: set[bytes] = set()
        self._epoch = catalogue.epoch

    def parse(self, page: bytes, content_type: str = "", now_ms: int = 0) -> Batch:
        """The samples of a page. A line that cannot be used is a refusal with its number; the others are kept."""
        if self._epoch != self.catalogue.epoch:
            self._sids.clear()
            self._epoch = self.catalogue.epoch
        reading = _Reading(self, is_open="openmetrics" in content_type, now_ms=now_ms)
        reading.take(page.split(b"\n"), is_tabbed=b"\t" in page)
        batch = reading.batch()
        if len(self._sids) > 2 * len(batch) + 1000:  # most of them have gone
            self._sids.clear()
        return batch

    def comment(self, line: bytes) -> None:
        """Takes the type that a comment line gives, once."""
        if line in self._comments:
            return
        if len(self._comments) > 2 * len(self._sids) + 1000:
            self._comments.clear()
        self._comments.add(line)
        words = line.split()
        if len(words) == 4 and words[:2] == [b"#", b"TYPE"] and words[3].lower() in TYPES:
            family = _unescape(words[2].decode(errors="replace").strip('"'))
            take_types(self.catalogue, [(family, TYPES[words[3].lower()])])

    def sid(self, series: bytes) -> int:
        """The sid of a series text. Raises ValueError or InputError when it cannot be used."""
        sid = self._sids.get(series)
        if sid is None:
            sid = self._sids[series] = self.catalogue.intern(self.name(parse_series(series)))
        return sid

    @property
    def sids(self) -> Mapping[bytes, int]:
        """What is known by series text."""
        return self._sids


class _Reading:
    """One page under way: columns that grow, and what was refused."""

    def __init__(self, page: Exposition, *, is_open: bool, now_ms: int) -> None:
        self.page = page
        self.is_open = is_open
        self.now_ms = now_ms
        self.sid: list[int] = []
        self.value: list[bytes] = []
        self.line: list[int] = []
        self.t: dict[int, int] = {}  # by row, where a line has its own time
        self.refusals: list[Refusal] = []
        self.refused = 0

    def take(self, lines: list[bytes], *, is_tabbed: bool) -> None:
        known = self.page.sids.get
        add_sid, add_value, add_line = self.sid.append, self.value.append, self.line.append
        ended = False
        for number, line in enumerate(lines, 1):
            series, _, value = line.rpartition(b" ")
            sid = known(series)
            if sid is not None and not ended and not (is_tabbed and b"\t" in value):
                add_sid(sid)
                add_value(value)
                add_line(number)
            elif line:
                ended = self._odd(number, line, ended)
        if self.is_open and not ended:
            self._refuse(len(lines), b"", "the page is cut off: '# EOF' is missing")

    def _odd(self, number: int, line: bytes, ended: bool) -> bool:
        """A line that is no known series followed by a value; answers whether the page has ended."""
        line = line.strip()
        if not line:
            return ended
        if ended:
            self._refuse(number, line, "this stands after '# EOF'")
        elif line[:1] == b"#":
            self.page.comment(line)
            return self.is_open and line == b"# EOF"
        else:
            try:
                self._sample(number, line)
            except (ValueError, InputError) as error:
                self._refuse(number, line, str(error))
        return ended

    def _sample(self, number: int, line: bytes) -> None:
        words = line.rsplit(b" ", 2)
        sid = self.page.sids.get(words[0])
        if sid is None or len(words) < 3 or not words[1] or b"\t" in line:
            series, rest = split_line(line)
            rest = rest.partition(b" # ")[0] if self.is_open else rest  # without an exemplar
            words = [series, *(w for w in rest.replace(b"\t", b" ").split(b" ") if w)]
            if not 2 <= len(words) <= 3:
                raise ValueError("a value must follow the series, then at most a timestamp")
        t = self._time(words[2]) if len(words) > 2 else None
        sid = self.page.sid(words[0])
        if t is not None and self.page.honor_timestamps:
            self.t[len(self.sid)] = t
        self.sid.append(sid)
        self.value.append(words[1])
        self.line.append(number)

    def _time(self, word: bytes) -> int:
        t = float(word) * (1000.0 if self.is_open else 1.0)  # OpenMetrics counts seconds
        if not math.isfinite(t) or abs(t) >= 2**63:
            raise ValueError(f"timestamp {word[:_SHOWN].decode(errors='replace')} is no time")
        return round(t)

    def _refuse(self, number: int, line: bytes, reason: str) -> None:
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(Refusal(f"line {number}", line[:_SHOWN].decode(errors="replace"), reason))

    def batch(self) -> Batch:
        """All rows whose value is a number."""
        keep = None
        try:
            values = list(map(float, self.value))
            is_clean = b"_" not in b"".join(self.value)  # Python reads 1_000, the format does not
        except ValueError:
            is_clean = False
        if not is_clean:
            values, keep = self._one_by_one()
        t = np.full(len(self.sid), self.now_ms, np.int64)
        for row, own in self.t.items():
            t[row] = own
        sid, value = np.array(self.sid, np.int32), np.array(values, np.float64)
        if keep is not None:
            sid, t, value = sid[keep], t[keep], value[keep]
        return Batch(sid, t, value, tuple(self.refusals), self.refused)

    def _one_by_one(self) -> tuple[list[float], list[bool]]:
        values, keep = [0.0] * len(self.value), [True] * len(self.value)
        for row, word in enumerate(self.value):
            try:
                values[row] = float(word.replace(b"_", b"no number"))
            except ValueError:
                keep[row] = False
                self._refuse(self.line[row], word, "this is no number")
        return values, keep


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """(series text, what follows it). Raises ValueError for an unclosed brace."""
    brace = line.find(b"{")
    space = re.search(rb"[ \t]", line)
    if brace < 0 or (space and line[space.start() :].lstrip()[:1] != b"{" and space.start() < brace):
        end = space.start() if space else len(line)
        return line[:end], line[end:]
    quoted = escaped = False
    for i in range(brace, len(line)):
        byte = line[i]
        if escaped:
            escaped = False
        elif byte == 0x5C and quoted:
            escaped = True
        elif byte == 0x22:
            quoted = not quoted
        elif byte == 0x7D and not quoted:
            return line[: i + 1], line[i + 1 :]
    raise ValueError("the labels are not closed")


def parse_series(series: bytes) -> list[tuple[str, str]]:
    """The labels of a series text such as `a{b="c"}` or `{"a.b",c="d"}`, the metric's name among them.

    Raises ValueError (UnicodeDecodeError is one) saying what is wrong.
    """
    text = series.decode()
    name, brace, rest = text.partition("{")
    pairs: list[tuple[str, str]] = []
    if name := name.strip():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:_SHOWN]!r} is no metric name")
        pairs.append((METRIC, name))
    rest = rest.strip()
    while brace and rest != "}" and rest:
        found = _PAIR.match(rest)
        if not found:
            raise ValueError(f"labels are malformed at {rest[:_SHOWN]!r}")
        plain, quoted, value, closing = found.groups()
        rest = rest[found.end() :] if closing == "," else "}" + rest[found.end() :]
        label = plain if plain is not None else _unescape(quoted)
        if value is None and plain is not None:
            raise ValueError(f"label {plain!r} has no value")
        pairs.append((METRIC, label) if value is None else (label, _unescape(value)))
    if brace and rest != "}":
        raise ValueError("the labels are not closed")
    return pairs


def attach(target: Mapping[str, str], *, honor_labels: bool = False) -> Namer:
    """Adds a target's labels as Prometheus does.

    Where both have a label, the target's wins and the page's is kept as `exported_...`; with honor_labels the page's
    wins.
    """

    def name(pairs: Iterable[tuple[str, str]]) -> Labels:
        own = [(n, v) for n, v in pairs if v]
        given = {n for n, _ in own}
        if honor_labels:
            return canonical([*own, *((n, v) for n, v in target.items() if n not in given)])
        return canonical([*((_exported(n, target, given), v) for n, v in own), *target.items()])

    return name


def _exported(name: str, target: Mapping[str, str], given: set[str]) -> str:
    if name not in target:
        return name
    while name in target or name in given:
        name = f"exported_{name}"
    return name


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1] if m[1] in '\\"' else m[0], text)
