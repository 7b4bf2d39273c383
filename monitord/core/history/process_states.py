"""PM2's states of a process: which are as expected, and which only pass on the way to another.

`stopping` and `launching` are nobody's resting place: a graceful stop may take as long as the process's kill_timeout,
a start as long as its listen_timeout. Until then they are neither wrong nor as expected; past it they are stuck.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from monitord.core.app_numbers import HEAP_USED, figure, moves, size
from monitord.core.copying import replace
from monitord.core.history.process_model import Process
from monitord.core.orders import Expected, StandingOrders

STATES: Final[dict[Expected, tuple[str, ...]]] = {
    "online": ("online",),
    "stopped": ("stopped",),
    # A periodic run is seen at any point of its life; only giving up is wrong, and a run that failed.
    "periodic": ("online", "stopped", "launching", "stopping"),
}
WAITING: Final = frozenset({"waiting restart", "waiting_restart"})
"""PM2's words for a dead process that it restarts after a delay (restart_delay, exp_backoff_restart_delay)."""
UP: Final = frozenset({"online", "launching", "stopping"})
MISSING: Final = "missing"
"""Our word for a service that has no process in PM2's list."""
PASSING: Final = frozenset({"launching", "stopping"})
REST_SECONDS: Final = 60.0
"""Nobody lets a service that is to be online rest for so long after each end: such a restart_delay is a rhythm."""
FROZEN: Final = {"stopped": "stopped by a signal (state T)", "zombie": "a zombie (state Z)"}
# PM2's own, where it does not list the process's: kill_timeout and listen_timeout.
KILL_SECONDS: Final = 1.6
LISTEN_SECONDS: Final = 3.0
# PM2 checks every 100 ms whether what it killed has gone, and is itself delayed on a busy machine.
SLACK_SECONDS: Final = 2.0


def passes_until(process: Process) -> float | None:
    """Until when its state only passes (Unix seconds); None of a state that may last, or whose beginning is unknown."""
    if process.since is None:
        return None
    if process.state == "stopping":
        return process.since + (process.kill_timeout or KILL_SECONDS) + SLACK_SECONDS
    if process.state == "launching":
        return process.since + (process.listen_timeout or LISTEN_SECONDS) + SLACK_SECONDS
    return None


def allowed(process: Process) -> tuple[str, float] | None:
    """By which setting of PM2's its passing state may last how long (seconds); None of a state that may last."""
    if process.state == "stopping":
        return "kill_timeout", process.kill_timeout or KILL_SECONDS
    if process.state == "launching":
        return "listen_timeout", process.listen_timeout or LISTEN_SECONDS
    return None


def ended_well(process: Process) -> bool | None:
    """Whether a process ended well by itself (None: no exit code); of a signal, after which it is 0, the bus tells."""
    if process.state != "stopped" and process.state not in WAITING:
        return False
    if process.exit_code is None:
        return None
    return not process.signal and not process.given_up and (process.exit_code == 0 or process.may_end)


def may_rest(process: Process) -> bool:
    """Whether PM2 is configured so that a process may end, or to let it rest between its runs."""
    return not process.autorestart or process.may_end or (process.restart_delay or 0.0) >= REST_SECONDS


def comes_and_goes(processes: Collection[Process]) -> bool:
    return bool(processes) and all(
        process.schedule or (may_rest(process) and ended_well(process)) for process in processes
    )


def expectation(processes: Collection[Process]) -> Expected:
    if comes_and_goes(processes):
        return "periodic"
    return "stopped" if all(process.state == "stopped" for process in processes) else "online"


def fits(process: Process, wanted: Expected, now: float) -> bool | None:
    """Whether a process is in a state it is expected to be in; None while it is on its way from one to another."""
    if wanted == "periodic" and process.state in WAITING:
        return ended_well(process)
    if process.state in STATES[wanted]:
        return True
    until = passes_until(process)
    return None if until is not None and now < until else False


def next_settling(processes: Iterable[Process], now: float) -> float | None:
    """In how many seconds the first of the passing states will have lasted too long; None where none passes."""
    passing = [process for process in processes if process.state in PASSING]
    ends = [until - now for process in passing if (until := passes_until(process)) is not None and until > now]
    return min(ends, default=None)


def standing(
    processes: Sequence[Process], wanted: Expected | None, now: float, *, ordered: bool
) -> tuple[str, bool | None]:
    """Their state in a word, and whether each is as expected (None: on its way); `ordered`: others are too many."""
    if not processes:
        return MISSING, False
    judged = [(process, _as_ordered(process, wanted, now, ordered=ordered)) for process in processes]
    for verdict in (False, None):
        for process, found in judged:
            if found is verdict:
                return process.state, verdict
    return processes[0].state, True


def _as_ordered(process: Process, wanted: Expected | None, now: float, *, ordered: bool) -> bool | None:
    if process.state == "online" and process.process in FROZEN:
        return False
    if wanted is None:  # nothing is expected of it, unless there is a roster and it is not on it
        return not ordered and process.state != "errored"
    return fits(process, wanted, now)


def followed(
    name: str,
    old: Mapping[str, Process],
    new: Mapping[str, Process],
    watched_since: float | None,
    now: float,
    orders: StandingOrders,
) -> Mapping[str, Process]:
    """The processes of a service with since when their numbers have stood still, and their heap has been nearly full.

    Time without readings counts for neither: `watched_since` is the last reading (None: it was too long ago).
    """
    changed: dict[str, Process] = {}
    for instance, process in new.items():
        if not process.app_values:
            if process.still_since is not None or process.heap_full_since is not None:
                changed[instance] = replace(process, still_since=None, heap_full_since=None)
            continue
        was = old.get(instance)
        if was is not None and (watched_since is None or was.started_at != process.started_at):
            was = None
        still = full = None
        is_same = was is not None and was.app_values == process.app_values and was.app_form == process.app_form
        if was is not None and is_same and moves(process.app_form):
            still = was.still_since if was.still_since is not None else watched_since
        if process.heap_limit is not None and is_heap_full(process, orders.heap_limits(name)[0]):
            full = was.heap_full_since if was is not None and was.heap_full_since is not None else now
        if (still, full) != (process.still_since, process.heap_full_since):
            changed[instance] = replace(process, still_since=still, heap_full_since=full)
    return {**new, **changed} if changed else new


def is_heap_full(process: Process, limit: float) -> bool:
    if process.heap_limit is None:
        return False
    used = size(figure(process.app_form, process.app_values, HEAP_USED))
    return used is not None and used / process.heap_limit * 100 > limit
