"""A copy made slot by slot is the one that `dataclasses.replace` makes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from monitord.core.copying import replace, slot_by_slot, with_these
from monitord.core.engine import State
from monitord.core.history.model import History
from monitord.core.history.process_model import FleetRestart
from monitord.core.model import Reading, sample
from monitord.core.orders import StandingOrders


@pytest.mark.parametrize(
    ("thing", "changes"),
    [
        (History(), {"at": 3.0, "set_back": 2}),
        (StandingOrders(), {"tables": ("orders",), "probes": frozenset({"host"})}),
        (Reading("redis", (sample("redis_keys", 3),)), {"duration_ms": 2.5}),
        (State(), {}),
        (FleetRestart(3.0, "reboot"), {"kind": "deployment", "is_empty": True}),
    ],
)
def test_a_copy_is_equal_to_that_of_dataclasses_and_leaves_what_it_was_made_of(
    thing: Any, changes: dict[str, Any]
) -> None:
    before = dataclasses.replace(thing)
    assert replace(thing, **changes) == dataclasses.replace(thing, **changes)
    assert type(replace(thing, **changes)) is type(thing)
    assert thing == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(replace(thing, **changes), dataclasses.fields(thing)[0].name, 4.0)


@pytest.mark.parametrize("thing", [Reading("redis"), History()])
def test_a_field_that_is_not_there_is_a_mistake(thing: Any) -> None:
    with pytest.raises(TypeError, match="has no field 'speed'"):
        replace(thing, speed=3)


@dataclass(frozen=True)
class WithoutSlots:
    number: int = 1
    words: list[str] = field(default_factory=list)


def test_a_dataclass_without_slots_is_copied_too() -> None:
    assert replace(WithoutSlots(), number=2) == WithoutSlots(2)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Made:
    name: str
    number: int = 3
    parts: list[str] = field(default_factory=list)


def test_a_dataclass_that_inherits_its_slots_is_copied_too() -> None:
    class Others(StandingOrders):
        __slots__ = ()

    copied = replace(Others(groups=("MILO",)), groups=())
    assert (type(copied), copied.groups, copied.tables) == (Others, (), StandingOrders().tables)


def test_what_is_made_slot_by_slot_has_its_defaults_each_its_own_and_stays_frozen() -> None:
    one, other = Made("a"), Made("a", parts=[])
    assert (one, one.number, one.parts) == (other, 3, [])
    assert one.parts is not Made("a").parts
    with pytest.raises(TypeError):
        Made()  # type: ignore[call-arg] # the name is missing
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.number = 4  # type: ignore[misc] # it is frozen


def test_a_class_that_checks_itself_when_it_is_made_is_not_made_slot_by_slot() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        number: int = 1

        def __post_init__(self) -> None:
            assert self.number > 0

    with pytest.raises(TypeError, match="Checked has a __post_init__"):
        slot_by_slot(Checked)


class Beneath:
    __slots__ = ("_kept",)
    _kept: str


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Above(Beneath):
    name: str
    number: int = 3


def test_a_copy_is_given_what_a_class_beneath_keeps_and_takes_over_none_of_it() -> None:
    kept = with_these(Above, "number", "_kept")(Above("a"), 4, "kept")
    assert (kept, kept._kept) == (Above("a", 4), "kept")
    assert not hasattr(replace(kept, number=5), "_kept")
    with pytest.raises(TypeError, match="Above has no field '_speed'"):
        with_these(Above, "_speed")


def test_a_class_that_inherits_fields_is_not_made_slot_by_slot() -> None:
    @dataclass(frozen=True, slots=True)
    class First:
        name: str = ""

    @dataclass(frozen=True, slots=True)
    class Second(First):
        number: int = 1

    with pytest.raises(TypeError, match="Second has fields that are no slots of its own"):
        slot_by_slot(Second)
