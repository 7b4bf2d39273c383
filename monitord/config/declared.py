"""pydantic's models of classes that hold plain values: by them is read what was written, and written what is held.

Those of the settings that subjects declare, too (`setting` in monitord/core/subjects/base.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from monitord.config import named as n
from monitord.config import types as t
from monitord.config.sections import DeclaredSection, default_of, text_of
from monitord.core.orders import ServiceOrders
from monitord.core.subjects.base import SettingText
from monitord.masking import Secret


class PlainModel(BaseModel):
    """The model of a class, `kind`, whose annotations say how each of its fields is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)
    kind: ClassVar[type[Any]]

    def plain(self) -> Any:
        """What was read, as it is held. ValueError where its parts do not go together."""
        return self.kind(**{name: getattr(self, name) for name in type(self).model_fields})

    @classmethod
    def of(cls, held: object) -> PlainModel:
        return cls.model_construct(
            **{field.alias or name: getattr(held, name) for name, field in cls.model_fields.items()}
        )


def model_of(kind: type[Any], names: Mapping[str, Any]) -> type[PlainModel]:
    """The model of a dataclass; `names` are those in its annotations that only a type checker knows there."""
    model = create_model(kind.__name__, __base__=PlainModel, __doc__=kind.__doc__, **fields_of(kind, names))
    model.kind = kind
    return model


def fields_of(kind: type[Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass as pydantic has them: (type, default and description)."""
    hints = get_type_hints(kind, localns=dict(names), include_extras=True)
    return {own.name: (hints[own.name], _field(own)) for own in dataclasses.fields(kind)}


def _field(own: dataclasses.Field[Any]) -> Any:
    shown: dict[str, Any] = {name: own.metadata.get(name) for name in ("description", "examples")}
    if own.default is dataclasses.MISSING and own.default_factory is dataclasses.MISSING:
        return Field(**shown)
    if own.default_factory is not dataclasses.MISSING:
        return Field(default_factory=own.default_factory, **shown)
    return Field(default=default_of(own), **shown)


class DeclaredModel(PlainModel):
    """The model of a subject's own settings."""

    needs: ClassVar[str]

    def plain(self) -> DeclaredSection:
        given = {name: _plain(getattr(self, name)) for name in type(self).model_fields}
        return DeclaredSection(self.kind(**given), self.needs)


def declared_section(name: str, kind: type[Any], needs: str) -> type[DeclaredModel]:
    """The model of the section of the subject `name`, or ValueError: a setting is of a kind that none can be."""
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if "setting" not in field.metadata:
            raise ValueError(f"{name}.{field.name} is not made by `setting`")
        text = text_of(field)
        read = _kind(hints[field.name], text, f"{name}.{field.name}")
        default = default_of(field)
        if text.secret and isinstance(default, str):
            default = Secret(default)
        fields[field.name] = (
            Annotated[read, _checked(text.check)],
            Field(default, description=text.means, examples=[text.example] if text.example else None),
        )
    section = create_model(f"{kind.__name__}Section", __base__=DeclaredModel, **fields)
    section.kind, section.needs = kind, needs
    return section


def judged(section: type[BaseModel]) -> tuple[str, ...]:
    """The settings that change judgement alone: those that are marked so, or all of them."""
    if issubclass(section, DeclaredModel):
        return tuple(own.name for own in dataclasses.fields(section.kind) if text_of(own).judged)
    every = issubclass(section, PlainModel) and section.kind.is_judged
    return tuple(name for name, field in section.model_fields.items() if every or t.JUDGED in field.metadata)


def _checked(check: Callable[[Any], object]) -> AfterValidator:
    def after(value: Any) -> Any:
        check(_plain(value))
        return value

    return AfterValidator(after)


def _kind(hint: Any, text: SettingText, called: str) -> Any:
    kinds = [each for each in get_args(hint) if each is not type(None)] if type(None) in get_args(hint) else [hint]
    (kind,) = kinds if len(kinds) == 1 else (None,)
    if text.secret:
        several = Annotated[tuple[Secret, ...], t.targets(text.example)]
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


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return value.get_secret_value() if isinstance(value, Secret) else value
