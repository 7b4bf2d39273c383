"""Judgement of the epochs: whether they can be read, whether they are sealed, and who takes part in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitord.core.anomalies.sealing_habits import update_epochs
from monitord.core.copying import replace
from monitord.core.history.clocks import disagree, judged_at, server_now
from monitord.core.history.database import update_seals
from monitord.core.history.epochs import calendar, empty_labels, sealed_labels, seals
from monitord.core.history.model import History
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import participation, sealing, sealing_labels
from monitord.core.subjects.base import MetricFamily, MetricGroup, PerfDatum, StatusSection, Subject, Updated
from monitord.core.subjects.servers import unmeasured


def _seals_unknown(history: History, now: float) -> float:
    """For how long the seals could not be read; while Postgres itself was away that was said by another rule."""
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


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """What is sealed of a token group."""

    latest: int | None
    expected: int
    missed: tuple[int, ...] | None
    seal_age_seconds: float | None
    channels_sealed: int | None


@dataclass(frozen=True, slots=True)
class CurrentEpoch:
    """The epoch that is collected now, and the one after it."""

    epoch: int
    next: int
    seconds_until_next: float


def _groups(history: History, orders: StandingOrders, now: float) -> Mapping[str, GroupStatus]:
    if "epochs" not in orders.probes:
        return {}
    now = server_now(history, now)
    return {group: _group(group, history, orders, now) for group in orders.groups}


def _group(group: str, history: History, orders: StandingOrders, now: float) -> GroupStatus:
    is_known = history.reading("epochs") is not None
    found = seals(history.sealed, group, now, orders, history.empty) if is_known else None
    age = found.age_seconds if found else None
    return GroupStatus(
        latest=found.latest if found else None,
        expected=calendar(orders).expected(now),
        missed=tuple(found.missed) if found else None,
        seal_age_seconds=None if age is None else round(age, 3),
        channels_sealed=found.channels_sealed if found else None,
    )


def _current(history: History, orders: StandingOrders, now: float) -> CurrentEpoch | None:
    if "epochs" not in orders.probes:
        return None
    days = calendar(orders)
    epoch = days.current(now)
    return CurrentEpoch(epoch, epoch + days.length, round(epoch + days.length - now, 3))


METRICS = (
    MetricGroup(
        lambda fields: fields["epochs"] or None,
        (
            MetricFamily(
                "epoch_label_timestamp_seconds", "The newest sealed label of a group.", lambda group: group["latest"]
            ),
            MetricFamily(
                "epoch_expected_label_timestamp_seconds",
                "The newest label that is due.",
                lambda group: group["expected"],
            ),
            MetricFamily(
                "epoch_seal_age_seconds",
                "How long ago the newest sealed label of a group ended.",
                lambda group: group["seal_age_seconds"],
            ),
            MetricFamily(
                "epoch_missed_labels",
                "Labels that are due and absent.",
                lambda group: None if group["missed"] is None else len(group["missed"]),
            ),
            MetricFamily(
                "epoch_channels_sealed",
                "Channels sealed for the newest label of a group.",
                lambda group: group["channels_sealed"],
            ),
        ),
        label="group",
    ),
)


def _perfdata(fields: Mapping[str, Any], orders: StandingOrders) -> Iterator[PerfDatum]:
    limits = f"{orders.seal_warning.total_seconds():g};{orders.seal_critical.total_seconds():g}"
    for name, group in fields["epochs"].items():
        yield PerfDatum(f"{name} seal_age", group["seal_age_seconds"], "s", limits, "0")
        sealed = group["missed"] is not None and group["latest"] is not None
        yield PerfDatum(f"{name} missed", len(group["missed"]) if sealed else None, minimum="0")


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
    member_sample=("seal_channels", "group"),
    noun="the epochs",
    component="token group",
    status=(
        StatusSection("epochs", Mapping[str, GroupStatus], _groups),
        StatusSection("current_epoch", CurrentEpoch | None, _current),
    ),
    metrics=METRICS,
    perfdata=_perfdata,
)
