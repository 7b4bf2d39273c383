"""A recorded observation with and without the exact counts that Postgres' reading holds."""

from __future__ import annotations

from monitord.core.copying import replace
from monitord.core.model import Observation, sample

_COUNT, _COUNTABLE = "table_recent", "table_countable"


def uncountable(observation: Observation, tables: frozenset[str]) -> Observation:
    """The observation as it would have been if these tables could not be counted: the counters stand for themselves."""
    reading = observation.readings["postgres"]
    kept = tuple(s for s in reading.samples if s.name != _COUNTABLE or s.label("table") not in tables)
    told = tuple(sample(_COUNTABLE, 0, table=table) for table in sorted(tables))
    return replace(observation, readings={**observation.readings, "postgres": replace(reading, samples=kept + told)})


def uncounted(observation: Observation) -> Observation:
    """The observation as it would have been if no table had been counted."""
    reading = observation.readings["postgres"]
    kept = tuple(s for s in reading.samples if s.name != _COUNT)
    return replace(observation, readings={**observation.readings, "postgres": replace(reading, samples=kept)})


def counted_tables(observation: Observation) -> frozenset[str]:
    """The tables that this observation counted to the end: a count that stopped at its cap comes with one bound."""
    reading = observation.readings.get("postgres")
    if reading is None or reading.failure is not None:
        return frozenset()
    bounds = [s.label("table") for s in reading.named(_COUNT) if isinstance(s.value, int)]
    return frozenset(table for table in bounds if bounds.count(table) > 1)
