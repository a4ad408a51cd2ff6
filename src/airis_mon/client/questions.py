"""Questions about series, forecasts and predictions, as both clients ask them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from airis_mon.client.calls import Call, Json, Time, _given, _written

ANSWER_S = 60.0
"""So long a server works on one question, by its default (analytics.timeout_s)."""


def ask(name: str, given: Mapping[str, Any]) -> Call[Any]:
    """A question of /analytics; given: its fields in snake_case, None = left to the server."""
    content = msgspec.json.encode(_body(given))
    return Call(f"/analytics/{name}", "result", "POST", content=content, timeout_s=ANSWER_S)


def analyze(metric_name: str | None, values: Iterable[float] | None, given: Mapping[str, Any]) -> Call[Json]:
    """An analysis of one series."""
    return ask("analyze", {"metric_name": metric_name, "values": _listed(values), **given})


def analyze_many(series: Iterable[Mapping[str, Any]], given: Mapping[str, Any]) -> Call[list[Json]]:
    """Analyses of several series."""
    return ask("analyze", {"series": list(series), **given})


def of_values(name: str, values: Iterable[float] | None, given: Mapping[str, Any]) -> Call[Json]:
    """A question about one series whose values may be sent along."""
    return ask(name, {"values": _listed(values), **given})


def statistics(series_id: str, signal: str | None, window_s: float | None, end: Time) -> Call[Json]:
    """Statistics of a window."""
    params = _given(series=series_id, signal=signal, windowS=window_s, end=end)
    return Call("/analytics/statistics", "result", params=params, timeout_s=ANSWER_S)


def forecasts(match: str | None, limit: int, offset: int) -> Call[list[Json]]:
    """Signals that are forecast."""
    return Call("/forecasts", "forecasts", params=_given(match=match, limit=limit, offset=offset))


def forecast_of(series_id: str, signal: str | None, start: Time, end: Time, language: str | None) -> Call[Json]:
    """The forecast of one signal."""
    params = _given(signal=signal, start=start, end=end, language=language)
    return Call(f"/forecasts/{quote(series_id, safe='')}", params=params)


def forecast_accuracy() -> Call[Json]:
    """How good forecasts were."""
    return Call("/forecasts/accuracy", "accuracy")


def predictions(state: str | None, kind: str | Iterable[str] | None, match: str | None, given: Any) -> Call[list[Json]]:
    """What will run out."""
    kinds = kind if kind is None or isinstance(kind, str) else ",".join(kind)
    return Call("/predictions", "predictions", params=_given(state=state, kind=kinds, match=match, **given))


def prediction(prediction_id: str, language: str | None) -> Call[Json]:
    """One prediction."""
    return Call(f"/predictions/{quote(prediction_id, safe='')}", "prediction", params=_given(lang=language))


def _listed(values: Iterable[float] | None) -> list[float] | None:
    return None if values is None else [_written(float(x)) for x in values]


def _body(given: Mapping[str, Any]) -> Json:
    return {
        _camel(name): dict(value) if name == "labels" else _plain(value)  # the names of labels are the user's own
        for name, value in given.items()
        if value is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _body(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _written(value)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
