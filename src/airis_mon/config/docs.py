"""Writes docs/settings.md from the tree of settings: `python -m airis_mon.config.docs > docs/settings.md`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import msgspec

from airis_mon.config.sections import Section, Settings
from airis_mon.config.settings import NOT_YET, Setting, entry_of, schema

HEAD = """\
# Settings

Every setting has a default, so no file is needed to start. Later ones win: the default, the TOML file (`--config FILE`,
or `airis.toml` in the working folder), the environment, flags. `airis-mon config show` prints each value and where it
came from. A key that is not listed here is an error that names the nearest one.

- In the environment a setting is `AIRIS_` and its path in capitals with two underscores for each dot:
  `AIRIS_SERVER__PORT=9000`, `AIRIS_DATA_DIR=/var/lib/airis-mon`.
- Lists and tables are written there as JSON, or as `a,b` and `name=value,name=value`; a list of tables, or of selectors
  with commas inside, as JSON only: `AIRIS_INGEST__SCRAPE='[{"job": "node", "targets": ["127.0.0.1:9100"]}]'`.
- A **secret** is never shown. Its value may stand in a file of its own: put `_file` behind its name and give the path,
  `url_file = "/run/secrets/store"` or `AIRIS_STORE__URL_FILE=/run/secrets/store`.
- Sizes are bytes, times are in the unit that the name ends with.

These names work too, between the file and `AIRIS_...`: `PORT` (server.port), `LOG_LEVEL` (log.level), `CLICKHOUSE_HOST`
with `CLICKHOUSE_PORT` (8123), `CLICKHOUSE_DB`, `CLICKHOUSE_USER` and `CLICKHOUSE_PASSWORD` (store.url), `REDIS_HOST`
with `REDIS_PORT` (6379), `REDIS_DB` and `REDIS_PASSWORD` (redis.url). Without their `_HOST` the others have no effect.
"""


def render() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD + f"Accepted, but without effect yet: {', '.join(f'`{n}`' for n in NOT_YET)}.\n"]
    parts += _section("Top level", Settings, "")
    return "\n".join(parts)


def _section(title: str, section: type[Section], prefix: str) -> Iterator[str]:
    leaves = [s for path, s in schema(section).items() if "." not in path]
    yield f"## {title}\n\n{inspect.getdoc(section)}\n"
    for setting in leaves:
        yield _paragraph(setting, prefix)
    for setting in leaves:
        if entry := entry_of(setting.type):
            yield from _section(f"`[[{prefix}{setting.path}]]`", entry, f"{prefix}{setting.path}[].")
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from _section(f"`[{prefix}{field.name}]`", field.type, f"{prefix}{field.name}.")


def _paragraph(setting: Setting, prefix: str) -> str:
    facts = [_kind(setting.type), "required" if setting.default is msgspec.NODEFAULT else f"default `{_toml(setting)}`"]
    if setting.secret:
        facts.append("secret")
    return f"**`{prefix}{setting.path}`** ({', '.join(facts)}): {setting.doc}\n"


def _kind(kind: Any) -> str:
    """The type in words: text, whole number, number, yes/no, one of a few words, list, table."""
    if get_origin(kind) is Literal:
        return " | ".join(f"`{word}`" for word in get_args(kind))
    if get_origin(kind) is list:
        return "list of tables" if entry_of(kind) else f"list of {_kind(get_args(kind)[0])}s"
    if get_origin(kind) is dict:
        return "table of texts"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[kind]


def _toml(setting: Setting) -> str:
    return json.dumps(setting.default)


if __name__ == "__main__":
    sys.stdout.write(render())
