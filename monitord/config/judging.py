"""From the settings to what core judges by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from monitord.config.sections import SettingsSection, of_subject
from monitord.config.settings import Settings, sections, variable_of
from monitord.core import humanize
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Subject
from monitord.core.subjects.named_limits import limited_services
from monitord.core.subjects.registry import measured, subject_named

_MOST_NAMED: Final = 5


def standing_orders(settings: Settings) -> StandingOrders:
    named: dict[str, Any] = {}
    for _, section in sections(settings):
        named |= section.orders()
    default = StandingOrders()
    return StandingOrders(
        **{name: value for name, value in named.items() if value is not None},
        unnamed=frozenset(
            name for name, value in named.items() if value is None and getattr(default, name) is not None
        ),
        by_subject={name: orders for name, section in sections(settings) if (orders := of_subject(section))},
        checks={name: check.order() for name, check in settings.checks.items()},
        late_after=max(3 * settings.check_interval, 2 * settings.probe_timeout),
        probes=frozenset(subject.name for subject in measured() if _is_watched(subject, settings)),
        places=places(settings),
    )


def _is_watched(subject: Subject, settings: Settings) -> bool:
    section = getattr(settings, subject.name, None)
    is_wanted = section is None or (section.is_watched() if isinstance(section, SettingsSection) else bool(section))
    needed = (subject_named(name) for name in (subject.server, subject.beside))
    return is_wanted and all(one is None or one is subject or _is_watched(one, settings) for one in needed)


def judges_nothing(settings: Settings, given: Collection[str]) -> Iterator[str]:
    """Settings that name what nothing judges, a sentence each without its full stop; `given` are the variables set.

    Of names that only PM2 or a database can know, it is found when these are asked.
    """
    orders = standing_orders(settings)
    for subject in measured():
        if subject.name in orders.probes or not subject.members:
            continue
        in_orders = ("orders", subject.members) if subject.members in subject.limits else None
        section = getattr(settings, subject.name, None)
        own = section.items() if isinstance(section, SettingsSection) else ()
        fields = [(subject.name, name) for name, value in own if isinstance(value, Mapping) or name == subject.members]
        for place in (*fields, *((in_orders,) if in_orders else ())):
            named = dict(getattr(settings, place[0]).items())[place[1]]
            if named and variable_of(*place) in given:
                names = humanize.listed(list(named), most=_MOST_NAMED)
                yield f"{variable_of(*place)} names {names}, and {subject.title} is not watched"
    for name, variable in limited_services(orders).items() if orders.services else ():
        if name not in orders.services:
            roster = variable_of("orders", "services")
            yield f"{variable} sets limits for {name}, and {roster} does not expect it"


def places(settings: Settings) -> dict[str, str]:
    """By what is watched: a command for a server, and for PM2 its home where that is not everybody's default."""
    return {name: place for name, section in sections(settings) if (place := section.place())}
