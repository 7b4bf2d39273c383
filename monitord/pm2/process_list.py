"""The process list as monitord keeps it: the few fields that are judged, typed, and nobody's environment."""

import math
import re
from dataclasses import dataclass, field
from typing import Final, cast

from monitord.core.app_numbers import WordForm
from monitord.core.copying import replace, with_these
from monitord.core.names import distinct

from . import Pm2Error, app_numbers, monitor_data, wire

MAX_NAME_CHARACTERS = 200
_MAX_INTEGER = 2**63 - 1  # what SQLite can hold
_MAX_EPOCH_SECONDS = 2**33  # the year 2242; anything later is no start time

_WITH_A_PID = frozenset({"online", "launching", "stopping"})  # elsewhere PM2 still shows the pid that died
_BEGUN = frozenset({"online", "launching"})
_HALF = re.compile("[\ud800-\udfff]")
_NUMERIC = frozenset({int, float, str})  # a bool is none


@dataclass(frozen=True, slots=True)
class ListedProcess:
    """One process in PM2's list. None is what PM2 did not give, or gave in a way no number is written.

    How the counters move, as PM2 7.0 was seen to move them:

    | what happens | restarts | created_at |
    |---|---|---|
    | crash or exit, restarted by PM2 | +1 | same |
    | too many under min_uptime (1 s), early in its life: `errored` | same | None |
    | pm2 restart, reload, cron_restart, watch, max_memory_restart | +1 | now |
    | pm2 restart or start of what is stopped or errored | same | now |
    | pm2 stop | same | same |
    | pm2 reset (the process itself runs on) | 0 | now |

    An end moves nothing by itself. What has a restart_delay is called `waiting restart` after each end, also where PM2
    will not restart it (autorestart false, a code of stop_exit_codes, given up on); `pm2 stop` makes it `stopped`.

    An operator's restart moves `created_at` and `status` (`stopping`) first and `restarts` only when the old
    process is gone, 0.1 s to kill_timeout later: two readings around that moment show the two halves apart.

    Attributes:
        name: printable, at most 200 characters.
        pm_id: PM2's number for it; unique in one list, used again after a delete.
        pid: the process's id; None when nothing runs.
        status: `online`, `launching`, `stopping`, `stopped`, `errored`, `waiting restart`,
            `one-launch-status`; `unknown` when PM2 gave none.
        memory_bytes: resident set; None when not online or not measured (PM2 writes 0 for both).
        cpu_percent: of one core; None whenever `memory_bytes` is.
        restarts: PM2's lifetime counter `restart_time`.
        created_at: when an operator last touched it, epoch seconds; None once PM2 gave up on it.
        started_at: when the running process was started, epoch seconds; None when not online or launching.
        exit_code: of the last exit; 0 also stands for every death by signal. None before the first exit.
        memory_limit_bytes: PM2 restarts it past this; such a restart looks like an operator's.
        module: it is a PM2 module (pm2-logrotate), not an app.
        watch: PM2 restarts it when its files change; such a restart looks like an operator's.
        backoff: PM2 waits before it restarts it, longer each time (exp_backoff_restart_delay).
        kill_timeout: seconds PM2 waits after asking it to end before it kills it; None when PM2 did not say.
        listen_timeout: seconds PM2 waits for it to be ready before it calls it online; None when PM2 did not say.
        last_started_at: when its last run was started, epoch seconds, whether it runs or not; None when unsaid.
        restart_delay: seconds PM2 waits after each end before it restarts it; None when it does not.
        may_end: PM2 leaves it stopped after the exit code it has, or 0 where it has none (stop_exit_codes).
        numbers: what the app reports (none without instrumentation), under the names and in the units of the form.
        heap_limit_bytes: the most heap that Node may use (--max-old-space-size); None where it has no limit.
        made: what was made of it, kept by whoever made it for as long as only what it uses and reports changes.
    """

    name: str
    pm_id: int
    pid: int | None
    status: str
    memory_bytes: int | None
    cpu_percent: float | None
    restarts: int | None
    created_at: float | None
    started_at: float | None
    exit_code: int | None
    autorestart: bool
    cron_restart: str | None
    memory_limit_bytes: int | None
    module: bool
    watch: bool
    backoff: bool
    kill_timeout: float | None
    listen_timeout: float | None
    last_started_at: float | None
    restart_delay: float | None
    may_end: bool
    numbers: app_numbers.Values = ()
    numbers_form: WordForm | None = None
    heap_limit_bytes: int | None = None
    made: dict[str, object] = field(default_factory=dict, compare=False, repr=False)


_used: Final = with_these(ListedProcess, "memory_bytes", "cpu_percent", "numbers", "numbers_form")


@dataclass(slots=True)
class _Kept:
    """One process of the last list: what PM2 told of it, what it used, and what is known of its `numbers`."""

    name: object
    pid: object
    environment: monitor_data.Environment
    process: ListedProcess
    numbers: app_numbers.KnownNumbers | None


class ProcessLists:
    """PM2's lists, read one after the other: of what PM2 tells as in the list before, what was made of it is kept."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}  # by pm_id, of the last list

    def read(self, body: wire.Argument) -> tuple[ListedProcess, ...]:
        """PM2's processes, modules too, the nameless not. WireError: not JSON. Pm2Error: no process list."""
        entries, before = monitor_data.decode(body), self._kept
        kept: dict[int, _Kept] = {}
        found = []
        for entry in entries:
            raw = monitor_data.taken_numbers(entry.pm2_env)
            pm_id = entry.pm_id
            known = before.get(pm_id) if pm_id.__class__ is int else None
            if (
                known is not None
                and known.environment == entry.pm2_env
                and known.pid == entry.pid
                and known.name == entry.name
            ):
                process = known.process
                kept[process.pm_id] = known
                memory, cpu = _usage(entry, process.status)
                numbers, values = app_numbers.read(raw if process.status in _BEGUN else None, known.numbers)
                known.numbers = numbers
                found.append(_used(process, memory, cpu, values, None if numbers is None else numbers.form))
            elif (new := _process(entry)) is not None:
                numbers, values = app_numbers.read(raw if new.status in _BEGUN else None)
                new = replace(new, numbers=values, numbers_form=None if numbers is None else numbers.form)
                found.append(new)
                if (environment := monitor_data.without_views(entry.pm2_env)) is not None:
                    kept[new.pm_id] = _Kept(entry.name, entry.pid, environment, new, numbers)
        self._kept = kept
        return tuple(found)


def _usage(entry: monitor_data.Entry, status: str) -> tuple[int | None, float | None]:
    memory = _positive(entry.monit.memory) if status == "online" else None
    return memory, _number(entry.monit.cpu) if memory is not None else None


def _process(entry: monitor_data.Entry) -> ListedProcess | None:
    env = entry.pm2_env
    name = text(entry.name) or text(env.name)
    if name is None:
        return None
    pm_id = integer(entry.pm_id)
    if pm_id is None:
        raise Pm2Error("protocol", "PM2 listed a process without an id")

    status = text(env.status) or "unknown"
    memory, cpu = _usage(entry, status)
    begun = status in _BEGUN
    last_started_at = epoch_seconds(env.pm_uptime)
    return ListedProcess(
        name=name,
        pm_id=pm_id,
        pid=_positive(entry.pid) if status in _WITH_A_PID else None,
        status=status,
        memory_bytes=memory,
        cpu_percent=cpu,
        restarts=integer(env.restart_time),
        created_at=epoch_seconds(env.created_at),
        started_at=last_started_at if begun else None,
        exit_code=integer(env.exit_code),
        autorestart=env.autorestart not in (False, "false"),
        cron_restart=_schedule(env.cron_restart),
        memory_limit_bytes=_positive(env.max_memory_restart),
        module=env.pmx_module in (True, "true"),
        watch=bool(env.watch) and env.watch not in ("false", "0"),
        backoff=_positive(env.exp_backoff_restart_delay) is not None,
        kill_timeout=_seconds(env.kill_timeout),
        listen_timeout=_seconds(env.listen_timeout),
        last_started_at=last_started_at,
        restart_delay=_seconds(env.restart_delay),
        may_end=env.stop_exit_codes is not None
        and (integer(env.exit_code) or 0) in {integer(code) for code in env.stop_codes},
        heap_limit_bytes=app_numbers.heap_limit(env.node_args) or app_numbers.heap_limit(env.node_options),
    )


def _number(value: object) -> float | None:
    """A finite number; also as text, which is what a field becomes when an app's environment overrides it."""
    if value.__class__ not in _NUMERIC or (value.__class__ is str and len(value) > 32):
        return None
    try:
        number = float(cast("float | str", value))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def integer(value: object) -> int | None:
    """A whole number that SQLite can hold; also as text."""
    if value.__class__ is int:  # a bool is none
        return value if -_MAX_INTEGER <= value <= _MAX_INTEGER else None
    number = _number(value)
    if number is None or not number.is_integer() or abs(number) > _MAX_INTEGER:
        return None
    return int(number)


def _positive(value: object) -> int | None:
    number = integer(value)
    return number if number is not None and number > 0 else None


def _seconds(milliseconds: object) -> float | None:
    number = _number(milliseconds)
    return number / 1000 if number is not None and number > 0 else None


def epoch_seconds(milliseconds: object) -> float | None:
    """PM2's times, which are in milliseconds, as Unix seconds; None for what is no time of this era."""
    number = _number(milliseconds)
    if number is None or not 0 < number <= _MAX_EPOCH_SECONDS * 1000:
        return None
    return number / 1000


def text(value: object) -> str | None:
    """Text fit for a log line, a page and a database: printable, short, and another one for every other `value`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) <= _MAX_INTEGER else ""  # `name: 7` is a name
    if not isinstance(value, str) or not value.strip():
        return None
    if not value.isprintable():  # half a surrogate pair has the same name here as in the list
        value = _HALF.sub(lambda found: monitor_data.for_half(ord(found[0])), value)
    return distinct(value, MAX_NAME_CHARACTERS)


def _schedule(value: object) -> str | None:
    return None if value in (0, "0") else text(value)  # PM2 reads 0 as none
