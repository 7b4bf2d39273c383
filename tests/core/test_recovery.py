"""What is true once an alert is over, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from monitord.core.codec import decode, encode
from monitord.core.model import Transition
from monitord.core.orders import QueueOrders

from .nights import MEMORY, ORDERS, Night

Does = Callable[[Night], object]


def _memory(night: Night, amount: float) -> None:
    night["gateway"].memory = amount


def _disk(night: Night, used: float) -> None:
    night.host.disk_used = used


def _available(night: Night, amount: float) -> None:
    night.host.available = amount


def _depth(night: Night, jobs: int) -> None:
    night.queues["tree-builder"].waiting = jobs


@pytest.mark.parametrize(
    ("place", "breaks", "mends", "said"),
    [
        (
            "service_down/gateway",
            lambda n: n["gateway"].stops(),
            lambda n: n["gateway"].starts(),
            "gateway is online again since 04:07 UTC.",
        ),
        (
            "service_missing/gateway",
            lambda n: n.vanishes("gateway"),
            lambda n: n.appears("gateway"),
            "gateway is online again since 04:07 UTC.",
        ),
        (
            "service_memory_high/gateway",
            lambda n: _memory(n, 600e6),
            lambda n: _memory(n, 120e6),
            "gateway uses 120 MB of memory now; the limit is 500 MB.",
        ),
        (
            "disk_high//",
            lambda n: _disk(n, 75.0),
            lambda n: _disk(n, 41.5),
            "The disk at / is 41.5% full now, 363 GB are left; the limit is 70%.",
        ),
        (
            "host_memory_low/host",
            lambda n: _available(n, 100e6),
            lambda n: _available(n, 1.2e9),
            "1.2 GB of memory is available on the host now; the limit is 200 MB.",
        ),
        (
            "redis_queue_backlog/tree-builder",
            lambda n: _depth(n, 6000),
            lambda n: _depth(n, 1),
            "1 job waits in tree-builder now; the limit is 5,000.",
        ),
    ],
)
def test_an_end_says_what_is_true_now(place: str, breaks: Does, mends: Does, said: str) -> None:
    night = Night()
    night.passes(minutes=5)
    breaks(night)
    night.passes(minutes=5)
    mends(night)
    night.passes(minutes=5)
    rule, _, subject = place.partition("/")
    (edge,) = night.of("resolved", rule, subject)
    assert edge.now == said


def test_a_queue_with_a_limit_of_its_own_is_told_against_that_one() -> None:
    night = Night(replace(ORDERS, queue_by_name={"tree-builder": QueueOrders(waiting=50)}))
    night.passes(minutes=5)
    _depth(night, 60)
    night.passes(minutes=5)
    _depth(night, 3)
    night.passes(minutes=5)
    (edge,) = night.of("resolved", "redis_queue_backlog", "tree-builder")
    assert edge.now == "3 jobs wait in tree-builder now; the limit is 50."


def test_of_several_instances_it_says_how_many_are_well() -> None:
    night = Night(replace(ORDERS, services={}), services=MEMORY)
    night.appears("gateway")
    night.passes(minutes=5)
    both = [service for service in night.services if service.name == "gateway"]
    for service in both:
        service.stops()
    night.passes(minutes=5)
    for service in both:
        service.starts()
    night.passes(minutes=5)
    (edge,) = night.of("resolved", "service_down", "gateway")
    assert edge.now == "gateway is online again since 04:07 UTC, 2 of 2 instances."


def test_an_alert_that_no_reading_ended_says_nothing_of_now() -> None:
    night = Night()
    night["gateway"].stops()
    night.passes(minutes=5)
    night.orders = replace(ORDERS, services={name: "online" for name in ORDERS.services if name != "gateway"})
    night.passes(minutes=5)
    edges = [edge for edge in night.transitions if edge.edge == "resolved" and edge.alert.rule == "service_down"]
    assert [(bool(edge.reason), edge.now) for edge in edges if edge.reason] == [(True, "")] * len(edges)


def test_an_edge_of_an_older_monitord_is_read_as_it_was() -> None:
    night = Night()
    night["gateway"].stops()
    night.passes(minutes=5)
    edge = night.of("firing", "service_down", "gateway")[0]
    written = encode(edge)
    assert isinstance(written, dict)
    written.pop("now", None)
    assert decode(Transition, written) == edge


@pytest.mark.parametrize(
    ("breaks", "rule", "component"),
    [
        (lambda n: n["gateway"].stops(), "service_down", "Component: service gateway\n"),
        (lambda n: n.redis.fails(), "redis_unreachable", "Component: Redis\n"),
        (lambda n: _disk(n, 90.0), "disk_high", "Component: disk /\n"),
    ],
)
def test_what_is_handed_on_names_the_component_as_people_do(breaks: Does, rule: str, component: str) -> None:
    night = Night()
    night.passes(minutes=5)
    breaks(night)
    night.passes(minutes=5)
    (action,) = [action for action in night.actions if action.rule == rule]
    assert component in action.escalation
