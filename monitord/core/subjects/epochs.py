"""Judgement of the epochs: whether they can be read, whether they are sealed, and who takes part in them."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.anomalies.sealing_habits import update_epochs
from monitord.core.copying import replace
from monitord.core.dependencies import feeders, logs_of, sealers
from monitord.core.history.clocks import disagree, judged_at
from monitord.core.history.database import update_seals
from monitord.core.history.epochs import empty_labels, sealed_labels
from monitord.core.history.model import History
from monitord.core.model import Alert, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import epochs_criteria, epochs_report, epochs_status, participation, sealing, sealing_labels
from monitord.core.subjects.base import Subject, Updated
from monitord.core.subjects.servers import unmeasured


def _seals_unknown(history: History, now: float) -> float:
    """For how long the seals could not be read; while Postgres itself was away, another rule reported it."""
    since = history.taken_at.get("epochs", 0.0)
    return max(0.0, history.failed_seconds("epochs", now) - history.absent_seconds("postgres", since, now))


UNMEASURED = unmeasured(
    "epochs",
    "epoch sealing",
    "There is no such table in the database and schema that are watched: is it the right database?",
    noun="the epochs",
    judges_failure=True,
    unknown_for=_seals_unknown,
)


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    history = replace(history, sealed=sealed_labels(reading), empty=empty_labels(reading))
    if disagree(history):
        return Updated(history)
    at = judged_at(history, now)
    history = sealing_labels.update_left_out(update_seals(history, history.sealed, at, orders), now, orders)
    return Updated(replace(history, learned=update_epochs(history.learned, reading, at, orders)))


def _off_by_default(orders: StandingOrders) -> tuple[str, str] | None:
    return None if "epochs" in orders.probes else ("epochs", "MONITORD_EPOCHS__GROUPS")


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    return {
        "sealer": logs_of(by for group in orders.groups for by in sealers(group, orders)),
        "feeder": logs_of(feeders(str(alert.finding.evidence.get("group", alert.subject)), orders)),
    }


EPOCHS = Subject(
    "epochs",
    "epoch sealing",
    server="postgres",
    rules=(
        sealing.SEALING_STUCK,
        sealing.SEALING_LATE,
        *sealing_labels.RULES,
        sealing.SEALING_SLOW,
        *participation.RULES,
        UNMEASURED,
    ),
    update=_update,
    members="groups",
    member="group",
    in_fleet=False,
    member_sample=("seal_channels", "group"),
    noun="the epochs",
    component="token group",
    status=(epochs_status.GROUPS, epochs_status.CURRENT),
    metrics=epochs_status.METRICS,
    perfdata=epochs_status.perfdata,
    section=epochs_status.section,
    report=epochs_report.sealing,
    report_parts=(epochs_report.SEALING_REPORT,),
    keeps_samples=False,  # the labels sealed are kept
    off_by_default=_off_by_default,
    runbook_words=_runbook_words,
    criteria=(epochs_criteria.EPOCHS_SEALED,),
    rollups=epochs_status.ROLLUPS,
    limits={
        "seal_warning": "the age of the newest seal, past which is a warning",
        "seal_critical": "the same, past which is critical",
        "sealed_by": "the services whose death explains that nothing is sealed",
        "learned_warnings": "whether what is unusual by the fleet's own past is warned of",
    },
)
