"""The pipeline's data, stage by stage: what is collected, sealed, built and published, and whether it is true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from monitord.core.copying import replace
from monitord.core.history.model import History
from monitord.core.history.pipeline import update_pipeline
from monitord.core.model import Judgement, Observation, Reading, Sample, Unmeasured
from monitord.core.orders import TABLES, TREES, StandingOrders
from monitord.core.report.criterion import CriterionResult, LevelFamily, SuccessCriterion, all_well
from monitord.core.subjects import pipeline_cases, pipeline_groups, pipeline_roots, pipeline_stages, pipeline_status
from monitord.core.subjects.base import Subject, Updated
from monitord.core.subjects.pipeline_settings import NAME, PipelineSettings, prepared
from monitord.core.subjects.redis import REDIS
from monitord.core.subjects.servers import unmeasured

if TYPE_CHECKING:
    from monitord.core.report.facts import ReportFacts

_NAMES_KEPT: Final = "sealed_participants holds user names beside the hashes; monitord reads none of them"

_UNMEASURED: Final = unmeasured(
    NAME,
    "the pipeline",
    "There is no such table any more in the database that is watched, or it lacks a column: is it the right database?",
    judges_failure=True,
)


def _evaluate(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """As of any part that cannot be measured; and a table that was there before and is not is missed."""
    reading = observation.readings[NAME]
    there = reading.values("there", "table")
    gone = tuple(
        Unmeasured(name, "missing", f"there is no table {name} any more")
        for name in history.pipeline.tables
        if there.get(name) == 0 and name not in orders.tables
    )
    if gone:
        readings = {**observation.readings, NAME: replace(reading, gaps=(*reading.gaps, *gone))}
        observation = replace(observation, readings=readings)
    yield from _UNMEASURED.evaluate(observation, history, orders)


UNMEASURED: Final = replace(_UNMEASURED, evaluate=_evaluate)


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    updated = update_pipeline(history, reading, now, orders)
    is_new = updated.pipeline.names and not history.pipeline.names
    return Updated(updated, notes=(_NAMES_KEPT,) if is_new else ())


def _depends_on(stage: str, orders: StandingOrders) -> tuple[str, ...]:
    """What a stage rests on beside the services that are declared to do it."""
    on = {pipeline_stages.COLLECTION: TABLES, pipeline_stages.TREE_STAGE: (REDIS.name, TREES)}
    return on.get(stage, ())


def _recomputed(one: Sample) -> bool:
    """What comes of recomputing roots, which takes longer than a reading."""
    return one.name.startswith(("verified", "case_")) or ("kind", "mismatch") in one.labels


def _unread(history: History) -> frozenset[str]:
    """The labels whose participants nobody read when they fell due."""
    return frozenset(str(label) for labels in history.pipeline.missed.values() for label in labels)


def _pipeline_true(facts: ReportFacts) -> CriterionResult:
    """What is sealed is read later and still true: it is enough that it could be read as the night ended."""
    is_read = facts.history.reading(NAME) is not None
    unseen = [] if is_read else ["The pipeline could not be measured as the night ended."]
    return all_well(facts, PIPELINE_TRUE.name, unseen, well="No root was found wrong.")


PIPELINE_TRUE: Final = SuccessCriterion(
    "pipeline_true",
    lambda _: "The pipeline's data are true",
    "no root was empty, another's, rewritten or recomputed to another, and the seals could be read",
    judge=_pipeline_true,
)
_READ: Final = LevelFamily(
    PIPELINE_TRUE.name,
    lambda reading: {
        one.label("group"): float(one.value)
        for one in reading.named("trouble")
        if one.label("kind") == "empty" and isinstance(one.value, int)
    },
    unmeasured="The seals could not be read: {}.",
    names=lambda orders: orders.groups,
)

PIPELINE = Subject(
    NAME,
    "the pipeline",
    server="postgres",
    beside="epochs",
    rules=(*pipeline_stages.RULES, *pipeline_roots.RULES, *pipeline_groups.RULES, UNMEASURED),
    update_for_rules=_update,
    member="stage or group",
    in_fleet=False,
    component="pipeline",
    depends_on=_depends_on,
    status=(pipeline_status.STATUS,),
    metrics=pipeline_status.METRICS,
    section=pipeline_status.section,
    criteria=(PIPELINE_TRUE, pipeline_cases.criterion(NAME, prepared)),
    levels=(_READ,),
    preparation=pipeline_cases.preparation(prepared, NAME),
    rollups=pipeline_status.ROLLUPS,
    carried=_recomputed,
    lacking=_unread,
    settings=PipelineSettings,
    needs="watch",
)
