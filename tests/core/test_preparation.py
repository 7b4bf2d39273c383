"""The checklist before the on-chain test: each line by what is watched, and the rest said to be the operator's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from monitord.core.engine import State
from monitord.core.history.model import History
from monitord.core.model import Failure, Reading, sample
from monitord.core.orders import StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.report.criterion import prepared
from monitord.core.report.model import PreparationState, Report
from monitord.core.subjects.chain_facts import AUTHORITY, BALANCE, DEPLOYED, PROGRAM_STATE
from monitord.core.subjects.pipeline_cases import known
from monitord.jsonable import document
from monitord.reporting.html import report_html
from monitord.reporting.markdown import report_markdown
from monitord.reporting.report import report_text
from monitord.reporting.report_json import report_fields
from monitord.reporting.terminal import Terminal
from tests.core.test_pipeline import CASE, PLACE, READY, ROOT, USER

WALLET = "nick6zJc6HpW3kfBm4xS2dmbuVRyb5F3AnUvj5ymzR5"
NOW = 1_762_315_000.0
CASES = known(json.dumps([CASE]))
BOTH = StandingOrders(
    probes=frozenset({"pipeline", "chain"}),
    by_subject={"pipeline": {"test_cases": CASES}, "chain": {"wallets": {WALLET: 0.5}}},
)
LABEL = 1_762_308_000
DEPLOYED_AT = 377_000_001
ON_CHAIN = {"group": "MILO", "channel": "marlon"}


def history(
    sol: float = 2.5, state: str = "executable", known_slot: int = DEPLOYED_AT, **of_case: int | None
) -> History:
    facts = READY | of_case
    pipeline = Reading("pipeline", tuple(sample(f"case_{name}", value, case=PLACE) for name, value in facts.items()))
    chain = Reading(
        "chain",
        (
            sample("chain_slot", 379_000_000),
            sample(PROGRAM_STATE, state, ""),
            sample(DEPLOYED, DEPLOYED_AT),
            sample(AUTHORITY, "key", ""),
            sample(BALANCE, sol, "SOL", wallet=WALLET),
            sample("chain_account", "account", "", **ON_CHAIN),
            sample("chain_latest", LABEL, "timestamp", **ON_CHAIN),
            sample("chain_ring", ROOT, "", epoch=str(LABEL), **ON_CHAIN),
        ),
    )
    kept = {"chain": {"program": {"deployed": known_slot, "authority": "key"}}}
    readings = {"pipeline": pipeline, "chain": chain}
    return History(readings=readings, by_subject=kept, taken_at=dict.fromkeys(readings, NOW), at=NOW)


def states(of: History, orders: StandingOrders = BOTH) -> dict[str, PreparationState]:
    return {line.name: line.state for line in prepared(of, orders)}


def test_each_line_that_can_be_checked_is_done_where_all_of_it_is_so() -> None:
    assert states(history()) == {"plan": "done", "proof": "done", "wallets": "done", "program": "done"}


@pytest.mark.parametrize(
    ("is_now", "line", "state"),
    [
        (history(root=0), "plan", "not done"),
        (history(participants=627), "plan", "not done"),
        (history(published=None), "plan", "unknown"),
        (history(proof=0), "proof", "not done"),
        (history(proof=None), "proof", "unknown"),
        (history(sol=0.49), "wallets", "not done"),
        (history(state="closed"), "program", "not done"),
        (history(known_slot=DEPLOYED_AT - 9), "program", "not done"),
    ],
)
def test_one_that_is_not_so_is_not_done_and_one_that_is_not_known_is_unknown(
    is_now: History, line: str, state: str
) -> None:
    found = states(is_now)
    assert found.pop(line) == state
    assert set(found.values()) == {"done"}


def test_what_could_not_be_measured_at_the_end_is_unknown() -> None:
    failed = Failure("timeout", "no answer")
    gone = replace(history(), readings={name: Reading(name, failure=failed) for name in ("pipeline", "chain")})
    assert set(states(gone).values()) == {"unknown"}
    assert "could not be measured" in prepared(gone, BOTH)[0].sentences[0]


def test_a_line_that_is_not_watched_names_the_setting_that_would() -> None:
    no_chain = replace(BOTH, probes=frozenset({"pipeline"}))
    lines = {line.name: line for line in prepared(history(), no_chain)}
    # Whether a case is on chain nobody knows, then.
    assert {name: line.state for name, line in lines.items()} == {
        "plan": "unknown",
        "proof": "done",
        "wallets": "not watched",
        "program": "not watched",
    }
    assert "MONITORD_CHAIN__WALLETS" in lines["wallets"].sentences[0]
    assert "MONITORD_CHAIN__RPC_URLS" in lines["program"].sentences[0]
    no_cases = replace(BOTH, by_subject={})
    assert states(history(), no_cases) == {
        "plan": "not watched",
        "proof": "not watched",
        "wallets": "not watched",
        "program": "done",
    }


def test_a_fleet_that_names_no_test_and_no_chain_has_no_checklist() -> None:
    assert prepared(history(), replace(BOTH, probes=frozenset({"pipeline"}), by_subject={})) == ()
    assert prepared(history(), StandingOrders(probes=frozenset({"postgres"}))) == ()


def report() -> Report:
    return build_report(RecordedCycle((), (), State(history())), BOTH, 0.0, 3600.0)


def test_it_is_in_every_form_of_the_report_with_what_is_by_hand_and_without_the_participant() -> None:
    found = replace(report(), preparation=prepared(history(sol=0.1), BOTH))
    forms = [
        report_text(found, Terminal(120)),
        report_markdown(found),
        report_html(found),
        document(report_fields(found)),
    ]
    for form in forms:
        words = " ".join(form.split())
        for said in ("not done", "Prepare the test wallets with SOL", "0.1 SOL, at least 0.5", "By hand: reading the"):
            assert said.lower() in words.lower(), said
        assert USER not in form
    assert all("Before the on-chain test" in form for form in forms[:3])
