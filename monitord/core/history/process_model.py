"""What is remembered of PM2's processes and services: their last states, their ends and their restarts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitord.core.app_numbers import of_word
from monitord.core.copying import slot_by_slot
from monitord.core.history.rhythms import Runs
from monitord.core.model import OperatorAction, RestartKind, Value
from monitord.core.moments import Moment


class _AsTold:
    """Where a process keeps what PM2 told of it, but for what it uses: nearly always it tells the same again."""

    __slots__ = ("_told",)
    _told: Mapping[str, Value]


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Process(_AsTold):
    """One process as PM2 and the kernel last reported it.

    `memory_limit` (bytes) and `watch` are rules by which PM2 restarts it: past that much memory, when its files change.
    `backoff`: PM2 waits before it restarts it after a death, longer each time. `kill_timeout` and `listen_timeout` are
    how long PM2 lets it stop and start (seconds, None: PM2's own). `since` is when its state as it is began.

    `last_started_at` is when its last run began, `restart_delay` how long PM2 waits after each end before it restarts
    it (seconds, None: not at all), `may_end` that PM2 leaves it stopped after the exit code it has (stop_exit_codes).
    `signal` is the one that ended its last run, where PM2's bus reported it; `given_up`: PM2 will not restart it any
    more and calls it waiting all the same.

    `app_values` are the numbers that it reports, `app_form` their names and units (core/app_numbers.py; "": none),
    `still_since` since when none of them has moved though they were read, `heap_limit` the most heap that Node may use
    (bytes), and `heap_full_since` since when each reading has shown it nearly full.
    """

    state: str
    restarts: int | None = None
    created_at: float | None = None
    process: str | None = None
    memory: float | None = None
    cpu: float | None = None
    started_at: float | None = None
    exit_code: int | None = None
    schedule: str | None = None
    cron: str | None = None
    autorestart: bool = True
    module: bool = False
    own: bool = False
    memory_limit: float | None = None
    watch: bool = False
    backoff: bool = False
    kill_timeout: float | None = None
    listen_timeout: float | None = None
    since: Moment | None = None
    last_started_at: float | None = None
    restart_delay: float | None = None
    may_end: bool = False
    signal: str = ""
    given_up: bool = False
    app_form: str = ""
    app_values: str = ""
    still_since: Moment | None = None
    heap_limit: float | None = None
    heap_full_since: Moment | None = None

    @staticmethod
    def as_now(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its fields as they are written now: older versions have what an app reports as one word, `app`."""
        if not isinstance(word := fields.get("app"), str):
            return fields
        form, values = of_word(word)
        return {**fields, "app_form": form, "app_values": values}

    @property
    def told(self) -> Mapping[str, Value] | None:
        """The samples that it was made of, by name, but for what it uses; None where that is not known any more."""
        try:
            return self._told
        except AttributeError:
            return None

    @property
    def began(self) -> float | None:
        """When its last run began (Unix seconds), though it is on its way down or up; None where PM2 does not say."""
        return self.last_started_at if self.started_at is None else self.started_at


def keep_told(process: Process, told: Mapping[str, Value]) -> None:
    """Keep with a process the samples that it was made of. They are no part of what it is."""
    object.__setattr__(process, "_told", told)


@dataclass(frozen=True, slots=True)
class Batch:
    """`count` automatic restarts of one kind that happened somewhere between two readings."""

    start: Moment
    end: Moment
    count: int
    kind: RestartKind = "automatic"


@dataclass(frozen=True, slots=True)
class RestartTally:
    """Automatic restarts in the window of the orders that began at `start`, by kind; between `first` and `last`."""

    start: Moment
    first: Moment
    last: Moment
    kinds: Mapping[RestartKind, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """An end by PM2's bus, after how many seconds (None: not known); `memory`, `watch`: by that rule of PM2's."""

    at: Moment
    instance: str
    code: int | None = None
    signal: str = ""
    lived: float | None = None
    memory: bool = False
    watch: bool = False

    @property
    def kind(self) -> RestartKind:
        return "memory" if self.memory else "watch" if self.watch else "automatic"


@slot_by_slot
@dataclass(frozen=True, slots=True)
class ServiceHistory:
    """One name in PM2: its processes by pm_id (none when it is gone), its automatic restarts, and its last deaths.

    `taken_up_at` is when somebody last began it anew after PM2 had given up on it (None: never).
    `said` is how many of its ends were logged as they came and have not been seen in PM2's list yet, the last of them
    at `said_at`. `by_hand_at` is when the bus last reported that somebody had one of its processes ended. `settled_at`
    is when it was last seen without a process on its way down (None: at the last reading): what ended since then is
    counted when the new process is seen. `acts` are the operators' actions on the bus that no reading has shown yet,
    and `by_hand` says that what is down or gone of it is so by an operator's hand. `gone_at` is when it was deleted,
    where the bus reported it. `periodic`: it comes and goes, as expected of it. `runs` are the runs of what is, or may
    be, periodic. `tallies` count its automatic restarts of the last day.
    """

    lives: Mapping[str, Process] = field(default_factory=dict)
    batches: tuple[Batch, ...] = ()
    deaths: tuple[ProcessEnd, ...] = ()
    taken_up_at: Moment | None = None
    said: int = 0
    said_at: Moment = 0.0
    by_hand_at: Moment | None = None
    settled_at: Moment | None = None
    acts: tuple[OperatorAction, ...] = ()
    by_hand: bool = False
    gone_at: Moment | None = None
    periodic: bool = False
    runs: Runs | None = None
    tallies: tuple[RestartTally, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetRestart:
    """The whole fleet beginning anew between two readings. `left_behind` were there before and have not come back.

    `is_empty`: nothing has, and nothing of the fleet is in PM2's list: PM2 itself was restarted, and `at` is when its
    new daemon began; or (`deleted`) somebody took all of it out. `unknown`: who did it, or what, is not known.
    `seen_at` is the reading that showed it first.
    """

    at: Moment
    kind: Literal["deployment", "reboot", "resurrected", "deleted", "unknown"]
    left_behind: tuple[str, ...] = ()
    is_empty: bool = False
    seen_at: Moment = 0.0
