"""Which database is watched: what identifies it, and in what another one differs. Its address is no identity.

A standby that is promoted keeps its cluster's system identifier, its database and every table's oid: it is the same
database. A copy elsewhere, a restored dump or a database made anew differ in one of them, or have none of the seals
that were known to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitord.core.latest import latest_equal
from monitord.core.model import Reading, Sample

# A single table that was dropped and made anew has another oid, too. Several at once are another database.
TABLES_AT_LEAST = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies a database (`system` None: not to be asked for); oids of `tables`, newest label by group."""

    database: str
    oid: int
    system: str | None = None
    tables: Mapping[str, int] = field(default_factory=dict)
    sealed: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        system = f", system identifier {self.system}" if self.system is not None else ""
        return f"{self.database} (oid {self.oid}{system})"


def identity(reading: Reading) -> Identity | None:
    return _identity([[*reading.named(name)] for name in ("database_oid", "system_identifier", "table_oid")])


@latest_equal  # each reading repeats it
def _identity(told: Sequence[Sequence[Sample]]) -> Identity | None:
    databases, systems, oids = told
    if not databases or not isinstance(databases[0].value, int):
        return None
    system = systems[0].value if systems else None
    return Identity(
        databases[0].label("database"),
        databases[0].value,
        system if isinstance(system, str) else None,
        {s.label("table"): s.value for s in oids if isinstance(s.value, int)},
    )


def holds(known: Identity, found: Identity) -> bool:
    """Whether all that was found is known: nothing of it is new."""
    return (
        known.database == found.database
        and known.oid == found.oid
        and found.system in (None, known.system)
        and found.tables.items() <= known.tables.items()
    )


def differences(known: Identity, found: Identity) -> tuple[str, ...]:
    """In what another database than the known one was found, a sentence's part each; none where it is the same."""
    if known.system is not None and found.system is not None:
        if known.system != found.system:
            return (f"the server's system identifier is {found.system} and was {known.system}",)
        if known.oid != found.oid:
            return (f"the database is {found.database} (oid {found.oid}) and was {known.database} (oid {known.oid})",)
        return ()
    if (known.database, known.oid) != (found.database, found.oid):
        return (f"the database is {found.database} (oid {found.oid}) and was {known.database} (oid {known.oid})",)
    shared = known.tables.keys() & found.tables.keys()
    if len(shared) >= TABLES_AT_LEAST and all(known.tables[name] != found.tables[name] for name in shared):
        return ("every watched table is another one, by its oid",)
    return ()


def made_anew(known: Identity, found: Identity) -> tuple[str, ...]:
    """The watched tables that were dropped and created in a database that is the same."""
    shared = known.tables.keys() & found.tables.keys()
    return tuple(sorted(name for name in shared if known.tables[name] != found.tables[name]))


def vanished(known: Identity, labels: Mapping[str, frozenset[int]], oldest: int) -> tuple[str, ...]:
    """The newest known seals, where no group has its own any more; `labels` are the sealed ones since `oldest`."""
    judged = {group: label for group, label in known.sealed.items() if label >= oldest and group in labels}
    if not judged or any(label in labels[group] for group, label in judged.items()):
        return ()
    return tuple(f"{group} {label}" for group, label in sorted(judged.items()))
