"""Sections of the settings, and those that subjects declare (`setting` in monitord/core/subjects/base.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, create_model

from monitord.config import named as n
from monitord.config import types as t
from monitord.core.codec import encode
from monitord.core.orders import ServiceOrders
from monitord.core.subjects.base import SettingText


class Judged:
    """The mark of a setting that changes judgement alone, so that `backtest` may try another value."""


JUDGED: Final = Judged()


class SettingsSection(BaseModel):
    """A part of the settings: that of one subject, by the subject's name, or of something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    # The setting without which the subject is not watched ("": it always is).
    needs: ClassVar[str] = ""
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


class DeclaredSection(SettingsSection):
    """The section of a subject that declares its own settings."""

    kind: ClassVar[type[Any]]

    def values(self) -> Any:
        """The settings as the subject declared them: what its probe is made of."""
        return self.kind(**{name: _plain(getattr(self, name)) for name in type(self).model_fields})

    def is_watched(self) -> bool:
        return not self.needs or bool(_plain(getattr(self, self.needs)))


def of_subject(section: SettingsSection) -> Mapping[str, Any] | None:
    """What the standing orders hold of it: its settings as JSON, but for the secret ones. None of any other section."""
    if not isinstance(section, DeclaredSection):
        return None
    values = section.values()
    secrets = {
        name: _default(field) if (known := _text(field).known) is None else known(getattr(values, name))
        for name, field in _fields(section.kind).items()
        if _text(field).secret
    }
    found: dict[str, Any] = encode(dataclasses.replace(values, **secrets))
    return found


def declared_section(name: str, kind: type[Any], needs: str) -> type[DeclaredSection]:
    """The section of the subject `name`, by its dataclass.

    Raises:
        ValueError: a setting is of a kind that none can be, or was not made by `setting`.
    """
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if "setting" not in field.metadata:
            raise ValueError(f"{name}.{field.name} is not made by `setting`")
        text = _text(field)
        read = _kind(hints[field.name], text, f"{name}.{field.name}")
        default = _default(field)
        if text.secret and isinstance(default, str):
            default = SecretStr(default)
        fields[field.name] = (
            Annotated[read, _checked(text.check)],
            Field(default, description=text.means, examples=[text.example] if text.example else None),
        )
    section = create_model(f"{kind.__name__}Section", __base__=DeclaredSection, **fields)
    section.kind, section.needs = kind, needs
    return section


def judged(section: type[BaseModel]) -> tuple[str, ...]:
    """The settings that change judgement alone: those that are marked so, or all of them."""
    if not issubclass(section, DeclaredSection):
        every = issubclass(section, SettingsSection) and section.is_judged
        return tuple(name for name, field in section.model_fields.items() if every or JUDGED in field.metadata)
    return tuple(name for name, field in _fields(section.kind).items() if _text(field).judged)


def _checked(check: Callable[[Any], object]) -> AfterValidator:
    def after(value: Any) -> Any:
        check(_plain(value))
        return value

    return AfterValidator(after)


def _kind(hint: Any, text: SettingText, called: str) -> Any:
    """How a setting of this type is read."""
    kinds = [each for each in get_args(hint) if each is not type(None)] if type(None) in get_args(hint) else [hint]
    (kind,) = kinds if len(kinds) == 1 else (None,)
    if text.secret:
        several = Annotated[tuple[SecretStr, ...], t.targets(text.example)]
        one = t.Token if text.known is None else t.SecretJson
        read: Any = one if kind is str else several if kind == tuple[str, ...] else None
    elif get_origin(kind) is Literal:
        read = Annotated[kind, t.word(*get_args(kind))]
    elif kind == tuple[str, ...]:
        read = Annotated[kind, t.words(text.example or '["name"]')]
    elif get_origin(kind) is Mapping and kind in _MAPS:
        read = Annotated[kind, t.mapping(text.example or '{"name": …}', _MAPS[kind])]
    else:
        read = _KINDS.get(kind)
    if read is None:
        raise ValueError(f"{called} is of a kind that no setting is: {hint}")
    return read if kind is hint else read | None


_KINDS: Mapping[Any, Any] = {
    str: t.Text,
    int: t.Number,
    float: t.Decimal,
    bool: t.Flag,
    timedelta: t.Duration,
    Mapping[str, ServiceOrders]: n.Processes,
}

_MAPS: Mapping[Any, Callable[[object], object]] = {Mapping[str, str]: t.read_text, Mapping[str, float]: t.read_decimal}


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _fields(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind)}


def _text(field: dataclasses.Field[Any]) -> SettingText:
    text: SettingText = field.metadata["setting"]
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return value.get_secret_value() if isinstance(value, SecretStr) else value
