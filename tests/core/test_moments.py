"""Whatever is kept as a time of the wall clock moves with it, wherever it stands; other clocks' times stay."""

from __future__ import annotations

import dataclasses
import typing

from monitord.core.history.clocks import moved, without_future
from monitord.core.history.model import BlindSpan, DiskFull, History, QueueHistory, TableHistory
from monitord.core.history.process_model import FleetRestart, Process, ProcessEnd, ServiceHistory
from monitord.core.history.rhythms import Runs
from monitord.core.moments import Moment, with_moments

PROCESS = Process("online", created_at=5.0, started_at=6.0, since=100.0)
HISTORY = History(
    at=200.0,
    taken_at={"pm2": 190.0},
    blind={"pm2": (BlindSpan(10.0, 20.0, "failed"), BlindSpan(30.0, None, "away"))},
    services={"web": ServiceHistory({"0": PROCESS}, deaths=(ProcessEnd(90.0, "0", lived=7.0),), runs=Runs(80.0, 85.0))},
    fleet_restart=FleetRestart(70.0, "reboot", seen_at=75.0),
    tables={"orders": TableHistory(points=((60.0, 4.0),), flow_at=61.0, exact_at=None, gained=4.0)},
    queues={"mail": QueueHistory(50.0, 1.0, 2.0, thirds=((1.0, 2.0),))},
    full={"/": DiskFull(40.0, 41.0)},
    left_out={"MILO": ((3600, None), (7200, 42.0))},
)  # fmt: skip


def test_all_that_is_kept_moves_with_the_clock_and_keeps_its_age() -> None:
    found = moved(HISTORY, 1000.0)
    web = found.services["web"]
    assert (found.at, found.moved, found.taken_at) == (1200.0, 1000.0, {"pm2": 1190.0})
    assert found.blind["pm2"] == (BlindSpan(1010.0, 1020.0, "failed"), BlindSpan(1030.0, None, "away"))
    assert web.lives["0"] == dataclasses.replace(PROCESS, since=1100.0)  # PM2's own times are as they were
    assert (web.deaths[0].at, web.deaths[0].lived, web.settled_at) == (1090.0, 7.0, None)
    assert web.runs == Runs(1080.0, last=1085.0)
    assert found.fleet_restart == FleetRestart(1070.0, "reboot", seen_at=1075.0)
    assert (found.tables["orders"].points, found.tables["orders"].flow_at) == (((1060.0, 4.0),), 1061.0)
    assert found.queues["mail"] == QueueHistory(1050.0, 1.0, 2.0, third_at=1000.0, thirds=((1.0, 2.0),))
    assert (found.full["/"], found.left_out) == (
        DiskFull(1040.0, 1041.0),
        {"MILO": ((3600, None), (7200, 1042.0))},
    )


def test_nothing_is_kept_of_a_future_that_a_clock_took_back() -> None:
    found = without_future(HISTORY, 55.0)
    assert (found.at, found.set_back, found.taken_at) == (55.0, 1, {"pm2": 55.0})
    assert found.services["web"].lives["0"].since == 55.0
    assert found.tables["orders"].points == ((55.0, 4.0),)
    assert found.full["/"] == DiskFull(40.0, 41.0)


def test_what_holds_no_moment_is_the_same_object() -> None:
    trend = Runs(1.0).days
    assert with_moments(trend, lambda at: at + 1) is trend


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    by_name: typing.Mapping[str, tuple[tuple[int, Moment | None], ...]]
    label: float = 9.0


def test_a_new_field_moves_by_its_type_alone() -> None:
    assert with_moments(Kept({"a": ((3, 4.0), (5, None))}), lambda at: -at) == Kept({"a": ((3, -4.0), (5, None))})
