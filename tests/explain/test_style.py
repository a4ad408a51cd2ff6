"""Colours that people can read."""

from __future__ import annotations

import re

import pytest

from airis_mon.explain.style import DARK, LIGHT, TEXT_ON, sheet

READABLE, VISIBLE = 4.5, 3.0


def luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(colours):
    told = {(a, b): contrast(colours[a], colours[b]) for a, b in TEXT_ON}
    assert {pair: c for pair, c in told.items() if c < READABLE} == {}


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("mark", ["ours", "raw", "faint"])
def test_marks_stand_out_from_their_ground(colours, mark):
    assert all(contrast(colours[mark], colours[ground]) >= VISIBLE for ground in ("ground", "panel"))


def test_both_sides_differ_for_the_colour_blind_too():
    # Red-green blindness leaves blue against yellow: one mark is blue, the other is not.
    for colours in (LIGHT, DARK):
        ours, raw = ([int(colours[c][i : i + 2], 16) for i in (1, 3, 5)] for c in ("ours", "raw"))
        assert ours[2] > max(ours[:2])
        assert raw[2] < min(raw[:2])


def test_every_colour_named_is_given_in_light_and_dark():
    named = set(re.findall(r"var\(--([a-z-]+)\)", sheet()))
    assert LIGHT.keys() == DARK.keys() == named
