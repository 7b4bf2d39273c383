"""From the settings to what core judges by."""

from __future__ import annotations

from typing import Any

from monitord.config.sections import SettingsSection, of_subject
from monitord.config.settings import Settings, sections
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Subject
from monitord.core.subjects.registry import measured, subject_named


def standing_orders(settings: Settings) -> StandingOrders:
    """What core judges by."""
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


def places(settings: Settings) -> dict[str, str]:
    """By what is watched: a command for a server, and for PM2 its home where that is not everybody's default."""
    return {name: place for name, section in sections(settings) if (place := section.place())}
