"""Where to look first: for every rule three commands, the log with its last lines and the query among them.

They are for a person's shell, and only look: with no variable that nobody set, and names quoted as the shell wants it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from shlex import quote
from typing import Final

from monitord.core import causes
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders

_PM2_LOG: Final = "tail -n 50 {home}/pm2.log"
_OOM: Final = "dmesg --ctime | grep -i 'out of memory' | tail -n 5"
_SERVICE: Final = ("{pm2} logs {name} --err --lines 50 --nostream", "{pm2} describe {name}", _PM2_LOG)
_MEMORY: Final = ("{pm2} describe {name}", "{pm2} logs {name} --lines 50 --nostream", "free -m")
_SEALS: Final = (
    "{pm2} logs {sealer} --lines 50 --nostream",
    "SELECT token_group, epoch, to_timestamp(epoch), count(*), to_timestamp(max(sealed_at)) FROM sealed_epochs "
    "GROUP BY 1, 2 ORDER BY epoch DESC LIMIT 10",
    "{pm2} status",
)
_PARTICIPATION: Final = (
    "{pm2} logs {feeder} --lines 50 --nostream",
    "SELECT epoch, to_timestamp(epoch), token_group, count(DISTINCT channel) FROM channel_participation "
    "WHERE epoch > extract(epoch FROM now()) - 86400 GROUP BY 1, 2, 3 ORDER BY epoch DESC LIMIT 10",
    "{pm2} status",
)
_TABLE: Final = (
    "{pm2} logs {feeder} --lines 50 --nostream",
    "SELECT relname, n_tup_ins, n_tup_del, n_live_tup, last_autovacuum FROM pg_stat_user_tables "
    "WHERE relname = {literal}",
    "{pm2} status",
)
_DISK: Final = (
    "df -h {name}",
    "du -xh --max-depth=2 {name} 2>/dev/null | sort -h | tail -n 20",
    "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
    "ORDER BY pg_total_relation_size(oid) DESC LIMIT 5",
)
_MONITOR: Final = ("monitord logs --no-follow -n 50", "monitord status", "df -h")

_BY_RULE: Final[dict[str, tuple[str, str, str]]] = {
    "service_down": _SERVICE,
    "service_missing": ("{pm2} status", _PM2_LOG, "ls -l {home}/dump.pm2"),
    "service_overdue": (
        "{pm2} describe {name}",
        "{pm2} logs {name} --lines 50 --nostream",
        "crontab -l; systemctl list-timers --all",
    ),
    "service_unexpected": _SERVICE,
    "service_restart_loop": _SERVICE,
    "service_unstable": _SERVICE,
    "service_frozen": (
        'ps -o pid,stat,wchan:20,etime,args -p "$({pm2} pid {name})"',
        "{pm2} logs {name} --lines 50 --nostream",
        "dmesg --ctime | tail -n 20",
    ),
    "service_memory_high": _MEMORY,
    "service_memory_leak": _MEMORY,
    # `pm2 status` would start a PM2 where none runs, and hide what happened.
    "pm2_empty": ("{pm2} status", _PM2_LOG, "ls -l {home}/dump.pm2"),
    "pm2_unreachable": (_PM2_LOG, "pgrep -af 'PM2 v'", "ls -l {home}"),
    "postgres_unreachable": (
        "SELECT 1",
        "SELECT state, wait_event_type, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC",
        "df -h",
    ),
    "database_changed": (
        "SELECT current_database(), inet_server_addr(), inet_server_port()",
        "SELECT system_identifier FROM pg_control_system()",
        "monitord config",
    ),
    "redis_unreachable": ("{redis} ping", "{redis} info memory", "free -m"),
    "redis_not_writable": (
        "{redis} info persistence",
        "{redis} info memory",
        "{redis} info replication",
    ),
    "postgres_full": (
        "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        "SELECT name, setting, source FROM pg_settings WHERE name ~ 'connections|read_only'",
        "df -h",
    ),
    "replica_lagging": (
        "SELECT pg_is_in_recovery(), pg_is_wal_replay_paused(), pg_last_xact_replay_timestamp()",
        "SELECT status, sender_host, latest_end_time FROM pg_stat_wal_receiver",
        "SELECT pid, state, xact_start, left(query, 80) FROM pg_stat_activity WHERE state <> 'idle' ORDER BY 3 LIMIT 5",
    ),
    "table_growth_high": _TABLE,
    "table_flow_stalled": _TABLE,
    "sealing_late": _SEALS,
    "sealing_stuck": _SEALS,
    "sealing_gap": _SEALS,
    "labels_unaligned": _SEALS,
    "sealing_slow": _SEALS,
    "groups_out_of_sync": _SEALS,
    "sealing_incomplete": _PARTICIPATION,
    "channel_silent": _PARTICIPATION,
    "redis_queue_backlog": (
        "{pm2} logs {worker} --lines 50 --nostream",
        "{redis} llen {waiting}",
        "{pm2} status",
    ),
    "disk_high": _DISK,
    "disk_filling": _DISK,
    "host_memory_low": ("free -m", "ps aux --sort=-rss | head -n 10", _OOM),
    "subject_unmeasured": _MONITOR,
    "monitor_degraded": _MONITOR,
}


def look_at(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    """The first three things to look at for this alert, as commands."""
    home = orders.places.get("pm2")
    words = {
        "home": "~/.pm2" if home is None else quote(home),
        "pm2": "pm2" if home is None else f"PM2_HOME={quote(home)} pm2",
        "postgres": orders.places.get("postgres", "psql"),
        "redis": orders.places.get("redis", "redis-cli"),
        "name": quote(alert.subject),
        "literal": "'" + alert.subject.rpartition(".")[2].replace("'", "''") + "'",
        "sealer": _logs_of(by for group in orders.groups for by in causes.sealers(group, orders)),
        "feeder": _logs_of(causes.feeders(str(alert.finding.evidence.get("group", alert.subject)), orders)),
        "worker": _logs_of(orders.workers_of(alert.subject) or (alert.subject,)),
        "waiting": quote(f"{orders.prefix_of(alert.subject)}:{alert.subject}:wait"),
    }
    return tuple(_command(form, words) for form in _BY_RULE.get(alert.rule, _MONITOR))


def _command(form: str, words: dict[str, str]) -> str:
    # In one pass: what stands in a name is not looked at again.
    filled = re.sub(r"\{(\w+)\}", lambda match: words[match[1]], form)
    return f"{words['postgres']} -c {quote(filled)}" if form.startswith("SELECT ") else filled


def _logs_of(patterns: Iterable[str]) -> str:
    """The services that shell patterns name, as `pm2 logs` takes them: a regular expression, or all of them."""
    names = dict.fromkeys(re.escape(pattern.strip("*")) for pattern in patterns)
    return quote("/" + "|".join(names) + "/") if names else "all"
