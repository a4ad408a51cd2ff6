"""The language in which a command speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal


def language(environ: Mapping[str, str]) -> Literal["en", "ko"]:
    """The language of the environment: ko, or else en."""
    said = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ko" if said.lower().startswith("ko") else "en"
