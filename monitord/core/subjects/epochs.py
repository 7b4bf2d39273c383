"""Judgement of the epochs: whether they can be read, whether they are sealed, and who takes part in them."""

from collections.abc import Callable, Mapping

from monitord.core.anomalies.sealing_habits import update_epochs
from monitord.core.copying import replace
from monitord.core.dependencies import feeders, logs_of, sealers
from monitord.core.history.clocks import disagree, judged_at
from monitord.core.history.database import update_seals
from monitord.core.history.epochs import empty_labels, sealed_labels
from monitord.core.history.model import History
from monitord.core.model import Alert, Observation, Reading
from monitord.core.orders import SEALS, TABLES, StandingOrders
from monitord.core.subjects import epochs_report, epochs_status, participation, sealing, sealing_labels
from monitord.core.subjects.base import Defaults, Subject, Updated
from monitord.core.subjects.postgres import table_shown
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
    advise=lambda orders, subject, _: (
        f"Is the name of {subject} right? MONITORD_EPOCHS__GROUPS names the groups that are sealed."
        if subject in orders.groups
        else ""
    ),
)


def _update(history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders) -> Updated:
    sealed, empty = sealed_labels(reading), empty_labels(reading)
    if sealed is not history.sealed or empty is not history.empty:
        history = replace(history, sealed=sealed, empty=empty)
    if disagree(history):
        return Updated(history)
    at = judged_at(history, now)
    history = sealing_labels.update_left_out(update_seals(history, history.sealed, at, orders), now, orders)
    learned = update_epochs(history.learned, reading, at, orders)
    return Updated(history if learned is history.learned else replace(history, learned=learned))


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    return {
        "sealer": logs_of(by for group in orders.groups for by in sealers(group, orders)),
        "feeder": logs_of(feeders(str(alert.finding.evidence.get("group", alert.subject)), orders)),
    }


def _shown(observation: Observation, table: str) -> bool | None:
    reading = observation.readings.get("epochs")
    return True if reading is not None and reading.failure is None else table_shown(observation, table)


def _applied(orders: StandingOrders, seen: Callable[[str], bool | None]) -> StandingOrders:
    """What could not be queried is not off but unknown: the groups stay, and are null.

    Only where other tables are named, which shows that it is another fleet, no group is named meanwhile, and the probe
    stays.
    """
    is_there, is_default = seen(SEALS), "groups" in orders.unnamed
    is_open = is_default and is_there is None
    may_be_own = is_open and any(name in TABLES for name in orders.tables)
    groups = () if is_default and not is_there and not may_be_own else orders.groups
    probes = orders.probes if groups or is_open else orders.probes - {"epochs"}
    return replace(orders, groups=groups if "epochs" in probes else (), probes=probes)


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
    update_for_rules=_update,
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
    defaults=Defaults(
        asked=lambda orders: (SEALS,) if "groups" in orders.unnamed else (),
        shown=_shown,
        known=lambda history, table: table == SEALS and "epochs" in history.taken_at,
        applied=_applied,
    ),
    off_by_default=lambda orders: None if "epochs" in orders.probes else ("epochs", "MONITORD_EPOCHS__GROUPS"),
    runbook_words=_runbook_words,
    criteria=(epochs_report.EPOCHS_SEALED,),
    rollups=epochs_status.ROLLUPS,
    limits={
        "seal_warning": "the age of the newest seal, past which is a warning",
        "seal_critical": "the same, past which is critical",
        "sealed_by": "the services whose death explains that nothing is sealed",
        "learned_warnings": "whether what is unusual by the fleet's own past is warned of",
    },
)
