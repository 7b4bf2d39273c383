"""Every setting there is: its place, its kind, its default. What is held of them are plain values.

`schema.py` makes pydantic's models of these classes, which alone look at the annotations: how a setting is written. Who
holds settings loads neither.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, make_dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from monitord.config.sections import DeclaredSection, SettingsSection, names_of, option, psql, redis_cli
from monitord.core import units
from monitord.core.model import Severity
from monitord.core.orders import DiskOrders, QueueOrders, ServiceOrders, TableOrders
from monitord.core.subjects.registry import registered
from monitord.masking import Secret, asked_of, parts_of, secrets_in

if TYPE_CHECKING:
    from monitord.config import check_types as c
    from monitord.config import named as n
    from monitord.config import types as t
    from monitord.config.types import JUDGED

PREFIX: Final = "MONITORD_"
ALIASES: Final = {
    "PM2_HOME": f"{PREFIX}PM2__HOME",
    "DATABASE_URL": f"{PREFIX}POSTGRES__DSN",
    "REDIS_URL": f"{PREFIX}REDIS__URL",
}
STATE_DIR: Final = "~/.local/state/monitord"
PM2_HOME: Final = "~/.pm2"
HeartbeatStyle = Literal["auto", "healthchecks", "plain"]
LogLevel = Literal["debug", "info", "warning", "error"]

T = TypeVar("T")


def _declared(by_name: Mapping[str, T], nothing: T) -> dict[str, T]:
    return {name: orders for name, orders in by_name.items() if orders != nothing}


def _of_each(setting: str) -> dict[str, str]:
    """What a map is meant for where one value for all services is asked for."""
    return {"values": setting, "maps": "pm2.services"}


def _of_all(setting: str) -> dict[str, str]:
    """What one value is meant for where a map is asked for, and what a map of maps."""
    return {"value": setting, "maps": "pm2.services"}


@dataclass(frozen=True)
class Pm2Settings(SettingsSection):
    """Where PM2 lives (None: not watched), and what is declared of single services and their numbers."""

    needs = "home"
    home: t.Directory | None = option(None, description="where PM2 lives")
    services: Annotated[n.Services, JUDGED] = option(
        made=dict,
        description="limits of single services",
        meant={"names": "orders.services", "values": "orders.services"},
    )
    limits: Annotated[n.NumberLimits, JUDGED] = option(
        made=dict, description="limits of the numbers that apps tell of themselves"
    )

    def orders(self) -> Mapping[str, object]:
        return {"service_by_name": _declared(self.services, ServiceOrders()), "number_limits": self.limits}

    def place(self) -> str:
        return "" if self.home is None or self.home == Path(PM2_HOME).expanduser() else str(self.home)


@dataclass(frozen=True)
class PostgresSettings(SettingsSection):
    """The database, and which tables' growth is judged. No DSN: neither it nor the epochs are watched."""

    needs = "dsn"
    dsn: t.PostgresUri | None = option(None, description="the database")
    ca_file: t.File | None = option(None, description="the certificate of a private authority")
    # None: one fleet's own, where it is there.
    tables: Annotated[n.Tables | None, JUDGED] = option(None, description="the tables whose growth is judged")

    def orders(self) -> Mapping[str, object]:
        by_name = _declared(self.tables or {}, TableOrders())
        return {"tables": None if self.tables is None else tuple(self.tables), "table_by_name": by_name}

    def place(self) -> str:
        return "" if self.dsn is None else psql(self.dsn.get_secret_value())


@dataclass(frozen=True)
class EpochsSettings(SettingsSection):
    """The epoch calendar and the token groups, which are the same in whatever case."""

    length: t.EpochLength = option(timedelta(hours=1), description="how long an epoch is")
    # None: as above.
    groups: Annotated[tuple[str, ...] | None, t.words('["A", "B"]', str.upper), JUDGED] = option(
        None, description="the groups that are sealed together"
    )
    grace: Annotated[t.Duration, JUDGED] = option(
        timedelta(minutes=15), description="how long after an epoch's end its seal may take"
    )
    cemented: Annotated[tuple[str, ...] | None, t.words('["A"]', str.upper), JUDGED] = option(
        None, description="the groups whose channels are set"
    )

    def is_watched(self) -> bool:
        return self.groups != ()

    def orders(self) -> Mapping[str, object]:
        own = {"groups": self.groups, "cemented": self.cemented}
        return {"epoch_length": self.length, "epoch_grace": self.grace, **own}


@dataclass(frozen=True)
class RedisSettings(SettingsSection):
    """Redis, and the BullMQ queues in it: their names, or what is declared of each of them."""

    needs = "url"
    url: t.RedisUrl | None = option(None, description="the server")
    queues: Annotated[n.Queues, JUDGED] = option(made=dict, description="the queues that are judged")
    prefix: n.KeyPrefix = option("bull", description="what the keys of queues begin with")

    def orders(self) -> Mapping[str, object]:
        by_name = _declared(self.queues, QueueOrders())
        return {"queues": tuple(self.queues), "queue_prefix": self.prefix, "queue_by_name": by_name}

    def place(self) -> str:
        return "" if self.url is None else redis_cli(self.url.get_secret_value())


@dataclass(frozen=True)
class HostSettings(SettingsSection):
    """The machine: a path on each file system to measure, or what is declared of each of them."""

    disks: Annotated[n.Disks, JUDGED] = option(
        made=lambda: {"/": DiskOrders()}, description="a path on each file system to watch"
    )

    def orders(self) -> Mapping[str, object]:
        return {"disks": tuple(self.disks), "disk_by_name": _declared(self.disks, DiskOrders())}


@dataclass(frozen=True)
class HttpSettings(SettingsSection):
    """The page. An empty address: off."""

    listen: t.Listen = "127.0.0.1:8844"
    token: t.Token | None = None
    public_url: t.PublicUrl | None = option(
        None,
        description="Where people find the page, behind a proxy perhaps: messages link to their alerts there.",
        examples=["https://monitord.example.com"],
    )


@dataclass(frozen=True)
class NotifySettings(SettingsSection):
    """The channels beside the log."""

    urls: t.Targets = ()
    webhook_url: t.HttpUrl | None = option(None, channel="webhook")
    alertmanager_url: t.HttpUrl | None = option(None, channel="alertmanager")
    webhook_secret: t.Token | None = None
    pagerduty_key: t.Token | None = option(None, channel="pagerduty")
    pagerduty_url: t.HttpUrl | None = None  # the public one
    heartbeat_url: t.HttpUrl | None = None
    heartbeat_style: Annotated[HeartbeatStyle, t.word(*get_args(HeartbeatStyle))] = "auto"
    remind_every: t.Length = timedelta(hours=4)
    severity_by_channel: Annotated[dict[str, Severity], t.mapping('{"mailto": "critical"}', t.read_severity)] = option(
        made=dict, meant={"maps": "notify.routes"}
    )
    routes: n.Routes = option(
        made=dict,
        description="What a channel takes, by its name: a route or a list of them, each with severity, rules, "
        "subjects, hours, and after (what fired so long unacknowledged). A channel without one takes everything.",
        examples=['{"ntfy":{"severity":"critical","after":"15m"},"webhook":{"subjects":["shop*"]}}'],
    )
    quiet_hours: t.Hours = ""  # none
    runbooks: t.Lines = option(
        made=dict,
        description="What to do, as an address or a sentence, by rule or subject (shell patterns, the closest first).",
        examples=['{"web":"https://wiki.example.com/web","disk_*":"Free space as in the wiki."}'],
    )
    contacts: t.Lines = option(
        made=dict,
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
        return cls.addresses().get(channel, "urls")

    @classmethod
    def addresses(cls) -> dict[str, str]:
        """By the channels that have a setting of their own: its name."""
        return {field.metadata["channel"]: field.name for field in fields(cls) if field.metadata.get("channel")}

    def orders(self) -> Mapping[str, object]:
        return {"remind_every": self.remind_every, "runbooks": self.runbooks, "contacts": self.contacts}


@dataclass(frozen=True)
class OrdersSettings(SettingsSection):
    """The standing orders' thresholds."""

    is_judged = True

    services: Annotated[dict[str, str], t.mapping('{"web": "online"}', t.expected)] = option(
        made=dict, meant={"maps": "pm2.services"}
    )
    confirmations: t.Count = 2
    confirm_every: t.Duration = timedelta(seconds=5)
    service_memory: t.Size = option(500_000_000, meant=_of_each("orders.service_memory_by_name"))
    service_memory_by_name: t.Sizes = option(made=dict, meant=_of_all("orders.service_memory"))
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
    service_cpu: t.CpuShare | None = option(None, meant=_of_each("orders.service_cpu_by_name"))
    service_cpu_by_name: t.CpuShares = option(made=dict, meant=_of_all("orders.service_cpu"))
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
            **dict(self.items()),
            "services": {name: word for name, (word, _, _) in wanted.items()},
            "rhythms": {name: units.duration(every) for name, every in rhythms.items() if " " not in every},
            "run_schedules": {name: every for name, every in rhythms.items() if " " in every},
        }


@dataclass(frozen=True)
class Settings:
    """Every setting, valid, as plain values. Build it with `load`."""

    state_dir: t.Directory = option(made=lambda: Path(STATE_DIR).expanduser())
    check_interval: Annotated[t.Length, JUDGED] = timedelta(seconds=30)
    report_schedule: t.Schedule = "0 */2 * * *"
    report_verdict_schedule: t.Schedule = ""  # off
    probe_timeout: Annotated[t.Length, JUDGED] = timedelta(seconds=5)
    log_level: Annotated[LogLevel, t.word(*get_args(LogLevel))] = "info"
    log_retention: t.Length = timedelta(hours=48)
    instance: t.Label = option(made=socket.gethostname)
    fleet: t.Label = ""
    pm2: Pm2Settings = Pm2Settings()
    postgres: PostgresSettings = PostgresSettings()
    epochs: EpochsSettings = EpochsSettings()
    redis: RedisSettings = RedisSettings()
    host: HostSettings = HostSettings()
    http: HttpSettings = HttpSettings()
    notify: NotifySettings = NotifySettings()
    orders: OrdersSettings = OrdersSettings()
    checks: Annotated[c.Checks, JUDGED] = option(made=dict, description="checks of one's own")

    def differences(self, other: Settings) -> tuple[str, ...]:
        mine, theirs = dict(flat(self)), dict(flat(other))
        return tuple(name for name in mine if mine[name] != theirs[name])

    def secrets(self) -> frozenset[str]:
        """The texts that must never be shown: tokens, passwords, and addresses to notify that are secrets whole."""
        found: set[str] = set()
        for name, value in flat(self):
            for secret in value if isinstance(value, tuple) else (value,):
                if isinstance(secret, Secret):
                    text = secret.get_secret_value()
                    section = getattr(self, paths(type(self))[name][0])
                    if isinstance(value, tuple) and isinstance(section, DeclaredSection):
                        found |= set(asked_of(text))  # what is asked at an address: its host is no secret
                        continue
                    found |= set(secrets_in(text)) if name in ADDRESSES else {text, text.partition("://")[2] or text}
                    if name not in ADDRESSES and "://" in text:
                        found |= set(parts_of(text))
        for check in self.checks.values():
            found |= set(check.secrets())
        # A host's name may well stand in an address, and is in every line.
        return frozenset(found - {self.instance, self.fleet})


class SettingsError(Exception):
    """The settings are wrong. `mistakes` is one line per mistake, naming the variable, never a secret's value."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def variable_of(*path: str) -> str:
    """The variable of a field, by the names on the way to it."""
    return PREFIX + "__".join(path).upper()


def field_of(variable: str) -> Field[Any] | None:
    """How a setting is declared; None of one that a subject declares itself."""
    name, *inner = paths(settings_kind())[variable]
    field: Field[Any] = settings_kind().__dataclass_fields__[name]
    section: Any = type(field.default)
    return section.__dataclass_fields__.get(inner[0]) if inner else field


def with_alias(variable: str) -> str:
    """A variable as a mistake in its value names it, wherever it was set: also by the name that others know it by."""
    other = next((alias for alias, known in ALIASES.items() if known == variable), None)
    return variable if other is None else f"{variable} (or {other})"


# Secrets of which only the password is secret.
ADDRESSES: Final = (variable_of("postgres", "dsn"), variable_of("redis", "url"))


def settings_kind() -> type[Settings]:
    """Settings, with a section for each subject that declares its own; ValueError where its name is taken."""
    return _with_sections(declared_settings())


def declared_settings() -> tuple[tuple[str, type[Any], str], ...]:
    """Name, settings and what is needed of them, of each subject that declares its own."""
    return tuple((one.name, one.settings, one.needs) for one in registered() if one.settings is not None)


@cache
def _with_sections(declared: tuple[tuple[str, type[object], str], ...]) -> type[Settings]:
    if not declared:
        return Settings
    if taken := [name for name, _, _ in declared if name in names_of(Settings)]:
        raise ValueError(f"{', '.join(taken)}: monitord has settings of this name")
    more = [(name, DeclaredSection, option(DeclaredSection(kind(), needs))) for name, kind, needs in declared]
    return make_dataclass("Settings", more, bases=(Settings,), frozen=True)


def sections(settings: Settings) -> Iterator[tuple[str, SettingsSection]]:
    """(name, section), in the order of the schema."""
    for name in names_of(type(settings)):
        if isinstance(section := getattr(settings, name), SettingsSection):
            yield name, section


def paths(settings: type[Settings]) -> Mapping[str, tuple[str, ...]]:
    """Variable -> where it stands in Settings, in the order of the schema."""
    kind: Any = settings  # a class is hashable, whatever its instances are
    return _paths(kind)


@cache
def _paths(settings: type[Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for field in fields(settings):
        default: object = field.default
        inner = [name for name, _ in default.items()] if isinstance(default, SettingsSection) else None
        for path in ((field.name,),) if inner is None else ((field.name, name) for name in inner):
            found[variable_of(*path)] = path
    return found


def flat(settings: Settings) -> Iterator[tuple[str, object]]:
    """(variable, value), in the order of the schema."""
    for name in names_of(type(settings)):
        value = getattr(settings, name)
        if isinstance(value, SettingsSection):
            yield from ((variable_of(name, inner), each) for inner, each in value.items())
        else:
            yield variable_of(name), value
