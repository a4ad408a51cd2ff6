from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.config.sections import Section
from airis_mon.config.settings import Settings, load, redacted, schema
from airis_mon.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    def to_file(text: str) -> Path:
        file = tmp_path / "airis.toml"
        file.write_text(text)
        return file

    return to_file


def fails(path: Path | None, environ: dict[str, str] | None = None, flags: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, flags or {})
    return str(caught.value)


def test_nothing_given_is_all_defaults():
    loaded = load(None, {}, {})
    assert loaded.settings == Settings()
    assert loaded.settings.server.port == 8765
    assert set(loaded.origin.values()) == {"default"}
    assert set(loaded.origin) == set(schema())


def test_a_file_is_below_the_environment_and_flags_are_above_both(write):
    file = write('[server]\nhost = "10.0.0.1"\nport = 1\nbase_path = "/x"')
    loaded = load(
        file, {"AIRIS_SERVER__PORT": "2", "AIRIS_SERVER__HOST": "10.0.0.2"}, {"server.port": 3, "log.level": None}
    )
    assert (loaded.settings.server.host, loaded.settings.server.port) == ("10.0.0.2", 3)
    assert loaded.origin["server.port"] == "flag server.port"
    assert loaded.origin["server.host"] == "environment AIRIS_SERVER__HOST"
    assert loaded.origin["server.base_path"] == f"file {file}"
    assert loaded.origin["log.level"] == "default"


def test_text_of_the_environment_becomes_the_setting_s_type():
    loaded = load(
        None,
        {
            "AIRIS_DATA_DIR": "/d",
            "AIRIS_RATE_LIMIT__ENABLED": "false",
            "AIRIS_LIMITS__MAX_FUTURE_S": "1.5",
            "AIRIS_SERVER__CORS_ORIGINS": "https://a.example, https://b.example",
            "AIRIS_DETECT__DROP": '["{job=\\"a\\",env=\\"b\\"}"]',
            "AIRIS_INGEST__SCRAPE": '[{"job": "node", "targets": ["127.0.0.1:9100"], "labels": {"env": "x"}}]',
            "HOME": "/not/ours",
        },
        {},
    ).settings
    assert (loaded.data_dir, loaded.rate_limit.enabled, loaded.limits.max_future_s) == ("/d", False, 1.5)
    assert loaded.server.cors_origins == ["https://a.example", "https://b.example"]
    assert loaded.detect.drop == ['{job="a",env="b"}']
    assert (loaded.ingest.scrape[0].labels, loaded.ingest.scrape[0].interval_s) == ({"env": "x"}, 15)


def test_an_unknown_key_names_the_nearest_and_where_it_stands(write):
    file = write("[server]\nprt = 1")
    assert fails(file) == f"server.prt is not a setting (file {file}); did you mean server.port?"
    assert "did you mean server.port?" in fails(None, {"AIRIS_SERVER__PROT": "1"})
    assert "did you mean store.retention_days?" in fails(write("retention_days = 3"))
    assert "docs/settings.md" in fails(write("zzz = 3"))
    assert "did you mean ingest.scrape[0].interval_s?" in fails(
        write('[[ingest.scrape]]\njob = "a"\ntargets = ["b:1"]\ninterval = 3')
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('[server]\nport = "x"', "server.port is 'x' (file {file}): expected `int`"),
        ("[server]\nport = 70000", "server.port is 70000 (file {file}): expected `int` <= 65535"),
        ('[store]\ndurability = "disk"', "store.durability is 'disk' (file {file}): invalid enum value 'disk'"),
        ("server = 3", "server (file {file}) must be a table: [server]"),
        ('[server]\ncors_origins = ["a", 1]', "server.cors_origins[1] is 1 (file {file}): expected `str`"),
        (
            '[[ingest.scrape]]\njob = "a"\ntargets = ["b:1"]\ninterval_s = "often"',
            "ingest.scrape[0].interval_s is 'often' (file {file}): expected `float`",
        ),
        ('[[ingest.scrape]]\ntargets = ["b:1"]', "missing required field `job`"),
        ('[[ingest.scrape]]\njob = "a"', "one of `targets` and `file_sd` must name something"),
        ('[time]\nzone = "Mars/Olympus"', "'Mars/Olympus' is no time zone"),
        ('[server]\nbase_path = "api"', "server.base_path is 'api'"),
        ("[ingest.host]\ninterval_s = nan", "ingest.host.interval_s is nan"),
        ('[security]\ntrusted_proxies = ["10.0.0.0/8", "proxy"]', "'proxy' is no address and no network"),
        ("[server\n", "not valid TOML"),
    ],
)
def test_a_wrong_value_names_setting_value_expectation_and_origin(write, text, part):
    file = write(text)
    assert part.format(file=file) in fails(file)


def test_a_missing_file_is_an_error_only_when_it_was_named(tmp_path):
    assert "cannot read the settings file" in fails(tmp_path / "none.toml")


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path, write):
    secret = tmp_path / "secret"
    secret.write_text("http://u:p@h:8123/db\n")
    loaded = load(write(f'[store]\nurl_file = "{secret}"'), {}, {})
    assert loaded.settings.store.url == "http://u:p@h:8123/db"
    assert str(secret) in loaded.origin["store.url"]
    assert load(None, {"AIRIS_STORE__URL_FILE": str(secret)}, {}).settings.store.url == "http://u:p@h:8123/db"
    source = f'[[ingest.clickhouse]]\nname = "a"\nquery = "t"\nurl_file = "{secret}"'
    assert load(write(source), {}, {}).settings.ingest.clickhouse[0].url == "http://u:p@h:8123/db"
    assert "cannot read the secret file" in fails(None, {"AIRIS_STORE__URL_FILE": str(tmp_path / "none")})
    assert "given twice" in fails(None, {"AIRIS_STORE__URL_FILE": str(secret), "AIRIS_STORE__URL": "http://h"})


def test_a_secret_is_in_no_error_and_not_shown():
    assert "hunter2" not in fails(None, {"AIRIS_STORE__URL": "ftp://u:hunter2@h"})
    shown = redacted(load(None, {"AIRIS_STORE__URL": "http://u:hunter2@h:8123/db"}, {}).settings)
    assert shown["store"]["url"] == "http://u:***@h:8123/db"
    assert shown["records"]["url"] == ""
    assert shown["server"]["port"] == 8765


@pytest.mark.parametrize(
    "text",
    [
        'store = "http://u:hunter2@h"',
        '[store]\nurl = ["hunter2"]',
        '[[ingest.scrape]]\njob = "a"\nbearer_token = "hunter2"',  # neither targets nor file_sd
        '[[ingest.scrape]]\njob = "a"\ntargets = ["b:1"]\npassword = ["hunter2"]',
        '[[ingest.scrape]]\nbearer_token = "hunter2"',
        '[ingest]\nscrape = {password = "hunter2"}',
        'ingest = {scrape = ["hunter2"]}',
        '[[ingest.clickhouse]]\nname = "a"\nquery = "t"\nurl = "ftp://u:hunter2@h"',
        '[writeback]\nurl = "ftp://u:hunter2@h"\npassword = "hunter2"',
    ],
)
def test_no_mistake_shows_a_secret(write, text):
    assert "hunter2" not in fails(write(text))


def test_names_of_the_specification_work_below_ours():
    names = {
        "CLICKHOUSE_HOST": "ch",
        "CLICKHOUSE_USER": "u",
        "CLICKHOUSE_PASSWORD": "p@/",
        "CLICKHOUSE_DB": "airis",
        "REDIS_HOST": "::1",
        "REDIS_PASSWORD": "q",
        "REDIS_DB": "2",
        "PORT": "9000",
        "LOG_LEVEL": "WARNING",
        "GEMINI_API_KEY": "k",
    }
    loaded = load(None, names | {"AIRIS_SERVER__PORT": "9001"}, {})
    assert loaded.settings.store.url == "http://u:p%40%2F@ch:8123/airis"
    assert loaded.settings.redis.url == "redis://:q@[::1]:6379/2"
    assert (loaded.settings.server.port, loaded.settings.log.level) == (9001, "warning")
    assert loaded.origin["store.url"] == "environment CLICKHOUSE_HOST"
    assert loaded.unused == ("GEMINI_API_KEY",)


def test_a_stray_password_does_not_move_the_store_to_a_server():
    assert load(None, {"CLICKHOUSE_PASSWORD": "p", "REDIS_PASSWORD": "q"}, {}).settings == Settings()


def test_a_flag_that_is_no_setting_is_an_error():
    assert "did you mean server.port?" in fails(None, None, {"server.ports": 1})


def test_a_setting_cannot_be_changed_after_loading():
    with pytest.raises(AttributeError):
        load(None, {}, {}).settings.server.port = 1


def test_every_section_says_what_it_is():
    assert all(s.__doc__ and s.__doc__ != Section.__doc__ for s in Section.__subclasses__())


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3), max_leaves=6
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(schema())), VALUES, max_size=4))
def test_any_value_is_taken_or_refused_by_name(flags):
    try:
        loaded = load(None, {}, flags)
    except ConfigError as error:
        assert any(path.partition(".")[0] in str(error) for path in flags)
    else:
        assert redacted(loaded.settings)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(schema())), st.text(max_size=20), max_size=4))
def test_any_text_of_the_environment_is_taken_or_refused(texts):
    environ = {f"AIRIS_{path.upper().replace('.', '__')}": text for path, text in texts.items()}
    try:
        load(None, environ, {})
    except ConfigError as error:
        assert any(f"environment {name}" in str(error) for name in environ)


TABLES = st.dictionaries(
    st.sampled_from(["job", "targets", "url", "url_file", "labels", "name", "query", "x", "password_file"]), VALUES
)


@settings(deadline=None)
@given(st.sampled_from(["ingest.scrape", "ingest.clickhouse"]), st.lists(TABLES, max_size=3))
def test_any_table_of_a_list_is_taken_or_refused_by_name(path, tables):
    try:
        load(None, {}, {path: tables})
    except ConfigError as error:
        assert path in str(error)
