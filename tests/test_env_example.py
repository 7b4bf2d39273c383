""".env.example holds every setting there is, as a line that works when it is uncommented."""

import re
from pathlib import Path

import pytest

from monitord.config.loader import Settings, described, load, variables

EXAMPLE = Path(__file__).parents[1] / ".env.example"
LINE = re.compile(r"# ((MONITORD_[A-Z0-9_]+)=.*)")
HAVE_EXAMPLES = {
    "MONITORD_POSTGRES__TABLES",
    "MONITORD_EPOCHS__GROUPS",
    "MONITORD_EPOCHS__CEMENTED",
    "MONITORD_ORDERS__USER_FACING",
    "MONITORD_ORDERS__SEALED_BY",
    "MONITORD_ORDERS__FED_BY",
    "MONITORD_INSTANCE",
    "MONITORD_FLEET",
    "MONITORD_NOTIFY__WEBHOOK_SECRET",
    "MONITORD_NOTIFY__SEVERITY_BY_CHANNEL",
    "MONITORD_NOTIFY__QUIET_HOURS",
    "MONITORD_REPORT_VERDICT_SCHEDULE",
    "MONITORD_PM2__HOME",
    "MONITORD_POSTGRES__DSN",
    "MONITORD_POSTGRES__CA_FILE",
    "MONITORD_REDIS__URL",
    "MONITORD_REDIS__QUEUES",
    "MONITORD_HTTP__TOKEN",
    "MONITORD_NOTIFY__URLS",
    "MONITORD_NOTIFY__ALERTMANAGER_URL",
    "MONITORD_NOTIFY__WEBHOOK_URL",
    "MONITORD_NOTIFY__PAGERDUTY_KEY",
    "MONITORD_NOTIFY__PAGERDUTY_URL",
    "MONITORD_NOTIFY__HEARTBEAT_URL",
    "MONITORD_ORDERS__SERVICES",
    "MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME",
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written() -> list[tuple[str, str]]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return [(match[2], match[1]) for line in lines if (match := LINE.fullmatch(line))]


def uncommented(directory: Path) -> Settings:
    (directory / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (directory / ".env").write_text("\n".join(line for _, line in written()), encoding="utf-8")
    return load({}, directory)


def test_every_setting_is_in_it_once_and_no_other() -> None:
    assert sorted(name for name, _ in written()) == sorted(variables())


def test_copied_as_it_is_it_changes_nothing(directory: Path) -> None:
    (directory / ".env").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert all(line.startswith("#") or not line for line in EXAMPLE.read_text(encoding="utf-8").splitlines())
    assert load({}, directory).differences(Settings()) == ()


def test_with_every_line_uncommented_it_is_valid(directory: Path) -> None:
    texts = dict(described(uncommented(directory)))
    assert [name for name, text in texts.items() if text is None] == []


def test_what_it_shows_is_the_default_where_it_says_nothing_else(directory: Path) -> None:
    assert set(uncommented(directory).differences(Settings())) == HAVE_EXAMPLES
