"""`airis-mon query EXPR`: PromQL, asked of a running server, or of the store itself when no server holds it."""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airis_mon.cli.table import as_json
from airis_mon.errors import AirisError, ConfigError, InputError

if TYPE_CHECKING:
    from datetime import tzinfo

    from airis_mon.cli.answer import View
    from airis_mon.cli.ask import Question, Span

Json = dict[str, Any]

POINTS = 240
"""About so many points a range has when no step is given."""
LEAST_STEP_MS = 1000
PICTURED_MS = 3_600_000
"""So much a picture shows when no start is given."""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "query",
        help="ask PromQL: a table, a picture or JSON",
        description="Evaluates a PromQL expression at one moment, or with --start at the steps of a range. Times are "
        "RFC 3339, epoch seconds, now, how long ago (1h, -30m) or how far ahead (+20h, where forecasts lie). Asks the "
        "server; when none runs, the store itself.",
    )
    # Otherwise -30m, and an expression such as -1 * up, would be taken for an option.
    parser._negative_number_matcher = re.compile(r"-\d")  # noqa: SLF001
    parser.add_argument("expr", metavar="EXPR", help="a PromQL expression, in quotes")
    parser.add_argument("--time", metavar="T", help="the moment (default now)")
    parser.add_argument("--start", metavar="T", help="from this time on, as a range")
    parser.add_argument("--end", metavar="T", help="until this time (default now)")
    parser.add_argument(
        "--step", metavar="D", help=f"between two points, 15s or seconds (default: about {POINTS} points)"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--plot", action="store_true", help="draw the range (default: the last hour)")
    shape.add_argument("--json", action="store_true", help="print the data as Prometheus' API has it")
    parser.add_argument("--server", metavar="URL", help="whom to ask (default: the local server)")
    parser.add_argument("--timeout", metavar="D", default="2m", help="give up after this (default 2m)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); default ./airis.toml if there")
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (default ./data)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the answer, and on stderr who gave it; answers 0, also when nothing matched.

    Raises ConfigError for wrong use, a malformed expression among it, other AirisErrors when there is no answer.
    """
    from airis_mon.app.ground import local_zone, now_ms
    from airis_mon.cli.ask import answer
    from airis_mon.cli.progress import Elapsed
    from airis_mon.config.settings import load

    settings = load(args.config, os.environ, {"data_dir": args.data_dir}).settings
    zone = zone_of(settings.time.zone or local_zone())
    question = asked(args, now_ms(), zone)
    try:
        with Elapsed("query", sys.stderr):
            data, whom = answer(question, settings, args.server)
        notes = {kind: data.pop(kind, []) for kind in ("warnings", "infos")}
        view = view_of(sys.stdout, zone)
        _print(sys.stdout, [as_json(data)] if args.json else _shown(data, question.span, view, is_picture=args.plot))
        _print(sys.stderr, _remarks(data, notes, whom))
    except InputError as error:
        raise ConfigError(_clean(error)) from None
    except AirisError as error:
        error.args = (_clean(error),)
        raise
    return 0


def asked(args: argparse.Namespace, now: int, zone: tzinfo) -> Question:
    """What the arguments ask at a time. Raises ConfigError when they contradict each other or are malformed."""
    from airis_mon.cli.ask import Question, Span
    from airis_mon.cli.times import read_duration, read_time

    timeout_s = read_duration(args.timeout) / 1000
    is_range = args.start is not None or args.plot
    if args.time is not None and (is_range or args.end is not None or args.step is not None):
        raise ConfigError("--time is one moment; --start, --end, --step and --plot are a range: give one or the other")
    if not is_range:
        if args.end is not None or args.step is not None:
            raise ConfigError("--end and --step belong to a range; give its --start too, such as --start 1h")
        at = None if args.time is None else read_time(args.time, now, zone)
        return Question(args.expr, at, None, timeout_s)
    now -= now % 1000  # steps on whole seconds are easier to compare
    end = now if args.end is None else read_time(args.end, now, zone)
    start = max(end - PICTURED_MS, 0) if args.start is None else read_time(args.start, now, zone)
    if start > end:
        raise ConfigError(f"--start {args.start} is later than --end {args.end or 'now'}; exchange them")
    step = step_of(end - start) if args.step is None else read_duration(args.step)
    return Question(args.expr, None, Span(start, end, step), timeout_s)


def step_of(length_ms: int) -> int:
    """The distance that people count in with which so long a range has nearest to `POINTS` points, ms."""
    from airis_mon.cli.axes import STEPS_MS

    wanted = max(length_ms / POINTS, LEAST_STEP_MS)
    return min((s for s in STEPS_MS if s >= LEAST_STEP_MS), key=lambda s: abs(math.log(s / wanted)))


def zone_of(name: str) -> tzinfo:
    """The zone that people live by; UTC when this host's database does not know the name."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def view_of(stream: TextIO, zone: tzinfo) -> View:
    """What the reader's terminal can show; NO_COLOR and a dumb terminal are heeded."""
    from airis_mon.cli.answer import View
    from airis_mon.cli.plot import Pen

    size = shutil.get_terminal_size()
    is_terminal = stream.isatty()
    has_colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    pen = Pen(has_colours, has_unicode="utf" in (stream.encoding or "").lower())
    return View(zone, pen, size.columns if is_terminal else None, size.lines)


# ---- what is said


def _shown(data: Json, span: Span | None, view: View, *, is_picture: bool) -> Iterator[str]:
    from airis_mon.cli.answer import plot, read, table

    answer = read(data)
    return plot(answer, span, view) if is_picture and span else table(answer, span, view)


def _remarks(data: Json, notes: dict[str, list[str]], whom: str) -> list[str]:
    from airis_mon.cli.table import tame

    said = [f"{kind.removesuffix('s')}: {tame(str(text))}" for kind, texts in notes.items() for text in texts]
    return [*said, f"{_found(data)}, from {tame(whom)}"]


def _found(data: Json) -> str:
    if data.get("resultType") in {"scalar", "string"}:
        return f"a {data['resultType']}"
    n = len(data.get("result", ()))
    return "nothing matched" if n == 0 else "1 series" if n == 1 else f"{n:,} series"


def _print(stream: TextIO, lines: Iterable[str]) -> None:
    """Lines to a stream; what its encoding lacks is written as escapes."""
    encoding = stream.encoding or "utf-8"
    stream.writelines(line.encode(encoding, "backslashreplace").decode(encoding) + "\n" for line in lines)
    stream.flush()


def _clean(error: Exception) -> str:
    """An error's words in one line that steers no terminal and tells no password."""
    from airis_mon.cli.table import tame
    from airis_mon.security.redact import mask_text

    return mask_text(tame(" ".join(str(error).split())))
