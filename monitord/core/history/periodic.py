"""What comes and goes: which services are learned to, their runs, and the rhythm of these."""

from collections.abc import Mapping

from monitord.core.copying import replace
from monitord.core.history import restarts
from monitord.core.history.model import History
from monitord.core.history.process_events import BusReports
from monitord.core.history.process_model import Process, ServiceHistory
from monitord.core.history.process_states import UP, WAITING, comes_and_goes, ended_well, may_rest
from monitord.core.history.rhythms import Rhythm, rhythm, seen
from monitord.core.orders import Expected, StandingOrders


def as_periodic(service: ServiceHistory, is_so: bool) -> ServiceHistory:
    return service if service.periodic == is_so else replace(service, periodic=is_so)


def with_runs(
    name: str, service: ServiceHistory, old: Mapping[str, Process], now: float, dark: float, orders: StandingOrders
) -> ServiceHistory:
    """The service with the runs of this reading; of what neither comes and goes nor may, none are kept."""
    processes = service.lives
    if not service.periodic and not any(may_rest(process) or process.schedule for process in processes.values()):
        return replace(service, runs=None) if service.runs is not None else service
    began = [
        at for instance, process in processes.items() if (at := _began(process, old.get(instance), now)) is not None
    ]
    is_up = any(process.state in UP for process in processes.values())
    usual = rhythm_of(name, service, orders) if began else None  # of rest alone no limit is asked
    limit = usual.limit if usual is not None else None
    runs = seen(service.runs, began, is_up=is_up, now=now, dark=dark, limit=limit)
    return service if runs is service.runs else replace(service, runs=runs)


def _began(process: Process, was: Process | None, now: float) -> float | None:
    """When the run began that is new in a reading; of one first seen, its last."""
    at = process.began
    if was is None:
        return at
    if at is not None:
        return None if at in (was.started_at, was.last_started_at) else at
    if process.created_at not in (None, was.created_at):
        return process.created_at
    return now if restarts.is_restarted(was, process) else None  # it has ended, and when it began is not known


def rhythm_of(name: str, service: ServiceHistory, orders: StandingOrders) -> Rhythm | None:
    """The rhythm of what comes and goes: as named in the orders, as PM2 is configured, or as learned."""
    schedules: list[str] = []
    delays: list[float] = []
    for process in service.lives.values():
        if (written := process.schedule or process.cron) is not None:
            schedules.append(written)
        # PM2 calls waiting whatever has a delay; it begins again only what may not end.
        if process.state in WAITING and process.autorestart and not process.may_end and process.restart_delay:
            delays.append(process.restart_delay)
    delay = max(delays) if delays and len(delays) == len(service.lives) else None
    named = orders.rhythms.get(name)
    seconds = named.total_seconds() if named is not None else None
    ordered = orders.run_schedules.get(name, "")
    return rhythm(service.runs, seconds, schedules, delay, declared=name in orders.services, ordered=ordered)


def learned_as(
    processes: Mapping[str, Process], was: Expected | None, reports: BusReports, *, by_hand: bool
) -> Expected | None:
    """What to expect of a service from now on; None of one that was never seen online.

    To stay online, unless PM2 itself runs it by the clock, or it has ended well, by itself and as it may. A
    later run that fails is wrong, and is expected to be online again.
    """
    if any(process.state == "online" for process in processes.values()):
        if any(process.schedule for process in processes.values()):
            return "periodic"
        return (
            "periodic" if was == "periodic" and all(may_rest(process) for process in processes.values()) else "online"
        )
    if was is None or by_hand or not processes:
        return was
    # What PM2 keeps going is also stopped by hand: only the bus shows that it ended by itself.
    kept = [process for process in processes.values() if process.autorestart and process.state == "stopped"]
    if comes_and_goes(processes.values()) and (not kept or any(end.kind == "automatic" for end in reports.deaths)):
        return "periodic"
    failed = any(ended_well(process) is False and process.state == "stopped" for process in processes.values())
    return "online" if failed and not any(process.schedule for process in processes.values()) else was


def expected(history: History, orders: StandingOrders) -> Mapping[str, Expected]:
    """The roster: as declared in the orders, or as learned where none is declared."""
    return orders.services or history.roster
