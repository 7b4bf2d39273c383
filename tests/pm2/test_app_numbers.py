"""What apps tell PM2 of themselves: read from a real PM2, and bounded and without anything else whatever they send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.json import decode as decode_json

from bench.apps import reply
from monitord.core import app_numbers as core
from monitord.core.app_numbers import WordForm
from monitord.core.engine import Decision, State, decide
from monitord.core.model import Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.pm2 import app_numbers, monitor_data, process_list
from monitord.probes.base import Request, take
from monitord.probes.pm2 import Pm2Probe

from .conftest import DEADLINE, SECRET, RealPm2

# As PM2 7.0 holds them of an app that answers HTTP.
TOLD = {
    "Heap Size": {"historic": True, "unit": "MiB", "type": "internal/v8/heap/total", "value": "10.75"},
    "Heap Usage": {"historic": True, "unit": "%", "type": "internal/v8/heap/usage", "value": 60.04},
    "Used Heap Size": {"historic": True, "unit": "MiB", "type": "internal/v8/heap/used", "value": "6.45"},
    "Active handles": {"historic": True, "type": "internal/libuv/handles", "value": 3},
    "Event Loop Latency": {"historic": True, "unit": "ms", "type": "internal/libuv/latency/p50", "value": "-0.39"},
    "Event Loop Latency p95": {"historic": True, "unit": "ms", "type": "internal/libuv/latency/p95", "value": "3.81"},
    "HTTP P95 Latency": {"historic": True, "unit": "ms", "type": "internal/http/latency/p95", "value": 12},
}


Wanted = Callable[[int], tuple[str, ...]]


def listed(told: object, **env: object) -> process_list.ListedProcess:
    """The process of which PM2's list says that."""
    pm2_env = {"status": "online", "pm_uptime": 1_762_308_000_000, "axm_monitor": told, **env}
    reply = {"args": [[{"name": "api", "pm_id": 0, "pid": 7, "pm2_env": pm2_env, "monit": {"memory": 1, "cpu": 0}}]]}
    argument = b"j:" + json.dumps(reply).encode()
    assert SECRET not in repr(monitor_data.decode(argument))
    (process,) = process_list.ProcessLists().read(argument)
    return process


def written(word: str) -> dict[str, str]:
    """What each number of a word is, with its unit, by name."""
    parts = (part.rpartition(": ") for part in word.split(" | "))
    return {name: told for name, _, told in parts}


def words(apps: Sequence[tuple[WordForm | None, app_numbers.Values]], *wanted: Wanted) -> list[str]:
    """The numbers of each app as one word."""
    forms, values = app_numbers.told(apps, *wanted)
    each = iter(core.of_each(values))
    return [core.as_word(form, next(each)) if form else "" for form in forms]


def word_of(process: process_list.ListedProcess) -> str:
    (word,) = words([(process.numbers_form, process.numbers)])
    return word


def number(told: Mapping[str, object]) -> str:
    return word_of(listed({"n": told})).removeprefix("n: ")


def test_what_an_app_tells_is_one_word_of_which_each_number_can_be_had() -> None:
    process = listed(TOLD)
    (form,), values = app_numbers.told([(process.numbers_form, process.numbers)])
    assert written(word_of(process)) == {
        "Heap Size": "10.75 MiB",
        "Heap Usage": "60.04 %",
        "Used Heap Size": "6.45 MiB",
        "Active handles": "3",
        "Event Loop Latency": "-0.39 ms",
        "Event Loop Latency p95": "3.81 ms",
        "HTTP P95 Latency": "12 ms",
    }
    assert core.size(core.figure(form, values, core.HEAP_SIZE)) == 10.75 * 2**20  # and not that of `Used Heap Size`
    assert core.milliseconds_of(form, values, core.LOOP_P95) == 3.81
    assert core.milliseconds_of(form, values, core.HEAP_SIZE) is None
    assert core.figure(form, values, "Size") is None
    assert core.of_word(word_of(process)) == (form, values)  # as older versions have recorded them


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ({"value": "1.25ms"}, "1.25 ms"),
        ({"value": " 12 MB ", "unit": "MiB"}, "12 MiB"),
        ({"value": "0 B"}, "0 B"),
        ({"value": 7, "unit": "jobs | waiting: many"}, "7 jobswaiti"),
        ({"value": 1e300}, ""),
        ({"value": "NaN"}, ""),
        ({"value": True}, ""),
        ({"value": None}, ""),
        ({"value": "many"}, ""),
        ({"value": "9" * 60}, ""),
        ({"value": 7, "unit": ["ms"]}, "7"),
        ({"value": {"value": 7}}, ""),
        ({"unit": "ms"}, ""),
    ],
)
def test_a_number_is_one_with_its_unit_or_is_none(told: Mapping[str, object], written: str) -> None:
    assert number(told) == written


def test_an_app_that_tells_thousands_keeps_pm2s_own_figures_and_a_few_more() -> None:
    many = {f"{'x' * 500}-{i}": {"value": i} for i in range(5000)} | TOLD
    found = written(word_of(listed(many)))
    assert len(found) == app_numbers.MOST_PER_APP
    assert {"Event Loop Latency p95", "Used Heap Size", "HTTP P95 Latency"} <= found.keys()
    assert all(len(name) <= core.LONGEST_NAME for name in found)


def test_a_name_with_what_stands_between_numbers_in_it_is_one_name() -> None:
    found = written(word_of(listed({"a | b: c\n": {"value": 1}, "status": {"value": 2}, "value": {"value": 3}})))
    assert list(found.values()) == ["1", "2", "3"]
    assert all(name.isprintable() for name in found)


def reported(**told: object) -> tuple[WordForm | None, app_numbers.Values]:
    return formed(app_numbers.read(Raw(json.dumps(told, separators=(",", ":")).encode())))


def formed(
    numbers: tuple[app_numbers.KnownNumbers | None, app_numbers.Values],
) -> tuple[WordForm | None, app_numbers.Values]:
    return None if numbers[0] is None else numbers[0].form, numbers[1]


def test_too_many_numbers_in_all_leave_each_app_its_first() -> None:
    apps = [reported(heap={"value": i}, loop={"value": 2}, own={"value": 3}) for i in range(app_numbers.MOST_IN_ALL)]
    kept = words(apps)
    assert [len(written(word)) for word in kept] == [1] * len(apps)
    assert kept[7] == "heap: 7"


def test_a_number_with_limits_is_kept_before_others_however_many_there_are() -> None:
    told = {"HTTP P95 Latency": {"value": 2, "unit": "ms"}, "own": {"value": 3}}
    apps = [reported(heap={"value": i}, **told) for i in range(app_numbers.MOST_IN_ALL)]
    kept = words(apps, lambda place: {1: ("http p95",), 2: ("OWN",)}.get(place, ()))
    assert kept[:3] == ["heap: 0", "HTTP P95 Latency: 2 ms", "own: 3"]


VALUES: tuple[object, ...] = (
    *("3.65", "-0.39", "12", "7", " 7", "1.25ms", "9" * 20, "1e3", "", "NaN", "٣", "1\n2", "\ud800"),
    *(0.5, -0.25, 100, 100.5, 0.0001, 0.00012, 12345678.1234567, 123456789.5, 0.1 + 0.2, 1762300000000, 10.0),
    *(3, 0, -0.0, 60.04, 60.1, 1e-07, 0.00005, 1e22, 12345678901234567890, True, None, [1], {"value": 2}),
)
NAMES = ("heap", "HTTP % | a", 'it"s', 'x"value', "value", "Event Loop Latency p95")
told_by_apps = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(told_by_apps, st.lists(st.lists(st.sampled_from(VALUES), min_size=4, max_size=4), max_size=5))
def test_numbers_are_read_as_if_the_list_were_the_first(
    told: list[tuple[str, object]], moved: list[list[object]]
) -> None:
    known = None
    plain: list[list[object]] = [["1.5"] * 4] * 3  # often enough that it is known how PM2 writes them
    for values in (*plain, [value for _, value in told], *moved):
        # Names that stand twice, too.
        parts = [
            f'{json.dumps(name)}:{{"unit":"%","value":{json.dumps(value, separators=(",", ":"))},"x":"\\"value\\":"}}'
            for (name, _), value in zip(told, values, strict=False)
        ]
        raw = Raw(f"{{{','.join(parts)}}}".encode())
        found, first = app_numbers.read(raw, known), app_numbers.read(raw)
        assert words([formed(found)]) == words([formed(first)])
        known = found[0]


def test_of_an_app_that_reports_other_numbers_only_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Raw | bytes] = []
    decode = monitor_data.numbers

    def counted(raw: Raw | bytes) -> Mapping[str, monitor_data.Number] | None:
        decoded.append(raw)
        return decode(raw)

    lists, before = process_list.ProcessLists(), []
    monkeypatch.setattr(monitor_data, "numbers", counted)
    for turn in range(8):
        decoded.clear()
        lists.read(reply(turn, tells=True, apps=50))
        before.append(len(decoded))
    # At first; then once it is known how PM2 writes them, which is one layout for all, and read back once.
    assert before == [50, 51, 0, 0, 0, 0, 0, 0]


def test_a_number_without_quotes_is_decoded_only_where_it_would_be_written_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[bytes] = []

    class Counted:
        @staticmethod
        def decode(value: bytes) -> object:
            decoded.append(value)
            return decode_json(value)

    monkeypatch.setattr(app_numbers, "json", Counted)
    known = None
    for plain in ("1.5", "2.5", "3", "60.04", "0", "-0.5", "1762300000000", "0.0001", "12345678.1234567"):
        known, values = app_numbers.read(Raw(f'{{"a":{{"value":"7"}},"b":{{"value":{plain}}}}}'.encode()), known)
        assert values == (b"7", plain.encode())
    assert decoded == []
    for other, written_as in (("0.50", b"0.5"), ("0.00001", b"1e-05"), ("-0", b"0"), ("1.0", b"1.0")):
        _, values = app_numbers.read(Raw(f'{{"a":{{"value":"7"}},"b":{{"value":{other}}}}}'.encode()), known)
        assert values == (b"7", written_as)
    assert decoded == [b"0.50", b"0.00001", b"-0", b"1.0"]


def test_no_more_than_so_many_layouts_are_known_at_once() -> None:
    read: dict[int, tuple[app_numbers.KnownNumbers | None, app_numbers.Values]] = {}
    for turn in range(3):
        for app in range(app_numbers._MOST_LAYOUTS + 9):
            raw = Raw(f'{{"of {app}":{{"value":"{turn}.5"}}}}'.encode())
            read[app] = app_numbers.read(raw, read[app][0] if app in read else None)
    assert len(app_numbers._layouts) <= app_numbers._MOST_LAYOUTS
    assert words([formed(one) for one in read.values()]) == [f"of {app}: 2.5" for app in read]


@pytest.mark.parametrize("told", [{}, None, [], "x", {"a": 1}, {"a": [SECRET]}, {"value": SECRET}])
def test_an_app_without_instrumentation_tells_nothing(told: object) -> None:
    assert word_of(listed(told)) == ""


def test_of_options_for_node_nothing_but_the_limit_of_its_heap_is_kept() -> None:
    options = ["--require", SECRET, "--max-old-space-size=512"]
    assert listed(TOLD, node_args=options).heap_limit_bytes == 512 * 2**20
    assert listed(TOLD, NODE_OPTIONS=f"--title={SECRET} --max_old_space_size 256").heap_limit_bytes == 256 * 2**20
    assert listed(TOLD, node_args=options, NODE_OPTIONS="--max-old-space-size=1").heap_limit_bytes == 512 * 2**20
    assert listed(TOLD, node_args=[SECRET], NODE_OPTIONS=SECRET).heap_limit_bytes is None


def test_what_apps_tell_are_two_samples_of_which_one_is_made_once() -> None:
    from monitord.probes.pm2 import _service

    silent, telling = listed({}), listed(TOLD)
    before = len(_service(silent, "", frozenset()))
    (form,), values = app_numbers.told([(telling.numbers_form, telling.numbers)])
    first, second = (_service(telling, form, frozenset()) for _ in range(2))
    assert len(first) == len(second) == before + 1
    assert first[-1] is second[-1]
    assert first[-1].value == form
    assert "3.81" in values.split(" ")
    assert "3.81" not in form


BLOCKING = """
const at = %s, until = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };
if (at) setTimeout(() => until(%s), at);
setInterval(() => {}, 1000);
"""


def _folded(readings: list[tuple[float, Reading]], began: datetime) -> Decision:
    state, orders = State(), StandingOrders(probes=frozenset({"pm2"}))
    for seconds, reading in readings:
        now = began + timedelta(seconds=seconds)
        decision = decide(state, Observation(now, {"pm2": reading}), orders)
        state = decision.state
    return decision


async def test_an_app_that_blocks_its_loop_is_found_though_pm2_calls_it_online(real_pm2: RealPm2) -> None:
    apps = {"calm": (0, 0), "busy": (1500, 2000), "stuck": (2500, 600_000)}
    for name, (at, long) in apps.items():
        (real_pm2.apps / f"{name}.js").write_text(BLOCKING % (at, long))
    config = real_pm2.apps / "apps.config.json"
    scripts = [{"name": name, "script": str(real_pm2.apps / f"{name}.js")} for name in apps]
    config.write_text(json.dumps({"apps": [*scripts, {"name": "silent", "script": "/bin/sleep", "args": "600"}]}))
    real_pm2.run("start", str(config))
    probe = Pm2Probe(real_pm2.home, frozenset)

    async def read() -> tuple[Reading, dict[str, str]]:
        reading = await take(probe, Request(now=0.0, timeout=DEADLINE))
        values = iter(core.of_each(str(next((s.value for s in reading.named("app_values")), ""))))
        forms = {s.label("service"): str(s.value) for s in reading.named("service_app_form")}
        return reading, {service: core.as_word(form, next(values)) for service, form in forms.items()}

    async def moved_twice(calm: str) -> tuple[Reading, dict[str, str]]:
        """The reading by which another app has told its numbers twice: whoever still tells any has told new ones."""
        second, again = await read()
        for _ in range(2):
            while again["calm"] == calm:
                await asyncio.sleep(0.05)
                second, again = await read()
            calm = again["calm"]
        return second, again

    def late(word: str) -> float:
        return core.milliseconds_of(*core.of_word(word), core.LOOP_P95) or 0.0

    async with asyncio.timeout(DEADLINE):
        while True:  # PM2 tells nobody when an app has told it something
            first, told = await read()
            if late(told.get("busy", "")) > 500 and core.moves(core.of_word(told.get("stuck", ""))[0]):
                second, again = await moved_twice(told["calm"])
                if again["stuck"] == told["stuck"]:
                    break
            await asyncio.sleep(0.1)
    await probe.close()
    assert 500 < late(again["busy"]) < 2500
    assert "silent" not in again
    states = {s.label("service"): s.value for s in second.named("service_state")}
    assert set(states.values()) == {"online"}

    began = datetime.now(UTC) + timedelta(minutes=1)  # what is moved is the time between two readings, and no reading
    decision = _folded([(0, first), (15, second), (21, second)], began)
    alerts = {one["subject"]: one for one in decision.report.as_fields()["alerts"]["firing"]}
    assert {name: one["rule"] for name, one in alerts.items()} == {
        "busy": "event_loop_blocked",
        "stuck": "event_loop_blocked",
    }
    assert (alerts["busy"]["unit"], alerts["stuck"]["unit"]) == ("ms", "seconds")
    services = decision.report.as_fields()["services"]
    assert services["silent"]["app"] is None
    assert services["calm"]["app"]["heap_used_bytes"] > 2**20
    assert services["busy"]["ok"] is True
