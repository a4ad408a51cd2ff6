"""Reads the settings once at start: defaults, a TOML file over them, the environment over that, flags over that.

Every layer becomes flat `path -> (value, origin)`; the merged layers are converted in one go, so an error can name the
setting, its value, what was expected, and where it came from.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from airis_mon.config.sections import Section, Settings
from airis_mon.errors import ConfigError
from airis_mon.security.redact import MASK, mask_secret

__all__ = ["Loaded", "Setting", "Settings", "load", "redacted", "schema"]

DEFAULT_FILE = Path("airis.toml")
OURS = "AIRIS_"

SPECIFIED = {"PORT": "server.port", "LOG_LEVEL": "log.level"}
"""The specification's names of settings that we have one to one; CLICKHOUSE_* and REDIS_* make up URLs."""

NOT_YET = (
    "OLLAMA_BASE_URL",
    "GEMINI_API_KEY",
    "GRAFANA_URL",
    "GRAFANA_API_KEY",
    "ALERT_MANAGER_URL",
    "ALERT_MANAGER_API_KEY",
    "ENCRYPTION_KEY_PATH",
)
"""The specification's names of things that do not exist yet: they are accepted, have no effect, and are reported."""


class Value(NamedTuple):
    """A value given for a setting, and by whom."""

    value: Any
    origin: str


class Setting(NamedTuple):
    """One setting: its dotted path, its type without annotations, its default, its sentence, whether it is secret."""

    path: str
    type: Any
    default: Any
    doc: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and, by dotted path, where each value came from ("default", "file x.toml" ...).

    `unused` names variables of the environment that belong to parts which do not exist yet.
    """

    settings: Settings
    origin: dict[str, str]
    unused: tuple[str, ...] = ()


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """The settings of this process; `flags` maps dotted paths to values, None is a flag that was not given.

    Without `path` the file is `airis.toml` in the working folder, if it exists.
    Raises ConfigError: an unknown key (with the nearest known one), a wrong value, an unreadable file.
    """
    given = _file_layer(path) | _specified_layer(environ) | _environment_layer(environ) | _flag_layer(flags)
    origin = {leaf: given[leaf].origin if leaf in given else "default" for leaf in schema()}
    return Loaded(_convert(given), origin, tuple(name for name in NOT_YET if name in environ))


def redacted(settings: Settings) -> dict[str, Any]:
    """The tree as plain data for showing: of a secret only an address remains, else `***`."""
    shown: dict[str, Any] = _mask(msgspec.to_builtins(settings), Settings)
    return shown


def schema(section: type[Section] = Settings) -> dict[str, Setting]:
    """Every setting of a section and those below it by dotted path; lists and tables of free keys are one setting."""
    return dict(_walk(section, ""))


# ---- the tree's shape


class Slot(NamedTuple):
    """A field of a section: its bare type and, if it is a setting and not a section, its description."""

    type: Any
    doc: str
    secret: bool
    default: Any


@cache
def _slots(section: type[Section]) -> dict[str, Slot]:
    return {f.name: _slot(f) for f in msgspec.structs.fields(section)}


def _slot(field: msgspec.structs.FieldInfo) -> Slot:
    bare, *metas = get_args(field.type) if hasattr(field.type, "__metadata__") else (field.type,)
    about = next((m for m in metas if isinstance(m, msgspec.Meta) and m.extra), None)
    default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
    return Slot(bare, (about and about.description) or "", bool(about and (about.extra or {}).get("secret")), default)


def _walk(section: type[Section], prefix: str) -> Iterator[tuple[str, Setting]]:
    for name, slot in _slots(section).items():
        if _is_section(slot.type):
            yield from _walk(slot.type, f"{prefix}{name}.")
        else:
            yield prefix + name, Setting(prefix + name, slot.type, slot.default, slot.doc, slot.secret)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def entry_of(kind: Any) -> type[Section] | None:
    """The section that a list's entries are, if they are sections."""
    inner = get_args(kind)
    return inner[0] if get_origin(kind) is list and _is_section(inner[0]) else None


# ---- layers


def _file_layer(path: Path | None) -> dict[str, Value]:
    if path is None and not DEFAULT_FILE.exists():
        return {}
    file = path or DEFAULT_FILE
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {file} is not valid TOML: {error}") from None
    return _flatten(tree, Settings, "", f"file {file}")


def _flatten(tree: Mapping[str, Any], section: type[Section], prefix: str, origin: str) -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for key, value in tree.items():
        slot = _slots(section).get(key)
        if slot and _is_section(slot.type):
            if not isinstance(value, dict):
                # Not the value: it may be what belongs into a secret below.
                raise ConfigError(f"{prefix}{key} ({origin}) must be a table: [{prefix}{key}]")
            flat |= _flatten(value, slot.type, f"{prefix}{key}.", origin)
        else:
            _put(flat, prefix + key, Value(value, origin))
    return flat


def _specified_layer(environ: Mapping[str, str]) -> dict[str, Value]:
    layer = {path: Value(environ[name], f"environment {name}") for name, path in SPECIFIED.items() if name in environ}
    if level := layer.get("log.level"):
        layer["log.level"] = level._replace(value=level.value.lower())
    # A host alone decides: a password that happens to be set must not move the store to a server.
    if "CLICKHOUSE_HOST" in environ:
        layer["store.url"] = Value(_url(environ, "CLICKHOUSE", "http", "8123", "USER"), "environment CLICKHOUSE_HOST")
    if "REDIS_HOST" in environ:
        layer["redis.url"] = Value(_url(environ, "REDIS", "redis", "6379", ""), "environment REDIS_HOST")
    return layer


def _url(environ: Mapping[str, str], prefix: str, scheme: str, port: str, user: str) -> str:
    from urllib.parse import quote

    def get(name: str) -> str:
        return environ.get(f"{prefix}_{name}", "") if name else ""

    login = quote(get(user), safe="") + (f":{quote(get('PASSWORD'), safe='')}" if get("PASSWORD") else "")
    host = f"[{get('HOST')}]" if ":" in get("HOST") else get("HOST")
    return f"{scheme}://{login + '@' if login else ''}{host}:{get('PORT') or port}/{get('DB')}".rstrip("/")


def _environment_layer(environ: Mapping[str, str]) -> dict[str, Value]:
    layer: dict[str, Value] = {}
    for name in sorted(environ):
        if name.startswith(OURS):
            path = name.removeprefix(OURS).lower().replace("__", ".")
            _put(layer, path, Value(environ[name], f"environment {name}"))
    return layer


def _flag_layer(flags: Mapping[str, Any]) -> dict[str, Value]:
    layer: dict[str, Value] = {}
    for path, value in flags.items():
        if value is not None:
            _put(layer, path, Value(value, f"flag {path}"))
    return layer


def _put(layer: dict[str, Value], path: str, given: Value) -> None:
    """Adds one setting to a layer: parses text into lists and tables, reads secrets from files."""
    leaves = schema_of_settings()
    if path not in leaves and (target := leaves.get(path.removesuffix("_file"))) and target.secret:
        path, given = target.path, _from_file(given)
    if path not in leaves:
        raise _unknown(path, given.origin, list(leaves))
    if path in layer:
        raise ConfigError(f"{path} is given twice: {layer[path].origin} and {given.origin}; remove one")
    layer[path] = Value(_entries(_parsed(given, leaves[path]), leaves[path], given.origin), given.origin)


@cache
def schema_of_settings() -> dict[str, Setting]:
    """`schema()` of the whole tree, made once."""
    return schema()


def _from_file(given: Value) -> Value:
    try:
        return Value(Path(str(given.value)).read_text("utf-8").strip(), f"{given.origin} -> {given.value}")
    except (OSError, ValueError) as error:  # ValueError: no text, or no path
        raise ConfigError(f"cannot read the secret file {given.value} ({given.origin}): {error}") from None


def _parsed(given: Value, setting: Setting) -> Any:
    """A list or table written as text: JSON, or `a,b` for a list and `k=v,k=v` for a table."""
    kind, text = get_origin(setting.type), given.value
    if kind not in (list, dict) or not isinstance(text, str):
        return text
    if text.lstrip().startswith("[" if kind is list else "{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{setting.path} ({given.origin}) is not valid JSON: {error}") from None
    items = [item.strip() for item in text.split(",") if item.strip()]
    return items if kind is list else dict(_pair(item, setting.path, given.origin) for item in items)


def _pair(item: str, path: str, origin: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals:
        raise ConfigError(f"{path} ({origin}) has the item {item!r}; expected key=value")
    return key.strip(), value.strip()


def _entries(value: Any, setting: Setting, origin: str) -> Any:
    """Checks the keys of a list's tables and reads their secrets from files."""
    section = entry_of(setting.type)
    if section is None or not isinstance(value, list):
        return value
    paths = (f"{setting.path}[{i}]" for i in range(len(value)))
    return [_entry(v, section, p, origin) if isinstance(v, dict) else v for v, p in zip(value, paths, strict=True)]


def _entry(table: dict[str, Any], section: type[Section], path: str, origin: str) -> dict[str, Any]:
    slots, out = _slots(section), {}
    for key, value in table.items():
        base = key.removesuffix("_file")
        if key not in slots and base in slots and slots[base].secret:
            key, value = base, _from_file(Value(value, origin)).value  # noqa: PLW2901  the file stands for the secret
        if key not in slots:
            raise _unknown(f"{path}.{key}", origin, [f"{path}.{name}" for name in slots])
        if key in out:
            raise ConfigError(f"{path}.{key} is given twice in {origin}; remove one")
        out[key] = value
    return out


def _unknown(path: str, origin: str, known: list[str]) -> ConfigError:
    from difflib import get_close_matches

    last = path.rpartition(".")[2]
    near = get_close_matches(path, known, 1, 0.6) or [k for k in known if k.rpartition(".")[2] == last]
    hint = f"; did you mean {near[0]}?" if near else "; docs/settings.md lists all settings"
    return ConfigError(f"{path} is not a setting ({origin}){hint}")


# ---- values


def _convert(given: Mapping[str, Value]) -> Settings:
    tree: dict[str, Any] = {}
    for path, (value, _) in given.items():
        *sections, leaf = path.split(".")
        table = tree
        for name in sections:
            table = table.setdefault(name, {})
        table[leaf] = value
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), given) from None


def _wrong(message: str, given: Mapping[str, Value]) -> ConfigError:
    """Says what msgspec found in the words of a person who wrote the settings."""
    expected, _, at = message.partition(" - at `$.")
    at = at.rstrip("`")
    leaf = re.split(r"\[", at, maxsplit=1)[0]
    expected = re.sub(r"^Expected `(\w+)`, got `\w+`$", r"Expected `\1`", expected)
    if leaf not in given:  # a check over several fields of a section
        origins = sorted({v.origin for p, v in given.items() if p.startswith(f"{at}.")})
        return ConfigError(f"{at}: {expected} ({', '.join(origins)})")
    shown = _shown(given[leaf].value, schema_of_settings()[leaf], at.removeprefix(leaf))
    return ConfigError(f"{at}{shown} ({given[leaf].origin}): {expected[0].lower()}{expected[1:]}")


def _shown(value: Any, setting: Setting, steps: str) -> str:
    """` is VALUE` for the part of a setting that is wrong; nothing for a whole table, which may hold secrets."""
    field = re.match(r"\[\d+\]\.(\w+)", steps)
    entry = entry_of(setting.type)
    slot = _slots(entry).get(field[1]) if entry and field else None
    if setting.secret or (slot and slot.secret):
        return f" is {MASK}"
    part = _at(value, steps)
    return "" if (entry and not slot) or isinstance(part, dict) else f" is {part!r}"


def _at(value: Any, steps: str) -> Any:
    """The part of a value that `[0].labels[...]` points at, as far as it can be followed."""
    for index, key in re.findall(r"\[(\d+)\]|\.(\w+)", steps):
        value = value[int(index)] if index else value.get(key, value)
    return value


def _mask(tree: Any, section: type[Section]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, slot in _slots(section).items():
        value = tree[name]
        if _is_section(slot.type):
            shown[name] = _mask(value, slot.type)
        elif entry := entry_of(slot.type):
            shown[name] = [_mask(v, entry) for v in value]
        else:
            shown[name] = mask_secret(value) if slot.secret and value else value
    return shown
