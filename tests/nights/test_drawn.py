"""Whatever night is drawn: a healthy one is a GO and says nothing; one with a certain fault is none, and names it.

A few of each here, short and with a slow cycle; `python -m bench.drawn` draws hundreds.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from .drawn.nights import Drawn, complaints, play, story

# Each with another fleet, two of them with a past; and each with another fault, two of them with a past.
HEALTHY = (0, 3, 7, 9, 19, 25, 40)
FAULTY = (2, 5, 7, 10, 11, 32, 162, 290, 626)
# Without a past, and so the cheapest: one that is refused, and another.
REFUSED, OTHER = 626, 2
FINE = 3


@functools.cache
def faulty(seed: int) -> Drawn:
    return play(seed, faulty=True, hours=7, every=300)


@functools.cache
def healthy(seed: int) -> Drawn:
    return play(seed, faulty=False, hours=6, every=300)


def test_the_same_seed_draws_the_same_night_and_another_seed_another() -> None:
    again = play(REFUSED, faulty=True, hours=7, every=300)
    assert story(again) == story(faulty(REFUSED))
    assert story(again) != story(faulty(OTHER))


@pytest.mark.parametrize("seed", HEALTHY)
def test_a_healthy_night_is_a_go_and_says_nothing(seed: int) -> None:
    night = healthy(seed)
    assert not complaints(night), "\n".join([*complaints(night), story(night)])


@pytest.mark.parametrize("seed", FAULTY)
def test_a_night_with_a_certain_fault_is_no_go_and_names_it(seed: int) -> None:
    night = faulty(seed)
    assert not complaints(night), "\n".join([*complaints(night), story(night)])


def test_what_is_not_as_it_must_be_is_complained_of() -> None:
    fine = healthy(FINE)
    # A warning that is open is none that a verdict is refused for: a fault that is more than that.
    broken = faulty(REFUSED)
    assert broken.report.verdict != "GO"
    assert broken.fault is not None
    # A fault in a night that is taken for healthy, and a healthy night that should have had one.
    taken_for_healthy = complaints(replace(broken, fault=None))
    assert any("verdict" in line for line in taken_for_healthy)
    assert any(f"/{subject} " in line for line in taken_for_healthy for subject in broken.fault.subjects)
    assert any("GO" in line for line in complaints(replace(fine, fault=broken.fault)))
