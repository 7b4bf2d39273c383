"""PM2's words for metrics and actions: what goes out, and what of all that may come in is a question."""

import pytest

from monitord.pm2.axm import ACTIONS, Metric, asked, monitor, registration, reply


def test_metrics_are_named_values_with_a_unit() -> None:
    assert monitor({"Cycle": Metric(12.5, "ms")}) == {
        "type": "axm:monitor",
        "data": {"Cycle": {"value": 12.5, "unit": "ms", "type": "monitord", "historic": False}},
    }


def test_an_action_is_registered_under_its_name_and_answered_under_it() -> None:
    registered, answered = registration("check"), reply("check", {"status": "ok"})
    assert registered["type"] == "axm:action"
    assert registered["data"] == {"action_name": "check", "action_type": "custom", "arity": 0}
    assert answered == {"type": "axm:reply", "data": {"action_name": "check", "return": {"status": "ok"}}}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_question_comes_as_its_name_or_with_a_parameter_that_is_not_looked_at(action: str) -> None:
    assert asked(action) == action
    assert asked({"msg": action, "opts": {"rm": "-rf"}, "name": "monitord"}) == action


@pytest.mark.parametrize(
    "message",
    [
        "",
        "shutdown",
        "Check",
        "check ",
        {},
        {"msg": None},
        {"msg": ["check"]},
        {"msg": {"msg": "check"}},
        ["check"],
        1,
        None,
    ],
    ids=str,
)
def test_all_else_is_no_question(message: object) -> None:
    assert asked(message) is None
