"""HTML and SVG as text that is escaped unless it was built here: what a value says can never become markup."""

from __future__ import annotations

from html import escape
from typing import Final

from monitord.reporting.terminal import clean

# Elements without content: HTML leaves them open, SVG (which has to be well-formed by itself) closes them.
_VOID: Final = frozenset({"meta", "br", "hr", "link", "input"})
_SHAPES: Final = frozenset({"line", "rect", "circle", "path", "polyline"})


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *content: str | None, **attributes: object) -> Markup:
    """One element. Content that is not Markup is escaped; None is left out, and so is an attribute of None.

    `class_` is written `class`, `aria_label` `aria-label`; an attribute of True has no value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>")
    if name in _SHAPES and not content:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{joined(*content)}</{name}>")


def joined(*content: str | None) -> Markup:
    """Elements and texts one after another, the texts escaped."""
    return Markup("".join(_safe(part) for part in content if part is not None))


def text(value: object) -> Markup:
    """A value as text, also fit for an attribute; nothing in it can end a tag, a quote or a line."""
    return Markup(escape(clean(str(value)), quote=True))


def lines(value: str) -> Markup:
    """A text of several lines, escaped line by line."""
    return Markup("\n".join(text(line) for line in value.splitlines()))


def _safe(part: str) -> str:
    return part if isinstance(part, Markup) else text(part)


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
