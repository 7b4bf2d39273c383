"""The documents' lists, completed by what is declared: `python -m tests.support.reference --write`.

What stands there stays as it is, in its author's words. A setting, rule, criterion, metric, channel or command that is
declared and not in them is added, in the words of its declaration.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from monitord.cli import COMMANDS
from monitord.config.loader import shown
from monitord.config.schema import section_kind, settings_class
from monitord.config.settings import NotifySettings, paths, settings_kind, variable_of
from monitord.core.report.criteria import criteria
from monitord.core.subjects import RULES, declared
from monitord.core.subjects.registry import subject_named
from monitord.reporting.metric_families import families

ROOT = Path(__file__).parents[2]
WIDTH = 120
# The documents, and what completes each.
DOCUMENTS = (".env.example", "docs/reference.md", "README.md")


class UndeclaredError(Exception):
    """Something is declared without a word on what it is."""


def completed(document: str) -> str:
    """The text of a document with all in it that is declared."""
    text = (ROOT / document).read_text(encoding="utf-8")
    if document == ".env.example":
        return _settings(text)
    return _tables(text) if document == "docs/reference.md" else _table(text, "Commands", COMMANDS, _command)


def _settings(text: str) -> str:
    for variable, path in paths(settings_kind()).items():
        if f"# {variable}=" in text:
            continue
        lines = list(_setting(variable, path))
        mark = f"# {variable_of(path[0], '')}" if len(path) > 1 else "# MONITORD_STATE_DIR="
        before, found, rest = text.rpartition(f"\n{mark}")
        if found:
            line, _, rest = rest.partition("\n")
            text = "\n".join((f"{before}{found}{line}", *lines, rest))
        else:
            subject = subject_named(path[0])
            title = subject.title if subject is not None else path[0]
            text = "\n".join((text.rstrip("\n"), "", f"# --- {title} ---", "", *lines, ""))
    return text


def _setting(variable: str, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of one setting: what it is, and the setting as it could be written."""
    kind = settings_class()
    section = section_kind(path[0])
    field = (section or kind).model_fields[path[-1]]
    default = shown(settings_kind()(state_dir=Path("/")), variable)
    means = field.description
    if not means or (default is None and not field.examples):
        raise UndeclaredError(f"{variable} needs a description, and an example where it has no default")
    if field.examples:
        means += f" Default: {default or 'not set'}. An example:"
    yield from textwrap.wrap(means, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield f"# {variable}={field.examples[0] if field.examples else default}"


def _tables(text: str) -> str:
    text = _table(text, "Rules", [rule.name for rule in RULES], _rule)
    text = _table(text, "The verdict", [criterion.name for criterion in criteria()], _criterion)
    text = _table(text, "Channels", NotifySettings.addresses(), _channel)
    return _table(text, "Metrics", families(), _metric)


def _table(text: str, title: str, names: Iterable[str], row: Callable[[str], str]) -> str:
    """The text with a row for each of the names in the table of a section."""
    before, heading, rest = text.partition(f"\n## {title}\n")
    section, more, after = rest.partition("\n## ")
    lines = section.split("\n")
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    known = {word for line in lines if line.startswith("| ") for word in re.findall(r"\w[\w-]*", line.split("|")[1])}
    lines[last + 1 : last + 1] = [row(name) for name in dict.fromkeys(names) if name not in known]
    return "".join((before, heading, "\n".join(lines), more, after))


def _rule(name: str) -> str:
    """A row for a rule: when it fires says the first sentence about its judgement."""
    rule = declared(name)
    subject = subject_named(rule.probe)
    about = (subject.member if subject is not None and rule.about_member else "") or rule.probe
    return _row(f"`{name}`", about, _phrase(rule.evaluate.__doc__, name), ", ".join(rule.severities))


def _criterion(name: str) -> str:
    means = next(criterion.means for criterion in criteria() if criterion.name == name)
    return _row(f"`{name}`", _phrase(means, name))


def _channel(name: str) -> str:
    setting = NotifySettings.addresses()[name]
    (field,) = (field for field in fields(NotifySettings) if field.name == setting)
    means = _phrase(field.metadata["description"], name)
    return _row(f"`{name}`", f"`{variable_of('notify', setting)}`", means)


def _command(name: str) -> str:
    return _row(f"`monitord {name}`", COMMANDS[name])


def _metric(name: str) -> str:
    family = families()[name]
    return _row(f"`{name}`", ", ".join(family.labels) or "–", family.help.rstrip("."))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _phrase(text: str | None, name: str) -> str:
    """The first sentence of what is said of something, as it stands in a table."""
    if not text:
        raise UndeclaredError(f"{name} needs a word on what it is: a description, or the docstring of its judgement")
    sentence = " ".join(text.split("\n\n")[0].split()).rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def main(arguments: list[str]) -> int:
    """Write the documents, or say which of them would be others; 1 where one would."""
    others = [document for document in DOCUMENTS if completed(document) != (ROOT / document).read_text("utf-8")]
    for document in others:
        if "--write" in arguments:
            (ROOT / document).write_text(completed(document), encoding="utf-8")
        sys.stdout.write(f"{document}: {'completed' if '--write' in arguments else 'not complete'}\n")
    return 1 if others and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
