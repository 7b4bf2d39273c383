"""Hourly roll-ups: each hour counted once, blind time apart, and nothing lost between one process and the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from monitord.core.codec import decode, encode
from monitord.core.copying import replace
from monitord.core.engine import State, decide
from monitord.core.model import Failure, Observation, Reading, Value, sample
from monitord.core.orders import StandingOrders
from monitord.core.rollups import RunningHour
from monitord.core.series import HOUR, Rollup, RollupContext
from monitord.core.subjects.pipeline import PIPELINE
from monitord.core.subjects.registry import registered

NOON = datetime(2025, 11, 5, 12, tzinfo=UTC).timestamp()
ORDERS = StandingOrders(probes=frozenset({"pm2"}), services={"gateway": "online"}, late_after=timedelta(seconds=90))


def pm2(**services: Mapping[str, Value]) -> Reading:
    """PM2's list: what differs of each service from one that is online since before noon."""
    found = []
    for number, (name, differs) in enumerate(services.items()):
        told = {
            "state": "online",
            "process": "running",
            "memory": 100,
            "restarts": 0,
            "created_at": 1.0,
            "started_at": NOON - 60 + 0.001 * float(differs.get("restarts") or 0),
            **differs,
        }
        found += [sample(f"service_{key}", value, service=name, instance=str(number)) for key, value in told.items()]
    return Reading("pm2", tuple(found))


class Fold:
    """Cycles folded as the daemon folds them."""

    def __init__(self, orders: StandingOrders = ORDERS) -> None:
        self.state, self.hour, self.orders = State(), RunningHour(), orders
        self.rows: list[Rollup] = []

    def cycle(self, at: float, reading: Reading, *, whole: bool = True) -> None:
        observation = Observation(datetime.fromtimestamp(at, UTC), {reading.probe: reading})
        decision = decide(self.state, observation, self.orders)
        context = RollupContext(
            decision.report, self.state.history, decision.state.history, decision.events, decision.orders
        )
        self.rows += self.hour.saw(context, at, whole=whole)
        assert self.hour.fault == ""
        self.state = decision.state

    def restarts(self) -> None:
        """monitord ends, and begins again with what was saved."""
        self.state = decode(State, json.loads(json.dumps(encode(self.state))))
        self.hour = RunningHour(json.loads(json.dumps(self.hour.fields())))

    def of(self, series: str, member: str = "gateway") -> list[Rollup]:
        return [row for row in self.rows if (row.series, row.member) == (series, member)]


def test_an_hour_keeps_the_least_the_mean_and_the_most_of_a_level() -> None:
    fold = Fold()
    for second, memory in ((0, 100), (30, 200), (60, 600)):
        fold.cycle(NOON + second, pm2(gateway={"memory": memory}))
    fold.cycle(NOON + HOUR, pm2(gateway={"memory": 5}))
    (row,) = fold.of("pm2/memory")
    assert (row.start, row.readings, row.least, row.mean, row.most) == (NOON, 3, 100, 300, 600)


def test_time_up_down_and_blind_are_kept_apart_and_make_up_what_was_watched() -> None:
    fold = Fold()
    for second in range(0, HOUR + 30, 30):
        if second <= 600:
            fold.cycle(NOON + second, pm2(gateway={}))
        elif second <= 900:
            fold.cycle(NOON + second, pm2(gateway={"state": "stopped"}))
        elif second <= 1800:
            fold.cycle(NOON + second, Reading("pm2", failure=Failure("refused", "gone")))
        else:
            fold.cycle(NOON + second, pm2(gateway={}))
    (row,) = fold.of("pm2/as_expected")
    assert (row.up, row.down, row.blind) == (HOUR - 1200, 300, 900)


def test_a_service_that_pm2_cannot_tell_of_is_not_down() -> None:
    fold = Fold()
    fold.cycle(NOON, pm2(gateway={}))
    for second in range(30, HOUR + 30, 30):
        fold.cycle(NOON + second, Reading("pm2", failure=Failure("refused", "gone")))
    (row,) = fold.of("pm2/as_expected")
    assert (row.up, row.down, row.blind) == (0, 0, HOUR)
    assert fold.of("pm2/memory")[0].readings == 1


def test_time_in_which_monitord_was_away_is_blind_in_the_hours_it_began_and_ended_in() -> None:
    fold = Fold()
    fold.cycle(NOON + 600, pm2(gateway={}))
    fold.cycle(NOON + 630, pm2(gateway={}))
    fold.cycle(NOON + 5 * HOUR + 600, pm2(gateway={}))
    fold.cycle(NOON + 6 * HOUR, pm2(gateway={}))
    first, last = fold.of("pm2/as_expected")
    assert (first.start, first.up, first.down, first.blind) == (NOON, 30, 0, HOUR - 630)
    assert (last.start, last.up, last.down) == (NOON + 5 * HOUR, 0, 0)
    assert last.blind == HOUR


def test_restarts_are_counted_however_often_somebody_checks_in_between() -> None:
    fold = Fold()
    fold.cycle(NOON, pm2(gateway={"restarts": 3}))
    fold.cycle(NOON + 10, pm2(gateway={"restarts": 5}), whole=False)
    fold.cycle(NOON + 30, pm2(gateway={"restarts": 6}))
    fold.cycle(NOON + HOUR, pm2(gateway={"restarts": 6}))
    (row,) = fold.of("pm2/restarts")
    assert row.gained == 3


def test_a_restarted_monitord_goes_on_with_the_hour_as_it_was_saved() -> None:
    through, interrupted = Fold(), Fold()
    for second in range(0, HOUR + 30, 30):
        reading = pm2(gateway={"memory": second, "restarts": second // 600})
        through.cycle(NOON + second, reading)
        interrupted.cycle(NOON + second, reading)
        interrupted.hour = RunningHour(json.loads(json.dumps(interrupted.hour.fields())))
    assert through.rows
    assert interrupted.rows == through.rows


def test_an_hour_saved_by_another_version_is_begun_anew() -> None:
    for saved in ({}, {"start": 1, "through": 2, "series": {"x": {"y": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}}, [1], "x"):
        assert RunningHour(saved).fields()["series"] == {}


def test_a_clock_that_is_set_back_a_little_counts_no_time_twice() -> None:
    fold = Fold()
    for at in (0, 30, 60, 90, 20, 50, 80, 110, HOUR):
        fold.cycle(NOON + at, pm2(gateway={}))
    (row,) = fold.of("pm2/as_expected")
    assert row.up == 110  # the rest was longer than a cycle may be late
    assert row.up + row.down + row.blind == HOUR


def test_a_clock_that_is_set_back_over_the_end_of_an_hour_does_not_begin_it_again() -> None:
    fold = Fold()
    for at in (HOUR - 30, HOUR, HOUR - 20, HOUR + 10, HOUR + 40):
        fold.cycle(NOON + at, pm2(gateway={}))
    assert [row.start for row in fold.of("pm2/as_expected")] == [NOON]


def test_a_clock_that_is_set_back_by_hours_goes_on_with_the_hour_that_it_shows() -> None:
    fold = Fold()
    for at in (5 * HOUR, 5 * HOUR + 30, 60, 90, HOUR):
        fold.cycle(NOON + at, pm2(gateway={}))
    rows = fold.of("pm2/as_expected")
    assert [(row.start, row.up) for row in rows] == [(NOON + 5 * HOUR, 30), (NOON, 30)]


def test_names_that_come_and_go_do_not_make_ever_more_series() -> None:
    fold = Fold(replace(ORDERS, services={}))
    fold.hour = RunningHour(most=10)
    for number in range(4):
        fold.cycle(NOON + number * 30, pm2(**{f"job-{number}": {}, f"task-{number}": {}}))
    fold.cycle(NOON + HOUR, pm2())
    assert len(fold.rows) == 10


def test_each_series_of_a_subject_has_a_name_of_its_own() -> None:
    for subject in registered():
        names = [family.name for family in subject.rollups]
        assert len(names) == len(set(names))


def test_a_series_that_fails_inside_costs_neither_the_cycle_nor_the_others() -> None:
    fold = Fold()
    fold.cycle(NOON, pm2(gateway={}))
    broken = RollupContext(None, None, None, (), ORDERS)  # type: ignore[arg-type] # of no status and no history
    assert fold.hour.saw(broken, NOON + 30, whole=True) == ()
    assert "failed inside (AttributeError)" in fold.hour.fault


def test_seals_are_counted_as_they_are_first_found_and_what_was_sealed_before_is_not() -> None:
    orders = StandingOrders(probes=frozenset({"epochs"}), groups=("MILO",))
    fold = Fold(orders)
    label = int(NOON) - HOUR

    def sealed(channels: Mapping[int, int]) -> Reading:
        found = [sample("seal_channels", count, epoch=str(at), group="MILO") for at, count in channels.items()]
        return Reading("epochs", tuple(found))

    fold.cycle(NOON, sealed({label - HOUR: 9}))
    fold.cycle(NOON + 30, sealed({label - HOUR: 9, label: 4}))
    fold.cycle(NOON + 60, Reading("epochs", failure=Failure("timeout", "slow")))
    fold.cycle(NOON + 90, sealed({label - HOUR: 9, label: 9}))
    fold.cycle(NOON + HOUR, sealed({label: 9}))
    (row,) = fold.of("epochs/seals", "MILO")
    assert row.gained == 9


def test_rows_are_counted_as_they_arrive_and_not_while_the_table_cannot_be_read() -> None:
    orders = StandingOrders(probes=frozenset({"postgres"}), tables=("events",))
    fold = Fold(orders)

    def table(inserted: int) -> Reading:
        return Reading(
            "postgres",
            (
                sample("table_inserted", inserted, table="events"),
                sample("table_size", 1000, "bytes", table="events"),
                sample("table_rows", inserted, table="events"),
            ),
        )

    for second, inserted in ((0, 1000), (30, 1500), (60, 1500), (90, 2500)):
        fold.cycle(NOON + second, table(inserted))
    fold.cycle(NOON + 120, Reading("postgres", failure=Failure("refused", "gone")))
    fold.cycle(NOON + HOUR, table(2500))
    (row,) = fold.of("postgres/rows", "events")
    assert (row.gained, row.blind) == (1500, HOUR - 90)


def test_participants_add_up_by_label_and_the_unique_viewers_of_each_hour_are_a_level() -> None:
    fold = Fold(StandingOrders(probes=frozenset({"pipeline", "epochs"}), groups=("MILO",)))
    label = int(NOON) - HOUR

    def took_part(at: int, many: int, viewers: int) -> Reading:
        numbers = (("took_part", many), ("viewers", viewers), ("took_part_label", at))
        return Reading("pipeline", tuple(sample(name, number, group="MILO") for name, number in numbers))

    fold.cycle(NOON, took_part(label - HOUR, 900, 500))  # of before
    fold.cycle(NOON + 30, took_part(label, 600, 420))
    fold.cycle(NOON + 60, took_part(label, 600, 420))
    fold.cycle(NOON + 90, Reading("pipeline", failure=Failure("timeout", "slow")))
    fold.cycle(NOON + 120, took_part(label + HOUR, 50, 40))
    fold.cycle(NOON + HOUR, took_part(label + HOUR, 50, 40))
    (row,) = fold.of("pipeline/took_part", "MILO")
    assert row.gained == 650
    (row,) = fold.of("pipeline/viewers", "MILO")
    assert (row.least, row.most) == (40, 500)


PIPELINE_ORDERS = StandingOrders(
    probes=frozenset({"pipeline", "epochs"}), groups=("CLS",), late_after=timedelta(seconds=90)
)


def took_part(newest: float, many: int, late: Mapping[float, int] | None = None) -> Reading:
    """Who took part in the newest whole label, and in labels that nobody read when they fell due."""
    told = [sample("took_part", many, group="CLS"), sample("took_part_label", int(newest), "timestamp", group="CLS")]
    told += [sample("took_part_late", n, group="CLS", epoch=str(int(label))) for label, n in (late or {}).items()]
    return Reading("pipeline", tuple(told))


def test_participants_of_labels_that_fell_due_unseen_are_counted_once_whenever_they_are_read() -> None:
    fold = Fold(PIPELINE_ORDERS)
    labels = [NOON + ago * HOUR for ago in range(6)]
    fold.cycle(NOON + HOUR + 900, took_part(labels[0], 7))  # was there when it was first read
    fold.cycle(NOON + 2 * HOUR + 900, took_part(labels[1], 10))
    at = NOON + 5 * HOUR + 900  # nobody looked for three hours
    fold.cycle(at, took_part(labels[4], 40))
    assert fold.state.history.pipeline.missed == {"CLS": (labels[2], labels[3])}
    assert PIPELINE.lacking(fold.state.history) == {str(int(label)) for label in labels[2:4]}
    fold.cycle(at + 30, took_part(labels[4], 40, {labels[2]: 20}))
    fold.restarts()
    fold.cycle(at + 60, took_part(labels[4], 40, {labels[2]: 20, labels[3]: 30}))
    fold.cycle(at + 90, took_part(labels[4], 40, {labels[2]: 20, labels[3]: 30}))
    assert PIPELINE.lacking(fold.state.history) == frozenset()
    fold.cycle(NOON + 6 * HOUR + 900, took_part(labels[5], 50))
    fold.cycle(NOON + 7 * HOUR, took_part(labels[5], 50))
    assert sum(row.gained or 0 for row in fold.of("pipeline/took_part", "CLS")) == 10 + 40 + 20 + 30 + 50


def test_what_nobody_has_read_of_a_label_that_left_the_window_is_wanted_no_more() -> None:
    fold = Fold(PIPELINE_ORDERS)
    fold.cycle(NOON + HOUR + 900, took_part(NOON, 7))
    fold.cycle(NOON + 60 * HOUR + 900, took_part(NOON + 59 * HOUR, 7))
    missed = fold.state.history.pipeline.missed["CLS"]
    assert min(missed) > NOON + 30 * HOUR
    assert max(missed) == NOON + 58 * HOUR
