"""`airis-mon bench QUESTION`: asks the yardstick, and prints what it found with where and how."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.cli.table import aligned, as_json, tame

if TYPE_CHECKING:
    from airis_mon.yardstick.base import Answer, Claim, Estimate, Row

    Ask = Callable[[str, Mapping[str, Answer]], Answer]

QUESTIONS = {
    "quality": "faults found and false episodes of single signals",
    "noise": "notifications per real incident",
    "rca": "does the true cause come first, and is the world fair",
    "prediction": "warnings ahead of slow faults",
    "claims": "what the specification promises, as measured",
}
"""Each a module of the yardstick, and what it asks."""
PUBLIC = ("rca", "claims")
"""Questions that also ask public data."""
DATA = "AIRIS_BENCH_DATA"
"""Names the folder of that data where --data does not."""
NOT_BUILT = "not built"


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    told = "; ".join(f"{name}: {words}" for name, words in QUESTIONS.items())
    parser = commands.add_parser(
        "bench",
        help="measure us and others on the same work",
        description=f"Runs us and baselines on the same simulated worlds and prints ratios with intervals. {told}.",
    )
    parser.add_argument("question", choices=(*QUESTIONS, "all"), metavar="QUESTION", help="one of them, or all")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter worlds: shows that it runs, proves nothing"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help=f"folder of the public sets, for {' and '.join(PUBLIC)}; without it ${DATA}, without both none is asked",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, load: Callable[[str], Any] = import_module) -> int:
    """Asks and prints; answers 0 whatever was found. Raises ConfigError for a folder that is not there."""
    from airis_mon.app.ground import keep_kernels, user_cache

    data = _data(args.data, os.environ)
    keep_kernels(user_cache())  # before the first kernel is imported
    names = tuple(QUESTIONS) if args.question == "all" else (args.question,)
    more = (" --quick" if args.quick else "") + (f" --data {args.data}" if args.data else "")
    about = {
        **_about(),
        "command": f"airis-mon bench {args.question}{more}",
        "quick": args.quick,
    }
    bench(
        names,
        lambda name, known: ask(name, known, quick=args.quick, data=data, load=load),
        about,
        as_lines=not args.json,
    )
    return 0


def _data(given: str | None, environment: Mapping[str, str]) -> Path | None:
    """The folder of the public sets, None = nobody named one. Raises ConfigError where there is no such folder."""
    from airis_mon.errors import ConfigError

    name, said = (environment.get(DATA) or None, DATA) if given is None else (given, "--data")
    if name is None:
        return None
    if not name or not Path(name).is_dir():
        raise ConfigError(f"{said} {name!r} is no folder; name the one in which the public sets lie, or none")
    return Path(name)


def bench(names: Sequence[str], asking: Ask, about: Mapping[str, Any], *, as_lines: bool) -> None:
    """Asks one question after another and prints each answer when it is there; as JSON all together."""
    answers: dict[str, Answer] = {}
    for name in names:
        answers[name] = asking(name, dict(answers))
        if as_lines:
            print("\n".join(_lines(name, answers[name])), end="\n\n", flush=True)
    if as_lines:
        print("\n".join(f"{key}: {tame(str(value))}" for key, value in about.items()))
    else:
        print(as_json({**about, "questions": [_json(name, found) for name, found in answers.items()]}))


def ask(
    name: str,
    known: Mapping[str, Answer],
    *,
    quick: bool,
    data: Path | None = None,
    load: Callable[[str], Any] = import_module,
) -> Answer:
    """Claims that rest on what was just measured don't measure it again. data: the folder of the public sets."""
    from airis_mon.cli.progress import Progress

    module = load(f"airis_mon.yardstick.{name}")
    if name == "claims" and set(module.ASKED) <= set(known):
        return module.claimed(known)  # type: ignore[no-any-return]
    more = {"data": data} if name in PUBLIC else {}
    with Progress(f"bench {name}", sys.stderr) as bar:
        return module.answer(quick=quick, tell=bar.update, **more)  # type: ignore[no-any-return]


def _about() -> dict[str, Any]:
    """What figures are worth nothing without."""
    from airis_mon import __version__
    from airis_mon.simulate.world import World

    machine = (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    return {"version": __version__, "world": World.version, "machine": machine}


# --- for a person -----------------------------------------------------------------------------------------------------


def _lines(name: str, found: Answer) -> Iterator[str]:
    yield f"{name}: {QUESTIONS[name]}"
    yield from (_pair("on", key, value) for key, value in found.on.items())
    yield from (_pair("chosen", key, value) for key, value in found.chosen.items())
    yield ""
    yield from _table(found.rows)
    if found.claims:
        yield ""
        yield from _claims(found.claims)
    yield from (f"{NOT_BUILT}: {tame(what)}" for what in found.not_built)
    yield from (tame(remark) for remark in found.remarks)
    yield f"{found.seconds:.0f} s"


def _pair(what: str, key: str, value: Any) -> str:
    return f"{what} {tame(key)}: {value if isinstance(value, str) else as_json(_plain(value))}"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """Arms and parts, a column per measure; notes below, each once."""
    measures = list(dict.fromkeys(m for row in rows for m in row.estimates))
    head = ("arm", "part", *measures)
    body = [(r.arm, r.part, *(_cell(r.estimates.get(m)) for m in measures)) for r in rows]
    if rows:
        yield from chain.from_iterable(aligned([head, *body], frozenset()))
    for arm, note in dict.fromkeys((r.arm, r.note) for r in rows if r.note):
        yield f"  {tame(arm)}: {tame(note)}"


def _cell(e: Estimate | None) -> str:
    if e is None or not abs(e.value) < float("inf"):
        return "-"
    return f"{_short(e.value)} ({_short(e.low)} .. {_short(e.high)})"


def _short(x: float) -> str:
    """Three digits after the point, or three that count."""
    return f"{x:.3f}" if 0.01 <= abs(x) < 100 or x == 0 else f"{x:.3g}"


def _claims(claims: Sequence[Claim]) -> Iterator[str]:
    head = ("claim", "verdict", "measured", "bound")
    body = [(c.name, c.verdict, _cell(c.estimate), f"{c.bound:g}") for c in claims]
    yield from chain.from_iterable(aligned([head, *body], frozenset()))
    yield from (f"  {tame(c.name)}: {tame(c.words)}. {tame(c.why)}" for c in claims)


# --- for a machine ----------------------------------------------------------------------------------------------------


def _json(name: str, found: Answer) -> dict[str, Any]:
    return {
        "question": name,
        "on": _plain(found.on),
        "chosen": _plain(found.chosen),
        "rows": [
            {
                "arm": r.arm,
                "part": r.part,
                "note": r.note,
                "estimates": {k: _figures(e) for k, e in r.estimates.items()},
            }
            for r in found.rows
        ],
        "claims": [
            {
                "name": c.name,
                "words": c.words,
                "estimate": _figures(c.estimate),
                "bound": c.bound,
                "verdict": c.verdict,
                "why": c.why,
            }
            for c in found.claims
        ],
        "notBuilt": list(found.not_built),
        "remarks": list(found.remarks),
        "seconds": found.seconds,
    }


def _figures(e: Estimate | None) -> dict[str, Any] | None:
    return None if e is None else _plain({"value": e.value, "low": e.low, "high": e.high, "n": e.n})


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value
