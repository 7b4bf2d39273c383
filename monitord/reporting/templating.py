"""The pages' templates: where they lie, and that no value in them can become markup, or be missing without notice."""

from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitord.reporting.charts.svg import lines
from monitord.reporting.terminal import clean

# What distinguishes the marks without their colours, drawn in 16 x 16.
SIGNS: Final = {
    "ok": "M8 1a7 7 0 1 0 0 14a7 7 0 1 0 0 -14ZM4.5 8.2l2.4 2.4L11.6 5.6",
    "warning": "M8 1.5L15 14.5H1ZM8 6v4M8 12.2v.1",
    "critical": "M5 1H11L15 5V11L11 15H5L1 11V5ZM5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4",
    "unknown": "M8 .8L15.2 8L8 15.2L.8 8ZM6.2 6.6a1.8 1.8 0 1 1 2.6 1.6q-.8 .4 -.8 1.2M8 11.4v.1",
}
# A word longer than this may be broken anywhere.
_LONG: Final = 24


def environment(*packages: str) -> Environment:
    """The templates of these packages, each in its folder `templates`; where two have one name, the first package's."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["SIGNS"] = SIGNS
    made.filters["lines"] = lines
    made.tests["long"] = _is_long
    return made


def _plain(value: object) -> object:
    """On one line and without controls; Markup is left as it is. ValueError: a template asks before it shows None."""
    if value is None:
        raise ValueError("a template shows None")
    return value if hasattr(value, "__html__") else clean(str(value))


def _is_long(words: str) -> bool:
    """Whether a cell has a word so long that it has to be broken anywhere; others, are left whole."""
    text = words.striptags() if isinstance(words, Markup) else words
    return max(map(len, text.split()), default=0) > _LONG
