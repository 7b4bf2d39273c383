"""How each rule's subject breaks, as the library of nights has it, and what its alert has to wait for."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from monitord.core.model import Severity, Value
from monitord.probes.base import PING_SECONDS
from monitord.runtime.signs import PING_EVERY_SECONDS as PINGED_EVERY
from tests.nights.files import changes

NIGHTS = Path(__file__).parents[1] / "tests" / "nights"

CYCLE = "the next cycle (`CHECK_INTERVAL`), confirmed 5 s later (`CONFIRMATIONS`, `CONFIRM_EVERY`)"
AT_ONCE = "PM2's bus reports it: checked within a second, confirmed 5 s later"
CLOSED = "its kept connection is closed: checked at once, confirmed 5 s later"
SILENT = (
    f"a ping every {PINGED_EVERY:.0f} s waits {PING_SECONDS:.0f} s; then the check and its confirmation, each after "
    "the probe's deadline"
)
DEADLINES = "the next cycle and its confirmation, each after the probe's deadline (`PROBE_TIMEOUT`)"
AGE = "the orders' limit of the seal age, which counts from the end of the newest sealed epoch"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one rule: phrases of the nights' vocabulary that happen at once, as in the recorded night `night`.

    `{hour}` in a phrase is the epoch that lasts. `severity` is the one that is waited for ("": whichever comes
    first). `over`: of what all phases are tried; `by_habit`: monitord has watched for five days and warns of what is
    unusual. `bus`: PM2's bus is connected; `kept`: there is a connection that was kept since the check before, and what
    shows there. `from_end`: it counts from the end of the lasting epoch, when it shows.
    `before` happens as the night begins, `readings` are samples that read so from the fault on, `orders` what is
    declared beside the defaults, and `called` is the fault in words where the phrases are none.
    """

    rule: str
    subject: str
    happens: tuple[str, ...]
    night: int
    why: str = CYCLE
    severity: Severity | Literal[""] = ""
    called: str = ""
    over: Literal["cycle", "epoch"] = "cycle"
    by_habit: bool = False
    bus: bool = False
    kept: Literal["", "closed", "silent"] = ""
    from_end: bool = False
    before: tuple[str, ...] = ()
    readings: Mapping[str, Value] = field(default_factory=dict)
    orders: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The fault in words, the same for nobody else of its rule and severity."""
        words = self.called or ", ".join(self.happens).replace("{hour}", "the lasting epoch")
        words += (", PM2's bus connected" if self.bus else "") + (", a connection is kept" if self.kept else "")
        return words + (", with a habit known" if self.by_habit else "")


def of_nights() -> Iterator[Fault]:
    """The faults that recorded nights declare themselves."""
    for path in sorted(NIGHTS.glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        for table in tomllib.loads(text)["fault"] if "[[fault]]" in text else ():
            table["orders"] = changes(table.get("orders", {}))
            for name in {"happens", "before"} & table.keys():
                table[name] = tuple(table[name])
            yield Fault(night=int(path.stem.partition("-")[0]), **{"happens": (), **table})


_LISTED: tuple[Fault, ...] = (
    Fault("host_memory_low", "host", ("available memory is 50MB",), 88),
    Fault("disk_high", "/", ("the disk is 75% full",), 107),
    Fault("disk_high", "/", ("the disk is 98.5% full",), 89, severity="critical"),
    Fault(
        "disk_filling",
        "/",
        ("the disk fills by 72% an hour",),
        482,
        "a rise is one after half an hour (a twelfth of `FILL_SPAN`): a copy or a dump ends before",
        called="the disk is full in an hour",
    ),
    Fault(
        "disk_filling",
        "/",
        ("the disk fills by 25% an hour",),
        480,
        "two fifths of what was free must be gone: a dump that is moved away rises alike",
        called="the disk is full in three hours",
    ),
    Fault(
        "disk_filling",
        "/",
        ("the disk fills by 25% an hour",),
        480,
        "half of what was free must be gone; `disk_high` is critical at 80%, later",
        "critical",
        called="the disk is full in three hours",
    ),
    Fault(
        "disk_filling",
        "/",
        ("the disk fills by 13% an hour",),
        484,
        "two fifths of what was free must be gone; more than three hours are left",
        called="the disk is full in six hours",
    ),
    Fault(
        "disk_filling",
        "/",
        ("the disk fills by 2% an hour",),
        124,
        "it is reported a day ahead, once a third of what was free is gone (and `FILL_SPAN`, 6 h, at the soonest)",
        called="the disk is full in a day and a half",
    ),
    Fault("pm2_empty", "pm2", ("PM2 is restarted with an empty list",), 224, before=("PM2's pid file can be read",)),
    Fault("pm2_unreachable", "pm2", ("PM2 is not there",), 104),
    Fault("pm2_unreachable", "pm2", ("PM2 is not there",), 104, AT_ONCE, bus=True),
    Fault("pm2_unreachable", "pm2", ("PM2 does not answer",), 200, DEADLINES),
    Fault("pm2_unreachable", "pm2", ("PM2 does not answer",), 200, SILENT, kept="silent"),
    Fault("postgres_unreachable", "postgres", ("Postgres refuses connections",), 25),
    Fault("postgres_unreachable", "postgres", ("Postgres refuses connections",), 25, CLOSED, kept="closed"),
    Fault("postgres_unreachable", "postgres", ("Postgres does not answer",), 52, DEADLINES),
    Fault("postgres_unreachable", "postgres", ("Postgres does not answer",), 52, SILENT, kept="silent"),
    Fault("redis_unreachable", "redis", ("Redis refuses connections",), 26),
    Fault("redis_unreachable", "redis", ("Redis refuses connections",), 26, CLOSED, kept="closed"),
    Fault("redis_unreachable", "redis", ("Redis does not answer",), 26, DEADLINES),
    Fault("redis_unreachable", "redis", ("Redis does not answer",), 26, SILENT, kept="silent"),
    Fault("database_changed", "postgres", ("Postgres is another server",), 208),
    Fault(
        "replica_lagging",
        "postgres",
        ("the replica replays nothing more",),
        398,
        "half of `FLOW_STALL` (15 min): from then on rows that are not replayed would soon look like a stall",
        before=("Postgres is a replica",),
    ),
    Fault("postgres_full", "postgres", ("Postgres is a replica",), 53),
    Fault(
        "redis_not_writable",
        "redis",
        (),
        172,
        called="Redis refuses writes: its last save failed",
        readings={"redis_refusal why=misconf": "its last save to disk failed (MISCONF)"},
    ),
    Fault(
        "service_overdue",
        "cls-discovery",
        ("cls-discovery runs no more",),
        377,
        "twice its rhythm, or two hours where that is PM2's: one turn or more that is left out wakes nobody",
        called="what PM2 runs by the clock every quarter of an hour runs no more",
        before=("PM2 runs cls-discovery by the clock", "cls-discovery begins its next run"),
    ),
    Fault(
        "service_unstable",
        "gateway",
        ("gateway dies every 12m",),
        369,
        "as many restarts as are no loop (`RESTARTS_WARNING` an hour), for a quarter of the day: it is news once a day",
    ),
    Fault("service_missing", "tree-builder", ("tree-builder vanishes from PM2",), 8),
    Fault("service_missing", "tree-builder", ("tree-builder vanishes from PM2",), 8, AT_ONCE, bus=True),
    Fault("service_down", "gateway", ("gateway stops",), 3),
    Fault("service_down", "gateway", ("gateway stops",), 3, AT_ONCE, bus=True),
    Fault("service_unexpected", "claim-test", ("claim-test appears in PM2",), 10),
    Fault(
        "service_restart_loop",
        "gateway",
        ("gateway dies every 3s",),
        11,
        "more than `RESTARTS_WARNING` (5) deaths, then the next cycle and its confirmation",
    ),
    Fault(
        "service_restart_loop",
        "gateway",
        ("gateway dies every 3s",),
        11,
        "more than `RESTARTS_CRITICAL` (20) deaths, the last a minute after the first",
        "critical",
    ),
    Fault(
        "service_restart_loop",
        "gateway",
        ("gateway dies every 3s",),
        11,
        "more than `RESTARTS_WARNING` (5) deaths, confirmed 5 s later",
        bus=True,
    ),
    Fault(
        "service_overdue",
        "cls-discovery",
        ("cls-discovery runs no more",),
        366,
        "twice the rhythm that is named (`periodic:30m`), from the end of its last run; thrice a learned one",
        called="cls-discovery runs no more, and its rhythm is 30 min",
        before=("cls-discovery runs for 2m every 30m",),
        orders={"rhythms": {"cls-discovery": timedelta(minutes=30)}},
    ),
    Fault("service_frozen", "stream-listener", ("stream-listener is frozen",), 20),
    Fault("service_memory_high", "gateway", ("memory of gateway is 501MB",), 360),
    Fault(
        "service_memory_leak",
        "milo-aggregator",
        ("memory of milo-aggregator rises by 30MB an hour",),
        123,
        "more than half of the way to the limit (and `LEAK_SPAN`, 3 h): a cache and a batch job fill alike; what is "
        "faster `service_memory_high` reports at its limit",
    ),
    Fault(
        "event_loop_blocked",
        "gateway",
        ("the event loop of gateway is 1.9s late",),
        640,
        before=("gateway tells of itself",),
    ),
    Fault(
        "event_loop_blocked",
        "gateway",
        ("the event loop of gateway is blocked",),
        640,
        "its numbers must have stood still in two readings, 10 s apart",
        before=("gateway tells of itself",),
    ),
    Fault(
        "heap_nearly_full",
        "gateway",
        ("heap of gateway is 480MiB",),
        642,
        "it must last (`HEAP_SPAN`, 10 min): a garbage collector frees what is full for a moment",
        before=("Node may use 512MiB of heap for gateway",),
    ),
    Fault("table_growth_high", "user_signals", ("1_200_000 rows come at once",), 40),
    Fault(
        "table_growth_high",
        "user_signals",
        ("rows come at 5_000_000/min",),
        42,
        "a million rows (`GROWTH_LIMIT`) must have come, then the next cycle and its confirmation",
        called="five million rows come within a minute",
    ),
    Fault(
        "table_growth_high",
        "user_signals",
        ("rows come at 600_000/h",),
        42,
        "a million rows in two hours (`GROWTH_LIMIT`): they must have come first",
    ),
    Fault(
        "table_flow_stalled",
        "user_signals",
        ("no rows come",),
        49,
        "`FLOW_STALL` (15 min) counts from the last row that was seen to come",
    ),
    Fault(
        "table_flow_stalled",
        "user_signals",
        ("no rows come",),
        340,
        "it must have lasted an epoch (1 h): then the rows of one are lost for good",
        "critical",
    ),
    Fault(
        "sealing_slow",
        "MILO",
        ("nothing is sealed any more",),
        112,
        "the epoch must end, and be later than 99% of the group's seals were",
        over="epoch",
        by_habit=True,
    ),
    Fault("sealing_late", "MILO", ("nothing is sealed any more",), 59, f"{AGE}: `SEAL_WARNING` (2 h)", over="epoch"),
    Fault("sealing_stuck", "MILO", ("nothing is sealed any more",), 109, f"{AGE}: `SEAL_CRITICAL` (4 h)", over="epoch"),
    Fault(
        "groups_out_of_sync",
        "epochs",
        ("MILO seals nothing more",),
        48,
        "the epoch must end, and `EPOCHS__GRACE` (15 min) with it",
        over="epoch",
    ),
    Fault("labels_unaligned", "MILO", ("9 seals of MILO are labelled 1s past the hour of {hour}",), 396),
    Fault(
        "sealing_gap",
        "CLS",
        ("CLS will skip the hour of {hour}",),
        60,
        "from the end of the skipped epoch: it is a gap once the next one is sealed, an hour later",
        called="CLS skips an epoch",
        from_end=True,
    ),
    Fault(
        "sealing_incomplete",
        "CLS",
        ("CLS will leave 7 channels out of the hour of {hour}",),
        115,
        "from the end of the epoch: `EPOCHS__GRACE` (15 min), since channels are sealed one by one",
        called="CLS leaves seven channels out of an epoch",
        by_habit=True,
        from_end=True,
    ),
    Fault(
        "channel_silent",
        "MILO/milo03",
        ("milo03 of MILO falls silent",),
        118,
        "three epochs must end without it, and the grace of the last (`EPOCHS__GRACE`): a channel may rest",
        over="epoch",
        by_habit=True,
    ),
    Fault("redis_queue_backlog", "tree-builder", ("6000 jobs wait in tree-builder",), 35),
    Fault(
        "redis_queue_backlog",
        "tree-builder",
        ("jobs pile up in tree-builder at 1/s",),
        37,
        "it must have risen for `FLOW_STALL` (15 min): a burst is worked off before",
    ),
    Fault(
        "redis_queue_backlog",
        "tree-builder",
        ("4900 jobs wait in tree-builder",),
        393,
        "none must have been taken for `FLOW_STALL` (15 min)",
        called="4900 jobs wait in tree-builder and none is taken",
    ),
    Fault(
        "redis_queue_backlog",
        "tree-builder",
        ("jobs pile up in tree-builder at 3000/h", "100 jobs of tree-builder are taken every 4m"),
        394,
        "the lowest readings of three stretches of `FLOW_STALL` (15 min) in a row must rise: those of bursts do not",
    ),
    Fault("subject_unmeasured", "user_signals", ("user_signals cannot be read: timeout",), 55),
    Fault("subject_unmeasured", "tree-builder", ("tree-builder cannot be read: protocol",), 39),
    Fault("subject_unmeasured", "/", ("the disk cannot be measured: timeout",), 66),
    Fault("subject_unmeasured", "host", ("the host breaks the probe",), 487),
    Fault("subject_unmeasured", "epochs", ("the seals' query denies permission",), 381),
    Fault(
        "subject_unmeasured",
        "epochs",
        ("the seals' query is not there",),
        380,
        "what makes sealing unknowable is critical once it has lasted `SEAL_CRITICAL` (4 h)",
        "critical",
    ),
    Fault(
        "monitor_degraded",
        "monitord",
        ("monitord cannot write its snapshot",),
        76,
        "monitord checks itself once a cycle: the second one confirms",
    ),
)
FAULTS = (*_LISTED, *of_nights())
