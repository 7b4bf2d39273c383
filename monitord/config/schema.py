"""Every setting there is: its place, its kind, its default."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import Field, SecretStr, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitord.config import checks as c
from monitord.config import named as n
from monitord.config import routes as r
from monitord.config import types as t
from monitord.config.declared import JUDGED, DeclaredSection, SettingsSection, declared_section
from monitord.config.places import psql, redis_cli
from monitord.config.sources import PREFIX
from monitord.core import units
from monitord.core.model import Severity
from monitord.core.orders import DiskOrders, QueueOrders, ServiceOrders, TableOrders
from monitord.core.subjects.registry import registered
from monitord.masking import asked_of, parts_of, secrets_in

STATE_DIR: Final = "~/.local/state/monitord"
PM2_HOME: Final = "~/.pm2"
HeartbeatStyle = Literal["auto", "healthchecks", "plain"]
LogLevel = Literal["debug", "info", "warning", "error"]

T = TypeVar("T")


def _declared(by_name: Mapping[str, T], nothing: T) -> dict[str, T]:
    """Those of which anything is declared."""
    return {name: orders for name, orders in by_name.items() if orders != nothing}


class Pm2Settings(SettingsSection):
    """Where PM2 lives (None: not watched), and what is declared of single services and their numbers."""

    needs = "home"
    home: t.Directory | None = Field(default=None, description="where PM2 lives")
    services: Annotated[n.Services, JUDGED] = Field(default_factory=dict, description="limits of single services")
    limits: Annotated[n.NumberLimits, JUDGED] = Field(
        default_factory=dict, description="limits of the numbers that apps tell of themselves"
    )

    def orders(self) -> Mapping[str, object]:
        return {
            "service_by_name": _declared(self.services, ServiceOrders()),
            "number_limits": self.limits,
        }

    def place(self) -> str:
        return "" if self.home is None or self.home == Path(PM2_HOME).expanduser() else str(self.home)


class PostgresSettings(SettingsSection):
    """The database, and which tables' growth is judged, each by limits of its own where they are declared.

    No DSN: neither it nor the epochs are watched.
    """

    needs = "dsn"
    dsn: t.PostgresUri | None = Field(default=None, description="the database")
    ca_file: t.File | None = Field(default=None, description="the certificate of a private authority")
    # None: one fleet's own, where it is there.
    tables: Annotated[n.Tables | None, JUDGED] = Field(default=None, description="the tables whose growth is judged")

    def orders(self) -> Mapping[str, object]:
        by_name = _declared(self.tables or {}, TableOrders())
        return {"tables": None if self.tables is None else tuple(self.tables), "table_by_name": by_name}

    def place(self) -> str:
        return "" if self.dsn is None else psql(self.dsn.get_secret_value())


class EpochsSettings(SettingsSection):
    """The epoch calendar and the token groups, which are the same in whatever case."""

    length: t.EpochLength = Field(default=timedelta(hours=1), description="how long an epoch is")
    # None: as above.
    groups: Annotated[tuple[str, ...] | None, t.words('["A", "B"]', str.upper), JUDGED] = Field(
        default=None, description="the groups that are sealed together"
    )
    grace: Annotated[t.Duration, JUDGED] = Field(
        default=timedelta(minutes=15), description="how long after an epoch's end its seal may take"
    )
    cemented: Annotated[tuple[str, ...] | None, t.words('["A"]', str.upper), JUDGED] = Field(
        default=None, description="the groups whose channels are set"
    )

    def is_watched(self) -> bool:
        return self.groups != ()

    def orders(self) -> Mapping[str, object]:
        return {
            "epoch_length": self.length,
            "epoch_grace": self.grace,
            "groups": self.groups,
            "cemented": self.cemented,
        }


class RedisSettings(SettingsSection):
    """Redis, and the BullMQ queues in it: their names, or what is declared of each of them."""

    needs = "url"
    url: t.RedisUrl | None = Field(default=None, description="the server")
    queues: Annotated[n.Queues, JUDGED] = Field(default_factory=dict, description="the queues that are judged")
    prefix: n.KeyPrefix = Field(default="bull", description="what the keys of queues begin with")

    def orders(self) -> Mapping[str, object]:
        by_name = _declared(self.queues, QueueOrders())
        return {"queues": tuple(self.queues), "queue_prefix": self.prefix, "queue_by_name": by_name}

    def place(self) -> str:
        return "" if self.url is None else redis_cli(self.url.get_secret_value())


class HostSettings(SettingsSection):
    """The machine: a path on each file system to measure, or what is declared of each of them."""

    disks: Annotated[n.Disks, JUDGED] = Field(
        default_factory=lambda: {"/": DiskOrders()}, description="a path on each file system to watch"
    )

    def orders(self) -> Mapping[str, object]:
        return {"disks": tuple(self.disks), "disk_by_name": _declared(self.disks, DiskOrders())}


class HttpSettings(SettingsSection):
    """The page. An empty address: off."""

    listen: t.Listen = "127.0.0.1:8844"
    token: t.Token | None = None
    public_url: t.PublicUrl | None = Field(
        default=None,
        description="Where people find the page, behind a proxy perhaps: messages link to their alerts there.",
        examples=["https://monitord.example.com"],
    )


@dataclass(frozen=True, slots=True)
class AddressOf:
    """The channel of this name is configured where the setting is."""

    channel: str


class NotifySettings(SettingsSection):
    """The channels beside the log."""

    urls: t.Targets = ()
    webhook_url: Annotated[t.HttpUrl | None, AddressOf("webhook")] = None
    alertmanager_url: Annotated[t.HttpUrl | None, AddressOf("alertmanager")] = None
    webhook_secret: t.Token | None = None
    pagerduty_key: Annotated[t.Token | None, AddressOf("pagerduty")] = None
    pagerduty_url: t.HttpUrl | None = None  # the public one
    heartbeat_url: t.HttpUrl | None = None
    heartbeat_style: Annotated[HeartbeatStyle, t.word(*get_args(HeartbeatStyle))] = "auto"
    remind_every: t.Length = timedelta(hours=4)
    severity_by_channel: Annotated[dict[str, Severity], t.mapping('{"mailto": "critical"}', t.read_severity)] = Field(
        default_factory=dict
    )
    routes: r.Routes = Field(
        default_factory=dict,
        description="What a channel takes, by its name: a route or a list of them, each with severity, rules, "
        "subjects, hours, and after (what fired so long unacknowledged). A channel without one takes everything.",
        examples=['{"ntfy":{"severity":"critical","after":"15m"},"webhook":{"subjects":["shop*"]}}'],
    )
    quiet_hours: t.Hours = ""  # none
    runbooks: t.Lines = Field(
        default_factory=dict,
        description="What to do, as an address or a sentence, by rule or subject (shell patterns, the closest first).",
        examples=['{"web":"https://wiki.example.com/web","disk_*":"Free space as in the wiki."}'],
    )
    contacts: t.Lines = Field(
        default_factory=dict,
        description="Whom to contact, by rule or subject in the same way.",
        examples=['{"*":"on-call, +1 555 0100","web":"shop@example.com"}'],
    )

    @property
    def channel_names(self) -> tuple[str, ...]:
        """How the channels are called: an Apprise address by its scheme, a second one of the same with a number."""
        names = [channel for channel, field in self.addresses().items() if getattr(self, field) is not None]
        for url in self.urls:
            scheme = name = url.get_secret_value().partition("://")[0].lower()
            number = 1
            while name in names:
                number += 1
                name = f"{scheme}-{number}"
            names.append(name)
        return tuple(names)

    @classmethod
    def address_of(cls, channel: str) -> str:
        """The setting that has a channel of this name."""
        return cls.addresses().get(channel, "urls")

    @classmethod
    def addresses(cls) -> dict[str, str]:
        """By the channels that have a setting of their own: its name."""
        marked = ((mark, name) for name, field in cls.model_fields.items() for mark in field.metadata)
        return {mark.channel: name for mark, name in marked if isinstance(mark, AddressOf)}

    def orders(self) -> Mapping[str, object]:
        return {"remind_every": self.remind_every, "runbooks": self.runbooks, "contacts": self.contacts}


class OrdersSettings(SettingsSection):
    """The standing orders' thresholds."""

    is_judged = True

    services: Annotated[dict[str, str], t.mapping('{"web": "online"}', t.expected)] = Field(default_factory=dict)
    confirmations: t.Count = 2
    confirm_every: t.Duration = timedelta(seconds=5)
    service_memory: t.Size = 500_000_000
    service_memory_by_name: t.Sizes = Field(default_factory=dict)
    event_loop_latency: t.Length = timedelta(milliseconds=500)
    heap_full: t.Percent = 90.0
    heap_span: t.Duration = timedelta(minutes=10)
    startup_grace: t.Duration = timedelta(0)
    restarts_warning: t.Number = 5
    restarts_critical: t.Number = 20
    restarts_window: t.Length = timedelta(hours=1)
    growth_limit: t.Count = 1_000_000
    growth_window: t.Length = timedelta(hours=2)
    growth_steady: t.Count = 100_000
    flow_stall: t.Length = timedelta(minutes=15)
    learned_quiet_hours: t.Flag = True
    connections: t.Percent = 90.0
    transaction: t.Length = timedelta(hours=6)
    idle_transaction: t.Length = timedelta(minutes=30)
    lock_wait: t.Length = timedelta(minutes=5)
    standby_lag: t.Length = timedelta(minutes=10)
    xid_warning: t.Percent = 50.0
    xid_critical: t.Percent = 80.0
    seal_warning: t.Length = timedelta(hours=2)
    seal_critical: t.Length = timedelta(hours=4)
    disk_warning: t.Percent = 70.0
    disk_critical: t.Percent = 80.0
    host_memory: t.Size = 200_000_000
    host_cpu: t.Percent | None = None
    host_load: t.Positive | None = None
    host_swap: t.Percent | None = None
    service_cpu: t.CpuShare | None = None
    service_cpu_by_name: t.CpuShares = Field(default_factory=dict)
    busy_for: t.Length = timedelta(minutes=15)
    redis_memory: t.Percent = 90.0
    queue_waiting: t.Number = 5000
    queue_failed: t.Number = 50
    queue_window: t.Length = timedelta(hours=1)
    queue_stall: t.Length = timedelta(hours=1)
    queue_oldest: t.Length | None = None
    user_facing: Annotated[tuple[str, ...] | None, t.words('["web"]')] = None
    sealed_by: Annotated[dict[str, tuple[str, ...]] | None, t.patterns('{"A": ["sealer-*"]}', str.upper)] = None
    fed_by: Annotated[dict[str, tuple[str, ...]] | None, t.patterns('{"orders": ["shop-api"]}')] = None
    flapping_times: t.Count = 3
    flapping_window: t.Length = timedelta(hours=1)
    leak_span: t.Length = timedelta(hours=3)
    fill_span: t.Length = timedelta(hours=6)
    learned_warnings: t.Flag = True

    def orders(self) -> Mapping[str, object]:
        wanted = {name: written.partition(":") for name, written in self.services.items()}
        rhythms = {name: every for name, (_, _, every) in wanted.items() if every}
        return {
            **{name: getattr(self, name) for name in type(self).model_fields},
            "services": {name: word for name, (word, _, _) in wanted.items()},
            "rhythms": {name: units.duration(every) for name, every in rhythms.items() if " " not in every},
            "run_schedules": {name: every for name, every in rhythms.items() if " " in every},
        }


class Settings(BaseSettings):
    """Every setting, valid. Build it with `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    state_dir: t.Directory = Field(default_factory=lambda: Path(STATE_DIR).expanduser())
    check_interval: Annotated[t.Length, JUDGED] = timedelta(seconds=30)
    report_schedule: t.Schedule = "0 */2 * * *"
    report_verdict_schedule: t.Schedule = ""  # off
    probe_timeout: Annotated[t.Length, JUDGED] = timedelta(seconds=5)
    log_level: Annotated[LogLevel, t.word(*get_args(LogLevel))] = "info"
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
    checks: Annotated[c.Checks, JUDGED] = Field(default_factory=dict, description="checks of one's own")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the interface hands in all of them
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` gathered: it distinguishes an unknown name from a foreign one, and where a value is from."""
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
                    if isinstance(value, tuple) and isinstance(self._section_of(name), DeclaredSection):
                        found |= set(asked_of(text))  # what is asked at an address: its host is no secret
                        continue
                    found |= set(secrets_in(text)) if name in ADDRESSES else {text, text.partition("://")[2] or text}
                    if name not in ADDRESSES and "://" in text:
                        found |= set(parts_of(text))
        for check in self.checks.values():
            found |= set(check.secrets())
        # A host's name may well stand in an address, and is in every line.
        return frozenset(found - {self.instance, self.fleet})

    def _section_of(self, variable: str) -> object:
        return getattr(self, paths(type(self))[variable][0])


def variable_of(*path: str) -> str:
    """The variable of a field, by the names on the way to it."""
    return PREFIX + "__".join(path).upper()


def section_kind(settings: type[Settings], name: str) -> type[SettingsSection] | None:
    """The section of this name; None where it is a setting by itself, or nothing."""
    kind = settings.model_fields[name].annotation if name in settings.model_fields else None
    return kind if isinstance(kind, type) and issubclass(kind, SettingsSection) else None


def sections(settings: Settings) -> Iterator[tuple[str, SettingsSection]]:
    """(name, section), in the order of the schema."""
    for name in type(settings).model_fields:
        if isinstance(section := getattr(settings, name), SettingsSection):
            yield name, section


def settings_class() -> type[Settings]:
    """Settings, with a section for each subject that declares its own.

    Raises:
        ValueError: one has the name of another setting, or a setting is of a kind that none can be.
    """
    return _with_sections(
        tuple((one.name, one.settings, one.needs) for one in registered() if one.settings is not None)
    )


@cache
def _with_sections(declared: tuple[tuple[str, type[object], str], ...]) -> type[Settings]:
    if not declared:
        return Settings
    if taken := [name for name, _, _ in declared if name in Settings.model_fields]:
        raise ValueError(f"{', '.join(taken)}: monitord has settings of this name")
    made = {name: declared_section(name, settings, needs) for name, settings, needs in declared}
    fields: dict[str, Any] = {name: (section, section()) for name, section in made.items()}
    return create_model("Settings", __base__=Settings, **fields)


@cache
def paths(settings: type[Settings]) -> dict[str, tuple[str, ...]]:
    """Variable -> where it stands in Settings, in the order of the schema."""
    found: dict[str, tuple[str, ...]] = {}
    for name in settings.model_fields:
        section = section_kind(settings, name)
        for path in ((name,),) if section is None else ((name, inner) for inner in section.model_fields):
            found[variable_of(*path)] = path
    return found


# Secrets of which only the password is secret.
ADDRESSES: Final = (variable_of("postgres", "dsn"), variable_of("redis", "url"))


def flat(settings: Settings) -> Iterator[tuple[str, object]]:
    """(variable, value), in the order of the schema."""
    for variable, (name, *inner) in paths(type(settings)).items():
        value = getattr(settings, name)
        yield variable, getattr(value, inner[0]) if inner else value
