"""Settings changed for a trial: by what names, which of them, and what is said of mistakes."""

from datetime import timedelta
from pathlib import Path

import pytest

from monitord.config.loader import SettingsError, standing_orders
from monitord.config.overrides import tried

ENV = {"MONITORD_STATE_DIR": "/tmp/state", "MONITORD_ORDERS__SERVICE_MEMORY": "400MB"}


@pytest.mark.parametrize(
    "name",
    [
        "MONITORD_ORDERS__SERVICE_MEMORY",
        "ORDERS__SERVICE_MEMORY",
        "orders__service_memory",
        "Orders.Service_Memory",
        "monitord_orders.service_memory",
        " orders.service_memory ",
    ],
)
def test_a_setting_is_named_with_or_without_its_prefix_in_any_case(tmp_path: Path, name: str) -> None:
    trial = tried([f"{name}=300MB"], ENV, tmp_path)
    assert trial.settings.orders.service_memory == 300_000_000
    assert trial.present.orders.service_memory == 400_000_000
    assert trial.changes == {"MONITORD_ORDERS__SERVICE_MEMORY": "300MB"}


def test_what_is_tried_stands_over_the_environment_and_the_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_EPOCHS__GRACE=5m\nMONITORD_ORDERS__CONFIRMATIONS=7\n")
    trial = tried(["epochs.grace=20m"], ENV, tmp_path)
    assert trial.settings.epochs.grace == timedelta(minutes=20)
    assert trial.settings.orders.confirmations == 7
    assert trial.present.epochs.grace == timedelta(minutes=5)


def test_the_last_of_several_wins_and_nothing_is_the_default(tmp_path: Path) -> None:
    assert tried(["orders.confirmations=3", "ORDERS__CONFIRMATIONS=4"], ENV, tmp_path).changes == {
        "MONITORD_ORDERS__CONFIRMATIONS": "4"
    }
    assert tried(["orders.service_memory="], ENV, tmp_path).changes == {"MONITORD_ORDERS__SERVICE_MEMORY": "500MB"}


def test_a_value_may_be_json_with_signs_of_its_own(tmp_path: Path) -> None:
    trial = tried(['orders.service_memory_by_name={"a=b.c": "1GB"}'], ENV, tmp_path)
    assert trial.settings.orders.service_memory_by_name == {"a=b.c": 1_000_000_000}


def test_limits_of_single_services_may_be_tried(tmp_path: Path) -> None:
    trial = tried(['pm2.services={"web": {"restarts_warning": 2}}'], ENV, tmp_path)
    assert standing_orders(trial.settings).restart_limits("web") == (2, 20)


@pytest.mark.parametrize(
    ("assignment", "mistake"),
    [
        ("orders.service_memry=1GB", "there is no such setting; the nearest is MONITORD_ORDERS__SERVICE_MEMORY"),
        ("log_level=debug", "--set log_level: it changes nothing about how what was recorded is judged"),
        ("postgres.dsn=postgresql://u:secret@h/d", "--set postgres.dsn: it changes nothing"),
        ("orders.confirmations", "write NAME=VALUE"),
        ("=3", "write NAME=VALUE"),
        ("", "write NAME=VALUE"),
        ("orders.service_memory=300", "MONITORD_ORDERS__SERVICE_MEMORY (--set): '300' has no unit"),
        ("orders.disk_warning=90%", "MONITORD_ORDERS__DISK_CRITICAL (default): 80% is less than"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_wrong(tmp_path: Path, assignment: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as error:
        tried([assignment], ENV, tmp_path)
    (line,) = error.value.mistakes
    assert mistake in line
    assert "secret" not in line


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        tried(["nothing=1", "log_level=debug"], ENV, tmp_path)
    assert len(error.value.mistakes) == 2


def test_mistakes_in_the_settings_as_they_are_come_first(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        tried(["nothing=1"], {**ENV, "MONITORD_ORDERS__CONFIRMATIONS": "0"}, tmp_path)
    (line,) = error.value.mistakes
    assert line.startswith("MONITORD_ORDERS__CONFIRMATIONS (environment)")
