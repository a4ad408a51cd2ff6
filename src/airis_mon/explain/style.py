"""The looks of a page: colours that hold on light and dark ground and for the colour-blind, and the style sheet."""

from __future__ import annotations

from pathlib import Path

LIGHT = {
    "ground": "#ffffff",
    "panel": "#f4f6f9",
    "text": "#1c2733",
    "quiet": "#526070",
    "edge": "#d3dae2",
    "link": "#0b5cad",
    "ours": "#0b66c3",
    "raw": "#b04e0c",
    "both": "#d9cdf2",
    "faint": "#77828f",
    "warn": "#fff0cc",
    "warn-text": "#5a3a00",
    "warn-edge": "#c98a00",
}
DARK = {
    "ground": "#12181f",
    "panel": "#1b242e",
    "text": "#dde5ee",
    "quiet": "#a3b2c2",
    "edge": "#34414f",
    "link": "#7cb8f5",
    "ours": "#62aef7",
    "raw": "#f2a05a",
    "both": "#4a3f6b",
    "faint": "#8492a1",
    "warn": "#46370f",
    "warn-text": "#ffe6a6",
    "warn-edge": "#d09a20",
}
TEXT_ON = (
    *((written, ground) for written in ("text", "quiet", "link", "ours", "raw") for ground in ("ground", "panel")),
    ("warn-text", "warn"),
)
"""Which colours are written in on which: each pair must be told apart well (WCAG 2.1: 4.5)."""

_RULES = Path(__file__).with_name("page.css")


def sheet() -> str:
    """The style sheet: light, dark where the reader prefers it, light again on paper."""
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}" + _RULES.read_text("utf-8")
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
