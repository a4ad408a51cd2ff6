from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.security.redact import is_secret_name, mask_data, mask_secret, mask_text


@pytest.mark.parametrize(
    "name", ["password", "db_password", "apiKey", "X-Api-Key", "accessToken", "Authorization", "secret"]
)
def test_names_of_secrets_are_known(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["tokens_total", "monkey", "key_id", "secretary", "author", "passwords_changed", ""])
def test_names_that_only_look_alike_are_not_secrets(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to http://u:p@h:1/d failed", "to http://u:***@h:1/d failed"),
        ("https://ghp_token@h/x", "https://***@h/x"),
        ("redis://:p@h", "redis://:***@h"),
        ("postgresql+asyncpg://u:p%40q@h/d", "postgresql+asyncpg://u:***@h/d"),
        ("http://h/?api_key=abc&q=1", "http://h/?api_key=***&q=1"),
        ("Authorization: Bearer abc.def-g==", "Authorization: Bearer ***"),
        ("key airis_abcdefghijklmnopqrstuvwxyz used", "key airis_*** used"),
        ("nothing here: 3 tokens", "nothing here: 3 tokens"),
        ("http://h/a@b", "http://h/a@b"),
    ],
)
def test_secrets_inside_text_are_masked(text, masked):
    assert mask_text(text) == masked


def test_nested_data_keeps_its_shape():
    data = {
        "a": {"password": "x", "empty_token": "", "n": 1},
        "urls": ["http://u:p@h", None],
        "t": ("airis_" + "a" * 20,),
    }
    assert mask_data(data) == {
        "a": {"password": "***", "empty_token": "", "n": 1},
        "urls": ["http://u:***@h", None],
        "t": ["airis_***"],
    }


def test_of_a_secret_url_the_address_remains_and_of_others_nothing():
    assert mask_secret("http://u:p@h/d?password=x") == "http://u:***@h/d"
    assert mask_secret("hunter2") == "***"


@settings(deadline=None)
@given(st.text(alphabet="abcXYZ019_-.~!$&'()*+,;=%:", min_size=8), st.sampled_from(["http", "redis", "postgresql"]))
def test_no_password_survives_in_a_url(password, scheme):
    masked = mask_text(f"{scheme}://user:{password}@host/path")
    assert masked == f"{scheme}://user:***@host/path"
