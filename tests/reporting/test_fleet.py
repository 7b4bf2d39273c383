"""The fleet as tiles: what each says, and its uptime of 24 h from the hourly roll-ups."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitord.core.history.model import History
from monitord.core.orders import CheckOrder
from monitord.core.report.kept import last_day, together, up_times
from monitord.core.report.model import KeptWindow
from monitord.core.rollups import RunningHour
from monitord.core.series import HOUR, Rollup, RollupContext
from monitord.core.subjects.registry import registered
from monitord.reporting.fleet import (
    TILES_AT_MOST,
    UNFOLDED_AT_MOST,
    TileGroup,
    fleet_fields,
    span_words,
    tile_groups,
)
from monitord.reporting.sections import StatusView, subject_sections
from tests.core.nights import ORDERS, Night

CHECKED = replace(
    ORDERS,
    late_after=timedelta(minutes=5),
    probes=ORDERS.probes | {"checks"},
    checks={"shop": CheckOrder("http", unit="ms"), "wiki": CheckOrder("http", unit="ms")},
)
NOON = 1_762_344_000


def groups(made: Night, kept: KeptWindow | None = None) -> tuple[TileGroup, ...]:
    decision = made.looks[-1].decision
    view = StatusView(decision.report, decision.orders, made.now, decision.state.history)
    return tile_groups(subject_sections(view), kept)


def state(start: int, member: str = "gateway", **seconds: float) -> Rollup:
    up, down, blind = (seconds.get(name, 0.0) for name in ("up", "down", "blind"))
    return Rollup(start, "pm2/as_expected", member, 60, None, None, None, up, down, blind, None)


def test_each_service_and_each_check_has_a_tile_with_its_mark_its_words_and_its_plot() -> None:
    made = Night(CHECKED)
    made.checks["wiki"].answers(502)
    made["gateway"].stops()
    made.passes(minutes=3)
    services, checks = groups(made)
    assert (services.subject, services.title, services.total) == ("pm2", "Services", 7)
    told = {tile.called: (tile.style, tile.words, tile.plot.of if tile.plot else "") for tile in services.tiles}
    assert told["gateway"] == ("critical", ("stopped",), "gateway")
    assert told["tree-builder"][:2] == ("ok", ("online", "74 MB"))
    assert [(tile.called, tile.style, tile.words) for tile in checks.tiles] == [
        ("shop", "ok", ("40 ms",)),
        ("wiki", "critical", ("wiki:443 answers 502, not 2xx",)),
    ]


def test_what_cannot_be_measured_is_unknown_and_no_tile_says_ok() -> None:
    made = Night(CHECKED)
    made.passes(minutes=3)
    made.pm2.fails()
    made.passes(minutes=3)
    assert {tile.style for tile in groups(made)[0].tiles} == {"unknown"}


def test_of_a_large_group_what_is_wrong_is_in_front_and_the_rest_is_folded_and_bounded() -> None:
    made = Night(replace(ORDERS, services={}))
    for number in range(300):
        made.appears(f"worker-{number:03}")
    made.passes(minutes=2)
    made["gateway"].stops()
    made.passes(minutes=2)
    (group,) = groups(made)
    assert len(group.tiles) + len(group.folded) == TILES_AT_MOST
    assert group.total - TILES_AT_MOST == group.left_out > 0
    assert [(tile.called, tile.style) for tile in group.tiles] == [("gateway", "critical")]
    assert {tile.style for tile in group.folded} == {"ok"}
    assert group.total > UNFOLDED_AT_MOST


def test_uptime_is_of_the_time_that_was_seen_with_the_blind_time_apart() -> None:
    over = replace(state(NOON - 2 * HOUR, up=5400.0, down=600.0, blind=1200.0), hours=2)
    kept = last_day(NOON + 600.0, NOON - 2 * HOUR, [over], [state(NOON, up=600.0)])
    found = up_times(kept)["pm2", "gateway"]
    assert (found.up, found.down, found.blind) == (6000.0, 600.0, 1200.0)
    made = Night(CHECKED)
    made.passes(minutes=2)
    gateway = next(tile for tile in groups(made, kept)[0].tiles if tile.called == "gateway")
    assert (gateway.uptime, gateway.blind) == ("90.91%", "20 min")


def test_the_hour_that_runs_is_part_of_the_day_and_what_is_older_than_a_day_is_not() -> None:
    night = Night(replace(CHECKED, probes=frozenset({"pm2", "checks"})))
    hour, before = RunningHour(), History()
    rows: list[Rollup] = []
    night.passes(minutes=90)
    night["gateway"].stops()
    night.passes(minutes=30)
    for look in night.looks:
        if "monitord" not in look.observation.readings:
            continue
        decision = look.decision
        context = RollupContext(decision.report, before, decision.state.history, decision.events, decision.orders)
        rows += hour.saw(context, look.observation.now.timestamp(), whole=True)
        before = decision.state.history
    begins = rows[0].start
    kept = last_day(night.now, begins, by_the_day(rows), hour.so_far())
    services, checks = groups(night, kept)
    gateway = next(tile for tile in services.tiles if tile.called == "gateway")
    shop = next(tile for tile in checks.tiles if tile.called == "shop")
    assert shop.uptime == "100%"
    assert shop.up is not None
    assert 118 * 60 <= shop.up.up <= 120 * 60
    assert 70.0 < float(gateway.uptime.rstrip("%")) < 80.0
    later = last_day(night.now + 86400 * 2, begins, [], hour.so_far())
    assert later.totals == ()


def test_time_before_anything_was_kept_is_not_blind_and_an_hour_that_lacks_is() -> None:
    only = last_day(NOON + 600.0, None, [], [state(NOON, up=500.0, blind=100.0)])
    (row,) = only.totals
    assert (row.up, row.blind) == (500.0, 100.0)
    assert span_words(only) == "10 min"
    lacks = last_day(NOON + 600.0, NOON - 3 * HOUR, [state(NOON - 3 * HOUR, up=3600.0)], [state(NOON, up=600.0)])
    (row,) = lacks.totals
    assert row.blind == 2 * HOUR
    assert span_words(lacks) == "3 h 10 min"


def test_nothing_kept_is_no_uptime() -> None:
    nothing = last_day(float(NOON), None, [], [state(NOON)])
    made = Night(CHECKED)
    made.passes(minutes=2)
    assert {(tile.uptime, tile.blind) for group in groups(made, nothing) for tile in group.tiles} == {("unknown", "")}
    assert span_words(nothing) == ""


def test_as_json_it_has_the_seconds_of_each_kind() -> None:
    made = Night(CHECKED)
    made.passes(minutes=2)
    kept = last_day(NOON + 600.0, None, [], [state(NOON, up=540.0, down=60.0, blind=30.0)])
    found = {one["name"]: one for one in fleet_fields(groups(made, kept))}
    assert found["gateway"]["uptime_24h"] == {
        "ratio": 0.9, "up_seconds": 540.0, "down_seconds": 60.0, "blind_seconds": 30.0,
    }  # fmt: skip
    assert found["shop"] | {"words": []} == {
        "subject": "checks", "name": "shop", "status": "ok", "words": [], "uptime_24h": None,
    }  # fmt: skip


def test_a_subject_has_tiles_where_its_members_have_a_state_of_their_own() -> None:
    assert {subject.name for subject in registered() if subject.in_fleet and subject.member} == {"pm2", "checks"}


def by_the_day(rows: list[Rollup]) -> list[Rollup]:
    """Rows by the hour as they are read again."""
    found: dict[tuple[str, str, int], Rollup] = {}
    for row in rows:
        place = row.series, row.member, row.start // (24 * HOUR)
        found[place] = together(found[place], row) if place in found else row
    return list(found.values())


def test_in_json_a_service_has_its_name_however_many_instances_it_has() -> None:
    made = Night(CHECKED)
    made.appears("gateway")
    made.passes(minutes=3)
    (tile,) = [tile for tile in groups(made)[0].tiles if tile.member == "gateway"]
    assert tile.called == "gateway \N{MULTIPLICATION SIGN}2"
    assert "gateway" in [found["name"] for found in fleet_fields(groups(made))]
