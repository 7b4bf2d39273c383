"""SVG as text that is escaped unless it was built here: what a value says can never become markup."""

from typing import Final

from markupsafe import Markup, escape

from monitord.reporting.terminal import clean

# Elements without content.
_SHAPES: Final = frozenset({"line", "rect", "circle", "path", "polyline"})


def tag(name: str, /, *content: str | None, **attributes: object) -> Markup:
    """One element. Content that is not Markup is escaped; None is left out, and so is an attribute of None.

    `class_` is written `class`, `aria_label` `aria-label`; an attribute of True has no value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _SHAPES and not content:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{joined(*content)}</{name}>")


def joined(*content: str | None) -> Markup:
    return Markup("".join((part if isinstance(part, Markup) else text(part)) for part in content if part is not None))


def text(value: object) -> Markup:
    """A value as text, also fit for an attribute; nothing in it can end a tag, a quote or a line."""
    return escape(clean(str(value)))


def lines(value: str) -> Markup:
    return Markup("\n".join(text(line) for line in value.splitlines()))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
