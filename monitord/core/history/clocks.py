"""Clocks that disagree: steps of the wall clock, and the skew between monitord's machine and the database server.

A step is what the wall clock has moved beyond the seconds that were lived through. What is remembered moves with it,
so that ages stay what they are. Seals are judged by the server's clock, where that is known.
"""

from monitord.core import humanize
from monitord.core.anomalies.trends import shifted
from monitord.core.copying import replace
from monitord.core.history.epochs import calendar
from monitord.core.history.model import History, Step
from monitord.core.model import Observation, Reading
from monitord.core.moments import with_moments
from monitord.core.orders import StandingOrders

# A step above this is reported (seconds); smaller ones of at least _SMALL are followed without a report.
STEP_SECONDS = 10.0
_SMALL = 1.0
# A server's clock that is corrected by less than this (seconds) changes no judgement of seals that are an hour apart.
_SERVER_STEP_SECONDS = 300.0
SKEW_SECONDS = 30.0
# A step is reported for so long (elapsed seconds) and in so many whole cycles at least.
_SAID_SECONDS = 300.0
_SAID_CYCLES = 3
DISAGREE = "the clock was set, and the clocks do not agree yet"


def step_of(history: History, now: float, lived: float | None, boot: str) -> float | None:
    """By how many seconds the wall clock was set since the last cycle; None: not known, as of another boot."""
    if history.at is None or history.lived is None or lived is None or boot != history.boot or lived < history.lived:
        return None
    step = (now - history.at) - (lived - history.lived)
    return step if abs(step) >= _SMALL or now < history.at else 0.0


def ahead(history: History, now: float, lived: float | None, boot: str) -> float:
    """By how many seconds the database's clock is ahead of `now`, as of when it was last asked; 0 where unknown."""
    return 0.0 if history.ahead is None else history.ahead - (step_of(history, now, lived, boot) or 0.0)


def without_future(history: History, now: float) -> History:
    """The history with no time after `now`: the clock was set back, nobody knows by how much."""
    if history.at is None or history.at <= now:
        return history
    by = now - history.at
    past = with_moments(history, lambda at: min(at, now))
    return replace(
        past,
        at=now,
        set_back=history.set_back + 1,
        moved=round(history.moved + by, 3),
        tables={name: replace(table, points=((now, table.gained),)) for name, table in past.tables.items()},
        learned={group: habits.until(now) for group, habits in history.learned.items()},
        trends={name: shifted(series, -by) for name, series in history.trends.items()},
    )


def moved(history: History, by: float) -> History:
    """The history after the wall clock was set: what has elapsed keeps its age; other clocks' times stay."""
    return replace(
        with_moments(history, lambda at: at + by),
        at=None if history.at is None else history.at + by,
        moved=round(history.moved + by, 3),
        step=history.step and replace(history.step, at=history.step.at + by),
        off_at=None if history.off_at is None else history.off_at + by,
        trends={name: shifted(series, -by) for name, series in history.trends.items()},
    )


def update_clocks(
    history: History, observation: Observation, orders: StandingOrders, *, is_whole: bool
) -> tuple[History, list[str]]:
    """The history by the clocks of this cycle, and what there is to note; `is_whole`: it takes every probe."""
    now, notes = observation.now.timestamp(), []
    step = step_of(history, now, observation.lived, observation.boot)
    if step is None and history.at is not None and now < history.at:
        notes.append(f"the wall clock was set back by {history.at - now:.1f} s: rates start anew")
        history = without_future(history, now)
    elif step:
        history = moved(history, step)
        if step < 0:
            history = replace(history, set_back=history.set_back + 1)
        if step < 0 or step > STEP_SECONDS:
            notes.append(f"the wall clock was set {_direction(step)} by {abs(step):.1f} s: no such time was lived")
        if abs(step) > STEP_SECONDS:
            history = replace(history, step=Step(step, now))
    ahead, off, off_at = _judging_clock(history, observation.readings.get("postgres"), now, step or 0.0)
    if abs(off) <= STEP_SECONDS or _is_over(off_at, now, orders):
        off, off_at = 0.0, None
    said = history.step
    if is_whole and said is not None:
        counted = replace(said, cycles=said.cycles + 1)
        is_over = now - counted.at > _SAID_SECONDS and counted.cycles > _SAID_CYCLES
        said = None if is_over else counted
    lived, boot = observation.lived, observation.boot
    return replace(history, ahead=ahead, off=off, off_at=off_at, step=said, lived=lived, boot=boot), notes


def _judging_clock(
    history: History, postgres: Reading | None, now: float, step: float
) -> tuple[float | None, float, float | None]:
    """By how much the database's clock is ahead, by how much the clock that judges seals was set, and when it was."""
    before = None if history.ahead is None else history.ahead - step
    clock = None if postgres is None or postgres.failure is not None else postgres.number("server_clock")
    if clock is None:
        ahead, by = before, step if before is None else 0.0  # it is judged by, and was not seen to be set
    else:
        ahead = clock - now
        if before is None:
            return ahead, 0.0, None
        by = ahead - before if abs(ahead - before) > _SERVER_STEP_SECONDS else 0.0
    return (ahead, history.off + by, now) if abs(by) >= _SMALL else (ahead, history.off, history.off_at)


def _is_over(off_at: float | None, now: float, orders: StandingOrders) -> bool:
    """Whether a clock has been as it is for so long that the fleet's own labels follow it: two epochs."""
    days = calendar(orders)
    return off_at is not None and now - off_at > 2 * days.length + days.grace


def server_now(history: History, now: float) -> float:
    """What the clock shows that seals are judged by, when the wall clock shows `now`."""
    return now + (history.ahead or 0.0)


def judged_at(history: History, now: float) -> float:
    """As of when seals are judged: what a standby that lags has not replayed yet, nobody can miss."""
    return server_now(history, now) - history.behind


def update_lag(history: History, postgres: Reading) -> History:
    """The history after one good reading of the database: how old what is read of it is."""
    lag = postgres.number("replica_lag") if postgres.number("replica") else None
    behind = lag if lag is not None and lag > STEP_SECONDS else 0.0
    return history if behind == history.behind else replace(history, behind=behind)


def disagree(history: History) -> bool:
    return abs(history.off) > STEP_SECONDS


def troubles(history: History) -> list[str]:
    reasons = []
    if history.step is not None:
        by = history.step.seconds
        reasons.append(
            f"its clock was set {_direction(by)} by {humanize.duration(abs(by))} at {humanize.clock(history.step.at)}"
        )
    if disagree(history):
        reasons.append("seals are not judged until the clocks agree again")
    if history.ahead is not None and abs(history.ahead) > SKEW_SECONDS:
        side = "behind" if history.ahead > 0 else "ahead of"
        reasons.append(f"its clock is {humanize.duration(abs(history.ahead))} {side} the database server's")
    return reasons


def _direction(by: float) -> str:
    return "back" if by < 0 else "forward"
