"""The past that `replay` is asked for: which options each source takes, its history, and what defines its samples."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airis_mon.errors import ConfigError

if TYPE_CHECKING:
    from airis_mon.config.sections import PrometheusSource
    from airis_mon.config.settings import Settings
    from airis_mon.ingest.base import History
    from airis_mon.series.catalogue import Catalogue

SOURCES = {"file": "a FILE", "prometheus": "--prometheus", "clickhouse": "--clickhouse", "stored": "--stored"}
TAKEN_BY: dict[str, tuple[str, ...]] = {
    "days": ("prometheus", "clickhouse", "stored"),
    "match": ("file", "prometheus", "stored"),
    "group_by": ("file", "prometheus", "clickhouse"),
    "work": ("prometheus", "clickhouse"),
    "wide": ("file",),
    "skip_bad": ("file",),
    "step": ("prometheus",),
    "concurrency": ("prometheus",),
    "requests_per_s": ("prometheus",),
    "username": ("prometheus",),
    "password_file": ("prometheus",),
    "bearer_token_file": ("prometheus",),
    "server": ("stored",),
    "query": ("clickhouse",),
    "metric": ("clickhouse",),
    "time_column": ("clickhouse",),
    "value_column": ("clickhouse",),
}
"""The sources that take an option; an option that is not here is for all of them."""
INSTEAD = {
    ("file", "days"): "it is replayed whole, or cut with --from and --to",
    ("file", "work"): "nothing is fetched",
    ("clickhouse", "match"): "put the condition into --query",
}
"""What to do where a source does not take an option; leave it out, unless something is said here."""
LONGEST_STEP_S = 86_400.0
_ACCESS = ("username", "password", "password_file", "bearer_token", "bearer_token_file")


def source_of(args: argparse.Namespace) -> str:
    """The one source that is named. Raises ConfigError for none, several, and options that it does not take."""
    named = [name for name in SOURCES if getattr(args, name)]
    if len(named) != 1:
        raise ConfigError("name one past to replay: a FILE, --prometheus URL, --clickhouse URL or --stored")
    (source,) = named
    for option, takers in TAKEN_BY.items():
        if source not in takers and _is_given(args, option):
            others = " or ".join(SOURCES[taker] for taker in takers)
            remedy = INSTEAD.get((source, option), "leave it out")
            raise ConfigError(f"{_flag(option)} is for {others}, not for {SOURCES[source]}: {remedy}")
    if args.clickhouse and not args.query:
        raise ConfigError("--clickhouse needs --query: a table or SELECT with the samples")
    if args.step is not None and not 0 < args.step <= LONGEST_STEP_S:
        raise ConfigError(f"--step {args.step:g} must be more than 0 and at most {LONGEST_STEP_S:g} seconds")
    return source


def history(args: argparse.Namespace, settings: Settings, catalogue: Catalogue) -> History:
    """The past of the source that is named, as the settings and the options have it. Raises ConfigError, InputError."""
    from airis_mon.app.replaywiring import history_of
    from airis_mon.plugins import find

    if args.prometheus:
        step = {"step_s": args.step} if args.step is not None else {}
        return history_of(followed(args, settings), catalogue, **step)
    if args.file:
        kind, given = "file", {"path": args.file, "wide": args.wide, "skip_bad": args.skip_bad, "match": args.match}
    else:
        names = {"query": args.query, "metric": args.metric, "watermark": args.time_column, "value": args.value_column}
        kind, given = "clickhouse", {"url": args.clickhouse, **names}
    found: History = find("ingest.histories", kind)(catalogue, **{k: v for k, v in given.items() if v is not None})
    return found


def followed(args: argparse.Namespace, settings: Settings) -> PrometheusSource:
    """The Prometheus as the settings have it, if they name the same URL, and the options over them."""
    import msgspec

    from airis_mon.config.sections import PrometheusSource

    url = args.prometheus.rstrip("/")
    known = next((s for s in settings.ingest.prometheus if s.url.rstrip("/") == url), None)
    base: dict[str, Any] = msgspec.structs.asdict(known) if known else {}
    if args.username or args.bearer_token_file:  # whoever says who is asking says it whole
        base = {name: value for name, value in base.items() if name not in _ACCESS}
    names = ("match", "concurrency", "requests_per_s", "username", "password_file", "bearer_token_file")
    given = {name: getattr(args, name) for name in names if _is_given(args, name)}
    try:
        return msgspec.convert(base | given | {"url": args.prometheus}, PrometheusSource)
    except msgspec.ValidationError as error:
        words, _, name = str(error).partition(" - at `$.")
        raise ConfigError(f"{_flag(name.rstrip('`') or 'prometheus')}: {words}") from None


def asked(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """All that defines the samples of a server but their time, JSON-ready and without secrets."""
    from airis_mon.security.redact import is_secret_name, mask_text

    if args.clickhouse:
        columns = {"time": args.time_column, "value": args.value_column}
        return {"clickhouse": mask_text(args.clickhouse), "query": args.query, "metric": args.metric, **columns}
    of = followed(args, settings)
    return {
        "prometheus": mask_text(of.url),
        "match": of.match,
        "step": args.step,
        "labels": of.labels,
        "maxSeries": of.max_series,
        "username": of.username,  # where there are several tenants, it or a header says whose samples are meant
        "headers": {name: value for name, value in of.headers.items() if not is_secret_name(name)},
    }


def _is_given(args: argparse.Namespace, option: str) -> bool:
    value = getattr(args, option)
    return not (value is None or value is False or value == [])


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
