"""Settings -> what a server answers when it is asked, and what it looks ahead to: questions, forecasts, limits."""

from __future__ import annotations

import time
from pathlib import Path

from airis_mon.app.access import Access
from airis_mon.app.analytics import Analytics
from airis_mon.app.curves import Curves
from airis_mon.app.engine import Engine
from airis_mon.app.fleet import Fleet, Plan
from airis_mon.app.foreteller import Foreteller
from airis_mon.app.ground import local_zone, now_ms
from airis_mon.app.insight import COMPUTED
from airis_mon.app.limits import Limit, all_limits
from airis_mon.app.predictions import Predictions
from airis_mon.app.signals import StoredSignals
from airis_mon.app.workers import Worker
from airis_mon.config.sections import Forecasts
from airis_mon.config.settings import Settings
from airis_mon.errors import ConfigError, MissingExtra
from airis_mon.forecast.calendar import calendar, country_of
from airis_mon.forecast.fleet import SETS
from airis_mon.plugins import kinds
from airis_mon.series.zone import zone as zone_of
from airis_mon.store.cache import LocalCache


def add_ahead(engine: Engine, settings: Settings, access: Access, version: str) -> None:
    """Gives an engine that has not started its questions, forecasts and limits."""
    parts = engine.parts
    parts.worker = Worker()
    foreteller = Foreteller(parts.worker, settings.time.zone or local_zone())
    parts.analytics = _analytics(engine, settings, access, version, foreteller)
    if settings.forecasts.enabled:
        parts.fleet = _fleet(engine, settings)
    if settings.predict.enabled:
        parts.predictions = _predictions(engine, settings)
    parts.background = [*parts.background, *(part for part in (parts.fleet, parts.predictions) if part is not None)]


def _analytics(engine: Engine, settings: Settings, access: Access, version: str, foreteller: Foreteller) -> Analytics:
    of, parts = settings.analytics, engine.parts
    curves = parts.insight.curves if parts.insight else Curves(parts.history, now_ms)
    stored = StoredSignals(parts.store, curves, lambda: parts.detection.watch)
    return Analytics(
        stored,
        now_ms,
        version=version,
        concurrency=of.concurrency,
        timeout_s=of.timeout_s,
        max_points=of.max_points,
        cache=LocalCache(of.cache_bytes, time.monotonic) if of.cache_bytes else None,
        shared=access.cache("analytics") if of.cache_bytes else None,
        cache_s=of.cache_s,
        threshold=of.anomaly_threshold,
        window_s=of.window_s,
        zone=zone_of(settings.time.zone or local_zone()),
        foreteller=foreteller,
    )


def _fleet(engine: Engine, settings: Settings) -> Fleet:
    of, parts = settings.forecasts, engine.parts
    zone = settings.time.zone or local_zone()
    _check(of)
    plan = Plan(
        interval_ms=round(of.interval_s * 1000),
        step_ms=round(of.step_s * 1000),
        horizon_ms=round(of.horizon_s * 1000),
        history_ms=round(of.history_s * 1000),
        max_series=of.max_series,
        level=of.level,
        match=tuple(of.match),
        models=tuple(of.models),
        holidays=tuple(of.holidays) or ((country,) if (country := country_of(zone)) else ()),
        zone=zone,
    )
    widths = Path(settings.data_dir) / "forecast-widths.npz"
    return Fleet(parts.detection, parts.store, Worker(), plan, now_ms, widths=widths)


def _predictions(engine: Engine, settings: Settings) -> Predictions:
    of, parts = settings.predict, engine.parts
    own = [Limit(x.name, x.used, x.limit, x.unit, x.deadline) for x in of.limits]
    return Predictions(
        parts.queries.engine,
        parts.store,
        parts.catalogue,
        parts.bus.publish,
        now_ms,
        limits=all_limits(own, is_known=of.known),
        interval_s=of.interval_s,
        horizon_s=of.horizon_s,
        history_s=of.history_s,
        certificate_days=of.certificate_days,
        max_series=of.max_series,
        timeout_s=settings.query.timeout_s,
        computed=COMPUTED,
        is_past_whole=lambda: parts.backfill is None or parts.backfill.stage == "done",
    )


def _check(of: Forecasts) -> None:
    """Raises ConfigError for kinds and countries that nobody knows: a round would fail of them again and again."""
    known = [*SETS, *kinds("forecast.models")]
    for kind in of.models:
        if kind not in known:
            raise ConfigError(f"forecasts.models: there is no forecaster {kind!r}; take some of {', '.join(known)}")
    try:
        calendar(of.holidays, zone_of("UTC"), 0, 0)
    except ConfigError as error:
        raise ConfigError(f"forecasts.{error}") from None
    except MissingExtra:
        pass  # rounds are made without holidays, and say so
