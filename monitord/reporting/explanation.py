"""What `monitord check --explain` says: each subject, what is watched of it, and its limits in columns that line up."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, zip_longest
from typing import Final

from monitord.config.explanation import ExplainedLimit, ExplainedSubject
from monitord.config.settings import PREFIX
from monitord.core.humanize import capital
from monitord.reporting.terminal import Terminal, cells, clean

_GAP: Final = "  "
# What a name and a value may take of a line; with less room than _LEAST beside them, what a limit is stands below.
_SHARES: Final = (0.42, 0.24)
_LEAST: Final = 24
_HEADER: Final = ("Setting", "Value", "From", "What it is")


def explanation_fields(subjects: Sequence[ExplainedSubject], files: Sequence[str], unasked: str) -> dict[str, object]:
    return {
        "settings": {"files": files},
        "unasked": unasked,
        "subjects": [
            {
                **{name: getattr(one, name) for name in ("name", "title", "watched", "why")},
                "members": [{"name": name, "source": source} for name, source in one.members],
                "absent": [{"name": name, "error": error} for name, error in one.absent],
                "rules": [{"rule": rule, "severities": severities} for rule, severities in one.rules],
                "limits": [asdict(limit) for limit in one.limits],
            }
            for one in subjects
        ],
    }


def explanation_text(subjects: Sequence[ExplainedSubject], files: Sequence[str], unasked: str, screen: Terminal) -> str:
    read = ", ".join(files) if files else "none; what is not in the environment is at its default"
    lines = screen.wrapped(f"Settings files: {read}.", indent="")
    lines += screen.wrapped(f"Settings are named without {PREFIX}.", indent="")
    for one in subjects:
        lines += ["", *_subject(one, screen)]
    if unasked:
        lines += ["", *screen.wrapped(f"{capital(unasked)}.", indent="")]
    return "\n".join(lines) + "\n"


def _subject(one: ExplainedSubject, screen: Terminal) -> Iterator[str]:
    is_well = one.watched and not one.why
    heading = f"{capital(one.title)}: {'watched' if one.watched else 'not watched'}"
    yield screen.paint(clean(heading), "bold" if one.watched else "dim")
    if not is_well:
        yield from screen.wrapped(one.why)
    for source, members in groupby(sorted(one.members, key=lambda member: member[1]), key=lambda member: member[1]):
        names = ", ".join(name for name, _ in members)
        kinds = " or ".join(f"{kind}s" for kind in (one.member or "member").split(" or "))
        yield from screen.wrapped(f"{kinds.capitalize()} ({source}): {names}", hanging="    ")
    for name, error in one.absent:
        yield from screen.wrapped(f"Not measured: {name}: {error}", hanging="    ")
    if one.watched and one.rules:
        rules = ", ".join(f"{name} ({'/'.join(severities)})" for name, severities in one.rules)
        yield from screen.wrapped(f"Rules: {rules}", hanging="    ")
    if one.limits:
        yield from _table([_row(limit) for limit in one.limits], screen)


def _row(limit: ExplainedLimit) -> tuple[str, str, str, str]:
    of = " ".join(filter(None, (limit.member, limit.key)))
    name = " ".join(filter(None, (limit.variable.removeprefix(PREFIX), of)))
    return name, "-" if limit.value is None else limit.value, limit.source, limit.means


def _table(rows: Sequence[tuple[str, str, str, str]], screen: Terminal) -> Iterator[str]:
    """Columns of which no word is cut off: what is too long is broken within its column."""
    rows = [_HEADER, *((clean(a), clean(b), clean(c), clean(d)) for a, b, c, d in rows)]
    most = (int(screen.width * _SHARES[0]), int(screen.width * _SHARES[1]), screen.width)
    widths = [min(most[column], max(cells(row[column]) for row in rows)) for column in range(3)]
    left = screen.width - 2 - sum(widths) - 3 * len(_GAP)
    is_beside = left >= _LEAST
    for number, row in enumerate(rows):
        shown = row if is_beside or not number else row[:3]
        columns = [textwrap.wrap(cell, width) for cell, width in zip(shown, (*widths, left), strict=False)]
        if not is_beside and not number:
            columns = [[cell] for cell in row[:3]]
        for parts in zip_longest(*columns, fillvalue=""):
            padded = (part + " " * (width - cells(part)) for part, width in zip(parts, (*widths, 0), strict=False))
            yield screen.paint(f"  {_GAP.join(padded)}".rstrip(), None if number else "dim")
        if not is_beside and number and row[3]:
            yield from (screen.paint(line, "dim") for line in screen.wrapped(row[3], indent="      "))
