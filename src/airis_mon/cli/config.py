"""`airis-mon config show`: every setting, its value and where that came from; secrets masked."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser("config", help="show the settings and where each came from")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print every setting")
    show.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); default ./airis.toml if there")
    show.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table, or with --json an object by dotted name."""
    from airis_mon.config.settings import load, redacted

    loaded = load(args.config, os.environ, {})
    tree = redacted(loaded.settings)
    rows = {path: {"value": _at(tree, path), "from": origin} for path, origin in loaded.origin.items()}
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max(map(len, rows))
    for path, row in rows.items():
        print(f"{path:{width}}  {json.dumps(row['value'], ensure_ascii=False):24}  {row['from']}")
    for name in loaded.unused:
        print(f"{name} is set but belongs to a part that is not built yet")
    return 0


def _at(tree: Any, path: str) -> Any:
    for step in path.split("."):
        tree = tree[step]
    return tree
