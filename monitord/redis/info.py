"""What INFO says, and whether the next client would be served by a server of which it says that.

Nothing is written to find out. A PING is refused with MISCONF by the same test of the server's that refuses a write
after a failed save; all else is read from INFO, and from CONFIG GET where INFO does not say it and the user may ask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# What is read of INFO, each in one small answer. `INFO` alone would be one command, and twice as long.
SECTIONS: Final = ("memory", "stats", "clients", "persistence", "replication", "keyspace")
# A client that connects to write has buffers of 16 kB each way, which count before its write is judged.
_CLIENT_BYTES: Final = 32 * 1024
# What CONFIG GET is asked for, and only where the answer decides: its pattern finds the older name, too.
MIN_REPLICAS: Final = "min-*-to-write"
STOP_WRITES: Final = "stop-writes-on-bgsave-error"
SAVE: Final = "save"

Fields = Mapping[str, str]


def parse(answer: bytes) -> dict[str, str]:
    """Field -> value of one answer to INFO."""
    lines = answer.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def number(fields: Fields, name: str) -> int | None:
    """A field that is a whole number; None where it is not there, or is none."""
    value = fields.get(name, "")
    return int(value) if re.fullmatch(r"\d{1,18}", value) else None


def wanted(fields: Fields, *, misconf: bool) -> tuple[str, ...]:
    """What only CONFIG GET can show of a server whose INFO is this."""
    asked: list[str] = []
    if number(fields, "min_slaves_good_slaves"):
        asked.append(MIN_REPLICAS)
    if fields.get("rdb_last_bgsave_status") == "err" and not misconf:
        asked += [STOP_WRITES, SAVE]
    return tuple(asked)


def refusals(fields: Fields, config: Fields, *, misconf: bool) -> dict[str, str | None]:
    """Why the next client would not be served: half a sentence a reason, "": it does not hold, None: unknown.

    `fields` are of INFO's answered sections, `config` of CONFIG GET; `misconf`: it refused the PING with that.
    """
    return {
        "misconf": _unsaved(fields, config, misconf=misconf),
        "oom": _full(fields),
        "replica": _replica(fields),
        "noreplicas": _alone(fields, config),
        "connections": _crowded(fields),
    }


def _unsaved(fields: Fields, config: Fields, *, misconf: bool) -> str | None:
    if fields.get("aof_enabled") == "1" and fields.get("aof_last_write_status") == "err":
        return "its last write to the append-only file failed (MISCONF)"
    stops = config.get(STOP_WRITES) == "yes" and bool(config.get(SAVE))
    if misconf or (fields.get("rdb_last_bgsave_status") == "err" and stops):
        return "its last save to disk failed (MISCONF)"
    return ""  # by the PING, which would have been refused


def _replica(fields: Fields) -> str | None:
    if "role" not in fields:
        return None
    if fields["role"] != "slave" or fields.get("slave_read_only") == "0":
        return ""
    return f"it is a read-only replica of {fields.get('master_host', '?')}:{fields.get('master_port', '?')}"


def _alone(fields: Fields, config: Fields) -> str | None:
    if "role" not in fields:
        return None
    if (good := number(fields, "min_slaves_good_slaves")) is None:
        return ""  # INFO has the line only where at least one replica is needed
    needed = next((number(config, name) for name in config if re.fullmatch(r"min-\w+-to-write", name)), None)
    if good == 0 or (needed is not None and good < needed):
        return f"{good} replicas are in step, and it needs {needed or 'at least one'} to accept a write"
    return None if needed is None else ""


def _crowded(fields: Fields) -> str | None:
    clients, limit = number(fields, "connected_clients"), number(fields, "maxclients")
    if clients is None or limit is None:
        return None
    return f"{clients} of {limit} clients are connected, and no further one is accepted" if clients >= limit else ""


def _full(fields: Fields) -> str | None:
    """How full memory is, where the next write is refused for it: at the limit, and nothing may be evicted."""
    used, limit = number(fields, "used_memory"), number(fields, "maxmemory")
    if used is None or limit is None:
        return None
    counted = used - (number(fields, "mem_not_counted_for_evict") or 0)
    if not limit or counted + _CLIENT_BYTES <= limit:
        return ""
    policy = fields.get("maxmemory_policy", "")
    keys = [value for name, value in fields.items() if re.fullmatch(r"db\d+", name)]
    none_expires = all("expires=0" in value.split(",") for value in keys)
    if policy != "noeviction" and not (policy.startswith("volatile-") and keys and none_expires):
        return ""
    return f"its memory is full: {counted} of {limit} bytes are used, and no key may be evicted ({policy})"
