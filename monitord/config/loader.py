"""The settings: every MONITORD_* variable as one frozen object, or every mistake in them at once. Knows no driver."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from monitord.config import check_types
from monitord.config.judging import places, standing_orders
from monitord.config.listening import is_loopback, listen_address
from monitord.config.schema import read_settings, section_kind, settings_class, written
from monitord.config.sections import DeclaredSection, SettingsSection, of_subject
from monitord.config.settings import (
    ADDRESSES,
    PM2_HOME,
    STATE_DIR,
    NotifySettings,
    Settings,
    SettingsError,
    field_of,
    paths,
    settings_kind,
    variable_of,
)
from monitord.config.sources import GatheredValues, RawValues, gather
from monitord.core.orders import DiskOrders, ServiceOrders
from monitord.core.subjects.guard import BrokenError
from monitord.core.subjects.registry import added, set_aside, title_of
from monitord.masking import MASK, Secret, mask, mask_address

# What others import from here that is defined elsewhere.
__all__ = ["Settings", "SettingsError", "places", "standing_orders"]

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_LINE: Final = 600


def variables() -> tuple[str, ...]:
    return tuple(paths(settings_kind()))


def load(environ: Mapping[str, str], directory: Path) -> Settings:
    """The settings of `environ`, and of `.env` and `monitord.toml` in `directory`; SettingsError with every mistake."""
    return load_with_sources(environ, directory)[0]


def load_with_sources(environ: Mapping[str, str], directory: Path) -> tuple[Settings, dict[str, str]]:
    """As `load`, and for each variable that is set its source: `environment`, `.env` or `monitord.toml`.

    Where the value was set under another name, the source says so: `environment (DATABASE_URL)`.
    """
    gathered, given = _gathered(environ, directory)
    if _broken(_nested(given)):
        gathered, given = _gathered(environ, directory)
    content = _nested(given)
    try:
        settings = read_settings(content)
        wrong: set[str] = set()
    except ValidationError as error:
        problems = list(_problems(error, given))
        wrong = {variable for variable, _ in problems}
        gathered.mistakes += [f"{_called(given, variable)}: {reason}" for variable, reason in problems]
        # With the defaults in their place, so that what does not fit together is reported with the rest.
        rest = _nested({name: raw for name, raw in given.items() if name not in wrong})
        settings = read_settings({"state_dir": Path("/"), **rest})
    gathered.mistakes += [
        f"{_called(given, about)}: {reason}"
        for about, also, reason in _misfits(settings)
        if not wrong.intersection((about, also))
    ]
    if gathered.mistakes:
        raise SettingsError(tuple(dict.fromkeys(map(_line, gathered.mistakes))))
    return settings, {name: raw.where(name) for name, raw in given.items()}


def set_to_nothing(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """By variable that is set to nothing: where, and where the value stands that it so takes the place of."""
    return {
        name: f"{raw.source} (set to nothing{f', over {raw.over}' if raw.over else ''})"
        for name, raw in gather(environ, directory, variables()).values.items()
        if raw.value == ""
    }


def _gathered(environ: Mapping[str, str], directory: Path) -> tuple[GatheredValues, dict[str, RawValues]]:
    unread = tuple(variable_of(subject.name, "") for subject in added() if subject.broken)
    gathered = gather(environ, directory, variables(), unread)
    return gathered, {name: raw for name, raw in gathered.values.items() if raw.value != "" or name in _off()}


def _broken(content: Mapping[str, Any]) -> bool:
    """Whether the settings of a package fail inside, which no value of them is wrong for: its subject is set aside."""
    is_any = False
    for subject in added():
        if (kind := section_kind(subject.name)) is None:
            continue
        try:
            section = kind(**content.get(subject.name, {})).plain()
            _ = of_subject(section), section.is_watched()
        except ValidationError:  # reported with the rest
            continue
        except Exception as error:  # noqa: BLE001 - whatever a package raises costs that package
            is_any = True
            set_aside(subject.name, subject.package, BrokenError(type(error).__name__), "its settings failed inside")
    return is_any


def _off() -> dict[str, str | None]:
    """What it means to set one of these to nothing; for all others, that nothing is set."""
    off: dict[str, str | None] = {variable_of("http", "listen"): "", variable_of("pm2", "home"): None}
    for name, field in settings_class().model_fields.items():
        if isinstance(section := field.default, DeclaredSection) and section.needs:
            off[variable_of(name, section.needs)] = ""
    return off


def _nested(given: Mapping[str, RawValues]) -> dict[str, Any]:
    """What Settings is made of. Those two defaults that depend on the machine are resolved here."""
    content: dict[str, Any] = {"state_dir": STATE_DIR}
    with suppress(RuntimeError, OSError):  # no home, or none that may be read
        if variable_of("pm2", "home") not in given and Path(PM2_HOME).expanduser().is_dir():
            content["pm2"] = {"home": PM2_HOME}
    known, off = paths(settings_kind()), _off()
    for variable, raw in given.items():
        *section, name = known[variable]
        value = off.get(variable) if raw.value == "" else raw.value
        (content.setdefault(section[0], {}) if section else content)[name] = value
    return content


def _problems(error: ValidationError, given: Mapping[str, RawValues]) -> Iterator[tuple[str, str]]:
    for problem in error.errors(include_url=False, include_input=False):
        section = section_kind(str(problem["loc"][0]))
        depth = 1 if section is None else 2
        variable, place = variable_of(*map(str, problem["loc"][:depth])), problem["loc"][depth:]
        if place:
            yield variable, check_types.mistake(place, problem)
            continue
        by_shape = {} if (field := field_of(variable)) is None else field.metadata.get("meant", {})
        meant = by_shape.get(shape_of(given[variable].value)) if variable in given else None
        hint = f"; did you mean {variable_of(*meant.split('.'))}?" if meant else ""
        yield variable, problem["msg"].removeprefix("Value error, ") + hint


def _misfits(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What no single value can be wrong about: the variable it is reported for, the other one, and half a sentence."""
    orders = settings.orders
    for name in ("restarts", "seal", "disk", "xid"):
        critical, warning = (variable_of("orders", f"{name}_{level}") for level in ("critical", "warning"))
        if getattr(orders, f"{name}_critical") < getattr(orders, f"{name}_warning"):
            yield critical, warning, f"{shown(settings, critical)} is less than {warning}, {shown(settings, warning)}"
    for path, disk in settings.host.disks.items():
        low = orders.disk_warning if disk.warning is None else disk.warning
        high = orders.disk_critical if disk.critical is None else disk.critical
        if disk != DiskOrders() and high < low:
            reason = f"of {path}, critical is {high:g}%, less than warning, {low:g}%"
            yield variable_of("host", "disks"), variable_of("orders", "disk_critical"), reason
    for name, service in settings.pm2.services.items():
        fewest = orders.restarts_warning if service.restarts_warning is None else service.restarts_warning
        most = orders.restarts_critical if service.restarts_critical is None else service.restarts_critical
        if service != ServiceOrders() and most < fewest:
            reason = f"of {name}, restarts_critical is {most}, less than restarts_warning, {fewest}"
            yield variable_of("pm2", "services"), variable_of("orders", "restarts_critical"), reason
    listen, token = variable_of("http", "listen"), variable_of("http", "token")
    if settings.http.listen and settings.http.token is None:
        host, _ = listen_address(settings.http.listen)
        if not is_loopback(host):
            yield listen, token, f"others can reach {host}, so {token} must be set"
    if settings.http.public_url is not None and not settings.http.listen:
        public = variable_of("http", "public_url")
        yield public, listen, f"nothing answers there, as {listen} is empty"
    own = variable_of("checks")
    for name, check in settings.checks.items():
        section = getattr(settings, check.server, None) if check.server else None
        if isinstance(section, SettingsSection) and not section.is_watched():
            needed = variable_of(check.server, section.needs)
            yield own, needed, f"of the check {name}, it asks {title_of(check.server)}, so {needed} must be set"
        if check.is_reported and not settings.http.listen:
            yield own, listen, f"of the check {name}, it is reported over HTTP, and {listen} is empty"
    known = settings.notify.channel_names
    for setting in ("severity_by_channel", "routes"):
        for name in getattr(settings.notify, setting):
            if name not in known:
                # Where the address that would bear the name is wrong itself, that is the mistake.
                also, by_channel = NotifySettings.address_of(name), variable_of("notify", setting)
                ways = f"there are {', '.join(known)}" if known else "none is set"
                yield by_channel, variable_of("notify", also), f"{name!r} is not a configured channel; {ways}"


def shape_of(value: Any) -> str:
    """What was written, by its shape: `names` (a list), `values` or `maps` by name, or one `value`."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, dict):
        return "maps" if any(isinstance(each, dict) for each in value.values()) else "values"
    return "names" if isinstance(value, list) else "value"


def _called(given: Mapping[str, RawValues], variable: str) -> str:
    raw = given.get(variable)
    return f"{variable} (default)" if raw is None else f"{raw.variable} ({raw.source})"


def _line(mistake: str) -> str:
    """A mistake as one line that can be read, whatever was quoted in it and however long it is."""
    line = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", mask(mistake))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]}…{line[-_LONGEST_LINE // 2 :]}"


def described(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """(variable, its value as it could be written, None where it is not set), with no secret in it."""
    for variable in paths(type(settings)):
        yield variable, shown(settings, variable)


def shown(settings: Settings, variable: str) -> str | None:
    """The value of a variable as it could be written, its secrets masked; None where it is not set."""
    name, *inner = paths(type(settings))[variable]
    value = getattr(settings, name)
    if inner:
        value = dict(value.items())[inner[0]]
    if value is None or isinstance(value, Secret):
        return None if value is None else _hidden(variable, value)
    if isinstance(value, tuple):
        items = [_hidden(variable, item) if isinstance(item, Secret) else item for item in value]
        return json.dumps(items, ensure_ascii=False)
    plain = written(settings, variable)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _hidden(variable: str, secret: Secret) -> str:
    text = secret.get_secret_value()
    if variable in ADDRESSES:
        return mask(text)
    return mask_address(text) if variable.startswith(variable_of("notify", "")) else MASK
