"""Metrics as JSON, the specification's own format: one object or an array of them."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np

from airis_mon.errors import InputError, Refusal, TooLarge
from airis_mon.series.batch import MAX_REFUSALS, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, canonical

_SECONDS_BELOW = 1e11  # as seconds this lies beyond the year 5138, as milliseconds in 1973
_CACHED_BYTES = 4096  # longer labels are beyond the usual limit and never cached
_FIELD = re.compile(r"required field `(\w+)`")
_PATH = re.compile(r" - at `\$(.*)`\Z")


class _Metric(msgspec.Struct, gc=False):
    metricName: str  # noqa: N815  the specification's name
    value: float
    labels: msgspec.Raw = msgspec.Raw(b"")
    source: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | int | float | None = None


class _Refused(Exception):
    """Why one metric cannot be used, and which field of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


_MANY = msgspec.json.Decoder(list[_Metric])
_ONE = msgspec.json.Decoder(_Metric)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_LABELS = msgspec.json.Decoder(dict[str, str] | None)


class Json:
    """`{metricName, value, labels?, source?, timestamp?}`, one object or an array of them.

    timestamp: RFC 3339 with an offset, epoch milliseconds, or epoch seconds (numbers below 10^11); the time of arrival
    when missing. source is kept as the label `source` when it is given and not "api", so that a series does not
    depend on whether the default was written out. A metric that cannot be used is refused with the path of its field
    (`$[3].value`), the others are kept. Other fields are ignored.
    """

    def __init__(self, catalogue: Catalogue, *, max_items: int = 400_000) -> None:
        self.catalogue = catalogue
        self.max_items = max_items
        self._sids: dict[tuple[str, bytes, str | None], int] = {}  # by what stands in the body
        self._epoch = catalogue.epoch

    def decode(self, body: bytes, content_type: str = "", now_ms: int = 0) -> Batch:  # noqa: ARG002  one dialect
        """The metrics of a body.

        Raises InputError when it is no JSON of this kind, with the byte's offset; TooLarge for more than `max_items`.
        """
        with self.catalogue.lock:
            if self._epoch != self.catalogue.epoch or len(self._sids) > 2 * self.catalogue.max_series:
                self._sids.clear()
                self._epoch = self.catalogue.epoch
            try:
                metrics = _MANY.decode(body)
                self._check_count(len(metrics))
                return self._fast(metrics, now_ms)
            except (msgspec.ValidationError, UnicodeDecodeError, _Refused):
                return self._one_by_one(body, now_ms)
            except msgspec.DecodeError as error:
                raise InputError(f"the body cannot be read: {error}") from None
            except RecursionError:
                raise InputError("the body is nested too deeply") from None

    def _check_count(self, items: int) -> None:
        if items > self.max_items:
            raise TooLarge(f"{items} metrics are more than {self.max_items}; send smaller arrays")

    def _fast(self, metrics: list[_Metric], now_ms: int) -> Batch:
        """All metrics of an array. Raises _Refused for the first that cannot be used."""
        known = self._sids.get
        sids = []
        for m in metrics:
            sid = known((m.metricName, bytes(m.labels), m.source))
            sids.append(self._sid(m) if sid is None else sid)
        times = [now_ms if m.timestamp is None else _time(m.timestamp) for m in metrics]
        values = [m.value for m in metrics]
        return Batch(np.array(sids, np.int32), np.array(times, np.int64), np.array(values, np.float64))

    def _one_by_one(self, body: bytes, now_ms: int) -> Batch:
        is_array = body.lstrip()[:1] == b"["
        try:
            raws: list[Any] = _ITEMS.decode(body) if is_array else [msgspec.json.decode(body, type=msgspec.Raw)]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"the body cannot be read: {error}") from None
        except RecursionError:
            raise InputError("the body is nested too deeply") from None
        if not is_array and not body.lstrip().startswith(b"{"):
            raise InputError("the body is neither a metric nor an array of metrics")
        self._check_count(len(raws))
        rows: list[tuple[int, int, float]] = []
        refusals: list[Refusal] = []
        refused = 0
        for i, raw in enumerate(raws):
            try:
                rows.append(self._row(raw, now_ms))
            except _Refused as why:
                refused += 1
                if len(refusals) < MAX_REFUSALS:
                    path = (f"$[{i}]" if is_array else "$") + why.field
                    refusals.append(Refusal(path, _shown(raw, why.field), str(why)))
        sid, t, value = zip(*rows, strict=True) if rows else ((), (), ())
        return Batch(
            np.array(sid, np.int32), np.array(t, np.int64), np.array(value, np.float64), tuple(refusals), refused
        )

    def _row(self, raw: msgspec.Raw, now_ms: int) -> tuple[int, int, float]:
        try:
            m = _ONE.decode(raw)
        except msgspec.ValidationError as error:
            raise _Refused(*_place(str(error))) from None
        except UnicodeDecodeError:
            raise _Refused("", "this is not UTF-8") from None
        sid = self._sids.get((m.metricName, bytes(m.labels), m.source))
        t = now_ms if m.timestamp is None else _time(m.timestamp)
        return self._sid(m) if sid is None else sid, t, m.value

    def _sid(self, m: _Metric) -> int:
        raw = bytes(m.labels)
        if not m.metricName:
            raise _Refused(".metricName", "a metric needs a name")
        try:
            labels = (_LABELS.decode(raw) or {}) if raw else {}
            pairs = [(METRIC, m.metricName), *labels.items()]
            if m.source not in (None, "", "api", labels.get("source")):
                pairs.append(("source", m.source or ""))
            sid = self.catalogue.intern(canonical(pairs))
        except msgspec.ValidationError as error:
            field, reason = _place(str(error))
            raise _Refused(f".labels{field}", reason) from None
        except RecursionError:
            raise _Refused(".labels", "this is nested too deeply") from None
        except UnicodeDecodeError:
            raise _Refused(".labels", "this is not UTF-8") from None
        except (InputError, ValueError) as error:
            raise _Refused(".labels", str(error)) from None
        if len(raw) <= _CACHED_BYTES:
            self._sids[m.metricName, raw, m.source] = sid
        return sid


def _time(timestamp: datetime | float) -> int:
    number = timestamp.timestamp() * 1000 if isinstance(timestamp, datetime) else timestamp
    if not isinstance(timestamp, datetime) and abs(number) < _SECONDS_BELOW:
        number *= 1000
    if not math.isfinite(number) or abs(number) >= 2**63:
        raise _Refused(".timestamp", "this is beyond any time; write epoch milliseconds")
    return round(number)


def _place(message: str) -> tuple[str, str]:
    """The field and the reason of one of msgspec's messages."""
    at = _PATH.search(message)
    field = at[1] if at else ""
    missing = _FIELD.search(message)
    return (f"{field}.{missing[1]}" if missing else field), message[: at.start()] if at else message


def _shown(raw: msgspec.Raw, field: str) -> str:
    """What stands at a field of a refused metric, shortened."""
    try:
        found: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for name in field.split(".")[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    return msgspec.json.encode(found).decode()[:80]


__all__ = ["Json"]
