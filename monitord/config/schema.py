"""How every setting is read: pydantic's models of what `settings.py` declares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitord.config import check_types, named, types
from monitord.config.declared import PlainModel, declared_section, fields_of, model_of
from monitord.config.sections import SettingsSection
from monitord.config.settings import Settings, declared_settings, paths, settings_kind

# What the annotations in settings.py call these.
_NAMES: Final = {"c": check_types, "n": named, "t": types, "JUDGED": types.JUDGED}


class SettingsModel(BaseSettings):
    """The model of all settings."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False, arbitrary_types_allowed=True
    )

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


def settings_class() -> type[SettingsModel]:
    """The model of the settings, with a section for each subject that declares its own; ValueError as of those."""
    kind: Any = settings_kind()  # a class is hashable, whatever its instances are
    return _model(kind, declared_settings())


@cache
def _model(kind: type[Any], declared: tuple[tuple[str, type[Any], str], ...]) -> type[SettingsModel]:
    own = {name: declared_section(name, settings, needs) for name, settings, needs in declared}
    read: dict[str, Any] = {}
    for name, (hint, field) in fields_of(kind, _NAMES).items():
        if isinstance(field.default, SettingsSection):
            model = own.get(name) or model_of(hint, _NAMES)
            read[name] = (Annotated[model, AfterValidator(model.plain)], Field(default=field.default))
        else:
            read[name] = (hint, field)
    return create_model("Settings", __base__=SettingsModel, **read)


def read_settings(content: Mapping[str, Any]) -> Settings:
    """The settings of what was written, by its place, or pydantic's ValidationError."""
    model = settings_class()(**content)
    return settings_kind()(**{name: getattr(model, name) for name in type(model).model_fields})


def section_kind(name: str) -> type[PlainModel] | None:
    """The model of the section of this name; None where it is a setting by itself, or nothing."""
    fields = settings_class().model_fields
    kind = fields[name].annotation if name in fields else None
    return kind if isinstance(kind, type) and issubclass(kind, PlainModel) else None


def written(settings: Settings, variable: str) -> Any:
    """The value of a variable as it could be written, in JSON; its secrets are not looked after."""
    name, *inner = paths(type(settings))[variable]
    held = getattr(settings, name)
    field, model = name, settings_class()
    if inner:
        (field,) = inner
        held = dict(held.items())[field]
    of: type[BaseModel] = section_kind(name) or model if inner else model
    return of.model_construct(**{field: held}).model_dump(mode="json", include={field})[field]
