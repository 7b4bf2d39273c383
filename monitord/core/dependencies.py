"""Which services a subject's work depends on, as the orders declare it: who seals, who feeds, who works off."""

import re
from collections.abc import Iterable, Mapping
from shlex import quote

from monitord.core.history.model import History
from monitord.core.model import Finding
from monitord.core.names import any_means
from monitord.core.orders import GROUPS, TABLES, TREES, StandingOrders


def brings(table: str, group: str, history: History, orders: StandingOrders) -> bool:
    """Whether what is sealed of a group is made of a table's rows: the schema's own table, or they share a feeder."""
    of_table, of_group = feeders(table, orders), feeders(group, orders)
    shared = set(of_table) & set(of_group) or set(fleet_of(of_table, history, orders)) & set(
        fleet_of(of_group, history, orders)
    )
    return table in TABLES or bool(shared)


def fleet_of(patterns: tuple[str, ...], history: History, orders: StandingOrders) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            name
            for pattern in patterns
            for name in sorted(history.services)
            if matches(name, (pattern,), orders)
            and (history.services[name].lives or name in (orders.services or history.roster))
        )
    )


def sealers(group: str, orders: StandingOrders) -> tuple[str, ...]:
    """The patterns of the services that seal a group, as declared; groups are the same in whatever case."""
    return _in_any_case(group, orders.sealed_by)


def feeders(subject: str, orders: StandingOrders) -> tuple[str, ...]:
    """The patterns of the services that bring the rows of a table, or of a group's channels, as declared."""
    if subject in orders.tables:
        return orders.fed_by.get(subject, ())
    return _in_any_case(subject, orders.fed_by)


def logs_of(patterns: Iterable[str]) -> str:
    """The services that shell patterns name, as `pm2 logs` takes them: a regular expression, or all of them."""
    names = dict.fromkeys(re.escape(pattern.strip("*")) for pattern in patterns)
    return quote("/" + "|".join(names) + "/") if names else "all"


def _in_any_case(group: str, declared: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return next((by for name, by in declared.items() if name.upper() == group.upper()), ())


def fed(service: str, orders: StandingOrders) -> tuple[str, ...]:
    return tuple(name for name, by in orders.fed_by.items() if matches(service, by, orders))


def sealed(service: str, orders: StandingOrders) -> tuple[str, ...]:
    return tuple(group for group, by in orders.sealed_by.items() if matches(service, by, orders))


def builds_trees(service: str, orders: StandingOrders) -> bool:
    """Whether a service builds the trees of what the orders' own groups have sealed: it works off their queue."""
    is_own = any(group.upper() in GROUPS for group in orders.groups)
    return is_own and matches(service, orders.workers_of(TREES), orders)


def worked_off(service: str, orders: StandingOrders) -> tuple[str, ...]:
    return tuple(queue for queue in orders.queues if matches(service, orders.workers_of(queue), orders))


def matches(name: str, patterns: tuple[str, ...], orders: StandingOrders) -> bool:
    """Whether a service's name is meant by one of these names or shell patterns. Exact names win."""
    return any_means(patterns, name, orders.exact_names)


def unsealed(finding: Finding) -> tuple[str, ...]:
    """The groups that a finding about sealing is about: one, or those that are behind the others."""
    newest = finding.evidence.get("newest_due")
    if not isinstance(newest, Mapping):
        return (finding.subject,)
    known = [label for label in newest.values() if isinstance(label, int)]
    return tuple(str(group) for group, label in newest.items() if label is None or label < max(known))
