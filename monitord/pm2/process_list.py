"""The process list as monitord keeps it: the few fields that are judged, typed, and nobody's environment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from monitord.core.names import distinct

from . import Pm2Error, app_numbers

MAX_NAME_CHARACTERS = 200
_MAX_PATH_CHARACTERS = 4096
_MAX_INTEGER = 2**63 - 1  # what SQLite can hold
_MAX_EPOCH_SECONDS = 2**33  # the year 2242; anything later is no start time

_WITH_A_PID = frozenset({"online", "launching", "stopping"})  # elsewhere PM2 still shows the pid that died
_BEGUN = frozenset({"online", "launching"})
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NUMERIC = frozenset({int, float, str})  # a bool is none
_SCALARS = frozenset(
    {
        *("pid", "name", "pm_id", "memory", "cpu"),
        *("status", "restart_time", "unstable_restarts", "created_at", "pm_uptime", "exit_code"),
        *("autorestart", "cron_restart", "max_memory_restart", "exec_mode", "pmx_module"),
        *("pm_out_log_path", "pm_err_log_path", "kill_timeout", "listen_timeout", "exp_backoff_restart_delay"),
        *("restart_delay", "stop_exit_codes"),
    }
)
_BRANCHES = frozenset({"pm2_env", "monit"})
_HEAP_OPTIONS = ("node_args", "NODE_OPTIONS")  # what an app itself is started with comes after its environment
_MOST_OF_A_NUMBER = 8  # an entry of axm_monitor has six fields at most, a process or an environment more than these
_KEPT = _SCALARS | _BRANCHES | {"axm_monitor", "stop_exit_codes", "error", "watch", *_HEAP_OPTIONS}
_NO_CODES: frozenset[int] = frozenset()
_MAX_STOP_CODES = 256  # there are no more exit codes


@dataclass(frozen=True, slots=True)
class ListedProcess:
    """One process in PM2's list. None is what PM2 did not give, or gave in a way no number is written.

    How the counters move, as PM2 7.0 was seen to move them:

    | what happens | restarts | created_at | unstable_restarts |
    |---|---|---|---|
    | crash or exit, restarted by PM2 | +1 | same | +1 if it lived under min_uptime, 1 s, early in its life |
    | too many of those: `errored` | same | None | 0 |
    | pm2 restart, reload, cron_restart, watch, max_memory_restart | +1 | now | 0 |
    | pm2 restart or start of what is stopped or errored | same | now | 0 |
    | pm2 stop | same | same | may rise, as for an exit |
    | pm2 reset (the process itself runs on) | 0 | now | 0 |

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
        unstable_restarts: exits within min_uptime that count towards `errored`.
        autorestart: False when PM2 leaves it stopped after an exit.
        cron_restart: the schedule PM2 restarts it by.
        memory_limit_bytes: PM2 restarts it past this; such a restart looks like an operator's.
        exec_mode: `fork_mode` or `cluster_mode`.
        module: it is a PM2 module (pm2-logrotate), not an app.
        watch: PM2 restarts it when its files change; such a restart looks like an operator's.
        backoff: PM2 waits before it restarts it, longer each time (exp_backoff_restart_delay).
        kill_timeout: seconds PM2 waits after asking it to end before it kills it; None when PM2 did not say.
        listen_timeout: seconds PM2 waits for it to be ready before it calls it online; None when PM2 did not say.
        last_started_at: when its last run was started, epoch seconds, whether it runs or not; None when unsaid.
        restart_delay: seconds PM2 waits after each end before it restarts it; None when it does not.
        may_end: PM2 leaves it stopped after the exit code it has, or 0 where it has none (stop_exit_codes).
        out_log_path: where PM2 writes its stdout.
        err_log_path: where PM2 writes its stderr.
        numbers: what the app reports, as one word (core/app_numbers.py); "" without instrumentation.
        heap_limit_bytes: the most heap that Node may use (--max-old-space-size); None where it has no limit.
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
    unstable_restarts: int | None
    autorestart: bool
    cron_restart: str | None
    memory_limit_bytes: int | None
    exec_mode: str | None
    module: bool
    watch: bool
    backoff: bool
    kill_timeout: float | None
    listen_timeout: float | None
    last_started_at: float | None
    restart_delay: float | None
    may_end: bool
    out_log_path: str | None
    err_log_path: str | None
    numbers: str = ""
    heap_limit_bytes: int | None = None


def keep(pairs: list[tuple[str, object]]) -> dict[str, object] | str:
    """What to keep of one JSON object in a getMonitorData reply, called innermost first while it is parsed.

    PM2 spreads each app's environment over pm2_env itself, so only names on the list stay, and a scalar name
    keeps a scalar only. The arguments an app was started with share their name with the reply's own envelope,
    which has no second key. An error keeps that it is one, not what it says; of options for Node stays the one number
    that is judged.
    """
    if len(pairs) == 1 and pairs[0][0] == "args":
        return dict(pairs)
    fields = dict(pairs)
    if "value" in fields and len(fields) <= _MOST_OF_A_NUMBER and fields["value"].__class__ in _PLAIN:
        return app_numbers.number_text(fields["value"], fields.get("unit"))
    if next(iter(fields.values()), None).__class__ is app_numbers.NumberText and "pm_uptime" not in fields:
        return app_numbers.word(fields)
    kept: dict[str, object] = {}
    # Searched from the list, at C's speed: an environment has hundreds of names.
    for name in fields.keys() & _KEPT:
        value = fields[name]
        if name in _SCALARS and value.__class__ in _PLAIN:
            kept[name] = value
        elif name in _BRANCHES:
            if isinstance(value, dict):
                kept[name] = value
        elif name == "axm_monitor":
            if isinstance(value, app_numbers.Word):
                kept[name] = value
        elif name == "stop_exit_codes":
            if isinstance(value, list):
                kept[name] = [code for code in value[:_MAX_STOP_CODES] if code.__class__ in _PLAIN]
        elif name == "error":
            kept[name] = True
        elif name == "watch":  # of a list of paths no more than that there is one
            kept[name] = bool(value) and value not in ("false", "0")
        elif name in _HEAP_OPTIONS and (limit := app_numbers.heap_limit(value)) is not None:
            kept[name] = limit
    return kept


def parse(reply: object) -> tuple[ListedProcess, ...]:
    """The processes of a getMonitorData reply, in PM2's order, modules included.

    A process without a name is left out: nobody could have expected it or be notified of it.

    Raises:
        Pm2Error: `protocol`: it is no process list.
    """
    if not isinstance(reply, list):
        raise Pm2Error("protocol", "PM2's process list is not a list")
    return tuple(process for entry in reply if (process := _process(entry)) is not None)


def _process(entry: object) -> ListedProcess | None:
    if not isinstance(entry, dict) or not isinstance(env := entry.get("pm2_env"), dict):
        raise Pm2Error("protocol", "an entry of PM2's process list is not a process")
    name = text(entry.get("name")) or text(env.get("name"))
    if name is None:
        return None
    pm_id = integer(entry.get("pm_id"))
    if pm_id is None:
        raise Pm2Error("protocol", "PM2 listed a process without an id")

    status = text(env.get("status")) or "unknown"
    online = status == "online"
    monit, number_text = entry.get("monit"), env.get("axm_monitor")
    usage: Mapping[str, object] = monit if online and isinstance(monit, dict) else {}
    memory = _positive(usage.get("memory"))
    return ListedProcess(
        name=name,
        pm_id=pm_id,
        pid=_positive(entry.get("pid")) if status in _WITH_A_PID else None,
        status=status,
        memory_bytes=memory,
        cpu_percent=_number(usage.get("cpu")) if memory is not None else None,
        restarts=integer(env.get("restart_time")),
        created_at=epoch_seconds(env.get("created_at")),
        started_at=epoch_seconds(env.get("pm_uptime")) if status in _BEGUN else None,
        exit_code=integer(env.get("exit_code")),
        unstable_restarts=integer(env.get("unstable_restarts")),
        autorestart=env.get("autorestart") not in (False, "false"),
        cron_restart=_schedule(env.get("cron_restart")),
        memory_limit_bytes=_positive(env.get("max_memory_restart")),
        exec_mode=text(env.get("exec_mode")),
        module=env.get("pmx_module") in (True, "true"),
        watch=env.get("watch") is True,
        backoff=_positive(env.get("exp_backoff_restart_delay")) is not None,
        kill_timeout=_seconds(env.get("kill_timeout")),
        listen_timeout=_seconds(env.get("listen_timeout")),
        last_started_at=epoch_seconds(env.get("pm_uptime")),
        restart_delay=_seconds(env.get("restart_delay")),
        may_end=(integer(env.get("exit_code")) or 0) in _stop_codes(env.get("stop_exit_codes")),
        out_log_path=_path(env.get("pm_out_log_path")),
        err_log_path=_path(env.get("pm_err_log_path")),
        numbers=number_text if status in _BEGUN and isinstance(number_text, app_numbers.Word) else "",
        heap_limit_bytes=_positive(next((env[name] for name in _HEAP_OPTIONS if name in env), None)),
    )


def _stop_codes(value: object) -> frozenset[int]:
    if value is None:
        return _NO_CODES
    codes = (integer(code) for code in (value if isinstance(value, list) else [value]))
    return frozenset(code for code in codes if code is not None)


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
    """PM2's durations, which are in milliseconds."""
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
    return distinct(value, MAX_NAME_CHARACTERS)


def _schedule(value: object) -> str | None:
    return None if value in (0, "0") else text(value)  # PM2 reads 0 as none


def _path(value: object) -> str | None:
    """A path as it is, or not at all: half a path names another file."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PATH_CHARACTERS or not value.isprintable():
        return None
    return value
