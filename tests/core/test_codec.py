"""Frozen dataclasses to JSON values and back: exactly, and leniently towards another version's text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.core.codec import decode, encode
from monitord.core.model import Reading, Sample, Value


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    value: Value = None
    colour: Literal["red", "green"] = "red"


@dataclass(frozen=True, slots=True)
class Tree:
    planted: datetime
    leaves: tuple[Leaf, ...] = ()
    by_name: Mapping[str, Leaf] = field(default_factory=dict)
    pair: tuple[float, float] = (0.0, 0.0)
    tags: frozenset[str] = frozenset()
    note: str | None = None
    anything: object = None


PLANTED = datetime(2025, 11, 5, 3, 57, 0, 123456, tzinfo=UTC)

leaves = st.builds(
    Leaf,
    st.text(),
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    st.sampled_from(["red", "green"]),
)


@settings(max_examples=50)
@given(
    st.builds(
        Tree,
        st.datetimes(timezones=st.just(UTC)),
        st.lists(leaves).map(tuple),
        st.dictionaries(st.text(), leaves),
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
        st.frozensets(st.text()),
        st.none() | st.text(),
    )
)
def test_what_comes_back_through_text_is_what_went_in_types_included(tree: Tree) -> None:
    back = decode(Tree, json.loads(json.dumps(encode(tree))))
    assert back == tree
    assert [type(leaf.value) for leaf in back.leaves] == [type(leaf.value) for leaf in tree.leaves]


def test_defaults_are_left_out() -> None:
    assert encode(Tree(PLANTED)) == {"planted": "2025-11-05T03:57:00.123456+00:00"}


def test_an_int_stays_an_int_and_a_float_a_float() -> None:
    back = decode(
        Reading, json.loads(json.dumps(encode(Reading("x", (Sample("a", (), 1, "1"), Sample("b", (), 1.0, "1"))))))
    )
    assert [type(s.value) for s in back.samples] == [int, float]


def test_a_field_that_is_not_known_is_passed_over_and_one_that_is_missing_takes_its_default() -> None:
    assert decode(Leaf, {"name": "oak", "invented_later": {"deep": [1]}}) == Leaf("oak")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Leaf, "a word"),
        (Leaf, {}),
        (Leaf, {"name": 7}),
        (Leaf, {"name": None}),
        (Leaf, {"name": "oak", "colour": "blue"}),
        (Leaf, {"name": "oak", "value": [1]}),
        (Tree, {"planted": "yesterday"}),
        (Tree, {"planted": 5}),
        (Tree, {"planted": "2025-11-05T03:57:00+00:00", "pair": [1.0]}),
        (Tree, {"planted": "2025-11-05T03:57:00+00:00", "leaves": 3}),
        (Tree, {"planted": "2025-11-05T03:57:00+00:00", "by_name": []}),
        (Tree, {"planted": "2025-11-05T03:57:00+00:00", "note": 3}),
    ],
)
def test_what_does_not_fit_is_a_value_or_type_error(kind: type, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        decode(kind, value)


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON form for bytes"):
        encode({"key": b"secret"})


def test_sets_are_written_in_order_so_that_equal_states_have_equal_texts() -> None:
    assert encode(frozenset({"b", "a", "c"})) == ["a", "b", "c"]


@dataclass(frozen=True, slots=True)
class Soil:
    depth: float | None
    stones: int = 0


@dataclass(frozen=True, slots=True)
class Garden:
    soil: Soil
    owner: str | None


def test_what_an_older_monitord_did_not_write_is_not_known() -> None:
    assert decode(Garden, {}) == Garden(Soil(None), None)
    assert decode(Garden, {"owner": "ada", "soil": {"stones": 3}}) == Garden(Soil(None, 3), "ada")
