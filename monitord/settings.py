"""The settings: every MONITORD_* variable as one frozen object, or every mistake in them at once. Knows no driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitord import values
from monitord.core.orders import Expected, StandingOrders
from monitord.settings_sources import PREFIX, Gathered, gather


class SettingsError(Exception):
    """The settings are wrong. `mistakes` is one line per mistake, naming the variable, never a secret's value."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


# How single values are read. Each of these raises ValueError with a sentence.


def _text(read: Callable[[str], Any]) -> BeforeValidator:
    def validate(value: object) -> object:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, int | float) and not isinstance(value, bool):  # a number in monitord.toml
            return read(str(value))
        return value

    return BeforeValidator(validate)


def _json(example: str) -> BeforeValidator:
    def validate(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(f"is not JSON; write it like {example}") from None

    return BeforeValidator(validate)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def _cron(text: str) -> str:
    from apscheduler.triggers.cron import CronTrigger  # needs zone data and regular expressions: only when asked

    try:
        CronTrigger.from_crontab(text, timezone="UTC")
    except (ValueError, KeyError) as error:
        raise ValueError(f"{text!r} is no cron expression of five fields such as '0 */2 * * *' ({error})") from None
    return text


def _dsn(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// or postgres://")
    return _splits(text)


def _redis_url(text: str) -> str:
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return _splits(text)


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return _splits(text)


def _splits(text: str) -> str:
    try:
        urlsplit(text)
    except ValueError:
        raise ValueError("is no address that can be taken apart") from None
    return text


def _listen(text: str) -> str:
    if text:
        listen_address(text)
    return text


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8844` or `[::1]:8844`. ValueError with a sentence for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or not 0 < int(port) < 65536 or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r} is no address to listen at; write 127.0.0.1:8844 or [::1]:8844")
    return host.strip("[]"), int(port)


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None


def _once(items: tuple[str, ...]) -> tuple[str, ...]:
    """The items in order, each once; names are words, never nothing."""
    if any(not item.strip() for item in items):
        raise ValueError("has an empty name in it")
    return tuple(dict.fromkeys(items))


def _once_whatever_case(items: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for item in _once(items):
        first.setdefault(item.upper(), item)
    return tuple(first.values())


def _expand(path: Path) -> Path:
    return path.expanduser()


_DurationText = PlainSerializer(values.duration_text)
Duration = Annotated[timedelta, _text(values.duration), _DurationText]
Length = Annotated[timedelta, _text(values.duration), AfterValidator(_positive), _DurationText]
Size = Annotated[int, _text(values.size), Field(ge=0), PlainSerializer(values.size_text)]
Percent = Annotated[float, _text(values.percent), PlainSerializer(lambda value: f"{value:g}%")]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]

Names = Annotated[tuple[str, ...], _json('["one", "two"]'), AfterValidator(_once)]
Groups = Annotated[tuple[str, ...], _json('["MILO", "CLS"]'), AfterValidator(_once_whatever_case)]
Home = Annotated[Path, AfterValidator(_expand)]
File = Annotated[Path, AfterValidator(_expand), AfterValidator(_readable)]


def _read(read: Callable[[str], str]) -> BeforeValidator:
    """A text that is looked at, or put in order, before it becomes what it is."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Pm2(_Section):
    """Where PM2 lives. None: not watched."""

    home: Home | None = None


class Postgres(_Section):
    """The database, and which tables' growth is judged. No DSN: neither it nor the epochs are watched."""

    dsn: Annotated[SecretStr, _read(_dsn)] | None = None
    ca_file: File | None = None
    tables: Names = ("user_signals",)


class Epochs(_Section):
    """The epoch calendar and the token groups."""

    length: Length = timedelta(hours=1)
    groups: Groups = ("MILO", "CLS")
    grace: Duration = timedelta(minutes=15)


class Redis(_Section):
    """Redis, and the BullMQ queues in it."""

    url: Annotated[SecretStr, _read(_redis_url)] | None = None
    queues: Names = ()


class Host(_Section):
    """The machine: a path on each file system to look at."""

    disks: Names = ("/",)


class Http(_Section):
    """The page. An empty address: off."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8844"
    token: SecretStr | None = None


class Notify(_Section):
    """The ways out beside the log."""

    urls: Annotated[tuple[SecretStr, ...], _json('["ntfy://topic"]')] = ()
    alertmanager_url: Annotated[SecretStr, _read(_http_url)] | None = None
    webhook_url: Annotated[SecretStr, _read(_http_url)] | None = None
    heartbeat_url: Annotated[SecretStr, _read(_http_url)] | None = None
    remind_every: Length = timedelta(hours=4)


class Orders(_Section):
    """The standing orders' thresholds."""

    services: Annotated[dict[str, Expected], _json('{"gateway": "online"}')] = Field(default_factory=dict)
    confirmations: Count = 2
    confirm_every: Duration = timedelta(seconds=5)
    service_memory: Size = 500_000_000
    service_memory_by_name: Annotated[dict[str, Size], _json('{"gateway": "800MB"}')] = Field(default_factory=dict)
    startup_grace: Duration = timedelta(0)
    restarts_warning: Number = 5
    restarts_critical: Number = 20
    restarts_window: Length = timedelta(hours=1)
    growth_limit: Count = 1_000_000
    growth_window: Length = timedelta(hours=2)
    growth_steady: Count = 100_000
    flow_stall: Length = timedelta(minutes=15)
    seal_warning: Length = timedelta(hours=2)
    seal_critical: Length = timedelta(hours=4)
    disk_warning: Percent = 70.0
    disk_critical: Percent = 80.0
    host_memory: Size = 200_000_000
    queue_waiting: Number = 5000
    user_facing: Names = ("gateway",)


class Settings(BaseSettings):
    """Every setting, valid. Build it with `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=False)

    state_dir: Home = Field(default_factory=lambda: Path("~/.local/state/monitord").expanduser())
    check_interval: Length = timedelta(seconds=30)
    report_schedule: Annotated[str, AfterValidator(_cron)] = "0 */2 * * *"
    probe_timeout: Length = timedelta(seconds=5)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _read(str.lower)] = "info"
    log_retention: Length = timedelta(hours=48)
    pm2: Pm2 = Pm2()
    postgres: Postgres = Postgres()
    epochs: Epochs = Epochs()
    redis: Redis = Redis()
    host: Host = Host()
    http: Http = Http()
    notify: Notify = Notify()
    orders: Orders = Orders()

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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """What no single value can be wrong about. The message begins with the variable it is about."""
        orders = self.orders
        pairs = (
            ("RESTARTS", orders.restarts_warning, orders.restarts_critical),
            ("SEAL", orders.seal_warning, orders.seal_critical),
            ("DISK", orders.disk_warning, orders.disk_critical),
        )
        wrong = [
            f"{PREFIX}ORDERS__{name}_CRITICAL: must not be less than {PREFIX}ORDERS__{name}_WARNING"
            for name, warning, critical in pairs
            if cast("Any", critical) < warning
        ]
        if self.epochs.length.total_seconds() % 1:
            wrong.append(f"{PREFIX}EPOCHS__LENGTH: must be whole seconds, as labels are")
        if self.http.listen and self.http.token is None:
            host, _ = listen_address(self.http.listen)
            if host not in ("localhost", "::1") and not host.startswith("127."):
                wrong.append(f"{PREFIX}HTTP__LISTEN: {host} is no loopback address, so {PREFIX}HTTP__TOKEN must be set")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def differences(self, other: Settings) -> tuple[str, ...]:
        """The variables in which the two differ."""
        mine, theirs = dict(_flat(self)), dict(_flat(other))
        return tuple(name for name in mine if mine[name] != theirs[name])


# Accepted, and without effect until the parts they are for are there.
WITHOUT_EFFECT: Final = tuple(
    f"{PREFIX}{name}"
    for name in (
        "HTTP__LISTEN",
        "HTTP__TOKEN",
        "NOTIFY__URLS",
        "NOTIFY__ALERTMANAGER_URL",
        "NOTIFY__WEBHOOK_URL",
        "NOTIFY__HEARTBEAT_URL",
        "NOTIFY__REMIND_EVERY",
    )
)


def _flat(settings: Settings) -> Iterator[tuple[str, Any]]:
    """(variable, value), in the order of the schema."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, _Section):
            for inner in type(value).model_fields:
                yield f"{PREFIX}{name.upper()}__{inner.upper()}", getattr(value, inner)
        else:
            yield f"{PREFIX}{name.upper()}", value


def variables() -> tuple[str, ...]:
    """Every variable there is, in the order of the schema."""
    return tuple(name for name, _ in _flat(Settings()))


def load(environ: Mapping[str, str], directory: Path) -> Settings:
    """The settings of `environ`, and of `.env` and `monitord.toml` in `directory`.

    Raises:
        SettingsError: with every mistake there is.
    """
    return load_with_sources(environ, directory)[0]


def load_with_sources(environ: Mapping[str, str], directory: Path) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each variable that is set the source it came from."""
    gathered = gather(environ, directory, variables())
    content: dict[str, Any] = {}
    for variable, raw in gathered.values.items():
        section, _, inner = variable.removeprefix(PREFIX).lower().partition("__")
        if inner:
            content.setdefault(section, {})[inner] = raw.value
        else:
            content[section] = raw.value
    if f"{PREFIX}PM2__HOME" not in gathered.values and (default := Path("~/.pm2").expanduser()).is_dir():
        content.setdefault("pm2", {})["home"] = str(default)
    try:
        settings = Settings(**content)
    except ValidationError as error:
        gathered.mistakes += _mistakes(error, gathered)
    if gathered.mistakes:
        raise SettingsError(tuple(dict.fromkeys(gathered.mistakes)))
    return settings, {variable: raw.source for variable, raw in gathered.values.items()}


def _mistakes(error: ValidationError, gathered: Gathered) -> Iterator[str]:
    """One line per mistake: the variable as the operator wrote it, and the value's problem."""
    for problem in error.errors(include_url=False, include_input=False):
        reason = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        place = [str(part) for part in problem["loc"]]
        if not place:  # of _fits_together: each of its lines names its variable
            yield from reason.split("\n")
            continue
        depth = 2 if place[0] in Settings.model_fields and _is_section(place[0]) else 1
        variable = PREFIX + "__".join(part.upper() for part in place[:depth])
        raw = gathered.values.get(variable)
        inside = f" ({'.'.join(place[depth:])})" if len(place) > depth and place[depth] != "[key]" else ""
        yield f"{raw.variable if raw else variable}: {reason[:1].lower()}{reason[1:]}{inside}"


def _is_section(name: str) -> bool:
    kind = Settings.model_fields[name].annotation
    return isinstance(kind, type) and issubclass(kind, _Section)


def standing_orders(settings: Settings) -> StandingOrders:
    """What core judges by."""
    probes = {"host"}
    if settings.pm2.home is not None:
        probes.add("pm2")
    if settings.postgres.dsn is not None:
        probes |= {"postgres", "epochs"}
    if settings.redis.url is not None:
        probes.add("redis")
    return StandingOrders(
        **{name: getattr(settings.orders, name) for name in Orders.model_fields},
        tables=settings.postgres.tables,
        groups=settings.epochs.groups,
        epoch_length=settings.epochs.length,
        epoch_grace=settings.epochs.grace,
        disks=settings.host.disks,
        queues=settings.redis.queues,
        late_after=max(3 * settings.check_interval, 2 * settings.probe_timeout),
        probes=frozenset(probes),
    )
