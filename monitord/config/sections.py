"""Sections of the settings as they are held: plain values. How they are read is in `schema.py`, with pydantic.

And how a person's shell gets to a server that one names: a command that holds no password.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from monitord.core.codec import encode
from monitord.core.subjects.base import SettingText
from monitord.masking import Secret

_NOT_SHOWN: Final = ("password", "sslpassword", "passfile")


def option(
    default: object = dataclasses.MISSING,
    description: str = "",
    *,
    made: Callable[[], object] | None = None,
    examples: Sequence[str] = (),
    channel: str = "",
    meant: Mapping[str, str] | None = None,
) -> Any:
    """A setting beside its type: its default, or what makes it; `channel` is configured where the setting is.

    `meant`: by the shape of a value (`shape_of`) the setting that people mean who write such a one here.
    """
    shown = {"description": description or None, "examples": list(examples) or None}
    metadata: dict[str, object] = {**shown, "channel": channel, "meant": meant or {}}
    if made is not None:
        return field(default_factory=made, metadata=metadata)
    return field(default=default, metadata=metadata)


class SettingsSection:
    """A part of the settings: that of one subject, by the subject's name, or of something else."""

    # The setting without which the subject is not watched ("": it always is).
    needs: str = ""
    # Whether each of its settings changes judgement alone; else those do that are marked as JUDGED.
    is_judged: ClassVar[bool] = False

    def is_watched(self) -> bool:
        """Whether the subject is to be watched, as far as its own settings say."""
        return not self.needs or getattr(self, self.needs) is not None

    def orders(self) -> Mapping[str, object]:
        """The fields of the standing orders that it sets; None where a default holds that nobody named."""
        return {}

    def place(self) -> str:
        """How a person's shell gets to the subject; "" where no setting says."""
        return ""

    def items(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of each setting, those that are secret as `Secret`."""
        for name in names_of(type(self)):
            yield name, getattr(self, name)


@dataclass(frozen=True)
class DeclaredSection(SettingsSection):
    """The section of a subject that declares its own settings. `given` are they: what its probe is made of."""

    given: Any = field(repr=False)
    needs: str = ""

    def is_watched(self) -> bool:
        return not self.needs or bool(getattr(self.given, self.needs))

    def items(self) -> Iterator[tuple[str, Any]]:
        for own in dataclasses.fields(self.given):
            value = getattr(self.given, own.name)
            yield own.name, _hidden(value) if text_of(own).secret else value


def names_of(kind: type[Any]) -> tuple[str, ...]:
    return tuple(own.name for own in dataclasses.fields(kind))


def of_subject(section: SettingsSection) -> Mapping[str, Any] | None:
    """What the standing orders hold of it: its settings as JSON, but for the secret ones. None of any other section."""
    if not isinstance(section, DeclaredSection):
        return None
    values = section.given
    secrets = {
        own.name: default_of(own) if (known := text_of(own).known) is None else known(getattr(values, own.name))
        for own in dataclasses.fields(values)
        if text_of(own).secret
    }
    found: dict[str, Any] = encode(dataclasses.replace(values, **secrets))
    return found


def default_of(own: dataclasses.Field[Any]) -> Any:
    return own.default if own.default_factory is dataclasses.MISSING else own.default_factory()


def text_of(own: dataclasses.Field[Any]) -> SettingText:
    text: SettingText = own.metadata["setting"]
    return text


def _hidden(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_hidden(each) for each in value)
    return Secret(value) if isinstance(value, str) else value


def psql(dsn: str) -> str:
    """A command with a connection URI: psql asks for the password, or finds it in ~/.pgpass."""
    scheme, _, rest = dsn.partition("://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    who = f"{user}@" if (user := userinfo.partition(":")[0]) else ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _NOT_SHOWN]
    address = f"{scheme}://{who}{hosts}{slash}{path}{f'?{urlencode(kept)}' if kept else ''}"
    return f"psql {quote(address)}"


def redis_cli(url: str) -> str:
    """A command with an address: redis-cli asks for the password where there is one."""
    return " ".join(("redis-cli", *_arguments(url)))


def _arguments(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        yield f"-s {quote(unquote(parts.path))}"
        number = dict(parse_qsl(parts.query)).get("db")
        if number:
            yield f"-n {quote(number)}"
    else:
        hosts = parts.netloc.rpartition("@")[2]
        yield f"-u {quote(f'{parts.scheme}://{hosts}{parts.path}')}"
    if parts.password is not None:
        if parts.username:
            yield f"--user {quote(unquote(parts.username))}"
        yield "--askpass"
