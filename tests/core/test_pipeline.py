"""What the pipeline comes to in the status and the report, and that it is nowhere where it is not watched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from monitord.config.loader import SettingsError, load, shown, standing_orders
from monitord.core.anomalies.pipeline import behind, has_dropped, lacks_categories
from monitord.core.codec import decode, encode
from monitord.core.engine import State
from monitord.core.model import Alert
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Criterion
from monitord.core.subjects.base import NONE, RootOnChain, Rule, Subject
from monitord.core.subjects.chain import CHAIN
from monitord.core.subjects.pipeline import PIPELINE
from monitord.core.subjects.pipeline_cases import cases, known
from monitord.core.subjects.pipeline_status import STATUS
from monitord.core.subjects.registry import register, unregister
from monitord.masking import MASK
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal

from .nights import ORDERS, Night
from .test_report import morning

WATCHED = replace(ORDERS, probes=ORDERS.probes | {"pipeline"})
USER = "01" * 32
ROOT = "6f" * 32
CASE = {"channel": "marlon", "epoch": 1762308000, "user_hash": USER, "root": ROOT, "participants": 628}
PLACE = "marlon/1762308000"
READY: dict[str, int | None] = {"root": 1, "participants": 628, "proof": 1, "published": 1, "tree": 1}
DSN = {"MONITORD_POSTGRES__DSN": "postgresql://h/d", "MONITORD_PM2__HOME": ""}


def prepared(**of_case: int | None) -> Night:
    """A night with the orders' test case, of which these things are known."""
    orders = replace(WATCHED, by_subject={"pipeline": {"test_cases": known(json.dumps([CASE]))}})
    night = Night(orders, every=120)
    night.pipeline.cases[PLACE] = READY | of_case
    night.passes(minutes=10)
    return night


def an_alert() -> Alert:
    night = Night(WATCHED, every=120)
    night.pipeline.is_wrong("empty", "MILO", 1)
    night.passes(minutes=10)
    return next(one for one in night.state.alerts.values() if one.subject == "MILO")


def the_test(night: Night) -> Criterion:
    return next(one for one in morning(night, hours=1 / 6).criteria if one.name == "test_cases")


def on_the_page(night: Night) -> str:
    view = StatusView(night.report, night.orders, night.clock.now, night.state.history)
    return text(view, "monitord check", Terminal(200))


def test_a_case_of_which_all_is_so_is_still_unknown_while_nobody_asks_the_chain() -> None:
    found = the_test(prepared())
    assert found.met is None
    assert found.title == "Ready for the on-chain test (1 test case)"
    said = "root matches, 628 participants, proof valid, published, whether it is on chain not known"
    assert said in found.evidence


@pytest.mark.parametrize(("on_chain", "met"), [(True, True), (False, False), (None, None)])
def test_a_subject_that_asks_a_chain_tells_whether_a_case_is_on_it(on_chain: bool | None, met: bool | None) -> None:
    asked: list[tuple[str, int, str]] = []

    def holds(history: object, orders: object, channel: str, epoch: int, root: str) -> RootOnChain:
        asked.append((channel, epoch, root))
        return RootOnChain(on_chain, "so it is")

    register(Subject("ledger", "the ledger", holds_root=holds))
    try:
        night = prepared()
        night.orders = replace(night.orders, probes=night.orders.probes | {"ledger"})
        assert the_test(night).met is met
    finally:
        unregister("ledger")
    assert set(asked) == {("marlon", 1762308000, ROOT)}


@pytest.mark.parametrize(
    ("of_case", "said"),
    [
        ({"root": 0}, "the stored root is another"),
        ({"participants": 627}, "627 participants, not 628"),
        ({"proof": 0}, "the participant has no valid proof"),
        ({"published": 0}, "not published"),
    ],
)
def test_a_case_of_which_something_is_not_so_is_not_ready(of_case: dict[str, int | None], said: str) -> None:
    found = the_test(prepared(**of_case))
    assert found.met is False
    assert found.evidence.startswith("Not ready: marlon 1762308000")
    assert said in found.evidence


def test_of_several_cases_the_one_that_is_not_ready_is_told_first() -> None:
    others = [CASE | {"channel": name} for name in ("jason", "lacy")]
    orders = replace(WATCHED, by_subject={"pipeline": {"test_cases": known(json.dumps([CASE, *others]))}})
    night = Night(orders, every=120)
    night.pipeline.cases |= {PLACE: READY, "jason/1762308000": READY | {"root": 0}, "lacy/1762308000": READY}
    night.passes(minutes=10)
    found = the_test(night)
    assert found.evidence.startswith("Not ready: jason")
    assert [one.split(" 1762308000")[0] for one in found.details] == [
        "Not known to be ready: marlon",
        "Not known to be ready: lacy",
    ]


@pytest.mark.parametrize("name", ["root", "participants", "proof", "published"])
def test_what_is_not_known_of_a_case_is_never_taken_for_so(name: str) -> None:
    assert the_test(prepared(**{name: None})).met is None


@pytest.mark.parametrize(
    ("of_case", "said"), [({"root": 0}, "not ready for the on-chain test"), ({"root": None}, "not known to be ready")]
)
def test_a_case_that_is_not_ready_is_named_and_is_no_alert(of_case: dict[str, int | None], said: str) -> None:
    night = prepared(**of_case)
    assert night.status == "ok"
    assert f"test case: {said}" in on_the_page(night)
    assert "It counts in the report; it is no alert." in on_the_page(night)
    night.pipeline_server.fails("timeout", "it took too long")
    night.passes(minutes=5)
    assert "test case: not known to be ready" in on_the_page(night)


def test_without_cases_nothing_is_asked_and_the_pipeline_is_true_where_it_is_watched() -> None:
    night = Night(WATCHED, every=120)
    night.passes(minutes=10)
    found = {one.name: one.met for one in morning(night, hours=1 / 6).criteria}
    assert found["pipeline_true"] is True
    assert "test_cases" not in found
    other = Night(every=120)
    other.passes(hours=2)
    assert "pipeline_true" not in {one.name for one in morning(other, hours=2).criteria}


def test_seals_that_could_not_be_read_are_no_truth() -> None:
    night = Night(WATCHED, every=120)
    night.instead |= {("trouble", (("group", group), ("kind", "empty"))): None for group in ("MILO", "CLS")}
    night.passes(minutes=10)
    assert next(one.met for one in morning(night, hours=1 / 6).criteria if one.name == "pipeline_true") is None


def test_each_stage_is_a_line_and_a_stage_that_is_not_there_says_why() -> None:
    night = Night(WATCHED, every=60)
    night.passes(minutes=30)
    shown_now = on_the_page(night)
    for said in (
        "collection: 42,000 signals an hour, the newest 3 s old; participants so far: MILO 300 (usually 305)",
        "sealing: MILO 03:00 UTC after 3 min",
        "recomputed roots: MILO MATCH (milo00 1762311600",
        "trees: built of the newest label that is due: MILO 100%, CLS 100%",
        "publishing: 0 of 1,131 unpublished could be published",
        "queue: 3 waiting in tree-builder",
        "claims: not watched, nothing is asked of the chain",
        "CLS sealed last   1762311600 (Nov 5, 03:00 UTC): cls00",
    ):
        assert said in shown_now, said
    night.instead["there", (("table", "l2_tree_cache"),)] = 0
    night.passes(minutes=1)
    assert "trees: not watched, there is no table l2_tree_cache" in on_the_page(night)


def test_what_waits_is_at_least_so_much_and_no_alert_ends_until_all_seals_were_looked_at() -> None:
    night = Night(WATCHED, every=120)
    night.passes(minutes=30)
    night.pipeline.unpublished = night.clock.now
    night.passes(hours=4)
    fired = night.fired_once("publishing_stalled", "publishing")
    night.instead |= {("backlog_seen", ()): 0, ("unpublished_capped", ()): 1, ("eligible", ()): 0}
    night.passes(minutes=10)
    assert "publishing: at least 0 of" in on_the_page(night)
    assert fired.id in {alert.id for alert in night.state.alerts.values()}
    night.instead["backlog_seen", ()] = 1
    night.passes(minutes=10)
    night.resolved_once("publishing_stalled", "publishing")


def test_a_single_check_takes_over_what_was_recomputed_and_nothing_that_it_reads_itself() -> None:
    night = Night(WATCHED, every=120)
    night.pipeline.cases[PLACE] = READY
    night.passes(minutes=10)
    reading = night.state.history.reading("pipeline")
    assert reading is not None
    assert PIPELINE.carried is not None
    found = {one.name for one in reading.samples if PIPELINE.carried(one)}
    assert {"verified", "verified_at", "case_root"} <= found
    assert not found & {"roots", "there", "took_part", "verify_trouble", "unpublished"}
    carried = [one for one in reading.samples if PIPELINE.carried(one) and one.name.startswith("trouble")]
    assert {one.label("kind") for one in carried} <= {"mismatch"}


def test_a_table_that_was_there_and_is_gone_is_missed() -> None:
    night = Night(WATCHED, every=120)
    night.passes(minutes=10)
    night.instead["there", (("table", "l2_tree_cache"),)] = 0
    night.passes(minutes=3)
    night.fired_once("subject_unmeasured", "l2_tree_cache")


def test_it_is_nowhere_where_no_epochs_are_watched(tmp_path: Path) -> None:
    orders = standing_orders(load(DSN, tmp_path))
    assert "pipeline" in orders.probes
    assert "pipeline" not in standing_orders(load(DSN | {"MONITORD_EPOCHS__GROUPS": "[]"}, tmp_path)).probes
    assert "pipeline" not in standing_orders(load(DSN | {"MONITORD_PIPELINE__WATCH": "false"}, tmp_path)).probes
    # Where no sealed_epochs is, and never was, it is off with the epochs.
    night = Night(replace(WATCHED, unnamed=frozenset({"groups", "tables"})), every=120)
    night.instead[("there", (("table", "sealed_epochs"),))] = 0
    night.epochs.fails("missing", "there is no table sealed_epochs in this database")
    night.passes(minutes=5)
    assert night.report.of(STATUS) is None
    assert "pipeline" not in on_the_page(night)


def test_names_beside_hashes_are_noted_once() -> None:
    night = Night(WATCHED, every=120)
    night.passes(minutes=5)
    night.pipeline.names_kept = True
    night.passes(minutes=5)
    notes = [note for look in night.looks for note in look.decision.notes]
    assert notes == ["sealed_participants holds user names beside the hashes; monitord reads none of them"]


def test_what_is_remembered_survives_a_snapshot() -> None:
    night = Night(WATCHED, every=120)
    night.passes(minutes=30)
    night.pipeline.is_rewritten("MILO")
    night.passes(minutes=2)
    again = decode(State, json.loads(json.dumps(encode(night.state))))
    assert again.history.pipeline == night.state.history.pipeline
    assert again.history.pipeline.changed["MILO"]
    assert len(json.dumps(encode(night.state.history.pipeline))) < 8_000


def test_the_participant_of_a_case_is_a_secret_and_its_root_is_not(tmp_path: Path) -> None:
    settings = load(DSN | {"MONITORD_PIPELINE__TEST_CASES": json.dumps([CASE])}, tmp_path)
    assert shown(settings, "MONITORD_PIPELINE__TEST_CASES") == MASK
    orders = standing_orders(settings)
    assert USER not in json.dumps(encode(orders))
    assert ROOT in json.dumps(encode(orders))
    (case,) = cases(settings.pipeline.given.test_cases)  # type: ignore[attr-defined]
    assert (case.user_hash, case.participants) == (USER, 628)
    (tmp_path / "monitord.toml").write_text(
        f"[[pipeline.test_cases]]\nchannel = 'marlon'\nepoch = 1762308000\nuser_hash = '{USER}'\nroot = '{ROOT}'\n"
    )
    assert len(cases(load(DSN, tmp_path).pipeline.given.test_cases)) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ("marlon", "it is not JSON"),
        ("{}", "it must be a list"),
        (json.dumps([CASE | {"epoch": "noon"}]), "case 1 needs an epoch"),
        (json.dumps([CASE, CASE | {"user_hash": USER + "ff"}]), "of case 2, user_hash must be 64 hex digits"),
        (json.dumps([{"channel": "marlon", "epoch": 1, "root": ROOT}]), "of case 1, user_hash must be 64 hex digits"),
        (json.dumps([CASE | {"participant": 1}]), "case 1 has 'participant', which no case has"),
        (json.dumps([CASE | {"participants": 0}]), "participants must be a whole number above 0"),
    ],
)
def test_a_mistake_in_the_cases_is_one_line_without_a_participant(tmp_path: Path, value: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(DSN | {"MONITORD_PIPELINE__TEST_CASES": value}, tmp_path)
    (told,) = caught.value.mistakes
    assert mistake in told
    assert USER not in told


def test_trees_are_behind_by_labels_and_not_by_a_structural_share() -> None:
    assert behind([1.0, 1.0, 1.0]) == 0
    assert behind([0.0, 0.0, 1.0, 0.9]) == 2
    assert behind([0.0] * 23 + [1.0]) == 23
    assert behind([0.3, 0.5, 0.2, 0.4]) == 0  # a fifth to a half has trees, as ever
    assert behind([0.0, 0.0]) == 0  # it never has


def test_what_is_usual_is_known_after_three_days_and_three_labels() -> None:
    assert has_dropped(40, [100, 90, 120])
    assert not has_dropped(45, [100, 90, 120])
    assert not has_dropped(0, [100, 90])
    assert not has_dropped(0, [19, 100, 100])
    assert lacks_categories(0.2, [0.9, 0.8, 1.0])
    assert not lacks_categories(0.2, [0.3, 0.4, 0.2])
    assert not lacks_categories(0.0, [0.9, 0.8])


def test_the_orders_of_the_pipeline_are_recorded_and_read_again(tmp_path: Path) -> None:
    orders = standing_orders(load(DSN, tmp_path))
    assert decode(StandingOrders, json.loads(json.dumps(encode(orders)))) == orders


@pytest.mark.parametrize(
    "rule",
    [rule for rule in (*PIPELINE.rules, *CHAIN.rules) if "unmeasured" not in rule.roles],
    ids=lambda rule: rule.name,
)
def test_each_rule_says_what_it_means_for_collection_sealing_and_claims(rule: Rule) -> None:
    on_epochs = rule.impact.on_epochs
    said = on_epochs if isinstance(on_epochs, tuple) else on_epochs(an_alert(), WATCHED)
    assert len(said) == 3
    assert any(one != NONE for one in said)
