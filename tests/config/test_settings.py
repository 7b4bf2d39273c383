"""What may be written as a setting, which source wins, and how every mistake is told."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from monitord.config.loader import (
    Settings,
    SettingsError,
    described,
    load,
    load_with_sources,
    shown,
    standing_orders,
    variables,
)
from monitord.config.settings import field_of, variable_of
from monitord.core.orders import StandingOrders

SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with nothing in it."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    return path


def read(directory: Path, environ: dict[str, str] | None = None, dotenv: str = "", toml: str = "") -> Settings:
    write(directory, dotenv, toml)
    return load(environ or {}, directory)


def write(directory: Path, dotenv: str = "", toml: str = "") -> None:
    if dotenv:
        (directory / ".env").write_text(dotenv, encoding="utf-8")
    if toml:
        (directory / "monitord.toml").write_text(toml, encoding="utf-8")


def mistakes(
    directory: Path, environ: dict[str, str] | None = None, dotenv: str = "", toml: str = ""
) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(directory, environ, dotenv, toml)
    return caught.value.mistakes


def only_mistake(directory: Path, name: str, value: str) -> str:
    (mistake,) = mistakes(directory, {f"MONITORD_{name}": value})
    assert mistake.startswith(f"MONITORD_{name} (environment): ")
    assert "\n" not in mistake
    return mistake


# Defaults


def test_with_nothing_set_only_the_host_is_watched_and_the_orders_are_the_defaults(tmp_path: Path, home: Path) -> None:
    settings = read(tmp_path)
    assert standing_orders(settings) == StandingOrders(
        probes=frozenset({"host"}),
        unnamed=frozenset({"tables", "groups", "cemented", "user_facing", "sealed_by", "fed_by"}),
    )
    assert settings.state_dir == home / ".local/state/monitord"
    assert settings.check_interval == timedelta(seconds=30)
    assert settings.report_schedule == "0 */2 * * *"
    assert settings.probe_timeout == timedelta(seconds=5)
    assert (settings.log_level, settings.log_retention) == ("info", timedelta(hours=48))
    assert settings.http.listen == "127.0.0.1:8844"
    assert settings.notify.remind_every == timedelta(hours=4)


def test_pm2_is_watched_where_its_home_exists(tmp_path: Path, home: Path) -> None:
    assert read(tmp_path).pm2.home is None
    (home / ".pm2").mkdir()
    settings, sources = load_with_sources({}, tmp_path)
    assert settings.pm2.home == home / ".pm2"
    assert "MONITORD_PM2__HOME" not in sources


def test_a_pm2_home_that_is_set_to_nothing_is_not_watched(tmp_path: Path, home: Path) -> None:
    (home / ".pm2").mkdir()
    assert read(tmp_path, {"MONITORD_PM2__HOME": "", "PM2_HOME": "/srv/pm2"}).pm2.home is None


def test_runbooks_and_contacts_are_one_line_each(tmp_path: Path) -> None:
    orders = standing_orders(read(tmp_path, {"MONITORD_NOTIFY__CONTACTS": '{"web": " on-call "}'}))
    assert (orders.contacts, orders.runbooks) == ({"web": "on-call"}, {})
    for wrong in ("", "two\nlines", "x" * 501):
        with pytest.raises(SettingsError, match="of web, it is not one line of at most 500 characters"):
            read(tmp_path, {"MONITORD_NOTIFY__RUNBOOKS": json.dumps({"web": wrong})})


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read(tmp_path)
    with pytest.raises(AttributeError, match="log_level"):
        settings.log_level = "debug"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="confirmations"):
        settings.orders.confirmations = 1  # type: ignore[misc]


def test_what_is_configured_decides_which_probes_there_are(tmp_path: Path) -> None:
    def probes(**environ: str) -> frozenset[str]:
        return standing_orders(load(environ, tmp_path)).probes

    assert probes(PM2_HOME="/srv/pm2") == {"pm2", "host"}
    assert probes(DATABASE_URL="postgres:///db") == {"postgres", "epochs", "pipeline", "host"}
    assert probes(REDIS_URL="redis://h") == {"redis", "host"}


def test_every_order_reaches_the_core(tmp_path: Path) -> None:
    environ = {
        "MONITORD_CHECK_INTERVAL": "1s",
        "MONITORD_PROBE_TIMEOUT": "4s",
        "MONITORD_EPOCHS__LENGTH": "20s",
        "MONITORD_EPOCHS__GRACE": "5s",
        "MONITORD_EPOCHS__GROUPS": '["A"]',
        "MONITORD_POSTGRES__TABLES": '["t"]',
        "MONITORD_HOST__DISKS": '["/srv"]',
        "MONITORD_REDIS__QUEUES": '["q"]',
        "MONITORD_ORDERS__SERVICES": '{"gateway": "Online", "scout": "periodic"}',
        "MONITORD_ORDERS__SERVICE_MEMORY": "1GiB",
        "MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME": '{"gateway": "300MB"}',
        "MONITORD_ORDERS__DISK_WARNING": "50",
        "MONITORD_ORDERS__CONFIRMATIONS": "1",
    }
    orders = standing_orders(read(tmp_path, environ))
    assert (orders.epoch_length, orders.epoch_grace) == (timedelta(seconds=20), timedelta(seconds=5))
    assert (orders.groups, orders.tables, orders.disks, orders.queues) == (("A",), ("t",), ("/srv",), ("q",))
    assert orders.services == {"gateway": "online", "scout": "periodic"}
    assert orders.rhythms == {}
    assert (orders.memory_limit("gateway"), orders.memory_limit("scout")) == (300_000_000, 2**30)
    assert (orders.disk_warning, orders.confirmations) == (50.0, 1)
    assert orders.late_after == timedelta(seconds=8)  # the larger of three intervals and two timeouts


# Precedence


def test_the_environment_wins_over_dotenv_and_dotenv_over_toml(tmp_path: Path) -> None:
    write(
        tmp_path,
        dotenv="MONITORD_PROBE_TIMEOUT=2s\nMONITORD_CHECK_INTERVAL=2s\n",
        toml='probe_timeout = "3s"\ncheck_interval = "3s"\nlog_retention = "3h"\n',
    )
    settings, sources = load_with_sources({"MONITORD_CHECK_INTERVAL": "1s"}, tmp_path)
    assert settings.check_interval == timedelta(seconds=1)
    assert settings.probe_timeout == timedelta(seconds=2)
    assert settings.log_retention == timedelta(hours=3)
    assert sources == {
        "MONITORD_CHECK_INTERVAL": "environment",
        "MONITORD_PROBE_TIMEOUT": ".env",
        "MONITORD_LOG_RETENTION": "monitord.toml",
    }


def test_a_map_of_one_source_replaces_that_of_another(tmp_path: Path) -> None:
    toml = '[orders.services]\ngateway = "online"\n'
    settings = read(tmp_path, {"MONITORD_ORDERS__SERVICES": '{"scout": "periodic"}'}, toml=toml)
    assert settings.orders.services == {"scout": "periodic"}


@pytest.mark.parametrize(
    ("alias", "variable", "theirs", "ours"),
    [
        ("PM2_HOME", "MONITORD_PM2__HOME", "/theirs", "/ours"),
        ("DATABASE_URL", "MONITORD_POSTGRES__DSN", "postgres://theirs/db", "postgres://ours/db"),
        ("REDIS_URL", "MONITORD_REDIS__URL", "redis://theirs", "redis://ours"),
    ],
)
def test_a_prefixed_name_anywhere_beats_its_alias_anywhere(
    tmp_path: Path, alias: str, variable: str, theirs: str, ours: str
) -> None:
    settings, sources = load_with_sources({alias: theirs}, tmp_path)
    assert shown(settings, variable) == theirs
    assert sources == {variable: f"environment ({alias})"}
    section, name = variable.removeprefix("MONITORD_").lower().split("__")
    write(tmp_path, toml=f'[{section}]\n{name} = "{ours}"\n')
    assert shown(load({alias: theirs}, tmp_path), variable) == ours


def test_an_alias_in_the_environment_beats_the_one_in_dotenv(tmp_path: Path) -> None:
    dotenv = "DATABASE_URL=postgres://file/db\n"
    settings = read(tmp_path, {"DATABASE_URL": "postgres://environment/db"}, dotenv)
    assert shown(settings, "MONITORD_POSTGRES__DSN") == "postgres://environment/db"
    settings = read(tmp_path, {"DATABASE_URL": ""}, dotenv)
    assert shown(settings, "MONITORD_POSTGRES__DSN") == "postgres://file/db"


def test_a_prefixed_name_that_is_set_to_nothing_turns_its_alias_off(tmp_path: Path) -> None:
    environ = {"MONITORD_POSTGRES__DSN": "", "DATABASE_URL": "postgres://h/db", "MONITORD_HTTP__LISTEN": ""}
    settings = read(tmp_path, environ)
    assert settings.postgres.dsn is None
    assert settings.http.listen == ""


def test_foreign_names_are_nobodys_mistake(tmp_path: Path) -> None:
    foreign = {"monitord": "{}", "monitord_state": "x", "name": "monitord", "status": "online", "CHECK_INTERVAL": "x"}
    dotenv = "TWITCH_TOKEN=abc\nCHECK_INTERVALL=30\nthis line is nothing\nOPEN='quote\nMONITORD_LOG_LEVEL=debug\n"
    settings = read(tmp_path, foreign, dotenv)
    assert settings.log_level == "debug"


def test_dotenv_takes_export_quotes_comments_and_dollars_as_they_are(tmp_path: Path) -> None:
    dotenv = (
        "\ufeffexport MONITORD_LOG_LEVEL=debug # loud\n"
        'MONITORD_ORDERS__SERVICES=\'{"gateway": "online"}\'\n'
        'MONITORD_POSTGRES__DSN="postgres://u:pa$HOME@h/db"\n'
    )
    settings = read(tmp_path, {"HOME": "/elsewhere"}, dotenv)
    assert settings.log_level == "debug"
    assert settings.orders.services == {"gateway": "online"}
    assert settings.postgres.dsn is not None
    assert settings.postgres.dsn.get_secret_value() == "postgres://u:pa$HOME@h/db"


def test_toml_may_use_its_own_lists_tables_and_numbers(tmp_path: Path) -> None:
    toml = """
        [postgres]
        tables = ["a", "b"]
        [orders]
        confirmations = 3
        disk_warning = 60
        services = { gateway = "online" }
        service_memory_by_name = { gateway = "1GB" }
    """
    orders = standing_orders(read(tmp_path, toml=toml))
    assert orders.tables == ("a", "b")
    assert (orders.confirmations, orders.disk_warning) == (3, 60.0)
    assert orders.services == {"gateway": "online"}
    assert orders.service_memory_by_name == {"gateway": 10**9}


def test_a_directory_named_dotenv_is_somebodys_virtual_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert read(tmp_path).log_level == "info"


# Values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2.5s", 2.5),
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1h30m", 5400),
        (" 1s ", 1),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    settings = read(tmp_path, {"MONITORD_ORDERS__STARTUP_GRACE": text})
    assert settings.orders.startup_grace == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["30", "1.5"])
def test_a_bare_number_is_told_that_its_unit_is_missing(tmp_path: Path, text: str) -> None:
    assert "has no unit" in only_mistake(tmp_path, "CHECK_INTERVAL", text)
    (mistake,) = mistakes(tmp_path, toml=f"check_interval = {text}")
    assert mistake.startswith("MONITORD_CHECK_INTERVAL (monitord.toml): ")
    assert "has no unit" in mistake


@pytest.mark.parametrize("text", ["soon", "-1s", "1 hour", "30S", "0s", "0", "99999d", "9" * 400 + "s", "nan", "1e3s"])
def test_what_is_no_duration_for_an_interval(tmp_path: Path, text: str) -> None:
    only_mistake(tmp_path, "CHECK_INTERVAL", text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("500MB", 500_000_000), ("2GiB", 2**31), ("1024B", 1024), ("1.5kB", 1500), ("1 TiB", 2**40), ("1mb", 10**6)],
)
def test_sizes_are_decimal_or_with_an_i_binary(tmp_path: Path, text: str, count: int) -> None:
    assert read(tmp_path, {"MONITORD_ORDERS__HOST_MEMORY": text}).orders.host_memory == count


@pytest.mark.parametrize("text", ["500", "5iB", "big", "-1MB", "1XB", "9" * 400 + "B"])
def test_what_is_no_size(tmp_path: Path, text: str) -> None:
    only_mistake(tmp_path, "ORDERS__HOST_MEMORY", text)


@pytest.mark.parametrize(("text", "percent"), [("80%", 80.0), ("80", 80.0), ("99.5 %", 99.5), ("100%", 100.0)])
def test_percentages(tmp_path: Path, text: str, percent: float) -> None:
    assert read(tmp_path, {"MONITORD_ORDERS__DISK_CRITICAL": text}).orders.disk_critical == percent


@pytest.mark.parametrize("text", ["101%", "-1%", "nan", "much", "9" * 400])
def test_what_is_no_percentage(tmp_path: Path, text: str) -> None:
    only_mistake(tmp_path, "ORDERS__DISK_CRITICAL", text)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "1e3", "true", "9" * 30, "9" * 5000])
def test_what_is_no_count(tmp_path: Path, text: str) -> None:
    only_mistake(tmp_path, "ORDERS__CONFIRMATIONS", text)


@pytest.mark.parametrize("value", ["true", "[1]", "{ a = 1 }", "2025-11-05"])
def test_a_toml_value_of_another_kind_is_one_mistake(tmp_path: Path, value: str) -> None:
    toml = f"check_interval = {value}\n[orders]\nconfirmations = {value}\nservice_memory = {value}\n"
    found = mistakes(tmp_path, toml=toml)
    assert len(found) == 3


@pytest.mark.parametrize("text", ["debug", "INFO", "Warning", "error"])
def test_log_levels_in_whatever_case(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, {"MONITORD_LOG_LEVEL": text}).log_level == text.lower()


def test_a_wrong_log_level_is_told_the_right_ones(tmp_path: Path) -> None:
    mistake = only_mistake(tmp_path, "LOG_LEVEL", "loud")
    assert mistake.endswith("'loud' is not one of debug, info, warning, error")


def test_names_come_once_in_order_and_groups_whatever_their_case(tmp_path: Path) -> None:
    environ = {
        "MONITORD_POSTGRES__TABLES": '["b", "a", "b", "B"]',
        "MONITORD_EPOCHS__GROUPS": '["MILO", "cls", "milo"]',
        "MONITORD_REDIS__QUEUES": "",
    }
    settings = read(tmp_path, environ)
    assert tuple(settings.postgres.tables or ()) == ("b", "a", "B")
    assert settings.epochs.groups == ("MILO", "cls")
    assert settings.redis.queues == {}


@pytest.mark.parametrize(
    "text", ["user_signals", "[", '["a" "b"]', '{"a": 1}', '"a"', "[1]", '[""]', "[null]", "[" * 10_000, '["a\\n"]']
)
def test_what_is_no_list_of_names_is_shown_an_example(tmp_path: Path, text: str) -> None:
    assert '["orders"]' in only_mistake(tmp_path, "POSTGRES__TABLES", text)


@pytest.mark.parametrize("text", ["gateway=online", "[]", '{"gateway": ', '{"": "online"}', '"x"'])
def test_what_is_no_map_is_shown_an_example(tmp_path: Path, text: str) -> None:
    assert '{"web": "online"}' in only_mistake(tmp_path, "ORDERS__SERVICES", text)


@pytest.mark.parametrize("text", ['["*worker*"]', '["a", "b"]', "[]"])
def test_a_list_of_causes_is_shown_the_map_that_takes_its_place(tmp_path: Path, text: str) -> None:
    fed = only_mistake(tmp_path, "ORDERS__FED_BY", text)
    assert fed.startswith("MONITORD_ORDERS__FED_BY (environment): it is a list")
    assert '{"orders": ["shop-api"]}' in fed
    assert "it is a list" in only_mistake(tmp_path, "ORDERS__SEALED_BY", text)


@pytest.mark.parametrize("text", ['{"orders": "shop-api"}', '{"orders": [""]}', '{"": ["a"]}', '{"orders": [1]}'])
def test_causes_are_lists_of_patterns_by_subject(tmp_path: Path, text: str) -> None:
    assert '{"orders": ["shop-api"]}' in only_mistake(tmp_path, "ORDERS__FED_BY", text)


def test_declared_causes_are_read_by_subject_and_groups_are_the_same_in_whatever_case(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "MONITORD_ORDERS__FED_BY": '{"orders": ["shop-api", "import-*"]}',
            "MONITORD_ORDERS__SEALED_BY": '{"north": ["sealer"]}',
        },
    )
    orders = standing_orders(settings)
    assert orders.fed_by == {"orders": ("shop-api", "import-*")}
    assert orders.sealed_by == {"NORTH": ("sealer",)}
    assert not {"fed_by", "sealed_by"} & orders.unnamed


def test_groups_that_are_none_turn_the_epochs_off(tmp_path: Path) -> None:
    named = read(tmp_path, {"MONITORD_POSTGRES__DSN": "postgresql:///x", "MONITORD_EPOCHS__GROUPS": "[]"})
    assert "epochs" not in standing_orders(named).probes
    assert "groups" not in standing_orders(named).unnamed


def test_queues_are_a_list_of_names_or_a_map_of_what_is_declared_of_each(tmp_path: Path) -> None:
    declared = (
        '{"emails": {"waiting": 1000, "failed": 5, "stall": "10m", "oldest": "1m30s", "prefix": "myapp", '
        '"worker": "mail_worker 2"}, "pdf": {}}'
    )
    settings = read(tmp_path, {"MONITORD_REDIS__QUEUES": declared, "MONITORD_REDIS__PREFIX": "shop"})
    orders = standing_orders(settings)
    assert orders.queues == ("emails", "pdf")
    assert [orders.queue_limit(name) for name in orders.queues] == [1000, 5000]
    assert [orders.failed_limit(name) for name in orders.queues] == [5, 50]
    assert [orders.stall_limit(name) for name in orders.queues] == [600, 3600]
    assert [orders.oldest_limit(name) for name in orders.queues] == [90, None]
    assert [orders.prefix_of(name) for name in orders.queues] == ["myapp", "shop"]
    assert [orders.workers_of(name) for name in orders.queues] == [("mail_worker 2",), ()]
    assert shown(settings, "MONITORD_REDIS__QUEUES") == declared.replace('"mail_worker 2"', '["mail_worker 2"]')
    plain = read(tmp_path, {"MONITORD_REDIS__QUEUES": '["a", "b"]'})
    assert shown(plain, "MONITORD_REDIS__QUEUES") == '["a", "b"]'


def test_tables_are_a_list_of_names_or_a_map_of_what_is_declared_of_each(tmp_path: Path) -> None:
    declared = (
        '{"orders": {"growth_limit": 10000, "growth_window": "4h", "growth_steady": 2000, "flow_stall": "2h"}, '
        '"carts": {"flow_stall": {"00-06": "3h", "*": "20m"}}, "users": {}}'
    )
    settings = read(tmp_path, {"MONITORD_POSTGRES__TABLES": declared, "MONITORD_ORDERS__GROWTH_LIMIT": "70000"})
    orders = standing_orders(settings)
    assert orders.tables == ("orders", "carts", "users")
    assert [orders.growth_limit_of(name) for name in orders.tables] == [10_000, 70_000, 70_000]
    assert [orders.growth_window_of(name) for name in orders.tables] == [14_400, 7200, 7200]
    assert [orders.growth_steady_of(name) for name in orders.tables] == [2000, 100_000, 100_000]
    noon, night = 12 * 3600.0, 3 * 3600.0
    assert [orders.flow_stall_of(name).at(noon) for name in orders.tables] == [7200, 1200, 900]
    assert [orders.flow_stall_of(name).at(night) for name in orders.tables] == [7200, 10_800, 900]
    assert shown(settings, "MONITORD_POSTGRES__TABLES") == declared
    plain = read(tmp_path, {"MONITORD_POSTGRES__TABLES": '["a", "b"]'})
    assert shown(plain, "MONITORD_POSTGRES__TABLES") == '["a", "b"]'


def test_what_is_declared_of_a_table_and_wrong_is_named(tmp_path: Path) -> None:
    for wrong, why in (
        ('{"t": {"flow_stal": "2h"}}', "what can is growth_limit, growth_window, growth_steady, flow_stall"),
        ('{"t": {"flow_stall": {"6": "3h"}}}', "of t, flow_stall: '6' names no hours of the day"),
        ('{"t": {"flow_stall": {"00-06": "3h", "05-07": "1h"}}}', "05-07 names an hour that another span names"),
        ('{"t": {"flow_stall": {"00-06": 3}}}', "flow_stall: 00-06: '3' has no unit"),
        ('{"t": {"flow_stall": {}}}', "of t, flow_stall: it names no hours"),
        ('{"t": {"flow_stall": "0s"}}', "of t, flow_stall: it must be longer than nothing"),
        ('{"t": {"growth_limit": 0}}', "of t, growth_limit: it must be at least 1"),
    ):
        assert why in only_mistake(tmp_path, "POSTGRES__TABLES", wrong)


def test_disks_are_a_list_of_paths_or_a_map_of_what_is_declared_of_each(tmp_path: Path) -> None:
    declared = '{"/": {}, "/data": {"warning": "85%", "critical": "92%"}, "/srv": {"critical": "90%"}}'
    settings = read(tmp_path, {"MONITORD_HOST__DISKS": declared})
    orders = standing_orders(settings)
    assert orders.disks == ("/", "/data", "/srv")
    assert [orders.disk_limits(path) for path in orders.disks] == [(70, 80), (85, 92), (70, 90)]
    assert shown(settings, "MONITORD_HOST__DISKS") == declared
    assert "of data, it is no whole path; write /data" in only_mistake(tmp_path, "HOST__DISKS", '["/", "data"]')
    above = only_mistake(tmp_path, "HOST__DISKS", '{"/data": {"warning": "85%"}}')
    assert "of /data, critical is 80%, less than warning, 85%" in above


def test_services_are_a_map_of_what_is_declared_of_each_and_no_list(tmp_path: Path) -> None:
    declared = '{"gateway": {"memory": "300MB", "cpu": "90%", "restarts_warning": 10, "heap_span": "1m"}, "web": {}}'
    orders = {"MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME": '{"gateway": "1GB", "web": "2GB"}'}
    settings = read(tmp_path, {"MONITORD_PM2__SERVICES": declared, **orders})
    found = standing_orders(settings)
    assert [found.memory_limit(name) for name in ("gateway", "web", "scout")] == [300 * 10**6, 2 * 10**9, 500 * 10**6]
    assert (found.cpu_limit("gateway"), found.cpu_limit("web")) == (90.0, None)
    assert (found.restart_limits("gateway"), found.restart_limits("web")) == ((10, 20), (5, 20))
    assert (found.heap_limits("gateway"), found.heap_limits("web")) == ((90.0, 60.0), (90.0, 600.0))
    assert set(found.service_by_name) == {"gateway"}
    assert shown(settings, "MONITORD_PM2__SERVICES") == declared
    for wrong, why in (
        ('["gateway"]', "it is not a map"),
        ('{"gateway": {"memori": "1GB"}}', "of gateway, memori cannot be declared; what can is memory, cpu"),
        ('{"gateway": {"memory": 300}}', "of gateway, memory: '300' has no unit"),
        ('{"gateway": {"cpu": 0}}', "of gateway, cpu: it must be more than nothing"),
        ('{"gateway": {"restarts_warning": "many"}}', "of gateway, restarts_warning: 'many'"),
        (
            '{"gateway": {"restarts_warning": 30}}',
            "of gateway, restarts_critical is 20, less than restarts_warning, 30",
        ),
        ('{"gateway": {"startup_grace": "soon"}}', "of gateway, startup_grace: 'soon'"),
    ):
        assert why in only_mistake(tmp_path, "PM2__SERVICES", wrong)


@pytest.mark.parametrize(
    ("setting", "written", "meant"),
    [
        ("PM2__SERVICES", '["gateway", "web"]', "ORDERS__SERVICES"),
        ("PM2__SERVICES", '{"web": "online"}', "ORDERS__SERVICES"),
        ("ORDERS__SERVICES", '{"web": {"memory": "300MB"}}', "PM2__SERVICES"),
        ("ORDERS__SERVICE_MEMORY", '{"web": "300MB"}', "ORDERS__SERVICE_MEMORY_BY_NAME"),
        ("ORDERS__SERVICE_CPU_BY_NAME", "90%", "ORDERS__SERVICE_CPU"),
        ("NOTIFY__SEVERITY_BY_CHANNEL", '{"webhook": {"severity": "critical"}}', "NOTIFY__ROUTES"),
    ],
)
def test_a_value_of_another_settings_shape_is_asked_whether_that_one_was_meant(
    tmp_path: Path, setting: str, written: str, meant: str
) -> None:
    assert only_mistake(tmp_path, setting, written).endswith(f"; did you mean MONITORD_{meant}?")


def test_a_wrong_value_of_the_right_shape_is_asked_nothing(tmp_path: Path) -> None:
    assert "did you mean" not in only_mistake(tmp_path, "PM2__SERVICES", '{"web": {"memory": "much"}}')


def test_what_is_asked_to_have_been_meant_is_a_setting() -> None:
    declared = {name: field.metadata.get("meant", {}) for name in variables() if (field := field_of(name)) is not None}
    meant = {variable_of(*each.split(".")) for by_shape in declared.values() for each in by_shape.values()}
    assert meant
    assert meant <= set(variables())


def test_what_is_busy_has_no_limit_unless_somebody_sets_one(tmp_path: Path) -> None:
    orders = standing_orders(read(tmp_path))
    assert (orders.host_cpu, orders.host_load, orders.host_swap, orders.cpu_limit("web")) == (None, None, None, None)
    by_name = '{"encoder": "350%"}'
    settings = read(
        tmp_path,
        {
            "MONITORD_ORDERS__HOST_LOAD": "1.5",
            "MONITORD_ORDERS__SERVICE_CPU": "90%",
            "MONITORD_ORDERS__SERVICE_CPU_BY_NAME": by_name,
        },
    )
    orders = standing_orders(settings)
    assert (orders.host_load, orders.cpu_limit("web"), orders.cpu_limit("encoder")) == (1.5, 90.0, 350.0)
    assert shown(settings, "MONITORD_ORDERS__SERVICE_CPU_BY_NAME") == by_name
    assert "it must be more than nothing" in only_mistake(tmp_path, "ORDERS__HOST_LOAD", "0")
    assert "of encoder, 'much' is not a number" in only_mistake(
        tmp_path, "ORDERS__SERVICE_CPU_BY_NAME", '{"encoder": "much"}'
    )


def test_what_cannot_be_declared_of_a_queue_is_named_with_what_can(tmp_path: Path) -> None:
    mistake = only_mistake(tmp_path, "REDIS__QUEUES", '{"emails": {"failing": 50}}')
    assert mistake.endswith(
        "of emails, failing cannot be declared; what can is waiting, failed, stall, oldest, prefix, worker"
    )
    assert "of emails, waiting: 'many' is no" in only_mistake(
        tmp_path, "REDIS__QUEUES", '{"emails": {"waiting": "many"}}'
    )
    for wrong in ('{"emails": 5}', '{"emails": {"worker": [1]}}', '{"emails": {"prefix": ""}}', "emails", "[1]"):
        only_mistake(tmp_path, "REDIS__QUEUES", wrong)


def test_an_expectation_that_is_none_names_the_service_and_the_choices(tmp_path: Path) -> None:
    mistake = only_mistake(tmp_path, "ORDERS__SERVICES", '{"gateway": "offline"}')
    assert mistake.endswith("of gateway, 'offline' is not one of online, stopped, periodic")
    only_mistake(tmp_path, "ORDERS__SERVICES", '{"gateway": null}')
    only_mistake(tmp_path, "ORDERS__SERVICE_MEMORY_BY_NAME", '{"gateway": 300}')


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("0 */2 * * *", "0 */2 * * *"),
        ("*/15 8-17 1,15 jan-jun *", "*/15 8-17 1,15 jan-jun *"),
        ("0 8 * * 1-5", "0 8 * * mon,tue,wed,thu,fri"),
        ("0 8 * * 0", "0 8 * * sun"),
        ("0 8 * * 7", "0 8 * * sun"),
        ("0 8 * * FRI-MON", "0 8 * * sun,mon,fri,sat"),
        ("0 8 * * */2", "0 8 * * sun,tue,thu,sat"),
        ("0 8 * * 0-6", "0 8 * * *"),
    ],
)
def test_the_days_of_a_schedule_are_those_of_cron(tmp_path: Path, written: str, means: str) -> None:
    assert read(tmp_path, {"MONITORD_REPORT_SCHEDULE": written}).report_schedule == means


@pytest.mark.parametrize(
    "text", ["hourly", "* * * *", "0 0 * * * *", "60 * * * *", "0 0 30 2 *", "* * * * 8", "*/0 * * * *", "* * * * */0"]
)
def test_what_is_no_schedule(tmp_path: Path, text: str) -> None:
    assert "is no cron schedule like 0 */2 * * *" in only_mistake(tmp_path, "REPORT_SCHEDULE", text)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://u:p@h/db",
        "postgresql://h1:5432,h2:5433/db?target_session_attrs=read-write",
        "postgresql://%2Ftmp%2Fx/db",
        "postgresql:///db?host=/tmp",
        "postgresql://",
        "postgresql://u@[::1]:5432/db",
    ],
)
def test_any_libpq_uri_is_a_dsn(tmp_path: Path, dsn: str) -> None:
    settings = read(tmp_path, {"MONITORD_POSTGRES__DSN": dsn})
    assert settings.postgres.dsn is not None
    assert settings.postgres.dsn.get_secret_value() == dsn


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p@h:6379/0", "unix:///run/redis.sock?db=1"])
def test_any_redis_url(tmp_path: Path, url: str) -> None:
    settings = read(tmp_path, {"MONITORD_REDIS__URL": url})
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES__DSN", f"mysql://u:{SECRET}@h/db"),
        ("POSTGRES__DSN", f"host=h password={SECRET}"),
        ("POSTGRES__DSN", f"postgres://u:{SECRET} @h/db"),
        ("POSTGRES__DSN", f"postgres://u:{SECRET}[@h/db"),
        ("REDIS__URL", f"http://:{SECRET}@h"),
        ("HTTP__TOKEN", f"{SECRET} and a space"),
        ("NOTIFY__URLS", f'["{SECRET}"]'),
        ("NOTIFY__URLS", f"tgram://{SECRET}/1"),
        ("NOTIFY__WEBHOOK_URL", f"ftp://{SECRET}"),
        ("NOTIFY__WEBHOOK_URL", "https://"),
        ("CHECK_INTERVAL", f"postgres://u:{SECRET}@h/db"),
        ("LOG_LEVEL", f"redis://:{SECRET}@h"),
    ],
)
def test_a_mistake_never_shows_a_secret(tmp_path: Path, name: str, value: str) -> None:
    assert SECRET not in only_mistake(tmp_path, name, value)
    with pytest.raises(SettingsError) as caught:
        load({f"MONITORD_{name}": value}, tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:8844", "127.8.0.1:1", "localhost:80", "[::1]:8844", "[::ffff:127.0.0.1]:80"]
)
def test_a_loopback_address_needs_no_token(tmp_path: Path, listen: str) -> None:
    assert read(tmp_path, {"MONITORD_HTTP__LISTEN": listen}).http.listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:8844", "[::]:8844", "10.0.0.5:80", "127.example.com:80", "monitor:80"])
def test_an_address_that_others_reach_needs_a_token(tmp_path: Path, listen: str) -> None:
    assert "MONITORD_HTTP__TOKEN must be set" in only_mistake(tmp_path, "HTTP__LISTEN", listen)
    assert read(tmp_path, {"MONITORD_HTTP__LISTEN": listen, "MONITORD_HTTP__TOKEN": SECRET}).http.listen == listen


@pytest.mark.parametrize(
    "listen", ["8844", ":8844", "localhost", "::1:8844", "[::1]", "h:0", "h:65536", "h:x", "[h]:1"]
)
def test_what_is_no_address_to_listen_at(tmp_path: Path, listen: str) -> None:
    assert "write 127.0.0.1:8844 or [::1]:8844" in only_mistake(tmp_path, "HTTP__LISTEN", listen)


def test_a_ca_file_must_be_readable(tmp_path: Path) -> None:
    assert "cannot be read" in only_mistake(tmp_path, "POSTGRES__CA_FILE", str(tmp_path / "none.pem"))
    assert "cannot be read" in only_mistake(tmp_path, "POSTGRES__CA_FILE", str(tmp_path))
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    found = read(tmp_path, {"MONITORD_POSTGRES__CA_FILE": str(tmp_path / "ca.pem")}).postgres.ca_file
    assert found == tmp_path / "ca.pem"


def test_paths_may_begin_at_home(tmp_path: Path, home: Path) -> None:
    environ = {"MONITORD_STATE_DIR": "~/state", "MONITORD_PM2__HOME": "~/pm2"}
    settings = read(tmp_path, environ)
    assert (settings.state_dir, settings.pm2.home) == (home / "state", home / "pm2")
    only_mistake(tmp_path, "STATE_DIR", "~nobody-of-this-name/x")


@pytest.mark.parametrize(
    ("critical", "warning", "value"),
    [
        ("RESTARTS_CRITICAL", "RESTARTS_WARNING", "4"),
        ("SEAL_CRITICAL", "SEAL_WARNING", "1h"),
        ("DISK_CRITICAL", "DISK_WARNING", "69%"),
    ],
)
def test_critical_cannot_come_before_warning(tmp_path: Path, critical: str, warning: str, value: str) -> None:
    assert f"{value} is less than MONITORD_ORDERS__{warning}" in only_mistake(tmp_path, f"ORDERS__{critical}", value)


def test_a_warning_past_the_default_of_critical_is_told_of_the_default(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, {"MONITORD_ORDERS__DISK_WARNING": "90%"})
    assert mistake == "MONITORD_ORDERS__DISK_CRITICAL (default): 80% is less than MONITORD_ORDERS__DISK_WARNING, 90%"


def test_odd_but_harmless_pairs_are_no_mistakes(tmp_path: Path) -> None:
    environ = {
        "MONITORD_CHECK_INTERVAL": "1s",
        "MONITORD_PROBE_TIMEOUT": "1m",
        "MONITORD_ORDERS__FLOW_STALL": "500ms",
        "MONITORD_ORDERS__SEAL_WARNING": "2h",
        "MONITORD_ORDERS__SEAL_CRITICAL": "2h",
    }
    assert read(tmp_path, environ).probe_timeout == timedelta(minutes=1)


def test_an_epoch_is_whole_seconds(tmp_path: Path) -> None:
    assert "whole seconds" in only_mistake(tmp_path, "EPOCHS__LENGTH", "1.5s")
    assert read(tmp_path, {"MONITORD_EPOCHS__LENGTH": "20s"}).epochs.length == timedelta(seconds=20)


# Mistakes


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("MONITORD_CHEK_INTERVAL", "MONITORD_CHECK_INTERVAL"),
        ("MONITORD_POSTGRES_DSN", "MONITORD_POSTGRES__DSN"),
        ("MONITORD_ORDERS__DISK_WARN", "MONITORD_ORDERS__DISK_WARNING"),
        ("MONITORD_state_dir", "MONITORD_STATE_DIR"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_wherever_it_stands(tmp_path: Path, written: str, near: str) -> None:
    (mistake,) = mistakes(tmp_path, {written: SECRET})
    assert mistake == f"{written} (environment): there is no such setting; the nearest is {near}"
    (mistake,) = mistakes(tmp_path, dotenv=f"{written}={SECRET}\n")
    assert mistake == f"{written} (.env): there is no such setting; the nearest is {near}"


@pytest.mark.parametrize(
    ("toml", "written", "near"),
    [
        ("chek_interval = '1s'", "MONITORD_CHEK_INTERVAL", "MONITORD_CHECK_INTERVAL"),
        ("[orders]\ndisk_warn = 1", "MONITORD_ORDERS__DISK_WARN", "MONITORD_ORDERS__DISK_WARNING"),
        ("[postgress]\ndsn = 'x'", "MONITORD_POSTGRESS__DSN", "MONITORD_POSTGRES__DSN"),
    ],
)
def test_an_unknown_name_in_toml_is_told_the_nearest(tmp_path: Path, toml: str, written: str, near: str) -> None:
    (mistake,) = mistakes(tmp_path, toml=toml)
    assert mistake == f"{written} (monitord.toml): there is no such setting; the nearest is {near}"


def test_all_mistakes_of_all_sources_are_told_at_once_each_on_a_line(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        {
            "MONITORD_CHECK_INTERVAL": "30",
            "MONITORD_ORDERS__DISK_WARNING": "90%",
            "MONITORD_ORDERS__CONFIRMATIONS": "none",
            "MONITORD_HTTP__LISTEN": "0.0.0.0:80",
            "DATABASE_URL": "mysql://h/db",
        },
        dotenv="MONITORD_TYPO=1\nMONITORD_LOG_LEVEL=loud\n",
        toml="probe_timeout = 5\n",
    )
    assert {mistake.split(":")[0] for mistake in found} == {
        "MONITORD_CHECK_INTERVAL (environment)",
        "MONITORD_ORDERS__DISK_CRITICAL (default)",
        "MONITORD_ORDERS__CONFIRMATIONS (environment)",
        "MONITORD_HTTP__LISTEN (environment)",
        "DATABASE_URL (environment)",
        "MONITORD_TYPO (.env)",
        "MONITORD_LOG_LEVEL (.env)",
        "MONITORD_PROBE_TIMEOUT (monitord.toml)",
    }
    assert len(found) == 8


def test_a_wrong_value_is_not_also_told_that_it_does_not_fit(tmp_path: Path) -> None:
    environ = {"MONITORD_ORDERS__DISK_WARNING": "90%", "MONITORD_ORDERS__DISK_CRITICAL": "lots"}
    assert len(mistakes(tmp_path, environ)) == 1


def test_files_that_cannot_be_understood_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MONITORD_LOG_LEVEL=\xff\n")
    (tmp_path / "monitord.toml").write_text("this is = not = toml\n")
    found = mistakes(tmp_path)
    assert sorted(mistake.split(":")[0] for mistake in found) == [".env", "monitord.toml"]


def test_a_broken_line_of_ours_in_dotenv_is_named_but_not_quoted(tmp_path: Path) -> None:
    found = mistakes(tmp_path, dotenv=f"MONITORD_POSTGRES__DSN='{SECRET}\nMONITORD_LOG_LEVEL\n")
    assert [mistake.split(" ")[0] for mistake in found] == ["MONITORD_POSTGRES__DSN", "MONITORD_LOG_LEVEL"]
    assert SECRET not in "".join(found)


def test_whatever_is_quoted_a_mistake_stays_one_line(tmp_path: Path) -> None:
    found = mistakes(tmp_path, {"MONITORD_LOG_LEVEL": "a\nb\x1b[31m\u2028c\udcff", "MONITORD_X\nY": "1"})
    assert len(found) == 2
    assert all(mistake.isprintable() for mistake in found)


def test_a_file_nobody_may_read_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, dotenv="MONITORD_LOG_LEVEL=debug\n")
    (tmp_path / ".env").chmod(0)
    try:
        (tmp_path / ".env").read_text()
    except PermissionError:
        assert mistakes(tmp_path) == (".env: it cannot be read: Permission denied",)
    else:  # root reads everything
        assert read(tmp_path).log_level == "debug"
    finally:
        (tmp_path / ".env").chmod(stat.S_IRUSR)


# Showing them


def test_what_is_shown_can_be_read_again_and_means_the_same(tmp_path: Path) -> None:
    environ = {
        "MONITORD_CHECK_INTERVAL": "1h30m2.5s",
        "MONITORD_ORDERS__SERVICE_MEMORY": "1234567B",
        "MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME": '{"gateway": "2GiB"}',
        "MONITORD_ORDERS__DISK_WARNING": "66.6%",
        "MONITORD_ORDERS__SERVICES": '{"gätewäy": "online"}',
    }
    settings = read(tmp_path, environ)
    again = {name: text for name, text in described(settings) if text is not None}
    assert load(again, tmp_path).differences(settings) == ()
    assert [name for name, _ in described(settings)] == list(variables())


def test_no_secret_is_shown(tmp_path: Path) -> None:
    environ = {
        "MONITORD_POSTGRES__DSN": f"postgres://watcher:{SECRET}@h1:1,h2:2/db?sslmode=require&sslpassword={SECRET}",
        "MONITORD_REDIS__URL": f"rediss://:{SECRET}@h:6379/0",
        "MONITORD_HTTP__TOKEN": SECRET,
        "MONITORD_NOTIFY__URLS": f'["tgram://{SECRET}/1"]',
        "MONITORD_NOTIFY__WEBHOOK_URL": f"https://h/{SECRET}",
    }
    settings = read(tmp_path, environ)
    texts = dict(described(settings))
    assert texts["MONITORD_POSTGRES__DSN"] == "postgres://watcher:***@h1:1,h2:2/db?sslmode=require&sslpassword=***"
    assert texts["MONITORD_REDIS__URL"] == "rediss://:***@h:6379/0"
    assert texts["MONITORD_HTTP__TOKEN"] == "***"
    assert texts["MONITORD_NOTIFY__URLS"] == '["tgram://***"]'
    assert texts["MONITORD_NOTIFY__WEBHOOK_URL"] == "https://***"
    assert SECRET not in repr(settings) + str(settings)
    assert SECRET in settings.secrets()


def test_differences_are_named_by_variable(tmp_path: Path) -> None:
    old = read(tmp_path, {"MONITORD_HTTP__TOKEN": "one", "MONITORD_LOG_LEVEL": "info"})
    new = read(tmp_path, {"MONITORD_HTTP__TOKEN": "two", "MONITORD_ORDERS__DISK_WARNING": "60%"})
    assert new.differences(old) == ("MONITORD_HTTP__TOKEN", "MONITORD_ORDERS__DISK_WARNING")


def test_a_mistake_that_quotes_a_long_value_can_still_be_read(tmp_path: Path) -> None:
    told = only_mistake(tmp_path, "ORDERS__CONFIRMATIONS", "[" * 50_000)
    assert len(told) <= 601
    assert "whole number" in told


def test_a_periodic_service_may_name_its_rhythm(tmp_path: Path) -> None:
    written = '{"scout": "Periodic: 30m", "export": "periodic", "gateway": "online"}'
    orders = standing_orders(read(tmp_path, {"MONITORD_ORDERS__SERVICES": written}))
    assert orders.services == {"scout": "periodic", "export": "periodic", "gateway": "online"}
    assert orders.rhythms == {"scout": timedelta(minutes=30)}
    assert orders.run_schedules == {}


def test_a_periodic_service_may_name_its_schedule(tmp_path: Path) -> None:
    written = '{"scout": "periodic: 0 */2 * * *", "export": "periodic:30 6 * * 1-5"}'
    orders = standing_orders(read(tmp_path, {"MONITORD_ORDERS__SERVICES": written}))
    assert orders.services == {"scout": "periodic", "export": "periodic"}
    assert orders.run_schedules == {"scout": "0 */2 * * *", "export": "30 6 * * mon,tue,wed,thu,fri"}
    assert orders.rhythms == {}


def test_a_schedule_that_is_none_is_told_with_the_service_it_is_of(tmp_path: Path) -> None:
    mistake = only_mistake(tmp_path, "ORDERS__SERVICES", '{"scout": "periodic:0 25 * * *"}')
    assert "of scout" in mistake
    assert "'25' is no hour" in mistake


@pytest.mark.parametrize("written", ["periodic:", "periodic:soon", "periodic:0s"])
def test_a_rhythm_that_is_none_is_a_mistake(tmp_path: Path, written: str) -> None:
    mistake = only_mistake(tmp_path, "ORDERS__SERVICES", f'{{"scout": "{written}"}}')
    assert "names no rhythm; write periodic:30m" in mistake


def test_limits_of_numbers_are_written_as_those_of_checks(tmp_path: Path) -> None:
    written = (
        '{"web": {"HTTP p95": "> 500", "open orders": {"warning": "> 50", "critical": "> 200"}, "x": "off"}, '
        '"*": {"Heap Usage": {"critical": "outside 1..99"}}}'
    )
    settings = read(tmp_path, {"MONITORD_PM2__LIMITS": written})
    found = standing_orders(settings).number_limits
    assert {name: str(limits.warning) for name, limits in found["web"].items()} == {
        "HTTP p95": "> 500",
        "open orders": "> 50",
        "x": "None",
    }
    assert (str(found["web"]["open orders"].critical), str(found["*"]["Heap Usage"].critical)) == (
        "> 200",
        "outside 1..99",
    )
    assert shown(settings, "MONITORD_PM2__LIMITS") == written
    toml = read(tmp_path, toml='[pm2.limits.web]\n"HTTP p95" = "> 500"\n')
    assert str(standing_orders(toml).number_limits["web"]["HTTP p95"].warning) == "> 500"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ('["web"]', "it is not a map"),
        ('{"web": "> 5"}', "of web, it is no map from numbers to limits"),
        ('{"web": {}}', "of web, it is no map from numbers to limits"),
        ('{"web": {"HTTP p95": "500"}}', "of web, HTTP p95: '500' does not say which side of it is wrong; write > 500"),
        ('{"web": {"HTTP p95": 500}}', "of web, HTTP p95: it is no limit"),
        ('{"web": {"jobs": {"warn": "> 5"}}}', "of web, jobs: warn cannot be declared; what can is warning, critical"),
        ('{"web": {"jobs": {"critical": "5"}}}', "of web, jobs: critical: '5' does not say"),
        ('{"web": {"jobs": {}}}', "of web, jobs: it names no limit"),
        (
            '{"web": {"jobs": {"warning": "> 5", "critical": "> 3"}}}',
            "of web, jobs: critical, > 3, is reached before warning, > 5",
        ),
        ('{"web": {" ": "> 5"}}', "of web, it holds something that is no name of a number"),
        ('{"": {"jobs": "> 5"}}', "it holds something that is no name"),
    ],
)
def test_a_wrong_limit_of_a_number_is_told_by_the_operators_own_names(tmp_path: Path, wrong: str, why: str) -> None:
    assert why in only_mistake(tmp_path, "PM2__LIMITS", wrong)


def test_error_lines_of_a_service_are_a_number_or_off(tmp_path: Path) -> None:
    written = '{"web": {"errors": 200}, "worker": {"errors": "off"}}'
    settings = read(tmp_path, {"MONITORD_PM2__SERVICES": written})
    orders = standing_orders(settings)
    assert [orders.errors_of(name) for name in ("web", "worker", "api")] == [200.0, "off", None]
    assert json.loads(shown(settings, "MONITORD_PM2__SERVICES") or "") == json.loads(written)
    for wrong in ('"many"', "-1", "true", "[]"):
        assert "of web, errors: " in only_mistake(tmp_path, "PM2__SERVICES", f'{{"web": {{"errors": {wrong}}}}}')


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("m.example.com", "does not begin with"),
        ("ftp://m", "does not begin with"),
        ("https://", "names no host"),
        ("https://me:word@m", "no user and no password"),
        ("https://m/?a=b", "no query"),
        ("https://m:99999", "its port is none"),
        ("https://m /", "a space"),
    ],
)
def test_a_public_address_is_a_plain_one(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"MONITORD_HTTP__PUBLIC_URL.*{why}") as caught:
        read(tmp_path, {"MONITORD_HTTP__PUBLIC_URL": url})
    assert "word" not in str(caught.value.mistakes).replace("password", "")


def test_a_public_address_needs_a_page_behind_it(tmp_path: Path) -> None:
    assert read(tmp_path, {"MONITORD_HTTP__PUBLIC_URL": "https://m/a/"}).http.public_url == "https://m/a"
    with pytest.raises(SettingsError, match="nothing answers there"):
        read(tmp_path, {"MONITORD_HTTP__PUBLIC_URL": "https://m", "MONITORD_HTTP__LISTEN": ""})
