"""Whatever night is drawn: a healthy one is a GO and says nothing; one with a certain fault is none, and names it.

A few of each here, short and with a slow cycle; `python -m bench.drawn` draws hundreds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from .drawn.nights import complaints, play, story

HEALTHY = range(12)
FAULTY = (1, 2, 3, 5, 6, 7, 9, 10, 11)


def test_the_same_seed_draws_the_same_night_and_another_seed_another() -> None:
    first, again, other = (story(play(seed, faulty=True, hours=6, every=600)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", HEALTHY)
def test_a_healthy_night_is_a_go_and_says_nothing(seed: int) -> None:
    night = play(seed, faulty=False, hours=6, every=180)
    assert not complaints(night), "\n".join([*complaints(night), story(night)])


@pytest.mark.parametrize("seed", FAULTY)
def test_a_night_with_a_certain_fault_is_no_go_and_names_it(seed: int) -> None:
    night = play(seed, faulty=True, hours=7, every=180)
    assert not complaints(night), "\n".join([*complaints(night), story(night)])


def test_what_is_not_as_it_must_be_is_complained_of() -> None:
    fine = play(3, faulty=False, hours=6, every=600)
    # A warning that is open is none that a verdict is refused for: a fault that is more than that.
    played = (play(seed, faulty=True, hours=6, every=600) for seed in FAULTY)
    broken = next(night for night in played if night.report.verdict != "GO")
    assert broken.fault is not None
    # A fault in a night that is taken for healthy, and a healthy night that should have had one.
    taken_for_healthy = complaints(replace(broken, fault=None))
    assert any("verdict" in line for line in taken_for_healthy)
    assert any(f"/{subject} " in line for line in taken_for_healthy for subject in broken.fault.subjects)
    assert any("GO" in line for line in complaints(replace(fine, fault=broken.fault)))
