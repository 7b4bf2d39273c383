"""What is told, as headings, sentences and tables: the terminal, the page, Markdown and HTML render the same blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Style = Literal["ok", "warning", "critical", "unknown", "bold", "dim"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One sentence, or a few."""

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
        """Whether any of them has a mark."""
        return any(style for style, _ in self.items)


@dataclass(frozen=True, slots=True)
class FactTable:
    """Names and what they come to."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One criterion: its mark, its answer in a word, what it asks, and why."""

    style: Style
    word: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """Criteria and whether each is met."""

    kind: ClassVar[str] = "checklist"
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Rows carry the style of their mark, which every form draws its own way; `right` columns hold numbers."""

    kind: ClassVar[str] = "grid"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Style | None, tuple[str, ...]], ...]
    right: frozenset[int] = frozenset()
    flexible: tuple[int, ...] = (0,)

    @property
    def is_marked(self) -> bool:
        """Whether any row has a mark."""
        return any(style for style, _ in self.rows)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A text to copy as it is. `urgent`: shown unfolded."""

    kind: ClassVar[str] = "verbatim"
    title: str
    text: str
    urgent: bool = False


Block = Paragraph | Bullets | FactTable | Checklist | Grid | Verbatim


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. `key` names it to those who add pictures to it."""

    key: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = field(default=())
    style: Style | None = None
