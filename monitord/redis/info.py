"""What INFO says, and whether the next client would be served by a server of which it says that.

Nothing is written to find out. A PING is refused with MISCONF by the same test of the server's that refuses a write
after a failed save; all else is read from INFO, and from CONFIG GET where INFO does not say it and the user may ask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Served:
    """Whether the next write and the next connection would be accepted; None where that cannot be told.

    `refusals` are the reasons why not, by a word for each: half a sentence about the server.
    """

    writes: bool | None
    connections: bool | None
    refusals: Mapping[str, str]


def parse(answer: bytes) -> dict[str, str]:
    """Field -> value of one answer to INFO."""
    lines = answer.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def number(fields: Fields, name: str) -> int | None:
    """A field that is a whole number; None where it is not there, or is none."""
    value = fields.get(name, "")
    return int(value) if re.fullmatch(r"\d{1,18}", value) else None


def wanted(fields: Fields, *, misconf: bool) -> tuple[str, ...]:
    """What only CONFIG GET can tell of a server of which INFO says this."""
    asked: list[str] = []
    if number(fields, "min_slaves_good_slaves"):
        asked.append(MIN_REPLICAS)
    if fields.get("rdb_last_bgsave_status") == "err" and not misconf:
        asked += [STOP_WRITES, SAVE]
    return tuple(asked)


def served(fields: Fields, config: Fields, *, misconf: bool) -> Served:
    """What follows from what the server said.

    Args:
        fields: of INFO, all sections together; a section that was not answered leaves its fields out.
        config: name -> value of what CONFIG GET was asked for and told.
        misconf: whether it refused the PING with MISCONF.
    """
    refusals: dict[str, str] = {}
    unknown = not {"role", "used_memory"} <= fields.keys()
    if misconf or _cannot_save(fields, config):
        if fields.get("aof_enabled") == "1" and fields.get("aof_last_write_status") == "err":
            refusals["misconf"] = "its last write to the append-only file failed"
        else:
            refusals["misconf"] = "its last save to disk failed"
    if (full := _full(fields)) is not None:
        refusals["oom"] = full
    if fields.get("role") == "slave" and fields.get("slave_read_only", "1") != "0":
        place = f"{fields.get('master_host', '?')}:{fields.get('master_port', '?')}"
        refusals["readonly"] = f"it is a read-only replica of {place}"
    if (good := number(fields, "min_slaves_good_slaves")) is not None:
        needed = next((number(config, name) for name in config if re.fullmatch(r"min-\w+-to-write", name)), None)
        if good == 0 or (needed is not None and good < needed):  # the line is there only where at least one is needed
            refusals["noreplicas"] = f"{good} of the {needed or 'at least 1'} replicas it needs are in step"
        unknown = unknown or needed is None
    writes = False if refusals else None if unknown else True
    clients, limit = number(fields, "connected_clients"), number(fields, "maxclients")
    connections = None if clients is None or limit is None else clients < limit
    if connections is False:
        refusals["maxclients"] = f"{clients} of {limit} clients are connected, and no further one is accepted"
    return Served(writes, connections, refusals)


def _cannot_save(fields: Fields, config: Fields) -> bool:
    """What the server itself refuses writes for, where a PING did not tell."""
    if fields.get("aof_enabled") == "1" and fields.get("aof_last_write_status") == "err":
        return True
    stops = config.get(STOP_WRITES) == "yes" and bool(config.get(SAVE))
    return fields.get("rdb_last_bgsave_status") == "err" and stops


def _full(fields: Fields) -> str | None:
    """How full memory is, where the next write is refused for it: at the limit, and nothing may be evicted."""
    used, limit = number(fields, "used_memory"), number(fields, "maxmemory")
    if not limit or used is None:
        return None
    counted = used - (number(fields, "mem_not_counted_for_evict") or 0)
    policy = fields.get("maxmemory_policy", "")
    keys = [value for name, value in fields.items() if re.fullmatch(r"db\d+", name)]
    none_expires = all("expires=0" in value.split(",") for value in keys)
    if counted + _CLIENT_BYTES <= limit or not (
        policy == "noeviction" or (policy.startswith("volatile-") and keys and none_expires)
    ):
        return None
    why = "keys are never evicted (noeviction)" if policy == "noeviction" else f"no key may be evicted ({policy})"
    return f"its memory is full: {counted} of {limit} bytes, and {why}"
