"""Whether the database that is read is the one that was known: kept between cycles, and moved on by readings."""

from collections.abc import Mapping

from monitord.core.copying import replace
from monitord.core.history.epochs import Sealed, window_seconds
from monitord.core.history.model import History
from monitord.core.identity import Identity, differences, holds, identity, made_anew, vanished
from monitord.core.latest import latest
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

# Seals that are gone in one reading may be back in the next.
SURE_AFTER = 2


def update_identity(history: History, reading: Reading) -> tuple[History, list[str]]:
    """The history after one good reading of Postgres, and what to note. What belongs to another database is let go."""
    found = identity(reading)
    if found is None:
        return history, []
    notes, last, known = [], history.present, history.identity
    is_same = last is not None and last.system == found.system and holds(last, found)
    if is_same and known is not None and holds(known, found):  # nearly always
        return history, []
    if last is not None:
        if differences(last, found):
            notes.append(f"Postgres is another database than before, {found}: growth is followed from here")
            history = replace(history, tables={})
            last = None
        else:
            for name in made_anew(last, found):
                notes.append(f"the table {name} was made anew (dropped and created): its growth is followed from here")
                history = replace(history, tables={n: t for n, t in history.tables.items() if n != name})
    present = replace(found, tables={**last.tables, **found.tables} if last is not None else found.tables)
    if known is None:
        known = present
    elif not differences(known, found) and not history.vanished:
        known = replace(
            found,
            system=found.system if found.system is not None else known.system,
            tables={**known.tables, **found.tables},
            sealed=known.sealed,
        )
    return replace(history, present=present, identity=known), notes


def update_seals(history: History, sealed: Sealed, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the seals: the known database's newest are remembered, and missed."""
    known = history.identity
    if known is None:
        return history
    labels, newest = _labels(sealed, orders.groups)
    if max(newest.values(), default=0) > now:  # what a clock that is ahead has sealed is nobody's yet
        labels = {group: frozenset(label for label in found if label <= now) for group, found in labels.items()}
        newest = {group: max(found) for group, found in labels.items() if found}
    if newest == known.sealed and not (history.vanished or history.vanished_times):  # nearly always
        return history
    gone = vanished(known, labels, int(now - window_seconds(orders)))
    if gone:
        return replace(history, vanished=gone, vanished_times=history.vanished_times + 1)
    if history.vanished or history.vanished_times:
        history = replace(history, vanished=(), vanished_times=0)
    if history.present is None or differences(known, history.present):
        return history  # these are another database's
    return history if newest == known.sealed else replace(history, identity=replace(known, sealed=newest))


@latest  # for an epoch the same is sealed
def _labels(sealed: Sealed, groups: tuple[str, ...]) -> tuple[Mapping[str, frozenset[int]], Mapping[str, int]]:
    """The sealed labels of each group, and the newest of those that have any."""
    labels = {group: frozenset([label for label, _ in sealed.get(group, ())]) for group in groups}
    return labels, {group: max(found) for group, found in labels.items() if found}


def unlike(history: History) -> tuple[str, ...]:
    """In what the database that is read differs from the one that is known; none where it is the same."""
    known, present = history.identity, history.present
    if known is None or present is None:
        return ()
    found = differences(known, present)
    if history.vanished_times >= SURE_AFTER:
        found = (*found, f"the newest sealed epochs that were known are gone ({', '.join(history.vanished)})")
    return found


def forgotten(name: str, history: History, _: StandingOrders) -> History | None:
    if name != "postgres" or history.identity is None:
        return None
    return replace(history, identity=None, vanished=(), vanished_times=0)


def adopted(history: History) -> History:
    present: Identity | None = history.present
    return replace(history, identity=present, vanished=(), vanished_times=0)
