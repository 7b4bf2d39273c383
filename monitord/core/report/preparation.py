"""The checklist of what is to be ready before the on-chain test: its lines are declared by subjects, as criteria are.

It is no part of the verdict: what it says of the data is in the criteria, too. It is there where any of it is watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitord.core.history.model import History
from monitord.core.orders import StandingOrders
from monitord.core.report.model import PreparationLine, PreparationState

if TYPE_CHECKING:
    from monitord.core.subjects.base import Subject


@dataclass(frozen=True, slots=True)
class Prepared:
    """Whether a line is done (None: it is not known), and a sentence for each part of it."""

    done: bool | None
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparationItem:
    """One line of the checklist: its name, and the title that it has in the report.

    `judge` says whether it is done as the history has it, by readings that succeeded; None: monitord cannot know it.
    `watched` says whether it is watched, `hint` which setting would have it so. `by_hand` is what of it is the
    operator's.
    """

    name: str
    title: str
    judge: Callable[[History, StandingOrders], Prepared] | None = None
    watched: Callable[[StandingOrders], object] | None = None
    hint: str = ""
    by_hand: str = ""


def prepared(history: History, orders: StandingOrders) -> tuple[PreparationLine, ...]:
    """Each line and how it stands; none where nothing of it is watched."""
    from monitord.core.subjects.registry import registered  # it imports what imports this

    items = [(item, subject) for subject in registered() for item in subject.preparation]
    if not any(item.judge is not None and _is_watched(item, subject, orders) for item, subject in items):
        return ()
    return tuple(
        PreparationLine(item.name, item.title, state, tuple(filter(None, (*sentences, item.by_hand))))
        for item, subject in items
        for state, sentences in (_state(item, subject, history, orders),)
    )


def _is_watched(item: PreparationItem, subject: Subject, orders: StandingOrders) -> bool:
    return subject.name in orders.probes and (item.watched is None or bool(item.watched(orders)))


def _state(
    item: PreparationItem, subject: Subject, history: History, orders: StandingOrders
) -> tuple[PreparationState, tuple[str, ...]]:
    if item.judge is None:
        return "by hand", ()
    if not _is_watched(item, subject, orders):
        return "not watched", (item.hint,)
    if history.reading(subject.name) is None:
        return "unknown", (f"{subject.noun[:1].upper()}{subject.noun[1:]} could not be measured as the window ended.",)
    found = item.judge(history, orders)
    states: dict[bool | None, PreparationState] = {True: "done", False: "not done", None: "unknown"}
    return states[found.done], found.sentences


def all_done(parts: Iterator[bool | None]) -> bool | None:
    """Whether each part is: one that is not makes all of it not done, one that is not known makes it unknown."""
    found = list(parts)
    return False if False in found else None if None in found else True
