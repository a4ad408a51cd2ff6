"""`airis-mon`: finds the command, runs it, turns errors into one sentence and an exit code (0, 1 failed, 2 misuse)."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from airis_mon import __version__
from airis_mon.errors import AirisError, ConfigError

COMMANDS = ("serve", "demo", "query", "detect", "forecast", "replay", "simulate", "bench", "keys", "config")
"""One module of this folder each, with `add_parser(subparsers)` and `run(args) -> int`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; answers its exit code."""
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        _refuse(args.parser, unknown[0])
    try:
        return int(args.run(args))
    except ConfigError as error:
        print(f"airis-mon: {error}", file=sys.stderr)
        return 2
    except AirisError as error:
        print(f"airis-mon: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a pipe has seen enough, as `| head` does
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="airis-mon", description="Turns metrics into few, explained anomalies, beside your monitoring stack."
    )
    parser.add_argument("--version", action="version", version=f"airis-mon {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"airis_mon.cli.{name}")
        module.add_parser(commands)
        commands.choices[name].set_defaults(parser=commands.choices[name])
    return parser


def _refuse(parser: argparse.ArgumentParser, argument: str) -> NoReturn:
    """Ends with the usage of the command that was meant, and the option that may have been."""
    options = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001
    close = difflib.get_close_matches(argument.partition("=")[0], options, 1)
    parser.error(f"unrecognized argument: {argument}" + (f"; did you mean {close[0]}?" if close else ""))
