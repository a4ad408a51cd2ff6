"""The table of series in ClickHouse: which there are, when each was seen, which labels they have."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, Labels, metric_of
from airis_mon.series.matchers import Matcher
from airis_mon.store.base import SeriesRow
from airis_mon.store.connection import ClientPool
from airis_mon.store.native import text, text_map
from airis_mon.store.patience import ENDLESS, Patience
from airis_mon.store.recall import Recall
from airis_mon.store.selectors import EARLIEST, LATEST, condition, one_of, span

HOUR_MS = 3_600_000
COLUMNS = ("tenant", "metric", "fp", "labels", "first_seen", "last_seen")
_PAGE = 250_000
# FINAL costs a quarter of a GROUP BY here; its conditions are met by the merged row.
_FROM = """FROM series FINAL WHERE tenant = {{tenant:String}} AND ({where})
    AND last_seen >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
    AND first_seen <= fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')"""
_TIMES = "toUnixTimestamp64Milli(first_seen), toUnixTimestamp64Milli(last_seen)"
_SELECT = f"SELECT fp, labels, {_TIMES} {_FROM} {{tail}}"
_SELECT_TIMES = f"SELECT fp, {_TIMES} {_FROM} {{tail}}"
_SELECT_WORDS = f"SELECT DISTINCT {{word}} AS word {_FROM} {{tail}}"
_JSON = ("output_format_json_quote_64bit_integers = 0",)
_rows = msgspec.json.Decoder(tuple[int, dict[str, str], int, int])
_words = msgspec.json.Decoder(tuple[str])


class SeriesTable:
    """One tenant's series. known: the catalogue of the series written last, if any.

    A series lives from the hour in which it was first seen to the one in which it was last seen.
    """

    def __init__(self, clients: ClientPool, tenant: str, known: Callable[[], Catalogue | None]) -> None:
        self._clients, self._tenant, self._known = clients, tenant, known
        self._mine = {"tenant": tenant}
        self._recall = Recall(self._since)

    def encoded(self, rows: Sequence[SeriesRow]) -> bytes:
        """RowBinary of the `COLUMNS`."""
        return b"".join([_encoded(self._tenant, row) for row in rows])

    def note(self, rows: Sequence[SeriesRow]) -> None:
        """These rows are in the table now."""
        self._recall.note(rows)

    def find(
        self, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int, patience: Patience
    ) -> list[SeriesRow]:
        """As `SeriesStore.series`."""
        seen = _seen(start, end)
        if matchers:
            found = self._recall.find(matchers, seen["start"], seen["end"], limit, patience)
            if found is not None:
                return found
        return self._read(matchers, seen, limit, patience)

    def by_fp(self, fps: Sequence[int]) -> list[SeriesRow]:
        """As `SeriesStore.series_by_fp`."""
        return self._by_fp(fps, ENDLESS)

    def load(self, since: int | None) -> Iterator[SeriesRow]:
        """Every series seen since then, in no order, a page at a time: for the start of the engine."""
        counted = "SELECT toUInt64(count()) FROM series WHERE tenant = {tenant:String}"
        (count,) = self._clients.columns(counted, self._mine)
        pages = 1 + int(count[0]) // _PAGE
        for page in range(pages):
            low, high = page * 2**64 // pages, (page + 1) * 2**64 // pages - 1
            yield from self._stored(f"fp BETWEEN {low} AND {high}", _seen(since, None), "", ENDLESS)

    def label_names(self, matchers: Sequence[Matcher], start: int | None, end: int | None) -> list[str]:
        """As `SeriesStore.label_names`."""
        return self._told("arrayJoin(mapKeys(labels))", matchers, _seen(start, end), "ORDER BY word")

    def label_values(
        self, name: str, matchers: Sequence[Matcher], start: int | None, end: int | None, limit: int
    ) -> list[str]:
        """As `SeriesStore.label_values`."""
        word = "metric" if name == METRIC else "labels[{name:String}]"
        tail = f"AND word != '' ORDER BY word LIMIT {int(limit)}"
        return self._told(word, matchers, _seen(start, end) | {"name": name}, tail)

    def _by_fp(self, fps: Sequence[int], patience: Patience) -> list[SeriesRow]:
        return list(self._stored(one_of(fps), span(EARLIEST, LATEST), "ORDER BY fp", patience))

    def _since(self, matchers: Sequence[Matcher], since: int, limit: int, patience: Patience) -> list[SeriesRow]:
        return self._read(matchers, span(since, LATEST), limit, patience)

    def _read(
        self, matchers: Sequence[Matcher], seen: dict[str, Any], limit: int, patience: Patience
    ) -> list[SeriesRow]:
        where, parameters = condition(matchers)
        tail = f"ORDER BY fp LIMIT {int(limit)}"
        known = self._known()
        if known is None:
            return list(self._stored(where, parameters | seen, tail, patience))
        sql = _SELECT_TIMES.format(where=where, tail=tail)
        columns = self._clients.columns(sql, parameters | seen | self._mine, patience)
        times = list(zip(*[column.tolist() for column in columns], strict=True))
        return self._labelled(times, known, patience)

    def _labelled(self, times: Sequence[tuple[int, int, int]], known: Catalogue, patience: Patience) -> list[SeriesRow]:
        """The rows to (fp, first_seen, last_seen), with labels from the catalogue, which shares them, where it can."""
        labels = [_labels(known, fp) for fp, _, _ in times]
        unknown = [fp for (fp, _, _), found in zip(times, labels, strict=True) if found is None]
        read = {row.fp: row.labels for row in self._by_fp(unknown, patience)} if unknown else {}
        return [
            SeriesRow(fp, found or read[fp], last, first)
            for (fp, first, last), found in zip(times, labels, strict=True)
            if found is not None or fp in read
        ]

    def _stored(self, where: str, parameters: dict[str, Any], tail: str, patience: Patience) -> Iterator[SeriesRow]:
        # line by line: a page's dictionaries at once would outweigh its labels
        for line in self._lines(_SELECT.format(where=where, tail=tail), parameters, patience):
            fp, pairs, first, last = _rows.decode(line)
            yield SeriesRow(fp, tuple(pairs.items()), last, first)

    def _told(self, word: str, matchers: Sequence[Matcher], parameters: dict[str, Any], tail: str) -> list[str]:
        where, values = condition(matchers)
        lines = self._lines(_SELECT_WORDS.format(word=word, where=where, tail=tail), parameters | values, ENDLESS)
        return [_words.decode(line)[0] for line in lines]

    def _lines(self, sql: str, parameters: dict[str, Any], patience: Patience) -> list[bytes]:
        return self._clients.ask(sql, parameters | self._mine, "JSONCompactEachRow", patience, _JSON).splitlines()


def _seen(start: int | None, end: int | None) -> dict[str, Any]:
    """Parameters: seen in these hours."""
    return span(EARLIEST if start is None else start // HOUR_MS * HOUR_MS, LATEST if end is None else end)


def _labels(known: Catalogue, fp: int) -> Labels | None:
    sid = known.find(fp)
    try:
        return None if sid is None else known.labels(sid)
    except KeyError:  # evicted just now
        return None


def _encoded(tenant: str, row: SeriesRow) -> bytes:
    first = (row.last_seen if row.first_seen is None else row.first_seen) // HOUR_MS * HOUR_MS
    key = text(tenant) + text(metric_of(row.labels)) + struct.pack("<Q", row.fp)
    return key + text_map(row.labels) + struct.pack("<qq", first, row.last_seen)
