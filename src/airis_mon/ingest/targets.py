"""What is to be scraped: addresses and labels, from settings or from Prometheus' file service discovery."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import yaml

from airis_mon.errors import ConfigError, InputError
from airis_mon.series.labels import LABEL_NAME

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One address to scrape. url: without user info; labels: sorted, `job` and `instance` among them."""

    url: str
    labels: Pairs

    @property
    def place(self) -> str:
        """The URL without its parameters, which may be secret."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a target has that says nothing else."""

    job: str
    scheme: str = "http"
    metrics_path: str = "/metrics"
    params: Pairs = ()
    labels: Pairs = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses that share labels."""

    addresses: tuple[str, ...]
    labels: Pairs = ()


def make_target(address: str, labels: Mapping[str, str], defaults: Defaults) -> Target:
    """The target of `host`, `host:port` or a whole URL.

    The labels `__scheme__`, `__metrics_path__` and `__param_<name>` override the defaults and, as every name that
    starts with `__`, do not reach the series. Raises InputError for an address that is none, naming it.
    """
    every = {"job": defaults.job, **dict(defaults.labels), **labels}
    scheme = every.get("__scheme__", defaults.scheme)
    path = every.get("__metrics_path__", defaults.metrics_path)
    own = {n.removeprefix("__param_"): v for n, v in every.items() if n.startswith("__param_")}
    params = {**dict(defaults.params), **own}
    try:
        url = httpx2.URL(address if "://" in address else f"{scheme}://{address}{path}")
    except httpx2.InvalidURL as e:
        raise InputError(f"target {address!r} is no address: {e}") from e
    if url.scheme not in {"http", "https"} or not url.host or any(c.isspace() for c in address):
        raise InputError(f"target {address!r} is no address; write host:port or http(s)://host:port/path")
    if url.userinfo:
        raise InputError(f"target {url.host!r} carries a password in its address; set username and password instead")
    if params:
        url = url.copy_with(query=urlencode(params).encode())
    kept = {n: v for n, v in every.items() if not n.startswith("__") and v}
    kept.setdefault("instance", url.netloc.decode())
    return Target(str(url), tuple(sorted(kept.items())))


def read_groups(text: str, name: str) -> list[Group]:
    """The groups of a file_sd file; `name` chooses JSON or YAML by its ending.

    Raises InputError that names what is wrong. An empty file is wrong too: it is one that is being written.
    """
    try:
        content = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as e:
        raise InputError(f"{name} cannot be read: {e}") from e
    if not isinstance(content, list):
        raise InputError(f"{name} must be a list of {{targets, labels}}, it is {type(content).__name__}")
    return [_group(item, f"{name}[{i}]") for i, item in enumerate(content)]


def _group(item: Any, where: str) -> Group:
    if not isinstance(item, dict) or not isinstance(item.get("targets"), list):
        raise InputError(f"{where} must have a list named targets")
    if unknown := item.keys() - {"targets", "labels"}:
        raise InputError(f"{where} has {min(map(str, unknown))!r}; it may have targets and labels")
    labels = item.get("labels") or {}
    if not isinstance(labels, dict):
        raise InputError(f"{where}.labels must map names to values")
    for name, value in labels.items():
        if not isinstance(name, str) or not LABEL_NAME.match(name) or isinstance(value, dict | list | None):
            raise InputError(f"{where}.labels: {name!r} = {value!r} is no label")
    addresses = item["targets"]
    if wrong := [a for a in addresses if not isinstance(a, str)]:
        raise InputError(f"{where}.targets: {wrong[0]!r} is no text")
    return Group(tuple(addresses), tuple((n, str(v)) for n, v in labels.items()))


class Discovery:
    """The present targets of one job: those of the settings and those of files, which are read again on change.

    patterns: file names, of which the last part may hold `*`; the names end in .json, .yml or .yaml. A file that
    cannot be read keeps its last good targets; one that is gone takes its targets along. `errors` names both.
    """

    def __init__(self, defaults: Defaults, addresses: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        self.errors: dict[str, str] = {}  # by file
        self._defaults = defaults
        self._patterns = [Path(p).expanduser() for p in patterns]
        for pattern in self._patterns:
            if pattern.suffix not in {".json", ".yml", ".yaml"}:
                raise ConfigError(f"file_sd {str(pattern)!r} must end in .json, .yml or .yaml")
        self._fixed = [_checked(address, defaults) for address in addresses]
        self._files: dict[Path, tuple[tuple[int, int, int], list[Target]]] = {}  # stamp and last good targets

    def targets(self) -> list[Target]:
        """What is to be scraped now, each once. Blocks: looks at the files, reads those that changed."""
        present = list(self._present())
        for gone in self._files.keys() - set(present):
            del self._files[gone]
        self.errors = {f: e for f, e in self.errors.items() if Path(f) in present}
        for path in present:
            self._refresh(path)
        found = [*self._fixed, *(t for _, targets in self._files.values() for t in targets)]
        return list(dict.fromkeys(found))

    def _present(self) -> Iterator[Path]:
        for pattern in self._patterns:
            yield from sorted(p for p in pattern.parent.glob(pattern.name) if p.is_file())

    def _refresh(self, path: Path) -> None:
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._files.get(path)
            if known is not None and known[0] == stamp:
                return
            targets = self._read(path)
        except (OSError, UnicodeDecodeError, InputError) as e:
            self.errors[str(path)] = str(e)
        else:
            self.errors.pop(str(path), None)
            self._files[path] = (stamp, targets)

    def _read(self, path: Path) -> list[Target]:
        groups = read_groups(path.read_text(encoding="utf-8"), path.name)
        return [make_target(a, dict(g.labels), self._defaults) for g in groups for a in g.addresses]


def _checked(address: str, defaults: Defaults) -> Target:
    try:
        return make_target(address, {}, defaults)
    except InputError as e:
        raise ConfigError(str(e)) from e


def pairs(mapping: Mapping[str, str] | None) -> Pairs:
    """A mapping as it stands in frozen values."""
    items: Iterable[tuple[str, str]] = (mapping or {}).items()
    return tuple(items)
