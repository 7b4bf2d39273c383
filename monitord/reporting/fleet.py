"""The fleet as tiles: each thing that is watched by a name of its own, how it is, and its uptime of 24 h."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Cell, Grid, Member, Plot, Section, Style, in_words
from monitord.core.humanize import NOTHING, UNKNOWN, worded
from monitord.core.model import RANK
from monitord.core.report.kept import up_times, uptime
from monitord.core.report.model import KeptWindow
from monitord.core.series import HOUR, Rollup
from monitord.core.status import Fields
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import registered
from monitord.reporting.kept import percent

# Of a group of more than these, those that are as expected are folded.
UNFOLDED_AT_MOST: Final = 24
# More tiles than these of one group are not made: the worst have one, and all are in the group's table.
TILES_AT_MOST: Final = 250

_RANKS: Final[dict[str, int]] = {str(name): number for name, number in RANK.items()}
Uptimes = Mapping[tuple[str, str], Rollup]


@dataclass(frozen=True, slots=True)
class Tile:
    """One thing that is watched, in a few words. `up` are its last 24 h; None where nothing is kept of it."""

    style: Style | None
    name: Cell
    words: tuple[str, ...]
    plot: Plot | None = None
    up: Rollup | None = None

    @property
    def called(self) -> str:
        return in_words(self.name)

    @property
    def member(self) -> str:
        return _name(self.name)

    @property
    def uptime(self) -> str:
        """`99.93%`: of the time that was seen."""
        return worded(percent, None if self.up is None else uptime(self.up))

    @property
    def blind(self) -> str:
        """Empty where that is less than a second."""
        return "" if self.up is None or self.up.blind < 1 else humanize.duration(self.up.blind)


@dataclass(frozen=True, slots=True)
class TileGroup:
    """The tiles of one subject, of `total` members."""

    subject: str
    title: str
    total: int
    tiles: tuple[Tile, ...]
    folded: tuple[Tile, ...] = ()

    @property
    def left_out(self) -> int:
        return self.total - len(self.tiles) - len(self.folded)


def tile_groups(sections: Iterable[Section], kept: KeptWindow | None = None) -> tuple[TileGroup, ...]:
    """The tiles of the members of each subject that is in the fleet, of its section's table; `kept`: the last 24 h."""
    times = {} if kept is None else {place: up for place, up in up_times(kept).items() if _told(up) > 0}
    subjects = {subject.name: subject for subject in registered()}
    return tuple(
        _group(subjects[section.key], section, tiles)
        for section in sections
        if (tiles := tuple(_tiles(subjects[section.key], section, times)))
    )


def rank(style: Style | None) -> int:
    """How bad a mark is; 0 is well, or none."""
    return _RANKS.get(style or "ok", 0)


def _group(subject: Subject, section: Section, tiles: tuple[Tile, ...]) -> TileGroup:
    shown: tuple[Tile, ...] = tiles
    folded: tuple[Tile, ...] = ()
    if len(tiles) > UNFOLDED_AT_MOST:
        wrong = [tile for tile in tiles if tile.style not in (None, "ok")]
        wrong.sort(key=lambda tile: -rank(tile.style))
        shown = tuple(wrong[:TILES_AT_MOST])
        folded = tuple(tile for tile in tiles if tile.style in (None, "ok"))[: TILES_AT_MOST - len(shown)]
    return TileGroup(subject.name, section.title, len(tiles), shown, folded)


def _tiles(subject: Subject, section: Section, times: Uptimes) -> Iterator[Tile]:
    grid = _members(subject, section)
    for style, row in grid.rows if grid is not None else ():
        words = tuple(in_words(row[n]) for n in grid.brief if n < len(row)) if grid is not None else ()
        plot = next((cell for cell in row if isinstance(cell, Plot)), None)
        shown = tuple(word for word in words if word and word != NOTHING)
        yield Tile(style, row[0], shown, plot, times.get((subject.name, _name(row[0]))))


def _name(cell: Cell) -> str:
    return cell.name if isinstance(cell, Member) else in_words(cell)


def _members(subject: Subject, section: Section) -> Grid | None:
    if not subject.in_fleet or not subject.member:
        return None
    head = subject.member.capitalize()
    found = (block for block in section.blocks if isinstance(block, Grid) and block.header[:1] == (head,))
    return next(found, None)


def span_words(kept: KeptWindow | None) -> str:
    """Of what time the uptimes are: `24 h`, or less where less is kept ("": nothing is)."""
    lasts = max(map(_told, up_times(kept).values()), default=0.0) if kept is not None else 0.0
    return "" if lasts < 1 else "24 h" if lasts >= 23 * HOUR else humanize.duration(lasts)


def _told(up: Rollup) -> float:
    return up.up + up.down + up.blind


def fleet_fields(groups: Iterable[TileGroup]) -> list[Fields]:
    """The folded ones among them."""
    return [
        {
            "subject": group.subject,
            "name": tile.member,
            "status": tile.style or UNKNOWN,
            "words": list(tile.words),
            "uptime_24h": None if tile.up is None else _uptime_fields(tile.up),
        }
        for group in groups
        for tile in (*group.tiles, *group.folded)
    ]


def _uptime_fields(up: Rollup) -> Fields:
    share = uptime(up)
    return {
        "ratio": None if share is None else round(share, 6),
        "up_seconds": up.up,
        "down_seconds": up.down,
        "blind_seconds": up.blind,
    }
