"""What is kept of the pipeline between cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChangedRoots:
    """The roots of a label that are not those remembered. Both are a count and a hash over them (`9:00ff…`)."""

    label: int
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class PipelineHistory:
    """What is kept of the pipeline between cycles; channels are `GROUP/channel`, times labels of the database.

    `tables` are those that were there, `roots` by group what each label's roots came to when it was first whole,
    `changed` what they came to since. `roster` are the channels of groups whose channels are set, `shared` those of
    them that are in another group, too, `strangers` groups that nobody watches; each as it was first found, or as an
    operator has acknowledged it. `treed` are the groups that have had trees. `mismatched` are seals (`label/channel`)
    that were recomputed to another root, until they are not or leave the window. `names`: names were found beside
    hashes. `newest` is by group the newest whole label of which it was read who took part, `missed` are labels before
    it that fell due while nobody read, as long as they are in the window and not read since.
    """

    tables: tuple[str, ...] = ()
    roots: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    changed: Mapping[str, tuple[ChangedRoots, ...]] = field(default_factory=dict)
    roster: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strangers: tuple[str, ...] | None = None
    treed: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: bool = False
    newest: Mapping[str, int] = field(default_factory=dict)
    missed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


NOTHING_KEPT = PipelineHistory()
