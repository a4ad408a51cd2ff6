"""Commands speak the language of the environment."""

from __future__ import annotations

import pytest

from airis_mon.cli.language import language


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({}, "en"),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "ko_KR"}, "ko"),
    ],
)
def test_it_speaks_the_language_of_the_environment(environ: dict[str, str], lang: str):
    assert language(environ) == lang
