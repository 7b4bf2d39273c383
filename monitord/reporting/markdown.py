"""A report as GitHub Markdown; no value can become markup, a mention, a link or a cell of its own."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from monitord.core.blocks import Block, Bullets, Checklist, FactTable, Grid, Paragraph, Section, Style, Verbatim
from monitord.core.humanize import sentence
from monitord.core.report.model import Report
from monitord.core.report.wording import blindness, length, style_of
from monitord.reporting.report import sections
from monitord.reporting.terminal import clean

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|~$&])")
# What makes a list, a heading or a rule of a line it opens.
_OPENING: Final = re.compile(r"^(\s*\d{0,9})([-+=#.)])")
# GitHub makes links of these by itself; an empty comment between their characters stops it and is not seen.
_LINKED: Final = re.compile(r"(@(?=\w)|#(?=\d)|(?<=www)\.|:(?=//))", re.IGNORECASE)
_ICONS: Final[dict[Style | None, str]] = {
    "ok": "✅ ok",
    "warning": "⚠️ warning",
    "critical": "❌ critical",
    "unknown": "❔ unknown",
    None: "",
}


def report_markdown(report: Report) -> str:
    lines = [f"# {_ICONS[style_of(report)].split()[0]} {report.headline}: {escaped(sentence(report.sentence))}", ""]
    lines += [f"{escaped(length(report))}. {escaped(blindness(report))}"]
    for section in sections(report):
        lines += ["", f"## {escaped(section.title)}", *_blocks(section)]
        for part in section.parts:
            mark = f" – {_ICONS[part.style]}" if part.style else ""
            lines += ["", f"### {escaped(part.title)}{mark}", *_blocks(part)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or GitHub would make something of."""
    plain = _OPENING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", clean(text)))
    return _LINKED.sub(r"\1<!-- -->", plain)


def _blocks(section: Section) -> list[str]:
    return [line for block in section.blocks for line in ("", *_block(block))]


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield escaped(text)
        case Bullets(items):
            for style, text in items:
                yield f"- {_ICONS[style]}: {escaped(text)}" if style else f"- {escaped(text)}"
        case FactTable(pairs, styles):
            for name, text in pairs:
                mark = f" {_ICONS[style]}" if (style := styles.get(name)) else ""
                yield f"- **{escaped(name)}:** {escaped(text)}{mark}"
        case Checklist(items):
            for item in items:
                box = "x" if item.style == "ok" else " "
                yield f"- [{box}] **{escaped(item.title)}** – {_ICONS[item.style].split()[0]} {item.word}"
                for line in item.sentences:
                    yield f"  - {escaped(line)}"
        case Grid():
            grid = block.without_plots()
            yield _row(["State", *grid.header] if grid.is_marked else grid.header)
            bars = ["---:" if column in grid.right else "---" for column in range(len(grid.header))]
            yield _row(["---", *bars] if grid.is_marked else bars)
            for style, row in grid.in_words():
                cells = [escaped(cell) for cell in row]
                yield _row([_ICONS[style], *cells] if grid.is_marked else cells)
        case Verbatim(title, text):
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            yield f"{escaped(title)}:"
            yield ""
            yield f"{fence}text"
            yield from (clean(line) for line in text.splitlines())
            yield fence


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
