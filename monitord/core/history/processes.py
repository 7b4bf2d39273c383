"""What two readings of PM2 say together: who is there, who came and went, and how often each died.

PM2 restarts a crashed process within milliseconds, so its `status` shows no crashes; its counters do.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, is_
from typing import Any, Final

from monitord.core.app_numbers import of_each, of_word
from monitord.core.copying import replace, with_these
from monitord.core.history import restarts
from monitord.core.history.model import History
from monitord.core.history.periodic import as_periodic, expected, learned_as, with_runs
from monitord.core.history.process_events import BusReports, dated, events_of
from monitord.core.history.process_model import Batch, Process, ProcessEnd, ServiceHistory, keep_told
from monitord.core.history.process_states import WAITING, followed, may_rest
from monitord.core.history.restart_loops import tallied
from monitord.core.latest import latest, latest_same
from monitord.core.model import OperatorAction, Reading, RestartKind, Sample, ServiceEvent, Value
from monitord.core.orders import Expected, StandingOrders

# States whose beginning PM2's list gives.
_BEGUN = frozenset({"online", "launching"})
# PM2 reports an end a moment before it counts it, and rounds its clock.
SAID_SLACK_SECONDS = 0.05
_NOTHING_KNOWN: Final = ServiceHistory()
_NOTHING_HEARD: Final = BusReports()
_OTHERS: Final = "the values that apps report are those of other apps"


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: Value) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _word(value: Value) -> str | None:
    return value if isinstance(value, str) else None


@dataclass(slots=True)
class _Listed:
    """One process in a reading: what changes with nearly every reading, and all else, by the names of its samples."""

    told: dict[str, Value]
    memory: float | None
    cpu: float | None
    app_form: str
    app_values: str
    heap_limit: float | None

    def process(self) -> Process:
        return _with_usage(_process(tuple(map(self.told.get, _TOLD))), self, self.told)


def _with_usage(process: Process, one: _Listed, told: Mapping[str, Value]) -> Process:
    return _used(process, one.memory, one.cpu, one.app_form, one.app_values, one.heap_limit, told)


_used: Final = with_these(Process, "memory", "cpu", "app_form", "app_values", "heap_limit", "_told")
_living: Final = with_these(ServiceHistory, "lives")


def by_service(reading: Reading) -> dict[str, dict[str, Process]]:
    """Name -> pm_id -> Process, from one good reading of the pm2 probe."""
    return {
        service: {instance: listed.process() for instance, listed in processes.items()}
        for service, processes in _listed(reading.samples).items()
    }


@latest_same
def _listed(samples: tuple[Sample, ...]) -> Mapping[str, Mapping[str, _Listed]]:
    rows: dict[tuple[tuple[str, str], ...], dict[str, Value]] = {}
    labels: tuple[tuple[str, str], ...] | None = None
    row: dict[str, Value] = {}
    told: Iterator[str] = iter(())
    for s in samples:
        if s.labels is labels:  # a probe reports one process after the other
            row[s.name] = s.value
        elif s.name.startswith("service_"):
            labels = s.labels
            row = rows.setdefault(labels, {})
            row[s.name] = s.value
        elif s.name == "app_values":
            told = iter(of_each(_word(s.value) or ""))
    fleet: dict[str, dict[str, _Listed]] = {}
    for of_process, row in rows.items():
        of = dict(of_process)
        memory, cpu = _number(row.pop("service_memory", None)), _number(row.pop("service_cpu", None))
        form = _word(row.pop("service_app_form")) or "" if "service_app_form" in row else ""
        heap_limit = _number(row.pop("service_heap_limit")) if "service_heap_limit" in row else None
        values = next(told, "") if form else ""
        if form and not values:
            raise ValueError(_OTHERS)
        if not form and "service_app" in row and (word := _word(row.pop("service_app"))) is not None:
            form, values = of_word(word)
        listed = _Listed(row, memory, cpu, form, values, heap_limit)
        fleet.setdefault(of["service"], {})[of["instance"]] = listed
    if next(told, None) is not None:
        raise ValueError(_OTHERS)
    return fleet


# What PM2 has of a process, but for what it uses and reports itself, which changes at each reading; and how it is read.
_FIELDS: Final[Mapping[str, Callable[[Value], Any]]] = {
    "state": lambda value: str(value or "unknown"),
    **dict.fromkeys(("restarts", "exit_code"), _whole),
    **dict.fromkeys(("process", "schedule", "cron"), _word),
    **dict.fromkeys(("created_at", "started_at", "last_started_at", "restart_delay"), _number),
    **dict.fromkeys(("memory_limit", "kill_timeout", "listen_timeout"), _number),
    "autorestart": lambda value: value != 0,
    **dict.fromkeys(("module", "own", "watch", "backoff", "may_end"), bool),
}
_TOLD: Final = tuple("service_self" if name == "own" else f"service_{name}" for name in _FIELDS)
_as_told: Final = attrgetter(*_FIELDS)


@lru_cache(maxsize=4096)
def _process(reports: tuple[Value, ...]) -> Process:
    return Process(**{name: read(told) for (name, read), told in zip(_FIELDS.items(), reports, strict=True)})


@latest
def _of_fleet(
    listed: Mapping[str, Mapping[str, _Listed]], orders: StandingOrders
) -> Mapping[str, Mapping[str, _Listed]]:
    """Those of the fleet: neither monitord itself nor PM2's own modules, unless the orders name them."""
    return {
        name: processes for name, processes in listed.items() if name in orders.services or _has_own(processes.values())
    }


def _has_own(processes: Iterable[_Listed]) -> bool:
    for one in processes:  # noqa: SIM110 - at half the cost, of each service in each cycle
        if not (one.told.get("service_self") or one.told.get("service_module")):
            return True
    return False


class _Calm:
    """What a reading was judged of that changed nothing of the fleet, and since when there had been one.

    Of the very same things another reading without a gap changes nothing either. In a recording that is replayed, they
    are the same as long as no process tells anything new. A report is folded on another thread than a cycle.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[tuple[object, ...], float] = (), math.inf

    def begins(self, of: tuple[object, ...], before: float) -> None:
        self._known = of, before

    def goes_on(self, of: tuple[object, ...], before: float) -> bool:
        known, since = self._known
        return since <= before and all(map(is_, of, known))


_calm: Final = _Calm()


def update_fleet(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> tuple[History, list[ServiceEvent]]:
    """The history after one good reading of PM2 (the last was at `before`), and what happened between."""
    listed = _of_fleet(_listed(reading.samples), orders)
    window, late = orders.restarts_window.total_seconds(), orders.late_after.total_seconds()
    watched_since = before if before is not None and now - before <= late else None
    daemon = reading.by.identity if reading.by is not None else history.daemon
    asked = listed, orders, history.services, history.roster, history.fleet_restart
    if watched_since is not None and daemon == history.daemon and _calm.goes_on(asked, watched_since):
        return history, []
    first = before is None or not history.services
    seen: dict[str, Mapping[str, Process]] = {}
    resting: dict[str, Mapping[str, Process]] = {}  # nearly all, nearly always: nothing has happened to them
    for name, in_list in listed.items():
        service = history.services.get(name)
        if service is not None and not first and (at_rest := _at_rest(service, in_list, before)) is not None:
            resting[name] = seen[name] = followed(name, service.lives, at_rest, watched_since, now, orders)
            continue
        found = {instance: one.process() for instance, one in in_list.items()}
        seen[name] = found if service is None else _on_their_way(service.lives, found)
    another = False if before is None else restarts.answers_another(history, reading, before, now, late)
    # Of those to which something may have happened.
    changes = {
        name: restarts.change(
            service.lives,
            seen.get(name, {}),
            _since(service, before),
            by_hand=_is_by_hand(service, before),
            periodic=service.periodic,
            another=another is not False,
        )
        for name, service in history.services.items()
        if not first and name not in resting
    }
    together = None
    if before is not None and not first and not resting:
        together = restarts.emptied(history, expected(history, orders), reading, seen, before, now)
    if before is not None and together is None and not first and not any(map(_is_alive, resting.values())):
        together = restarts.fleet_restart(changes, history, seen, before, now, window, is_another=another)
    is_many = restarts.many(changes)
    services: dict[str, ServiceHistory] = {}
    events: list[ServiceEvent] = []
    roster = dict(history.roster)
    ordered = orders.services
    may_run: list[str] = []  # those that come and go, or may
    for name in sorted(history.services.keys() | seen.keys()):
        old = history.services.get(name, _NOTHING_KNOWN)
        if (at_rest := resting.get(name)) is not None:
            services[name] = old if at_rest is old.lives else _living(old, at_rest)
            was = roster.get(name)
            wanted = ordered.get(name) if ordered else was
            if wanted == "periodic" or old.periodic or old.runs is not None or not _stays_online(at_rest):
                may_run.append(name)
                if not ordered and (known := learned_as(at_rest, was, _NOTHING_HEARD, by_hand=old.by_hand)) is not None:
                    roster[name] = known
            elif not ordered and was != "online":
                roster[name] = "online"
            continue
        may_run.append(name)
        batches = tuple(b for b in old.batches if b.end > now - window)
        crashes = changes[name].crashes if name in changes else 0
        tallies = old.tallies
        if before is not None and together is None and name in changes:
            of_rules: dict[RestartKind, int] = {"automatic": crashes, **dict(changes[name].ruled)}
            made = {kind: count for kind, count in of_rules.items() if count}
            batches = (*batches, *(Batch(before, now, count, kind) for kind, count in made.items()))
            tallies = tallied(tallies, made, before, now, window) if made or tallies else ()
        reports = BusReports(
            _since(old, before), old.said, _acts(old, before), _settled(old, before), now, old.periodic
        )
        begun = _since_when(old.lives, seen.get(name, {}), reports)
        processes = followed(name, old.lives, begun, watched_since, now, orders)
        happened: list[ServiceEvent] = []
        if not first:
            found_of = events_of(name, old.lives, processes, changes.get(name), together, reports, is_many=is_many)
            happened = dated(found_of, processes, reports)
        if processes or batches or tallies or name in orders.services or name in history.roster:
            going = any(_is_going(process) for process in processes.values())
            ends = tuple(d for d in old.deaths if d.at > now - window)
            ends = ends if going else ends[-restarts.KEEP_DEATHS :]
            taken_up = name in changes and restarts.is_taken_up(old.lives, processes, changes[name])
            taken_up_at = now if taken_up else old.taken_up_at
            logged = _still_logged(old, processes, crashes, now)
            services[name] = replace(
                old,
                lives=processes,
                batches=batches,
                tallies=tallies,
                deaths=ends,
                taken_up_at=taken_up_at,
                said=logged,
                said_at=old.said_at if logged else 0.0,
                settled_at=_settled(old, before) if going else None,
                acts=tuple(act for act in old.acts if going or act.at > now),
                by_hand=_by_hand(old, happened, reports),
                gone_at=None if processes else next((e.at for e in happened if e.change == "deleted"), old.gone_at),
            )
            is_by_hand = services[name].by_hand or _is_by_hand(old, before)
            learned = learned_as(processes, roster.get(name), reports, by_hand=is_by_hand)
            if learned is not None and not ordered:
                roster[name] = learned
        events.extend(happened)
    wanted_now: Mapping[str, Expected] = ordered or roster
    dark = now - before if before is not None and now - before > late else 0.0
    for name in may_run:
        if (service := services.get(name)) is not None:
            service = as_periodic(service, wanted_now.get(name) == "periodic")
            lives = history.services.get(name, _NOTHING_KNOWN).lives
            services[name] = with_runs(name, service, lives, now, dark, orders)
    last = together or history.fleet_restart
    if last is not None and last.left_behind:
        left_behind = tuple(name for name in last.left_behind if name not in seen)
        last = replace(last, left_behind=left_behind, is_empty=last.is_empty and left_behind == last.left_behind)
    is_same = [*services] == [*history.services] and all(map(is_, services.values(), history.services.values()))
    if is_same and roster == history.roster and last is history.fleet_restart and daemon == history.daemon:
        if watched_since is not None and any(map(_is_alive, resting.values())):
            _calm.begins(asked, watched_since)
        return history, events
    return replace(history, services=services, roster=roster, fleet_restart=last, daemon=daemon), events


def _is_alive(processes: Mapping[str, Process]) -> bool:
    return any(process.state == "online" for process in processes.values())


def _stays_online(processes: Mapping[str, Process]) -> bool:
    """Whether each process is online, and none of them rests between its runs or is run by the clock."""
    for process in processes.values():
        if process.state != "online" or process.schedule or may_rest(process):
            return False
    return True


def _at_rest(
    service: ServiceHistory, listed: Mapping[str, _Listed], before: float | None
) -> Mapping[str, Process] | None:
    """The lives of a service to which nothing has happened since the reading at `before`; None where something may.

    The bus reported nothing that is not counted, and PM2's list has of each process what it had, but for what it uses.
    """
    old = service.lives
    if service.batches or service.deaths or service.acts or service.tallies or service.said or service.said_at:
        return None
    if service.settled_at is not None or service.gone_at is not None or before is None:
        return None
    if not listed or list(old) != list(listed):
        return None
    if service.by_hand_at is not None and service.by_hand_at > before:
        return None
    moved: dict[str, Process] = {}
    for instance, now in listed.items():
        was = old[instance]
        if was.since is None or was.state == "stopping":
            return None
        told = was.told
        if told is not now.told and told != now.told:
            if _as_told(now.process()) != _as_told(was):
                return None
            told = now.told
            keep_told(was, told)
        if now.memory != was.memory or now.cpu != was.cpu or now.app_values or was.app_values:
            moved[instance] = _with_usage(was, now, told)
    if not moved:
        return old
    return moved if len(moved) == len(old) else {instance: moved.get(instance, old[instance]) for instance in old}


def _on_their_way(old: Mapping[str, Process], new: Mapping[str, Process]) -> dict[str, Process]:
    """The lives, with those that PM2 is just restarting called so.

    It counts a restart a moment before it stops calling the process stopped, and is often asked then: the end causes
    the check. Of what it is ending the counters stay: whether it is restarted, and by whom, shows when it has ended.
    """
    processes = dict(new)
    for instance, process in new.items():
        was = old.get(instance)
        if was is None:
            continue
        if _is_going(process):
            processes[instance] = replace(process, restarts=was.restarts, created_at=was.created_at)
        elif process.state == "stopped" and restarts.is_restarted(was, process):
            processes[instance] = replace(process, state="launching")
    return processes


def _is_by_hand(service: ServiceHistory, before: float | None) -> bool:
    """Whether the bus has reported, since the last reading that counted, that an operator acted on a process of it."""
    if service.by_hand_at is None and not service.acts:
        return False
    hand = service.by_hand_at is not None and service.by_hand_at > _settled(service, before)
    return hand or any(act.what in {"restart", "reload"} for act in _acts(service, before))


def _acts(service: ServiceHistory, before: float | None) -> tuple[OperatorAction, ...]:
    if not service.acts:
        return ()
    since = _settled(service, before)
    return tuple(act for act in service.acts if act.at > since)


def _by_hand(service: ServiceHistory, happened: list[ServiceEvent], reports: BusReports) -> bool:
    if not happened:
        return service.by_hand
    is_so, is_reported = service.by_hand, any(act.what in {"ended", "stop"} for act in reports.acts)
    for event in happened:
        is_so = is_reported and event.by == "operator" and event.change in {"stopped", "deleted"}
    return is_so


def _since_when(old: Mapping[str, Process], new: Mapping[str, Process], reports: BusReports) -> dict[str, Process]:
    """The lives, each with the moment since when it has been in its state, by PM2, or was first seen in it."""
    processes, now = {}, reports.now
    for instance, process in new.items():
        was = old.get(instance)
        is_same_run = was is not None and (process.state not in _BEGUN or was.started_at == process.started_at)
        if was is not None and was.state == process.state and was.since is not None and is_same_run:
            since = was.since
        elif process.state in _BEGUN and process.started_at is not None and process.started_at <= now:
            since = process.started_at
        else:
            moments = _moments(instance, process, reports)
            since = min((at for at in moments[-1:] if reports.since < at <= now), default=now)
        processes[instance] = replace(
            process, since=since, signal=_signal(instance, was, process, reports), given_up=_is_given_up(was, process)
        )
    return processes


def _moments(instance: str, process: Process, reports: BusReports) -> list[float]:
    """When PM2's bus reported that a process was brought into a state that PM2's list gives no beginning of."""
    if process.state in _BEGUN:
        return []
    if _is_going(process):
        return [act.at for act in reports.acts if act.instance == instance and act.what == "stopping"]
    ended = [one.at for one in reports.deaths if one.instance == instance]
    return ended + [act.at for act in reports.acts if act.instance == instance and act.what in {"ended", "stop"}]


def _signal(instance: str, was: Process | None, process: Process, reports: BusReports) -> str:
    """By which signal the last run of a process that does not run ended, as far as the bus reported it."""
    if process.state in _BEGUN or _is_going(process):
        return ""
    ends = [end for end in reports.deaths if end.instance == instance]
    return ends[-1].signal if ends else was.signal if was is not None and was.state == process.state else ""


def _is_given_up(was: Process | None, process: Process) -> bool:
    """Whether PM2 has given up on a process that it calls waiting: it then forgets when it was created."""
    if process.state not in WAITING:
        return False
    if was is None:
        return process.created_at is None and process.last_started_at is not None
    return was.given_up if was.state == process.state else was.created_at is not None and process.created_at is None


def _is_going(process: Process) -> bool:
    return process.state == "stopping"


def _settled(service: ServiceHistory, before: float | None) -> float:
    """Since when nothing of a service has been counted that the bus reported; `before` is the last reading."""
    if service.settled_at is not None:
        return service.settled_at
    return before if before is not None else math.inf


def _since(service: ServiceHistory, before: float | None) -> tuple[ProcessEnd, ...]:
    if not service.deaths:
        return ()
    since = _settled(service, before)
    return tuple(end for end in service.deaths if end.at > since)


def _still_logged(old: ServiceHistory, new: Mapping[str, Process], crashes: int, now: float) -> int:
    """How many ends that were logged as they came a later reading is still to show; all others are never counted.

    Those since this reading was begun, at `now`, and those of what is down: PM2 counts a restart when it has begun.
    """
    left = max(0, old.said - crashes)
    if not left:
        return 0
    return (
        left
        if old.said_at > now - SAID_SLACK_SECONDS or any(process.state != "online" for process in new.values())
        else 0
    )


def recent_restarts(service: ServiceHistory, now: float, window: float) -> int:
    """Automatic restarts within the last `window` seconds; those of a longer absence count by their share."""
    total = 0.0
    for batch in service.batches:
        if batch.end <= now - window:
            continue
        span = batch.end - batch.start
        total += batch.count if span <= window else batch.count * window / span
    return int(total)
