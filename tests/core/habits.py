"""A fleet with a past: channels that take part as channels do, seals that take their time, and days of both."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta

from .fleet import Group
from .nights import Night

HOUR = 3600
MILO = tuple(f"milo{n:02}" for n in range(12))
CLS = tuple(f"cls{n:03}" for n in range(400))
# How often the past is looked at: a night of it is lived through in a moment.
SELDOM = 4 * HOUR


@functools.lru_cache(maxsize=256)
def some(channels: tuple[str, ...], least: int, most: int) -> Callable[[int], frozenset[str]]:
    """So many channels take part in a label, drawn anew for each but always the same for the same label."""

    @functools.lru_cache(maxsize=1024)
    def takes_part(label: int) -> frozenset[str]:
        chance = random.Random(f"{channels[0]} {label}")  # noqa: S311 - a simulation
        return frozenset(chance.sample(channels, chance.randint(least, most)))

    return takes_part


def all_but(missing: str, since: float, until: float = float("inf")) -> Callable[[int], frozenset[str]]:
    """Every cemented channel takes part in every label, but for one in the labels between."""
    return lambda label: frozenset(MILO) - ({missing} if since <= label < until else frozenset())


def took(group: Group, label: int) -> Collection[str]:
    """The channels of a group that took part in a label. ValueError where nobody counts them."""
    if group.takes_part is None:
        raise ValueError(f"nobody counts who takes part in {group.name}")
    return group.takes_part(label)


def varied(night: Night) -> None:
    """The delays of four weeks, two to five minutes and now and then a bad one."""
    start = int(night.clock.now) // HOUR * HOUR
    labels = range(start - 30 * HOUR, start + 700 * HOUR, HOUR)
    drawn = _delays(len(labels), len(night.groups))
    for group, delays in zip(night.groups.values(), drawn, strict=True):
        group.delays |= zip(labels, delays, strict=True)
        for label in group.sealed.keys() & group.delays.keys():  # sealed before monitord began, it took as long
            group.sealed_at[label] = label + HOUR + group.delays[label]


@functools.cache
def _delays(labels: int, groups: int) -> tuple[tuple[float, ...], ...]:
    """Of each group's labels how long each takes: drawn at random, and always the same."""
    chance = random.Random(3)  # noqa: S311 - a simulation
    return tuple(
        tuple(800 if chance.random() < 1 / 31 else chance.randint(120, 300) for _ in range(labels))
        for _ in range(groups)
    )


def has_habits(night: Night) -> None:
    """From here on seals vary; every channel of a cemented group takes part in every label, and some of the others'."""
    varied(night)
    for name, group in night.groups.items():
        of_its_own = tuple(f"{name.lower()}{n:03}" for n in range(400))
        cemented = MILO if name == "MILO" else tuple(f"{name.lower()}{n:02}" for n in range(12))
        group.takes_part = some(cemented, 12, 12) if group.cemented else some(of_its_own, 50, 160)


def looked_at_seldom(night: Night) -> None:
    """From here on monitord looks every few hours, and that is not late."""
    night.every, night.orders = SELDOM, replace(night.orders, late_after=2 * timedelta(seconds=SELDOM))


def looked_at_again(night: Night, every: float, late_after: timedelta) -> None:
    """From here on monitord looks as often as ever, beginning now."""
    night.every, night.orders = every, replace(night.orders, late_after=late_after)
    night.is_due()
