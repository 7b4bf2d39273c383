"""What happened to one service, reported once and by whom: from PM2's bus, or between two readings of PM2.

What was reported as it came is in the events of the next reading all the same, marked as reported: judgement counts it,
and nobody is notified of it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.process_model import FleetRestart, Process, ProcessEnd, ServiceHistory
from monitord.core.history.process_states import WAITING, ended_well, may_rest
from monitord.core.history.restarts import BY_RULE, Change, how
from monitord.core.model import OperatorAction, ProcessExit, RestartKind, ServiceEvent

_TOGETHER: Final = {
    "deployment": "restarted together with the whole fleet: an operator or a deployment",
    "reboot": "started with the whole fleet, as the machine came up",
    "resurrected": "started with the whole fleet, as PM2 came back with its saved list",
    "unknown": "restarted together with the whole fleet; by whom, or why, is not known",
}
_BY_ACT: Final = frozenset({"restarted", "stopped", "started"})
LIST_SECONDS: Final = 5.0
"""How long after a reading began its list may have been made: no answer is waited for much longer."""
_LEFT_BEHIND: Final = "not in PM2's list since PM2 came back: its saved list is incomplete (pm2 save)"
_ONE: Final[dict[RestartKind, tuple[Literal["pm2", "operator"], str]]] = {
    "operator": ("operator", "restarted by an operator"),
    "deployment": ("operator", "restarted with others: a deployment"),
    "schedule": ("pm2", "restarted by its schedule (cron_restart)"),
}


@slot_by_slot
@dataclass(frozen=True, slots=True)
class BusReports:
    """The ends of a service that PM2's bus reported since `since`; `said` of them were logged as they came.

    `acts` are operators' doing. What lies between `since` and `now` (Unix seconds) is news of this reading.
    `periodic`: the service comes and goes, as expected of it.
    """

    deaths: tuple[ProcessEnd, ...] = ()
    said: int = 0
    acts: tuple[OperatorAction, ...] = ()
    since: float = 0.0
    now: float = 0.0
    periodic: bool = False


def crash_event(end: ProcessExit, service: ServiceHistory | None) -> ServiceEvent | None:
    """The event of an end that PM2's bus reported; None where the next reading of PM2 is to show what it was.

    That is where a hand was in it, or PM2 lets it end; what is not known of `service` yet, or is monitord itself; and
    an end that PM2's list had counted before the bus was connected.
    """
    processes = service.lives if service is not None else {}
    if end.manually or end.memory or end.watch or not processes or all(process.own for process in processes.values()):
        return None
    seen = processes.get(end.instance)
    if seen is not None and seen.restarts is not None and end.restarts is not None and end.restarts < seen.restarts:
        return None
    process = seen or next(iter(processes.values()))
    is_kept = not may_rest(process) and process.schedule is None and not (service is not None and service.periodic)
    if process.own or (not is_kept and not end.signal and not end.code):
        return None
    return ServiceEvent(end.service, "crashed", "pm2", f"ended {_how(end)}", 1, "automatic", at=end.at)


def action_event(act: OperatorAction, service: ServiceHistory | None) -> ServiceEvent | None:
    """The event of what an operator did; None where it is no news, or PM2's list is to show what became of it."""
    if act.what in {"stopping", "ended"} or service is None or len(service.lives) != 1:
        return None
    seen = service.lives.get(act.instance)
    if seen is None or seen.own:
        return None
    if act.what == "stop":
        if seen.state == "stopped" and act.created_at in (None, seen.created_at):
            return None  # the list has shown it, and it was not started since
        return ServiceEvent(act.service, "stopped", "operator", "stopped by an operator", at=act.at)
    if act.created_at is not None and seen.created_at == act.created_at and seen.state != "stopping":
        return None
    if seen.state in {"stopped", "errored"}:
        return ServiceEvent(act.service, "started", "operator", "started by an operator", at=act.at)
    return ServiceEvent(act.service, "restarted", "operator", "restarted by an operator", 1, "operator", at=act.at)


def repeated_crashes(end: ProcessExit, times: int) -> ServiceEvent:
    """The event of `times` ends that followed one that was logged; `end` is the last of them."""
    often = "once more" if times == 1 else f"{times} times more, the last time"
    return ServiceEvent(end.service, "crashed", "pm2", f"ended {often} {_how(end)}", times, "automatic", at=end.at)


def _how(end: ProcessExit) -> str:
    lived = round(end.at - end.began, 3) if end.began is not None and end.began <= end.at else None
    return how(ProcessEnd(end.at, end.instance, end.code, end.signal, lived)) or "by itself"


def dated(found: Sequence[ServiceEvent], new: Mapping[str, Process], reports: BusReports) -> list[ServiceEvent]:
    """The events of one name between two readings, each with its moment where it is known."""
    done = any(act.said for act in reports.acts)
    acts = [done and event.by == "operator" and event.change in _BY_ACT for event in found]
    return [
        replace(event, at=_moment(event, new, reports), said=event.said or is_act)
        for event, is_act in zip(found, acts, strict=True)
    ]


def _moment(event: ServiceEvent, new: Mapping[str, Process], reports: BusReports) -> float | None:
    """When it happened, by PM2's bus or its list; None where neither has it."""
    ends = [end.at for end in reports.deaths] + [act.at for act in reports.acts if act.what == "ended"]
    begins = [process.started_at for process in new.values() if process.started_at is not None]
    if event.change in {"stopped", "deleted"}:
        moments = ends or [act.at for act in reports.acts if act.what == "stop"]
    elif event.change == "crashed":
        moments = [end.at for end in reports.deaths] or (begins if event.restarts else [])
    else:
        moments = begins
    # The list is asked a moment after its reading began.
    return max((at for at in moments if reports.since < at <= reports.now + LIST_SECONDS), default=None)


def events_of(
    name: str,
    old: Mapping[str, Process],
    new: Mapping[str, Process],
    change: Change | None,
    together: FleetRestart | None,
    reports: BusReports,
    *,
    is_many: bool,
) -> list[ServiceEvent]:
    """What happened to one name between two readings; `is_many`: so many were restarted by hand: a deployment."""
    if not old:
        return [ServiceEvent(name, "appeared", "operator", "new in PM2's list")] if new else []
    if not new:
        if together is not None and together.is_empty and together.kind != "deleted":
            return []  # nobody deleted anything: it is one thing that happened to PM2, and has its alert
        if together is not None and not together.is_empty and name in together.left_behind:
            return [ServiceEvent(name, "deleted", "pm2", _LEFT_BEHIND)]
        return [ServiceEvent(name, "deleted", "operator", "gone from PM2's list")]
    assert change is not None  # noqa: S101 - a name known before has been compared
    if together is not None and together.kind != "deleted" and change.restarted:
        by: Literal["pm2", "operator", "unknown"] = "operator" if together.kind == "deployment" else "pm2"
        by = "unknown" if together.kind == "unknown" else by
        restarts = max(1, change.crashes)
        # No hand was seen on it, and how it ended has been logged.
        is_logged = not change.remade and reports.said >= restarts
        return [ServiceEvent(name, "restarted", by, _TOGETHER[together.kind], restarts, together.kind, is_logged)]
    events = [
        ServiceEvent(name, "restarted", "pm2", f"restarted by PM2{_often(count)}, {BY_RULE[rule]}", count, rule)
        for rule, count in change.ruled
    ]
    if change.crashes == 1 and not _up(old):  # its end was reported when it was seen
        events.append(ServiceEvent(name, "restarted", "pm2", "restarted by PM2 after its death", 1, "automatic"))
    elif change.crashes:
        said_before = min(reports.said, change.crashes)
        if said_before:
            events.append(replace(_crashed(name, new, said_before, reports.deaths), said=True))
        if change.crashes > said_before:
            events.append(_crashed(name, new, change.crashes - said_before, reports.deaths))
    if change.unknown:
        detail = f"restarted{_often(change.unknown)}; by whom, or why, is not known, as PM2's bus was not connected"
        events.append(ServiceEvent(name, "restarted", "unknown", detail, change.unknown, "unknown"))
    if change.turns and _up(old):  # it was not seen to rest in between
        detail = f"ended well and was begun again by PM2{_often(change.turns)}, as it comes and goes"
        events.append(ServiceEvent(name, "restarted", "pm2", detail, change.turns, "schedule"))
    if (turned := _up_or_down(name, old, new, change, reports)) is not None:
        events.append(replace(turned, said=_is_of_a_logged_end(turned, new, reports.said - change.crashes)))
    elif change.by_hand:
        kind: RestartKind = "deployment" if is_many and change.kind == "operator" else change.kind or "operator"
        who, detail = _ONE[kind]
        events.append(ServiceEvent(name, "restarted", who, detail, 1, kind))
    return events


def _often(times: int) -> str:
    return "" if times == 1 else f" {times} times"


def _crashed(name: str, new: Mapping[str, Process], times: int, ends: Sequence[ProcessEnd]) -> ServiceEvent:
    often = "once" if times == 1 else f"{times} times"
    if ends:
        last = "" if times == 1 else "the last time "
        detail = f"ended {last}{how(ends[-1]) or 'by itself'} and was restarted by PM2 {often}"
    else:
        detail = f"ended by itself and was restarted by PM2 {often}{_last_code(new)}"
    return ServiceEvent(name, "crashed", "pm2", detail, times, "automatic")


def _up_or_down(
    name: str, old: Mapping[str, Process], new: Mapping[str, Process], change: Change, reports: BusReports
) -> ServiceEvent | None:
    """A service or an instance came up or went down; `launching` counts as up already, `stopping` as up still."""
    was, are = _up(old), _up(new)
    if was == are:
        return None
    scheduled = any(process.schedule for process in new.values())
    if was and not are:
        return _went_down(name, new, () if change.crashes else reports.deaths, scheduled=scheduled, reports=reports)
    if are and not was and not change.automatic:
        if scheduled or change.turns:
            return ServiceEvent(name, "started", "pm2", "its turn has come")
        return ServiceEvent(name, "started", "operator", "online again")
    if was != are and not change.automatic:
        changed: Literal["started", "stopped"] = "started" if are > was else "stopped"
        before = f"; there were {len(old)}" if len(old) != len(new) else ""
        return ServiceEvent(name, changed, "operator", f"{are} of {len(new)} instances are online{before}")
    return None


def _is_of_a_logged_end(event: ServiceEvent, new: Mapping[str, Process], said: int) -> bool:
    """Whether an event only shows an end that has been logged; that PM2 gives up is news."""
    return (
        said > 0
        and event.change in {"crashed", "stopped"}
        and all(process.state != "errored" for process in new.values())
    )


def _went_down(
    name: str, new: Mapping[str, Process], ends: Sequence[ProcessEnd], *, scheduled: bool, reports: BusReports
) -> ServiceEvent:
    """The event of a service of which nothing is up. `ends`: those that no count has shown yet."""
    state = next(iter(new.values())).state
    ended = _last_code(new)
    is_well = all(ended_well(process) for process in new.values())
    if is_well and state in WAITING and (reports.periodic or all(may_rest(process) for process in new.values())):
        return ServiceEvent(name, "stopped", "pm2", f"ended by itself until PM2 begins it again{ended}")
    if state == "errored":
        detail = f"PM2 has given up restarting it{ended}"
        if ends and (how_it_ended := how(ends[-1])):
            detail = f"PM2 has given up restarting it; it ended {how_it_ended}"
        return ServiceEvent(name, "crashed", "pm2", detail)
    if state in WAITING:
        detail = f"ended {how(ends[-1]) or 'by itself'}" if ends else f"ended by itself{ended}"
        backoff = " (exp_backoff_restart_delay)" if any(process.backoff for process in new.values()) else ""
        return ServiceEvent(name, "crashed", "pm2", f"{detail}; PM2 waits before it restarts it{backoff}")
    if is_well and reports.periodic and (ends or not any(process.autorestart for process in new.values())):
        return ServiceEvent(name, "stopped", "pm2", f"ended by itself until its next turn{ended}")
    may_end = all(process.may_end for process in new.values()) and bool(ends)
    is_kept = any(process.autorestart for process in new.values()) and not scheduled and not may_end
    if state == "stopped" and ends and is_kept:
        return ServiceEvent(name, "crashed", "pm2", f"ended {how(ends[-1]) or 'by itself'}")
    # What PM2 keeps going stays stopped only where somebody stops it, whatever code it ends with.
    if state == "stopped" and any(process.exit_code for process in new.values()) and not is_kept:
        return ServiceEvent(name, "crashed", "pm2", f"ended by itself{ended}")
    if scheduled:
        return ServiceEvent(name, "stopped", "pm2", f"ended by itself until its next turn{ended}")
    if may_end or not any(process.autorestart for process in new.values()):
        return ServiceEvent(name, "stopped", "pm2", f"ended, and PM2 is configured not to restart it{ended}")
    return ServiceEvent(name, "stopped", "operator", f"PM2 now calls it {state}{ended}")


def _last_code(processes: Mapping[str, Process]) -> str:
    code = next((process.exit_code for process in processes.values() if process.exit_code is not None), None)
    return "" if code is None else f", last exit code {code}"


def _up(processes: Mapping[str, Process]) -> int:
    return sum(1 for process in processes.values() if process.state in {"online", "launching", "stopping"})
