"""pydantic's models of classes that hold plain values: by them is read what was written, and written what is held."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from monitord.config.sections import default_of


class PlainModel(BaseModel):
    """The model of a class, `kind`, whose annotations say how each of its fields is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)
    kind: ClassVar[type[Any]]

    def plain(self) -> Any:
        """What was read, as it is held. ValueError where its parts do not go together."""
        return self.kind(**{name: getattr(self, name) for name in type(self).model_fields})

    @classmethod
    def of(cls, held: object) -> PlainModel:
        """What is held, to be written."""
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
    told: dict[str, Any] = {name: own.metadata.get(name) for name in ("description", "examples")}
    if own.default is dataclasses.MISSING and own.default_factory is dataclasses.MISSING:
        return Field(**told)
    if own.default_factory is not dataclasses.MISSING:
        return Field(default_factory=own.default_factory, **told)
    return Field(default=default_of(own), **told)
