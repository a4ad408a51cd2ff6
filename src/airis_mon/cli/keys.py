"""`airis-mon keys`: make, list and end API keys, in the records database that the server uses too."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airis_mon.security.keys import ApiKeys

Work = Callable[["ApiKeys[Any]"], Awaitable[int]]


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser("keys", help="make, list and revoke API keys")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); default ./airis.toml if there")
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (default ./data)")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", help="what people call it, such as grafana")
    create.add_argument("--scope", action="append", choices=("read", "write", "admin"), help="default: read and write")
    create.set_defaults(run=lambda args: _with_keys(args, lambda keys: _create(keys, args.name, args.scope)))
    listing = actions.add_parser("list", help="show all keys, never the secrets")
    listing.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    listing.set_defaults(run=lambda args: _with_keys(args, lambda keys: _list(keys, as_json=args.json)))
    revoke = actions.add_parser("revoke", help="end a key")
    revoke.add_argument("id", help="its id, as `keys list` shows it")
    revoke.set_defaults(run=lambda args: _with_keys(args, lambda keys: _revoke(keys, args.id)))


def _with_keys(args: argparse.Namespace, work: Work) -> int:
    from airis_mon.app.access import Access
    from airis_mon.app.ground import now_ms, prepare
    from airis_mon.config.settings import load

    settings = load(args.config, os.environ, {"data_dir": args.data_dir}).settings
    prepare(Path(settings.data_dir))

    async def run() -> int:
        access = Access(settings, now_ms)
        try:
            return await work(await access.keys())
        finally:
            await access.close()

    return asyncio.run(run())


async def _create(keys: ApiKeys[Any], name: str, scopes: list[str] | None) -> int:
    secret, row = await keys.create(name, scopes or ["read", "write"], actor=_actor())
    print(f"{secret}\n\nkey {row.id} ({', '.join(row.scopes)}). It is not kept and cannot be shown again.")
    print("Send it as: Authorization: Bearer " + secret[:10] + "...")
    return 0


async def _list(keys: ApiKeys[Any], *, as_json: bool) -> int:
    rows = await keys.rows()
    if as_json:
        shown = [
            {"id": r.id, "name": r.name, "scopes": list(r.scopes), "revoked": r.revoked_ms is not None} for r in rows
        ]
        print(json.dumps(shown))
        return 0
    for row in rows:
        ended = "" if row.revoked_ms is None else f"  revoked {_day(row.revoked_ms)}"
        print(f"{row.id}  {row.name:20}  {','.join(row.scopes):16}{ended}")
    if not rows:
        print("no keys yet; make one with: airis-mon keys create NAME")
    return 0


async def _revoke(keys: ApiKeys[Any], key_id: str) -> int:
    await keys.revoke(key_id, actor=_actor())
    print(f"key {key_id} is revoked; a running server refuses it within 10 s")
    return 0


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


def _day(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).date().isoformat()
