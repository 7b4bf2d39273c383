"""`monitord config`, as people and scripts run it."""

import json
from pathlib import Path

from monitord.config.loader import variables

from .program import monitord

SECRET = "hunter2-and-more"


def test_it_shows_every_setting_in_a_table_that_lines_up(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_PROBE_TIMEOUT=2s\n")
    done = monitord("config", directory=tmp_path, settings={"MONITORD_CHECK_INTERVAL": "1m"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(variables())
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["MONITORD_CHECK_INTERVAL"] == ["environment", "1m"]
    assert rows["MONITORD_PROBE_TIMEOUT"] == [".env", "2s"]
    assert rows["MONITORD_LOG_LEVEL"] == ["default", "info"]
    assert rows["MONITORD_POSTGRES__DSN"] == ["default", "-"]
    columns = {line.index(" default ") for line in lines if " default " in line}
    assert len(columns) == 1


def test_as_json_it_is_one_document(tmp_path: Path) -> None:
    done = monitord("config", "--format", "json", directory=tmp_path, settings={"DATABASE_URL": "postgres://h/db"})
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert list(document) == list(variables())
    assert document["MONITORD_POSTGRES__DSN"] == {"value": "postgres://h/db", "source": "environment (DATABASE_URL)"}
    assert document["MONITORD_REDIS__URL"] == {"value": None, "source": "default"}


def test_what_is_set_to_nothing_is_at_its_default_and_says_what_it_takes_the_place_of(tmp_path: Path) -> None:
    (tmp_path / "monitord.toml").write_text('check_interval = "5m"\nprobe_timeout = "2s"\n')
    (tmp_path / ".env").write_text("MONITORD_PROBE_TIMEOUT=\n")
    empty = dict.fromkeys(("MONITORD_CHECK_INTERVAL", "MONITORD_PROBE_TIMEOUT", "MONITORD_FLEET"), "")
    empty |= {"MONITORD_POSTGRES__DSN": "", "DATABASE_URL": "postgres://h/db", "MONITORD_HTTP__LISTEN": ""}
    done = monitord("config", "--format", "json", directory=tmp_path, settings=empty)
    document = json.loads(done.stdout)
    for variable, value, source in (
        ("MONITORD_CHECK_INTERVAL", "30s", "environment (set to nothing, over monitord.toml)"),
        ("MONITORD_PROBE_TIMEOUT", "5s", "environment (set to nothing, over monitord.toml)"),
        ("MONITORD_FLEET", "", "environment (set to nothing)"),
        ("MONITORD_POSTGRES__DSN", None, "environment (set to nothing, over environment (DATABASE_URL))"),
        ("MONITORD_HTTP__LISTEN", "", "environment (set to nothing)"),
        ("MONITORD_REDIS__URL", None, "default"),
    ):
        assert document[variable] == {"value": value, "source": source}


def test_what_is_named_and_judged_by_nothing_is_said(tmp_path: Path) -> None:
    settings = {
        "MONITORD_REDIS__QUEUES": '["emails"]',
        "MONITORD_PM2__HOME": str(tmp_path),
        "MONITORD_ORDERS__SERVICES": '{"gateway": "online"}',
        "MONITORD_PM2__SERVICES": '{"gatewy": {"memory": "300MB"}, "gateway": {"memory": "300MB"}}',
    }
    done = monitord("config", directory=tmp_path, settings=settings)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "MONITORD_REDIS__QUEUES names emails, and Redis is not watched.",
        "MONITORD_PM2__SERVICES sets limits for gatewy, and MONITORD_ORDERS__SERVICES does not expect it.",
    ]


def test_secrets_are_masked(tmp_path: Path) -> None:
    settings = {
        "MONITORD_POSTGRES__DSN": f"postgres://u:{SECRET}@h/db",
        "MONITORD_HTTP__TOKEN": SECRET,
        "MONITORD_NOTIFY__URLS": f'["tgram://{SECRET}/1"]',
    }
    for style in ("text", "json"):
        done = monitord("config", "--format", style, directory=tmp_path, settings=settings)
        assert done.returncode == 0
        assert "postgres://u:***@h/db" in done.stdout
        assert SECRET not in done.stdout + done.stderr


def test_each_mistake_is_one_line_on_stderr_and_the_exit_code_is_two(tmp_path: Path) -> None:
    settings = {"MONITORD_CHECK_INTERVAL": "30", "MONITORD_TYPO": SECRET, "DATABASE_URL": f"mysql://u:{SECRET}@h/db"}
    for style in ("text", "json"):
        done = monitord("config", "--format", style, directory=tmp_path, settings=settings)
        assert (done.returncode, done.stdout) == (2, "")
        names = [line.split(" ")[0] for line in done.stderr.splitlines()]
        assert sorted(names) == ["DATABASE_URL", "MONITORD_CHECK_INTERVAL", "MONITORD_TYPO"]
        assert SECRET not in done.stderr


def test_what_stdout_cannot_encode_does_not_stop_it(tmp_path: Path) -> None:
    both = (
        "import sys; from monitord.__main__ import main\n"
        "sys.stdout.reconfigure(encoding='ascii', errors='strict')\n"
        "sys.exit(max(main(['config', '--format', style]) for style in ('text', 'json')))"
    )
    done = monitord("-c", both, directory=tmp_path, settings={"MONITORD_ORDERS__USER_FACING": '["gätewäy"]'})
    assert (done.returncode, done.stderr) == (0, "")
    assert "tew" in done.stdout


def test_an_address_that_only_a_driver_can_refuse_is_a_mistake_too(tmp_path: Path) -> None:
    settings = {"DATABASE_URL": f"postgresql://u:{SECRET}@h:99999/db", "REDIS_URL": f"redis://:{SECRET}@h/jobs"}
    done = monitord("config", directory=tmp_path, settings=settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [
        "MONITORD_POSTGRES__DSN (or DATABASE_URL)",
        "MONITORD_REDIS__URL (or REDIS_URL)",
    ]
    assert SECRET not in done.stderr
