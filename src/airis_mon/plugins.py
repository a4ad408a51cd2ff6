"""Finds a plug-in by its kind: the name of a file in a plug-in folder, or an entry point of the same group.

A plug-in file defines exactly one public class; the constructor's keyword arguments are its settings.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from airis_mon.errors import ConfigError


def kinds(folder: str) -> list[str]:
    """The kinds of a plug-in folder such as `ingest.collectors`: ours and those that other packages register."""
    package = importlib.import_module(f"airis_mon.{folder}")
    ours = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    return sorted(ours | set(entry_points(group=f"airis_mon.{folder}").names))


def find(folder: str, kind: str) -> type[Any]:
    """The class of one plug-in.

    Raises ConfigError when no such kind exists, and names those that do.
    """
    if kind not in (known := kinds(folder)):
        raise ConfigError(f"{folder} has no kind {kind!r}; known kinds: {', '.join(known)}")
    for point in entry_points(group=f"airis_mon.{folder}", name=kind):
        loaded: type[Any] = point.load()
        return loaded
    module = importlib.import_module(f"airis_mon.{folder}.{kind}")
    public = [
        c for n, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__ and n[0] != "_"
    ]
    if len(public) != 1:
        raise ConfigError(f"{module.__name__} must define exactly one public class, it defines {len(public)}")
    return public[0]
