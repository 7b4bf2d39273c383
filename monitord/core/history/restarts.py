"""Why processes begin anew: by themselves, by an operator's hand, by a clock, or all of them at once.

A crash shows in PM2's counter while `created_at` stays. A changed `created_at` is somebody's doing, a schedule's, or
that of one of PM2's own rules: max_memory_restart, watch. Its bus shows which; where it was not connected, what the
process was like just before, or how PM2 is configured to keep it. What may have been one of several is not known. A
whole fleet that begins anew together is a deployment, PM2 coming back with its saved list, or the machine coming up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitord.core import humanize
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.model import History
from monitord.core.history.process_model import FleetRestart, Process, ProcessEnd
from monitord.core.model import AUTOMATIC, OperatorAction, ProcessExit, Reading, RestartKind

# Fewer services than this restarting together is a coincidence, not a deployment.
FLEET_AT_LEAST = 3
# PM2 begins a cron_restart within milliseconds of its minute, and the new process stands when the old one has ended.
CRON_SLACK_SECONDS = 5.0
KEEP_DEATHS = 20
KEEP_ACTS = 50
# Of ends that no reading of PM2's list has counted yet: as many as its bus keeps.
KEEP_UNCOUNTED = 500
# An operator restarts one process this often between two readings at most; a rule of PM2's own has no such limit.
BY_HAND_AT_MOST = 2


# Why PM2 restarts by a rule of its own, as people say it.
BY_RULE: Mapping[RestartKind, str] = {
    "memory": "past its max_memory_restart",
    "watch": "as a file changed that it watches (watch)",
}


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Change:
    """What became of one name's processes between two readings.

    `crashes` are restarts of what ended by itself, `turns` those of what comes and goes and had ended well, `ruled`
    those that PM2 made by a rule of its own, by its kind; `remade` says that a process was created anew, and `kind` by
    whom: an operator or a schedule (`by_hand`), else by the rule; `restarted` that a process began anew for whatever
    reason. `unknown` are those of which it is not known whether anybody did them; `acted_on`:
    PM2's bus reported an operator's action.
    """

    crashes: int = 0
    remade: bool = False
    restarted: bool = False
    kind: RestartKind | None = None
    ruled: tuple[tuple[RestartKind, int], ...] = ()
    by_hand: bool = False
    turns: int = 0
    unknown: int = 0
    acted_on: bool = False

    @property
    def automatic(self) -> int:
        return self.crashes + sum(count for _, count in self.ruled)


def change(
    old: Mapping[str, Process],
    new: Mapping[str, Process],
    ends: Iterable[ProcessEnd],
    *,
    by_hand: bool = False,
    periodic: bool = False,
    another: bool = False,
) -> Change:
    """What became of a name's processes; `ends` are the bus's since the reading before.

    `by_hand`: one of these was an operator's. `periodic`: it comes and goes, as expected. `another`: another PM2 daemon
    may answer.
    """
    unknown = 0
    crashes, turns, remade, restarted, hand, reported = 0, 0, False, False, False, tuple(ends)
    kind: RestartKind = "operator"
    ruled: dict[RestartKind, int] = {}
    for instance, process in new.items():
        was = old.get(instance)
        if was is None:
            # Another pm_id under a known name: deleted and started again, or PM2 itself came back with its list.
            if old and not old.keys() & new.keys():
                remade = hand = True
            continue
        if _remade(was, process):
            remade = True
            restarted = restarted or process.state in {"online", "launching"}
            rose = max(1, (process.restarts or 0) - (was.restarts or 0))
            by_rule = _by_rule(was, rose, [d for d in reported if d.instance == instance], by_hand=by_hand)
            for rule, count in by_rule.items():
                ruled[rule] = ruled.get(rule, 0) + count
            left = rose - sum(by_rule.values())
            is_reported = by_hand or any(end.instance == instance for end in reported)
            is_timed = rose == 1 and _on_its_minute(process)
            if left and not is_reported and not is_timed and (another or _may_be_another(was, rose)):
                unknown += left
                continue
            # It may have died before that hand came; the counter has both, and only the bus distinguishes them.
            died = sum(1 for end in reported if end.instance == instance and end.kind == "automatic")
            crashed = min(died, left if by_rule else left - 1)
            crashes += crashed
            if left > crashed:
                hand = True
                kind = "schedule" if _on_its_minute(process) else kind
        elif is_restarted(was, process):
            assert was.restarts is not None  # noqa: S101 - it has risen
            assert process.restarts is not None  # noqa: S101 - it has risen
            # An operator's restart shows as `stopping` first and in the counter only when the old process has ended.
            count = process.restarts - was.restarts - (1 if was.state == "stopping" else 0)
            well = _ended_well(count, process, [d for d in reported if d.instance == instance]) if periodic else 0
            crashes, turns, restarted = crashes + count - well, turns + well, True
    by_itself: RestartKind | None = "automatic" if crashes else "schedule" if turns else None
    whose = kind if hand else "unknown" if unknown else next(iter(ruled), by_itself)
    return Change(crashes, remade, restarted or remade, whose, tuple(ruled.items()), hand, turns, unknown, by_hand)


def _may_be_another(was: Process, rose: int) -> bool:
    """Whether it may have been another than an operator who restarted a process, whose end the bus did not report.

    PM2 begins by itself what it watches, or what may be past its limit; and of several restarts only the last is known
    to have created it. What is stopped, or given up on, only a hand begins.
    """
    if was.state in {"stopped", "errored"}:
        return False
    return rose > 1 or was.watch or was.memory_limit is not None


def _ended_well(count: int, process: Process, ends: Sequence[ProcessEnd]) -> int:
    """How many of the `count` runs before this one ended well: by the bus, else as the last of them did."""
    reported = [end.kind == "automatic" and not end.signal and end.code == 0 for end in ends][-count:]
    left = max(0, count - len(reported)) if process.exit_code in (0, None) else 0
    return min(count, sum(reported) + left)


def _by_rule(was: Process, rose: int, ends: Sequence[ProcessEnd], *, by_hand: bool) -> dict[RestartKind, int]:
    """How many of the `rose` restarts of a process that was created anew PM2 made by its own rules.

    The bus shows it. Where it reported no end of it at all, a process that was past its limit when it was last seen
    was restarted for that, and so was one with such a rule that was restarted more often than anybody would by hand.
    """
    found: dict[RestartKind, int] = {}
    for end in ends:
        if end.kind != "automatic":
            found[end.kind] = found.get(end.kind, 0) + 1
    if not found and not ends and not by_hand:
        often = rose > BY_HAND_AT_MOST
        if was.memory_limit is not None and (often or (was.memory is not None and was.memory > was.memory_limit)):
            return {"memory": rose}
        return {"watch": rose} if was.watch and often else {}
    while (excess := sum(found.values()) - rose) > 0:  # the counter is what judgement goes by
        rule = next(iter(found))
        found[rule] -= min(excess, found[rule])
        if not found[rule]:
            del found[rule]
    return found


def _remade(was: Process, process: Process) -> bool:
    """Whether an operator's hand (or a schedule's) is on this process: it was created anew and has begun anew.

    PM2 forgets `created_at` when it gives up on a process, and sets it without a restart when counters are reset.
    """
    return process.created_at not in (None, was.created_at) and process.began != was.began


def is_restarted(was: Process, process: Process) -> bool:
    """Whether PM2 has restarted this process, and nobody else: its counter rose, and it was not created anew."""
    counted = was.restarts is not None and process.restarts is not None and process.restarts > was.restarts
    return counted and not _remade(was, process)


def is_taken_up(old: Mapping[str, Process], new: Mapping[str, Process], changed: Change) -> bool:
    gave_up = any(process.state == "errored" for process in old.values())
    return gave_up and changed.by_hand and not any(process.state == "errored" for process in new.values())


def _on_its_minute(process: Process) -> bool:
    """Whether a process that PM2 restarts by the clock began when a minute did, as such a restart does."""
    return process.cron is not None and process.started_at is not None and process.started_at % 60 < CRON_SLACK_SECONDS


def many(changes: Mapping[str, Change]) -> bool:
    return sum(1 for one in changes.values() if one.kind == "operator") >= FLEET_AT_LEAST


def fleet_restart(
    changes: Mapping[str, Change],
    history: History,
    seen: Iterable[str],
    before: float,
    now: float,
    window: float,
    *,
    is_another: bool | None = False,
) -> FleetRestart | None:
    """The whole fleet beginning anew between the readings at `before` and `now`, or None.

    An operator remaking every process is one; PM2's own rules doing so are none. Every process dying once with nobody's
    hand in it is one of which nobody knows why, but not where the bus reported most of these ends, for then it is
    known that nobody had them ended; nor twice within the restarts window: by then it is crashing. A service that did
    not come back with the others does not make it any less of one. `is_another`: another PM2 daemon answers than before
    (None: nobody knows).
    """
    alive = [
        name
        for name in changes
        # What is stopping was alive: PM2 ends its fleet so before it goes itself.
        if any(process.state in {"online", "stopping"} for process in history.services[name].lives.values())
    ]
    back = [name for name in alive if name in seen]
    if len(back) < FLEET_AT_LEAST or not all(changes[name].restarted for name in back):
        return None
    if not all(changes[name].remade for name in back):
        last = history.fleet_restart
        recently = last is not None and now - last.at < window
        if recently or len(back) < len(alive) or _died(back, history, before):
            return None
        once = all(changes[name].crashes <= len(history.services[name].lives) for name in back)
        is_reported = 2 * sum(1 for name in back if changes[name].acted_on) > len(back)
        return FleetRestart(now, "deployment" if is_reported else "unknown") if once else None
    if 2 * sum(1 for name in back if changes[name].kind in AUTOMATIC) > len(back):
        return None
    left_behind = tuple(name for name in alive if name not in seen)
    if _has_booted(history, before, now):
        return FleetRestart(now, "reboot", left_behind)
    if is_another is True or _pm2_was_away(history, before, now):
        return FleetRestart(now, "resurrected", left_behind)
    # No reading was made, and whether it is the same PM2 is not known; or PM2's own rules may have done it.
    is_open = is_another is None or 2 * sum(1 for name in back if changes[name].kind == "unknown") > len(back)
    return FleetRestart(now, "unknown" if is_open else "deployment")


def emptied(
    history: History, expected: Iterable[str], reading: Reading, seen: Iterable[str], before: float, now: float
) -> FleetRestart | None:
    """Nothing of the fleet in PM2's list, all of a sudden, between the readings at `before` and `now`; or None.

    Another daemon that answers has lost its list, and so has one that could not be read in between where that is not
    known. The same daemon with an empty list is somebody's `pm2 delete all`. `expected` are the names of the roster.
    """
    last, there = history.fleet_restart, {name for name, service in history.services.items() if service.lives}
    names = there | set(expected)
    if any(name in names for name in seen):
        return None
    daemon = reading.by.identity if reading.by is not None else ""
    is_another = daemon != history.daemon if daemon and history.daemon else _pm2_was_away(history, before, now)
    if not there and not (is_another and last is not None and last.is_empty):
        return None
    left_behind = tuple(sorted(names))
    if not is_another:
        if not daemon or daemon != history.daemon:
            return None  # which daemon answers is not known: each service is reported by itself
        return FleetRestart(now, "deleted", left_behind, is_empty=True, seen_at=now) if len(names) > 1 else None
    began = reading.by.began_at if reading.by is not None else None
    at = began if began is not None and before < began <= now else now
    return FleetRestart(
        at, "reboot" if _has_booted(history, before, now) else "resurrected", left_behind, is_empty=True, seen_at=now
    )


def _has_booted(history: History, before: float, now: float) -> bool:
    host = history.reading("host")
    boot_at = host.number("boot_at") if host is not None else None
    return boot_at is not None and before < boot_at <= now


def _died(names: Iterable[str], history: History, before: float) -> bool:
    """Whether the bus reported since the reading at `before` that most of these ended, and not by an operator."""
    ends = [any(end.at > before for end in history.services[name].deaths) for name in names]
    return 2 * sum(ends) > len(ends)


def answers_another(history: History, reading: Reading, before: float, now: float, late: float) -> bool | None:
    """Whether another PM2 daemon answers than before; None where that is not known, without a reading in between."""
    daemon = reading.by.identity if reading.by is not None else ""
    if daemon and history.daemon:
        return daemon != history.daemon
    return None if now - before > late else False


def _pm2_was_away(history: History, before: float, now: float) -> bool:
    return any(span.why == "failed" and before <= span.start < now for span in history.blind.get("pm2", ()))


def update_exits(history: History, exits: Iterable[ProcessExit], now: float, window: float) -> History:
    """The history with the ends that the bus reported. Those by an operator's action are no crashes."""
    services = dict(history.services)
    for one in exits:
        service = services.get(one.service)
        if service is None:
            continue
        if one.manually and not one.memory:
            at = min(one.at, now)
            services[one.service] = replace(service, by_hand_at=max(at, service.by_hand_at or at))
            continue
        process = service.lives.get(one.instance)
        began = [end.at for end in service.deaths if end.instance == one.instance and end.at <= one.at]
        if process is not None and process.started_at is not None and process.started_at <= one.at:
            began.append(process.started_at)
        lived = round(one.at - max(began), 3) if began else None
        end = ProcessEnd(min(one.at, now), one.instance, one.code, one.signal, lived, one.memory, one.watch)
        kept = tuple(d for d in (*service.deaths, end) if d.at > now - window)[-KEEP_UNCOUNTED:]
        services[one.service] = replace(
            service,
            deaths=kept,
            said=service.said + one.said,
            said_at=max(service.said_at, one.at) if one.said else service.said_at,
        )
    return replace(history, services=services)


def update_acts(history: History, acts: Iterable[OperatorAction]) -> History:
    """The history with the operators' actions that the bus reported, until a reading of PM2's list has shown it."""
    services = dict(history.services)
    for act in acts:
        if (service := services.get(act.service)) is not None:
            services[act.service] = replace(service, acts=(*service.acts, act)[-KEEP_ACTS:])
    return replace(history, services=services)


def how(end: ProcessEnd) -> str:
    """How a process ended, to follow "ended": `by SIGKILL after 3.1 s`, `with exit code 1`."""
    by = f"by {end.signal}" if end.signal else f"with exit code {end.code}" if end.code is not None else ""
    if end.kind in BY_RULE:
        by = f"by PM2, {BY_RULE[end.kind]},"
    after = f"after {humanize.duration(end.lived)}" if end.lived is not None else ""
    return " ".join(part for part in (by, after) if part)
