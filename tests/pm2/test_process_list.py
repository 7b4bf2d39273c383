"""PM2's list is read as if it were the first, whatever was read before it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.pm2 import app_numbers, process_list
from monitord.probes import pm2 as probe

ENV: dict[str, Any] = {
    "name": "gateway",
    "status": "online",
    "restart_time": 3,
    "created_at": 1_762_300_000_000,
    "pm_uptime": 1_762_300_000_000,
    "node_args": ["--max-old-space-size=512"],
    "axm_monitor": {"HTTP": {"value": "12", "unit": "req/min"}},
}
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"axm_monitor": {"HTTP": {"value": "13.5", "unit": "req/min"}}},
    {"axm_monitor": {}},
    {"restart_time": 4},
    {"status": "stopped"},
    {"status": "stopping", "kill_timeout": 1600},
    {"node_args": ["--max-old-space-size=1024"]},
    {"node_args": []},
    {"watch": ["src"]},
    {"autorestart": False, "cron_restart": "0 3 * * *"},
    {"name": "other"},
    {"NODE_OPTIONS": "--max-old-space-size=64"},
)


def listed(processes: list[tuple[int, dict[str, Any], int]]) -> bytearray:
    entries = [
        {"pm_id": number, "pid": pid, "pm2_env": {**ENV, **changed}, "monit": {"memory": 1000 * pid, "cpu": 0.5}}
        for number, changed, pid in processes
    ]
    return bytearray(b"j:" + json.dumps({"args": [entries]}, separators=(",", ":")).encode())


def samples(found: tuple[process_list.ListedProcess, ...]) -> list[object]:
    forms, values = app_numbers.told([(process.numbers_form, process.numbers) for process in found])
    of_each = [probe._service(process, form, frozenset({2})) for process, form in zip(found, forms, strict=True)]
    return [*(s for samples in of_each for s in samples), values]


lists = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(CHANGES), st.sampled_from([1, 2])), max_size=3),
    min_size=2,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(lists)
def test_a_list_is_read_as_if_it_were_the_first(several: list[list[tuple[int, dict[str, Any], int]]]) -> None:
    lists = process_list.ProcessLists()
    for processes in several:
        found, first = lists.read(listed(processes)), process_list.ProcessLists().read(listed(processes))
        assert found == first
        assert samples(found) == samples(first)


def test_what_is_kept_of_a_list_does_not_keep_the_whole_of_it() -> None:
    body = listed([(0, {}, 1), (1, {"watch": ["src"], "NODE_OPTIONS": "--inspect"}, 1)])
    lists = process_list.ProcessLists()
    for _ in range(3):
        lists.read(body)
    body.append(0)  # which raises BufferError while anybody looks into it
