"""Content as headings, sentences and tables: the terminal, the page, Markdown and HTML render the same blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Style = Literal["ok", "warning", "critical", "unknown", "bold", "dim"]
PlotName = Literal["memory", "memory_small", "states", "growth", "delays", "value", "value_small"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    kind: ClassVar[str] = "paragraph"
    text: str
    style: Style | None = None


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences as a list; the style is that of what each is about."""

    kind: ClassVar[str] = "bullets"
    items: tuple[tuple[Style | None, str], ...]

    @property
    def is_marked(self) -> bool:
        return any(style for style, _ in self.items)


@dataclass(frozen=True, slots=True)
class FactTable:
    """Names and what they come to; `styles` has those of the facts that an alert is about."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]
    styles: Mapping[str, Style] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One criterion: its mark, its answer in a word, what it asks, and why."""

    style: Style
    word: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    kind: ClassVar[str] = "checklist"
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of a whole is used, in percent, and its limits; where nothing is drawn, its words stand alone."""

    words: str
    percent: float
    limits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """The name of a watched thing that has a page of its own, of this kind; `remark` follows it."""

    name: str
    page: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of what is recorded of a thing, `of` which it is; it stands where there are pictures and a record.

    As a cell its `caption` follows that of the table, and its column is called after the time that it is of.
    """

    kind: ClassVar[str] = "plot"
    plot: PlotName
    of: str
    caption: str = ""


Cell = str | Meter | Member | Plot


def in_words(cell: Cell) -> str:
    match cell:
        case Meter(words):
            return words
        case Member(name, _, remark):
            return name + remark
        case Plot():
            return ""
    return cell


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Rows carry the style of their mark, which every form draws its own way; `right` columns hold numbers.

    `flexible` columns give way where there is little room, the first one first. Where a row has a tile, `brief` are the
    columns of which that has the words.
    """

    kind: ClassVar[str] = "grid"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Style | None, tuple[Cell, ...]], ...]
    right: frozenset[int] = frozenset()
    flexible: tuple[int, ...] = (0,)
    brief: tuple[int, ...] = (1,)

    @property
    def is_marked(self) -> bool:
        return any(style for style, _ in self.rows)

    @property
    def has_plots(self) -> bool:
        return any(isinstance(cell, Plot) for _, row in self.rows for cell in row)

    def without_plots(self) -> Grid:
        kept = [n for n in range(len(self.header)) if not any(isinstance(row[n], Plot) for _, row in self.rows)]
        if len(kept) == len(self.header):
            return self
        return Grid(
            self.caption,
            tuple(self.header[n] for n in kept),
            tuple((style, tuple(row[n] for n in kept)) for style, row in self.rows),
            frozenset(place for place, n in enumerate(kept) if n in self.right),
            tuple(kept.index(n) for n in self.flexible),
            tuple(kept.index(n) for n in self.brief if n in kept),
        )

    def in_words(self) -> list[tuple[Style | None, list[str]]]:
        return [(style, [in_words(cell) for cell in row]) for style, row in self.rows]


@dataclass(frozen=True, slots=True)
class Box:
    """A point of a timeline: its style, in words what it means, what stands in it, and the hour under it or ""."""

    look: str
    words: str
    glyph: str
    hour: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lines of boxes in the order of time, drawn only: a table beside has them in short. `key`: how to read them."""

    kind: ClassVar[str] = "timeline"
    lines: tuple[tuple[Style | None, str, tuple[Box, ...]], ...]
    key: str


@dataclass(frozen=True, slots=True)
class Plots:
    """Plots of things that are alike, with one key to all: beside one another, or as bands, one under the other."""

    kind: ClassVar[str] = "plots"
    plots: tuple[Plot, ...]
    key: str
    are_bands: bool = False


@dataclass(frozen=True, slots=True)
class FoldedGrid:
    """A table that is opened on request, where one can be."""

    kind: ClassVar[str] = "folded"
    title: str
    table: Grid


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A text to copy as it is. `urgent`: shown unfolded."""

    kind: ClassVar[str] = "verbatim"
    title: str
    text: str
    urgent: bool = False


Block = Paragraph | Bullets | FactTable | Checklist | Grid | Verbatim | Plot | Plots | FoldedGrid | Timeline


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. `key` names it to who adds pictures; `is_over`: it has ended."""

    key: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = field(default=())
    style: Style | None = None
    is_over: bool = False


def without_plots(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Grid):
            yield block.without_plots()
        elif not isinstance(block, Plot | Plots):
            yield block
