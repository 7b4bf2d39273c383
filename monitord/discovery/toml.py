"""A `.env` as the `monitord.toml` that says the same."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Final

from dotenv.parser import parse_stream

from monitord.config.settings import paths, settings_kind

_OFF: Final = re.compile(r"# (MONITORD_\w+)=(.*)")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(text: str) -> str:
    """The settings of a `.env` by their sections.

    A comment stays above the setting that follows it; one with an empty line after it, below the setting before it.
    """
    known = paths(settings_kind())
    sections: dict[str, list[str]] = {"": []}
    comments: list[str] = []
    lines = sections[""]
    for line in text.splitlines():
        off = _OFF.fullmatch(line)
        if not line and comments and "" not in comments:
            lines += comments
            comments = []
        if off is None and (not line or line.startswith("#")):
            comments.append(line)
            continue
        binding = next(parse_stream(StringIO(line.removeprefix("# ") if off else line)))
        name, value = binding.key or "", binding.value or ""
        if name not in known:
            comments.append(line)
            continue
        *section, key = known[name]
        lines = sections.setdefault(".".join(section), [])
        lines += [*comments, f"{'# ' if off else ''}{key} = {_value(value)}"]
        comments = []
    parts = ["\n".join([*([f"[{name}]"] if name else []), *lines]).strip("\n") for name, lines in sections.items()]
    return "\n\n".join(filter(None, (*parts, "\n".join(comments).strip("\n")))) + "\n"


def _value(text: str) -> str:
    try:
        return _inline(json.loads(text)) if text.startswith(("[", "{")) else _inline(text)
    except ValueError:
        return _inline(text)


def _inline(value: object) -> str:
    if isinstance(value, dict):
        pairs = (
            f"{name if _BARE.fullmatch(name) else json.dumps(name)} = {_inline(each)}" for name, each in value.items()
        )
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value, ensure_ascii=False)
