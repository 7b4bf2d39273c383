"""Every setting there is: its place, its kind, its default."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitord.config import named as n
from monitord.config import types as t
from monitord.config.sources import PREFIX
from monitord.core.model import Severity
from monitord.masking import parts_of, secrets_in

STATE_DIR: Final = "~/.local/state/monitord"
PM2_HOME: Final = "~/.pm2"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Pm2Settings(_Section):
    """Where PM2 lives. None: not watched."""

    home: t.Directory | None = None


class PostgresSettings(_Section):
    """The database, and which tables' growth is judged. No DSN: neither it nor the epochs are watched."""

    dsn: t.PostgresUri | None = None
    ca_file: t.File | None = None
    tables: Annotated[tuple[str, ...] | None, t.words('["orders"]')] = None  # one fleet's own, where it is there


class EpochsSettings(_Section):
    """The epoch calendar and the token groups, which are the same in whatever case."""

    length: t.EpochLength = timedelta(hours=1)
    groups: Annotated[tuple[str, ...] | None, t.words('["A", "B"]', str.upper)] = None  # as above
    grace: t.Duration = timedelta(minutes=15)
    cemented: Annotated[tuple[str, ...] | None, t.words('["A"]', str.upper)] = None


class RedisSettings(_Section):
    """Redis, and the BullMQ queues in it: their names, or what is declared of each of them."""

    url: t.RedisUrl | None = None
    queues: n.Queues = Field(default_factory=dict)
    prefix: n.KeyPrefix = "bull"


class HostSettings(_Section):
    """The machine: a path on each file system to look at."""

    disks: Annotated[tuple[str, ...], t.words('["/"]')] = ("/",)


class HttpSettings(_Section):
    """The page. An empty address: off."""

    listen: t.Listen = "127.0.0.1:8844"
    token: t.Token | None = None


class NotifySettings(_Section):
    """The channels beside the log."""

    urls: t.Targets = ()
    alertmanager_url: t.HttpUrl | None = None
    webhook_url: t.HttpUrl | None = None
    webhook_secret: t.Token | None = None
    pagerduty_key: t.Token | None = None
    pagerduty_url: t.HttpUrl | None = None  # the public one
    heartbeat_url: t.HttpUrl | None = None
    heartbeat_style: Annotated[Literal["auto", "healthchecks", "plain"], t.word("auto", "healthchecks", "plain")] = (
        "auto"
    )
    remind_every: t.Length = timedelta(hours=4)
    severity_by_channel: Annotated[
        dict[str, Severity], t.mapping('{"mailto": "critical"}', t.one_of("warning", "critical"))
    ] = Field(default_factory=dict)
    quiet_hours: t.Hours = ""  # none

    @property
    def channel_names(self) -> tuple[str, ...]:
        """How the channels are called: an Apprise address by its scheme, a second one of the same with a number."""
        names = [
            *(["webhook"] if self.webhook_url is not None else []),
            *(["alertmanager"] if self.alertmanager_url is not None else []),
            *(["pagerduty"] if self.pagerduty_key is not None else []),
        ]
        for url in self.urls:
            scheme = name = url.get_secret_value().partition("://")[0].lower()
            number = 1
            while name in names:
                number += 1
                name = f"{scheme}-{number}"
            names.append(name)
        return tuple(names)


class OrdersSettings(_Section):
    """The standing orders' thresholds."""

    services: Annotated[dict[str, str], t.mapping('{"web": "online"}', t.expected)] = Field(default_factory=dict)
    confirmations: t.Count = 2
    confirm_every: t.Duration = timedelta(seconds=5)
    service_memory: t.Size = 500_000_000
    service_memory_by_name: t.Sizes = Field(default_factory=dict)
    startup_grace: t.Duration = timedelta(0)
    restarts_warning: t.Number = 5
    restarts_critical: t.Number = 20
    restarts_window: t.Length = timedelta(hours=1)
    growth_limit: t.Count = 1_000_000
    growth_window: t.Length = timedelta(hours=2)
    growth_steady: t.Count = 100_000
    flow_stall: t.Length = timedelta(minutes=15)
    seal_warning: t.Length = timedelta(hours=2)
    seal_critical: t.Length = timedelta(hours=4)
    disk_warning: t.Percent = 70.0
    disk_critical: t.Percent = 80.0
    host_memory: t.Size = 200_000_000
    queue_waiting: t.Number = 5000
    user_facing: Annotated[tuple[str, ...] | None, t.words('["web"]')] = None
    sealed_by: Annotated[dict[str, tuple[str, ...]] | None, t.patterns('{"A": ["sealer-*"]}', str.upper)] = None
    fed_by: Annotated[dict[str, tuple[str, ...]] | None, t.patterns('{"orders": ["shop-api"]}')] = None
    flapping_times: t.Count = 3
    flapping_window: t.Length = timedelta(hours=1)
    leak_span: t.Length = timedelta(hours=3)
    fill_span: t.Length = timedelta(hours=6)
    learned_warnings: t.Flag = True


class Settings(BaseSettings):
    """Every setting, valid. Build it with `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    state_dir: t.Directory = Field(default_factory=lambda: Path(STATE_DIR).expanduser())
    check_interval: t.Length = timedelta(seconds=30)
    report_schedule: t.Schedule = "0 */2 * * *"
    report_verdict_schedule: t.Schedule = ""  # off
    probe_timeout: t.Length = timedelta(seconds=5)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], t.word("debug", "info", "warning", "error")] = (
        "info"
    )
    log_retention: t.Length = timedelta(hours=48)
    instance: t.Label = Field(default_factory=socket.gethostname)
    fleet: t.Label = ""
    pm2: Pm2Settings = Pm2Settings()
    postgres: PostgresSettings = PostgresSettings()
    epochs: EpochsSettings = EpochsSettings()
    redis: RedisSettings = RedisSettings()
    host: HostSettings = HostSettings()
    http: HttpSettings = HttpSettings()
    notify: NotifySettings = NotifySettings()
    orders: OrdersSettings = OrdersSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the interface hands in all of them
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` gathered: it tells an unknown name from a foreign one, and where a value is from."""
        return (init_settings,)

    def differences(self, other: Settings) -> tuple[str, ...]:
        """The variables in which the two differ."""
        mine, theirs = dict(flat(self)), dict(flat(other))
        return tuple(name for name in mine if mine[name] != theirs[name])

    def secrets(self) -> frozenset[str]:
        """The texts that must never be shown: tokens, passwords, and addresses to notify that are secrets whole."""
        found: set[str] = set()
        for name, value in flat(self):
            for secret in value if isinstance(value, tuple) else (value,):
                if isinstance(secret, SecretStr):
                    text = secret.get_secret_value()
                    found |= set(secrets_in(text)) if name in ADDRESSES else {text, text.partition("://")[2] or text}
                    if name not in ADDRESSES and "://" in text:
                        found |= set(parts_of(text))
        # A host's name may well stand in an address, and is in every line.
        return frozenset(found - {self.instance, self.fleet})


def variable_of(*path: str) -> str:
    """The variable of a field, by the names on the way to it."""
    return PREFIX + "__".join(path).upper()


def section_of(name: str) -> type[BaseModel] | None:
    """The section of this name; None where it is a field of Settings itself, or nothing."""
    kind = Settings.model_fields[name].annotation if name in Settings.model_fields else None
    return kind if isinstance(kind, type) and issubclass(kind, _Section) else None


def _paths() -> Iterator[tuple[str, ...]]:
    for name in Settings.model_fields:
        if (section := section_of(name)) is None:
            yield (name,)
        else:
            yield from ((name, inner) for inner in section.model_fields)


# Variable -> where it stands in Settings, in the order of the schema.
PATHS: Final = {variable_of(*path): path for path in _paths()}
# Secrets of which only the password is secret.
ADDRESSES: Final = (variable_of("postgres", "dsn"), variable_of("redis", "url"))


def flat(settings: Settings) -> Iterator[tuple[str, Any]]:
    """(variable, value), in the order of the schema."""
    for variable, (name, *inner) in PATHS.items():
        value = getattr(settings, name)
        yield variable, getattr(value, inner[0]) if inner else value
