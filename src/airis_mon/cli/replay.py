"""`airis-mon replay`: what the engine would have raised over a past, beside what the user's own rules notified."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.cli.pasts import asked, history, source_of
from airis_mon.errors import AirisError, ConfigError, StoreError

if TYPE_CHECKING:
    from airis_mon.config.settings import Settings
    from airis_mon.explain.speak import Lang

DAYS = 14.0
"""So much of a server's past is replayed unless something else is asked for."""
DAY_MS = 86_400_000


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "replay",
        help="what the engine would have raised over a past, beside your own rules",
        description="Runs the live engine over the past of a Prometheus, a ClickHouse or a file, in virtual time and a "
        "database of its own that is dropped at the end. Nobody is notified, nothing live is touched. What your own "
        "rules notified is computed from their files (--rules), or else read from the ALERTS series of the source.",
    )
    source = parser.add_argument_group("the past (one of them)")
    source.add_argument("file", nargs="?", type=Path, metavar="FILE", help="CSV (also .gz, .zst) or Parquet")
    source.add_argument("--prometheus", metavar="URL", help="Prometheus, Thanos, Mimir or VictoriaMetrics")
    source.add_argument("--clickhouse", metavar="URL", help="ClickHouse server; needs --query")
    source.add_argument("--stored", action="store_true", help="what a running airis-mon stores, replayed by it")
    parser.add_argument("--days", type=float, metavar="N", help=f"the last N days of a server (default {DAYS:g})")
    parser.add_argument("--from", dest="start", metavar="TIME", help="RFC 3339, instead of --days")
    parser.add_argument("--to", dest="end", metavar="TIME", help="RFC 3339 (default: now; of a file its end)")
    parser.add_argument("--match", action="append", default=[], metavar="SELECTOR", help="series to take; repeatable")
    parser.add_argument("--rules", action="append", default=[], metavar="FILE", help="rule files (wildcards allowed)")
    parser.add_argument("--group-by", metavar="A,B", help="labels by which your Alertmanager groups (alertname)")
    parser.add_argument("--html", type=Path, metavar="OUT", help="also write a page with pictures")
    parser.add_argument("--lang", choices=("en", "ko"), help="of the page and the table (default: of the terminal)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep what was fetched; a second run goes on there")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); default ./airis.toml if there")
    files = parser.add_argument_group("of a file")
    files.add_argument("--wide", action="store_true", help="text columns are labels, each numeric column is a metric")
    files.add_argument("--skip-bad", action="store_true", help="leave bad rows out and count them")
    servers = parser.add_argument_group("of a Prometheus")
    servers.add_argument("--step", type=float, metavar="S", help="ask for a value every S seconds, not for raw samples")
    servers.add_argument("--concurrency", type=int, metavar="N", help="requests under way at once (default 2)")
    servers.add_argument("--requests-per-s", type=float, metavar="R", help="requests a second at most (default 5)")
    servers.add_argument("--username", help="of basic authentication")
    servers.add_argument("--password-file", metavar="FILE", help="with that password")
    servers.add_argument("--bearer-token-file", metavar="FILE", help="with the token of the Authorization header")
    ours = parser.add_argument_group("of what is stored")
    ours.add_argument("--server", metavar="URL", help="the airis-mon that is asked (default: that of this machine)")
    tables = parser.add_argument_group("of a ClickHouse")
    tables.add_argument("--query", metavar="SQL", help="table or SELECT with the samples")
    tables.add_argument("--metric", help="name of the series; without it the query yields a column named metric")
    tables.add_argument("--time-column", metavar="NAME", help="column with the sample's time (default timestamp)")
    tables.add_argument("--value-column", metavar="NAME", help="column with the sample's value (default value)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replays and prints; answers 0 also when much was found. Raises ConfigError for options, InputError for data."""
    from airis_mon.app.ground import keep_kernels, user_cache

    keep_kernels(user_cache())  # before the first kernel is imported
    from airis_mon.app.logging import configure
    from airis_mon.cli.language import language
    from airis_mon.cli.progress import Progress
    from airis_mon.cli.replay_stored import stored
    from airis_mon.config.settings import load

    _check(args)
    settings = load(args.config, os.environ, {}).settings
    configure("warning", stream=sys.stderr)  # standard output is for the result
    label = args.file.name if args.file else "history"
    with Progress(f"replay {label}", sys.stderr) as bar, _ended_by_sigterm():
        found = (
            stored(args, settings, bar.update) if args.stored else asyncio.run(_replayed(args, settings, bar.update))
        )
    lang = args.lang or language(os.environ)
    try:
        if args.html:
            _write_page(args.html, found, lang)
    finally:  # what took hours is told whatever becomes of the page
        _print(args, found, lang)
    return 0


def _print(args: argparse.Namespace, found: dict[str, Any], lang: Lang) -> None:
    from airis_mon.cli.replay_table import table
    from airis_mon.cli.table import as_json

    print(as_json(found) if args.json else table(found, shutil.get_terminal_size().columns, lang))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is under way as Ctrl-C does, so that nothing is left behind."""

    def end(_number: int, frame: Any) -> None:
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # ignored, as in a shell's background
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(args: argparse.Namespace) -> None:
    source_of(args)
    if args.days is not None and not 0 < args.days <= 366:
        raise ConfigError(f"--days {args.days:g} must be more than 0 and at most 366; cut longer pasts with --from")
    if args.days is not None and args.start is not None:
        raise ConfigError("--days and --from both say where to begin; give one of them")
    if args.html:
        _try_to_write(args.html)


def _try_to_write(page: Path) -> None:
    """Raises ConfigError when the page could not be written; it is left as it is."""
    is_new = not page.exists()
    try:
        page.open("a").close()
        if is_new:
            page.unlink()
    except OSError as error:
        raise ConfigError(f"--html {page}: cannot be written: {error.strerror}; choose another place") from None


async def _replayed(args: argparse.Namespace, settings: Settings, tell: Any) -> dict[str, Any]:
    from airis_mon.app.replaywiring import replay_of, scratch_of
    from airis_mon.app.wiring import catalogue_of
    from airis_mon.correlate.group import Grouping
    from airis_mon.query.rulefile import load_rules, paths_of

    for pattern in args.rules:
        if not paths_of([pattern]):
            raise ConfigError(f"--rules {pattern}: no file is meant by it; correct the path, or leave it out")
    groups = load_rules(args.rules)
    catalogue = catalogue_of(settings)
    start, end = _span(args)
    with _folder(args.work) as folder:
        past = history(args, settings, catalogue)
        if args.work:
            from airis_mon.ingest.spool import Spool

            past = Spool(past, catalogue, folder / "fetched", asked(args, settings))
        store = scratch_of(settings, "cli", folder / "store")
        grouping = Grouping(by=tuple(filter(None, (args.group_by or "alertname").split(","))))
        replay = replay_of(settings, past, catalogue, store, groups, grouping)
        replay.parts.is_simulated = args.file is not None and _is_simulated(args.file)
        return await replay.run(start, end, tell)


def _span(args: argparse.Namespace) -> tuple[int | None, int | None]:
    from airis_mon.app.ground import now_ms
    from airis_mon.cli.times import read_time

    now = now_ms()
    end = None if args.end is None else read_time(args.end, now, UTC)
    start = None if args.start is None else read_time(args.start, now, UTC)
    if args.file is None:
        end = now if end is None else end
        start = end - round((args.days or DAYS) * DAY_MS) if start is None else start
    if start is not None and end is not None and start >= end:
        raise ConfigError(f"--from {_stamp(start)} is not before --to {_stamp(end)}")
    return start, end


def _stamp(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    """Where the scratch database lies: in `work`, or in a folder that is removed afterwards."""
    if work is None:
        with tempfile.TemporaryDirectory(prefix="airis-replay-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    from airis_mon.store.connection import DirectoryLock

    lock = DirectoryLock(work)
    try:
        lock.acquire()
    except StoreError as error:
        raise ConfigError(f"--work {work}: {str(error).partition(';')[0]}; choose another folder") from None
    try:
        shutil.rmtree(work / "store", ignore_errors=True)  # of a replay that was killed
        yield work
    finally:
        shutil.rmtree(work / "store", ignore_errors=True)
        lock.release()


def _is_simulated(file: Path) -> bool:
    """Whether `simulate` wrote the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from airis_mon.cli.simulate import SIMULATED

    try:
        return SIMULATED in (pq.read_schema(file).metadata or {})
    except (pa.ArrowException, OSError):  # no Parquet: only ours says so
        return False


def _write_page(path: Path, found: dict[str, Any], lang: Lang) -> None:
    from airis_mon.explain.replay_page import page

    try:
        path.write_text(page(found, lang), encoding="utf-8")
    except OSError as error:
        raise AirisError(f"--html {path}: cannot be written: {error.strerror}; the result is printed") from None
