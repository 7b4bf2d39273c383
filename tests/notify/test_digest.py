"""Many messages as one: what stands in it, and that it stays small."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitord.notify.digest import LINES_AT_MOST, PARTS_AT_MOST, digest

from .receivers import AT, message


def test_what_came_and_went_is_one_line_that_says_both() -> None:
    fired = message("firing", "warning", identity="m-1")
    over = message("resolved", "warning", at=AT + timedelta(minutes=10), identity="m-2")
    whole = digest([over, fired], "box-1", "while it was quiet")
    assert whole.title == "box-1: 1 alert fired, it is over while it was quiet"
    assert whole.text.splitlines()[1:] == [
        "03:57 UTC  warning, over at 04:07 UTC: gateway is errored; it should be online."
    ]
    assert [part.id for part in whole.parts] == ["m-1", "m-2"]


def test_it_is_as_severe_as_the_worst_of_its_parts() -> None:
    parts = [message("firing", "warning", identity="m-1"), message("firing", "critical", identity="m-2")]
    assert digest(parts, "box-1", "late").severity == "critical"


def test_made_again_of_the_same_it_has_the_same_id_and_of_others_another() -> None:
    one, two, three = (message(identity=f"m-{number}") for number in range(3))
    assert digest([one, two], "box-1", "late").id == digest([two, one], "box-1", "late").id
    assert digest([one, two], "box-1", "late").id != digest([one, two, three], "box-1", "late").id


def test_a_digest_within_a_digest_is_taken_apart() -> None:
    one, two, three = (message(identity=f"m-{number}") for number in range(3))
    inner = digest([one, two], "box-1", "late")
    assert {part.id for part in digest([inner, three], "box-1", "late").parts} == {"m-0", "m-1", "m-2"}


def test_a_thousand_messages_are_a_page_of_text_and_a_bounded_list() -> None:
    many = [replace(message(identity=f"m-{number}"), alert_id=f"a-{number}") for number in range(1000)]
    whole = digest(many, "box-1", "late")
    assert len(whole.text.splitlines()) == LINES_AT_MOST + 2
    assert "… 950 earlier, and then" in whole.text
    assert len(whole.parts) == PARTS_AT_MOST
    assert whole.fields["messages"] == 1000


def test_what_comes_after_a_full_digest_is_in_the_next_one() -> None:
    full = digest([message(identity=f"m-{number}") for number in range(PARTS_AT_MOST)], "box-1", "x")
    late = message(identity="late", at=full.at + timedelta(hours=1))
    assert digest([full, late], "box-1", "x").parts[-1].id == "late"
